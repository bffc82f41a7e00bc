from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ebpf import EXIT, MAJOR, MINOR, PROLOGUE, jump, mov, op, returns
from support.facts import CAPTURED_PROGRAMS

from isoaudit.kernel import ebpf
from isoaudit.kernel.ebpf import Box, NotUnderstoodError, decode, partition

MAJORS, MINORS = (0, 4095), (0, (1 << 20) - 1)
# r1 is the context, r10 the stack. Registers of these tests: r0 and r6 to r9.
LOAD_MAJOR, LOAD_MINOR = op(0x61, 6, 1, 4), op(0x61, 7, 1, 8)


def answers(
    text: bytes, fixed: int = 0, first: tuple[int, int] = (0, 31), second: tuple[int, int] = (0, 0)
) -> list[Box]:
    return sorted(partition(decode(text), fixed, first, second))


def value(text: bytes, fixed: int = 0, major: int = 0, minor: int = 0) -> int:
    """What a program gives for one context."""
    (box,) = partition(decode(text), fixed, (major, major), (minor, minor))
    return box.result


def number(wide: int) -> bytes:
    """LD_IMM64 of r6."""
    low, high = struct.unpack("<ii", struct.pack("<Q", wide & (1 << 64) - 1))
    return op(0x18, 6, immediate=low) + op(0x00, immediate=high)


# The upper half of r6 in r0, then its lower half.
HALVES = (op(0xBF, 0, 6) + op(0x77, 0, immediate=32) + EXIT, op(0xBF, 0, 6) + EXIT)


def calculated(left: int, instruction: bytes, right: int | None = None) -> int:
    """All 64 bits of r6 after an instruction; r7 is the right side."""
    text = (
        number(left)
        + (b"" if right is None else number(right).replace(b"\x18\x06", b"\x18\x07", 1))
        + instruction
    )
    high, low = (value(text + half) for half in HALVES)
    return high << 32 | low


U64 = (1 << 64) - 1


@pytest.mark.parametrize(
    ("left", "instruction", "right", "expected"),
    [
        (U64, op(0x07, 6, immediate=2), None, 1),  # ADD
        (0xFFFFFFFF, op(0x04, 6, immediate=2), None, 1),
        (1, op(0x17, 6, immediate=2), None, U64),  # SUB
        (1, op(0x14, 6, immediate=2), None, 0xFFFFFFFF),
        (1 << 63, op(0x2F, 6, 7), 2, 0),  # MUL
        (7, op(0x3F, 6, 7), 2, 3),  # DIV
        (7, op(0x3F, 6, 7), 0, 0),
        (U64 - 6, op(0x3F, 6, 7, 1), 2, U64 - 2),  # SDIV: -7 / 2
        (7, op(0x4F, 6, 7), 8, 15),  # OR
        (0xFF00, op(0x57, 6, immediate=0x0FF0), None, 0x0F00),  # AND
        (U64, op(0x57, 6, immediate=-1), None, U64),
        (U64, op(0x54, 6, immediate=-1), None, 0xFFFFFFFF),
        (1, op(0x6F, 6, 7), 65, 2),  # LSH
        (1, op(0x6C, 6, 7), 33, 2),
        (1 << 63, op(0x77, 6, immediate=63), None, 1),  # RSH
        (7, op(0x87, 6), None, U64 - 6),  # NEG
        (7, op(0x84, 6), None, 0xFFFFFFF9),
        (7, op(0x9F, 6, 7), 4, 3),  # MOD
        (7, op(0x9F, 6, 7), 0, 7),
        (U64 - 6, op(0x9F, 6, 7, 1), 4, U64 - 2),  # SMOD: -7 % 4
        (6, op(0xAF, 6, 7), 3, 5),  # XOR
        (1 << 63, op(0xC7, 6, immediate=63), None, U64),  # ARSH
        (1 << 31, op(0xC4, 6, immediate=31), None, 0xFFFFFFFF),
        (0, op(0xB7, 6, immediate=-1), None, U64),  # MOV
        (0, op(0xB4, 6, immediate=-1), None, 0xFFFFFFFF),
        (5, op(0xBC, 6, 7), 1 << 32 | 9, 9),
        (0, op(0xBF, 6, 7, 8), 0x80, U64 - 0x7F),  # MOVSX
        (0, op(0xBC, 6, 7, 16), 0x8000, 0xFFFF8000),
        (0x1122334455667788, op(0xDC, 6, immediate=64), None, 0x8877665544332211),  # to big endian
        (0x1122334455667788, op(0xD4, 6, immediate=16), None, 0x7788),  # to little endian
        (0x1122334455667788, op(0xD7, 6, immediate=32), None, 0x88776655),  # swapped in any case
    ],
)
def test_arithmetic(left: int, instruction: bytes, right: int | None, expected: int) -> None:
    assert calculated(left, instruction, right) == expected


@pytest.mark.parametrize(
    ("code", "wide", "left", "right", "taken"),
    [
        (0x10, True, 5, 5, True),
        (0x50, True, 5, 5, False),
        (0x20, True, U64, 5, True),
        (0x30, True, 5, 5, True),
        (0x40, True, 6, 1, False),
        (0x40, True, 6, 2, True),
        (0x60, True, U64, 5, False),
        (0x70, True, 5, U64, True),
        (0xA0, True, 4, 5, True),
        (0xB0, True, 6, 5, False),
        (0xC0, True, U64, 0, True),
        (0xD0, True, U64, U64, True),
        (0x10, False, 1 << 32 | 5, 5, True),
        (0xC0, False, 0xFFFFFFFF, 0, True),
        (0x60, False, 1 << 32, 0, False),
    ],
)
def test_jumps(code: int, *, wide: bool, left: int, right: int, taken: bool) -> None:
    compare = op(code | 0x08 | (5 if wide else 6), 6, 7, 2)
    text = number(left) + number(right).replace(b"\x18\x06", b"\x18\x07", 1) + compare + returns(0) + returns(1)
    assert value(text) == taken


def test_jumps_over_and_back() -> None:
    assert value(op(0x05, offset=2) + returns(0) + returns(1)) == 1
    assert value(op(0x06, immediate=2) + returns(0) + returns(1)) == 1
    counted = mov(6, 0) + op(0x07, 6, immediate=1) + jump(0xA5, 6, 10, -2) + op(0xBF, 0, 6) + EXIT
    assert value(counted) == 10


def test_parts_of_the_context() -> None:
    for code, offset, expected in (
        (0x61, 0, 0x00060002),
        (0x69, 0, 2),
        (0x69, 2, 6),
        (0x71, 2, 6),
        (0x71, 1, 0),
    ):
        assert value(op(code, 0, 1, offset) + EXIT, fixed=0x00060002) == expected
    assert value(op(0x81, 0, 1, 4) + EXIT, major=0xFFF) == 0xFFF  # MEMSX
    moved = op(0xBF, 6, 1) + op(0x07, 6, immediate=4) + op(0x61, 0, 6, 4) + EXIT
    assert value(moved, major=3, minor=9) == 9


def test_the_stack_keeps_numbers_and_addresses() -> None:
    kept = op(0x7B, 10, 1, -8) + op(0x79, 6, 10, -8) + op(0x61, 0, 6, 4) + EXIT
    assert value(kept, major=77) == 77
    assert value(op(0x7A, 10, 0, -8, -2) + op(0x79, 0, 10, -8) + EXIT) == 0xFFFFFFFE
    narrow = number(0x1234) + op(0x73, 10, 6, -1) + op(0x71, 0, 10, -1) + EXIT
    assert value(narrow) == 0x34
    lockstep = (
        LOAD_MAJOR + op(0x63, 10, 6, -4) + op(0x61, 7, 10, -4) + jump(0x15, 7, 9, 2) + returns(0) + returns(1)
    )
    assert [box for box in answers(lockstep) if box.result] == [Box((9, 9), (0, 0), 1)]
    assert value(op(0xC2) + returns(1)) == 1  # a speculation barrier of the verifier's


def test_comparing_with_constants_makes_intervals() -> None:
    text = LOAD_MAJOR + jump(0x35, 6, 4, 2) + returns(0) + jump(0x25, 6, 9, 2) + returns(1) + returns(0)
    assert answers(text, first=MAJORS) == [
        Box((0, 3), (0, 0), 0),
        Box((4, 9), (0, 0), 1),
        Box((10, 4095), (0, 0), 0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        # major - 136 < 8, in 32 and in 64 bits, and with the constant on the left.
        LOAD_MAJOR + op(0x04, 6, immediate=-136) + jump(0xA6, 6, 8, 2) + returns(0) + returns(1),
        LOAD_MAJOR + op(0x17, 6, immediate=136) + jump(0xA5, 6, 8, 2) + returns(0) + returns(1),
        LOAD_MAJOR + op(0x14, 6, immediate=136) + mov(8, 8) + op(0x2D, 8, 6, 2) + returns(0) + returns(1),
        # With signs: above -1, and after 8 are taken away, below 0.
        LOAD_MAJOR + op(0x17, 6, immediate=136) + jump(0x65, 6, -1, 2) + returns(0)
        + op(0x17, 6, immediate=8) + jump(0xC5, 6, 0, 2) + returns(0) + returns(1),
        LOAD_MAJOR + op(0x54, 6, immediate=-1) + jump(0xA6, 6, 136, 3) + jump(0x36, 6, 144, 2) + returns(1) + returns(0),
    ],
)  # fmt: skip
def test_what_is_shifted_moves_in_lockstep(text: bytes) -> None:
    boxes = answers(text, first=MAJORS)
    assert len(boxes) == 3
    assert [box for box in boxes if box.result] == [Box((136, 143), (0, 0), 1)]


def test_lockstep_ends_where_32_bits_overflow() -> None:
    # (u32)(major - 10), compared in 64 bits with what it is for 5 alone.
    text = LOAD_MAJOR + op(0x04, 6, immediate=-10) + number(0xFFFFFFFB).replace(b"\x18\x06", b"\x18\x07", 1)
    text += op(0x3D, 6, 7, 2) + returns(0) + returns(1)
    assert [(box.first, box.result) for box in answers(text)] == [((0, 4), 0), ((5, 9), 1), ((10, 31), 0)]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (LOAD_MAJOR + jump(0x45, 6, 1, 2) + returns(0) + returns(1), lambda major, minor: major & 1),
        (LOAD_MAJOR + op(0x57, 6, immediate=3) + jump(0x15, 6, 2, 2) + returns(0) + returns(1), lambda a, b: a & 3 == 2),
        (LOAD_MAJOR + LOAD_MINOR + op(0x1D, 6, 7, 2) + returns(0) + returns(1), lambda a, b: a == b),
        (op(0x71, 6, 1, 4) + jump(0xA5, 6, 4, 2) + returns(0) + returns(1), lambda a, b: a < 4),
        (LOAD_MAJOR + op(0xBF, 0, 6) + op(0x57, 0, immediate=1) + EXIT, lambda a, b: a & 1),
    ],
)  # fmt: skip
def test_any_other_decision_is_exact_number_by_number(text: bytes, allowed: object) -> None:
    for first, second, result in answers(text, first=(0, 15), second=(0, 15)):
        for major in range(first[0], first[1] + 1):
            for minor in range(second[0], second[1] + 1):
                assert bool(result) == bool(allowed(major, minor))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no program"),
        (b"\x95" * 7, "no program"),
        (op(0x85, immediate=1) + EXIT, "a call"),
        (op(0xE5) + EXIT, "code 0xe5"),
        (op(0x18, 6, 1) + op(0) + EXIT, "address of a map"),
        (op(0x18, 6), "address of a map"),
        (op(0x20) + EXIT, "code 0x20"),
        (EXIT, "register 0, which is empty"),
        (op(0xBF, 0, 1) + EXIT, "address for a number"),
        (op(0x61, 6, 15) + EXIT, "register 15"),
        (op(0xB7, 10) + EXIT, "writes to register 10"),
        (op(0x61, 0, 1, 12) + EXIT, "4 bytes at 12"),
        (op(0x79, 0, 1, 0) + EXIT, "8 bytes at 0"),
        (mov(6, 0) + op(0x61, 0, 6) + EXIT, "did not write"),
        (op(0x79, 0, 10, -8) + EXIT, "did not write"),
        (op(0x63, 1, 10) + EXIT, "other than its stack"),
        (op(0x7A, 10, 0, 0) + EXIT, "other than its stack"),
        (op(0x7A, 10, 0, -520) + EXIT, "other than its stack"),
        (op(0x27, 1, immediate=2) + EXIT, "with an address"),
        (op(0xDB, 10, 1, -8) + EXIT, "in another way than plainly"),
        (op(0x05, offset=5), "jumps out"),
        (op(0x05, offset=-3), "jumps out"),
        (op(0x05, offset=-1), "steps"),
        (op(0xB7, 6, 0, 0) + op(0x3F, 6, 6, 3) + EXIT, "code 0x3f"),
        (op(0xD7, 6) + EXIT, "register 6"),
        (mov(6, 1) + op(0xD7, 6, immediate=24) + EXIT, "code 0xd7"),
        (mov(6, 1) + op(0xBF, 0, 6, 7) + EXIT, "code 0xbf"),
    ],
)  # fmt: skip
def test_what_is_not_followed_says_so(text: bytes, says: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        partition(decode(text), 0, (0, 0), (0, 0))
    assert says in str(caught.value)


def test_too_many_cases_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ebpf, "_MOST_BOXES", 64)
    odd = LOAD_MAJOR + op(0x57, 6, immediate=1) + op(0xBF, 0, 6) + EXIT
    with pytest.raises(NotUnderstoodError, match="more than 64 cases"):
        partition(decode(odd), 0, MAJORS, MINORS)


ENGINES = [decode(bytes.fromhex(one["instructions"])) for one in CAPTURED_PROGRAMS.values()]
EDGE = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 10, 11, 98, 135, 136, 137, 143, 144, 200, 4095])
ANY_MAJOR = st.one_of(EDGE, st.integers(*MAJORS))
ANY_MINOR = st.one_of(EDGE, st.integers(*MINORS))
WORD = st.builds(
    lambda access, kind: access << 16 | kind, st.sampled_from([1, 2, 4, 6]), st.sampled_from([1, 2])
)


def inside(box: Box, major: int, minor: int) -> bool:
    return box.first[0] <= major <= box.first[1] and box.second[0] <= minor <= box.second[1]


@settings(deadline=None, max_examples=200)
@given(program=st.sampled_from(ENGINES), fixed=WORD, major=ANY_MAJOR, minor=ANY_MINOR)
def test_the_boxes_of_real_programs_are_what_they_answer(
    program: tuple[ebpf.Instruction, ...], fixed: int, major: int, minor: int
) -> None:
    boxes = partition(program, fixed, MAJORS, MINORS)
    holding = [box for box in boxes if inside(box, major, minor)]
    (asked,) = partition(program, fixed, (major, major), (minor, minor))
    assert [box.result for box in holding] == [asked.result]


def area(box: Box) -> int:
    return (box.first[1] - box.first[0] + 1) * (box.second[1] - box.second[0] + 1)


ALU = st.builds(
    op,
    st.sampled_from([code | kind for code in range(0, 0xE0, 0x10) for kind in (0x04, 0x07, 0x0C, 0x0F)]),
    st.sampled_from([2, 3, MAJOR, MINOR]),
    st.sampled_from([2, 3, MAJOR, MINOR]),
    st.sampled_from([0, 0, 0, 1, 8]),
    st.one_of(st.integers(-4, 40), st.sampled_from([16, 32, 64, -(1 << 31), (1 << 31) - 1])),
)
JUMP = st.builds(
    op,
    st.sampled_from([code | kind for code in range(0, 0xE0, 0x10) for kind in (5, 6, 0x0D, 0x0E)]),
    st.sampled_from([2, 3, MAJOR, MINOR]),
    st.sampled_from([2, 3, MAJOR, MINOR]),
    st.integers(0, 6),
    st.integers(-4, 40),
)
MEMORY = st.builds(
    op,
    st.sampled_from([0x61, 0x69, 0x71, 0x79, 0x81, 0x63, 0x73, 0x7B, 0x62, 0x7A]),
    st.sampled_from([2, MAJOR, 10]),
    st.sampled_from([1, MAJOR, 10]),
    st.sampled_from([-16, -8, -4, -1, 0, 4, 8]),
    st.integers(-4, 40),
)
BODY = st.lists(st.one_of(ALU, JUMP, MEMORY), max_size=12).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(body=BODY, fixed=WORD)
def test_whatever_a_program_does_its_boxes_are_exact_or_it_is_not_understood(body: bytes, fixed: int) -> None:
    program = decode(PROLOGUE + body + op(0xBF, 0, MAJOR) + returns(1) + returns(0) * 4)
    span = (0, 24)
    try:
        boxes = partition(program, fixed, span, span)
    except NotUnderstoodError:
        return
    assert sum(map(area, boxes)) == 25 * 25
    for major in (0, 1, 7, 8, 9, 23, 24):
        for minor in (0, 5, 24):
            (one,) = [box for box in boxes if inside(box, major, minor)]
            assert value_of(program, fixed, major, minor) == one.result


def value_of(program: tuple[ebpf.Instruction, ...], fixed: int, major: int, minor: int) -> int:
    (box,) = partition(program, fixed, (major, major), (minor, minor))
    return box.result


@settings(deadline=None, max_examples=300)
@given(raw=st.binary(max_size=160).map(lambda raw: raw + raw[: -len(raw) % 8] + bytes(-len(raw * 2) % 8)))
def test_no_bytes_break_it(raw: bytes) -> None:
    try:
        boxes = partition(decode(raw), 2, (0, 7), (0, 7))
    except NotUnderstoodError:
        return
    assert sum(map(area, boxes)) == 64
