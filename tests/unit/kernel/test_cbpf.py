"""The interpreter against the words of the manual, and against itself asked number by number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.filters import assemble, captured

from isoaudit.kernel import cbpf
from isoaudit.kernel.cbpf import Instruction, ProgramError, decode, run, words_of

X86_64 = 0xC000003E
LD, LDX, ST, STX = 0x20, 0x61, 0x02, 0x03
LD_IMM, LDX_IMM, LD_MEM, LD_LEN, LDX_LEN = 0x00, 0x01, 0x60, 0x80, 0x81
TAX, TXA, NEG = 0x07, 0x87, 0x84
JA, JEQ, JGT, JGE, JSET = 0x05, 0x15, 0x25, 0x35, 0x45
RET, RET_A = 0x06, 0x16
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, XOR = 0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0xA4
X = 0x08

Code = tuple[int, int, int, int]


def program(*code: Code) -> tuple[Instruction, ...]:
    return decode(bytes.fromhex(assemble(*code)))


def returned(*code: Code, number: int = 0, arguments: dict[int, int] | None = None) -> set[int]:
    return set(run(program(*code), X86_64, (number,), words_of(arguments or {})))


def test_the_data_that_a_filter_sees() -> None:
    value = 0x1122334455667788
    for offset, expected in ((0, 39), (4, X86_64), (16, 0x55667788), (20, 0x11223344), (24, 1), (56, 6)):
        arguments = {0: value, 1: 1, 5: 6}
        assert returned((LD, 0, 0, offset), (RET_A, 0, 0, 0), number=39, arguments=arguments) == {expected}
    assert returned((LD_LEN, 0, 0, 0), (RET_A, 0, 0, 0)) == {64}
    assert returned((LDX_LEN, 0, 0, 0), (TXA, 0, 0, 0), (RET_A, 0, 0, 0)) == {64}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (ADD, 1),
        (SUB, 0xFFFFFFFD),
        (MUL, 0xFFFFFFFE),
        (DIV, 0x7FFFFFFF),
        (OR, 0xFFFFFFFF),
        (AND, 2),
        (LSH, 0xFFFFFFFC),
        (RSH, 0x3FFFFFFF),
        (XOR, 0xFFFFFFFD),
    ],
)
def test_arithmetic_is_of_32_bits(operation: int, expected: int) -> None:
    load = (LD_IMM, 0, 0, 0xFFFFFFFF)
    assert returned(load, (operation, 0, 0, 2), (RET_A, 0, 0, 0)) == {expected}
    assert returned(load, (LDX_IMM, 0, 0, 2), (operation | X, 0, 0, 0), (RET_A, 0, 0, 0)) == {expected}


def test_negation_registers_and_memory() -> None:
    assert returned((LD_IMM, 0, 0, 1), (NEG, 0, 0, 0), (RET_A, 0, 0, 0)) == {0xFFFFFFFF}
    moved = ((LD_IMM, 0, 0, 7), (TAX, 0, 0, 0), (LD_IMM, 0, 0, 0), (TXA, 0, 0, 0), (RET_A, 0, 0, 0))
    assert returned(*moved) == {7}
    kept = ((LD_IMM, 0, 0, 7), (ST, 0, 0, 15), (LD_IMM, 0, 0, 0), (LDX, 0, 0, 15), (STX, 0, 0, 3))
    assert returned(*kept, (LD_MEM, 0, 0, 3), (RET_A, 0, 0, 0)) == {7}


def test_registers_begin_as_zero() -> None:
    assert returned((RET_A, 0, 0, 0)) == {0}
    assert returned((TXA, 0, 0, 0), (RET_A, 0, 0, 0)) == {0}


def test_a_shift_by_a_register_takes_five_bits() -> None:
    assert returned((LD_IMM, 0, 0, 1), (LDX_IMM, 0, 0, 33), (LSH | X, 0, 0, 0), (RET_A, 0, 0, 0)) == {2}


def test_division_by_zero_kills() -> None:
    code = ((LD_IMM, 0, 0, 9), (LDX_IMM, 0, 0, 0), (DIV | X, 0, 0, 0), (RET, 0, 0, cbpf.ALLOW))
    assert returned(*code) == {cbpf.KILL_THREAD}
    by_argument = ((LD, 0, 0, 16), (TAX, 0, 0, 0), (DIV | X, 0, 0, 0), (RET, 0, 0, cbpf.ALLOW))
    assert returned(*by_argument) == {cbpf.KILL_THREAD, cbpf.ALLOW}
    assert returned(*by_argument, arguments={0: 3}) == {cbpf.ALLOW}


@pytest.mark.parametrize(
    ("jump", "operand", "taken"),
    [
        (JEQ, 5, True), (JEQ, 4, False), (JGT, 4, True), (JGT, 5, False),
        (JGE, 5, True), (JGE, 6, False), (JSET, 4, True), (JSET, 2, False),
    ],
)  # fmt: skip
def test_comparisons(jump: int, operand: int, taken: bool) -> None:  # noqa: FBT001
    after = ((RET, 0, 0, 0x50000), (RET, 0, 0, cbpf.ALLOW))
    expected = {cbpf.ALLOW if taken else 0x50000}
    assert returned((LD_IMM, 0, 0, 5), (jump, 1, 0, operand), *after) == expected
    by_register = ((LDX_IMM, 0, 0, operand), (LD_IMM, 0, 0, 5), (jump | X, 1, 0, 0))
    assert returned(*by_register, *after) == expected
    assert returned((LD, 0, 0, 0), (jump, 1, 0, operand), *after, number=5) == expected


def test_a_jump_over_instructions() -> None:
    assert returned((JA, 0, 0, 1), (RET, 0, 0, 0), (RET, 0, 0, cbpf.ALLOW)) == {cbpf.ALLOW}


def test_unknown_arguments_go_both_ways_and_certain_comparisons_one() -> None:
    after = ((RET, 0, 0, 0x50000), (RET, 0, 0, cbpf.ALLOW))
    assert returned((LD, 0, 0, 16), (JEQ, 1, 0, 7), *after) == {0x50000, cbpf.ALLOW}
    assert returned((LD, 0, 0, 16), (JGE, 1, 0, 0), *after) == {cbpf.ALLOW}
    assert returned((LD, 0, 0, 16), (JGT, 1, 0, 0xFFFFFFFF), *after) == {0x50000}
    assert returned((LD, 0, 0, 16), (AND, 0, 0, 0), (JEQ, 1, 0, 0), *after) == {cbpf.ALLOW}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "0 bytes"),
        (b"\x06\0\0\0\0\0\0", "7 bytes"),
        (b"\x06\0\0\0\0\0\0\0" * 4097, "32776 bytes"),
        (struct.pack("<HBBI", LD, 0, 0, 0), "does not return"),
        (struct.pack("<HBBI", 0xFFFF, 0, 0, 0), "instruction 0"),
        (struct.pack("<HBBI", 0x94, 0, 0, 3) * 2, "instruction 0"),  # MOD, which seccomp leaves out
        (struct.pack("<HBBI", LD, 0, 0, 64) * 2, "instruction 0"),
        (struct.pack("<HBBI", LD, 0, 0, 2) * 2, "instruction 0"),
        (struct.pack("<HBBI", DIV, 0, 0, 0) * 2, "instruction 0"),
        (struct.pack("<HBBI", LSH, 0, 0, 32) * 2, "instruction 0"),
        (struct.pack("<HBBI", ST, 0, 0, 16) * 2, "instruction 0"),
        (struct.pack("<HBBI", JEQ, 1, 0, 0) + struct.pack("<HBBI", RET, 0, 0, 0), "instruction 0"),
        (struct.pack("<HBBI", JA, 0, 0, 0xFFFFFFFF) + struct.pack("<HBBI", RET, 0, 0, 0), "instruction 0"),
    ],
)
def test_what_the_kernel_would_not_take(raw: bytes, says: str) -> None:
    with pytest.raises(ProgramError, match=says):
        decode(raw)


def test_memory_that_was_never_written() -> None:
    with pytest.raises(ProgramError, match="never wrote"):
        returned((LD_MEM, 0, 0, 2), (RET_A, 0, 0, 0))


def test_a_value_worked_out_from_an_argument() -> None:
    with pytest.raises(ProgramError, match="from an argument"):
        returned((LD, 0, 0, 16), (RET_A, 0, 0, 0))
    assert returned((LD, 0, 0, 16), (RET_A, 0, 0, 0), arguments={0: cbpf.ALLOW}) == {cbpf.ALLOW}


def test_a_program_made_to_have_too_many_paths_is_given_up() -> None:
    code: list[Code] = []
    for bit in range(32):  # the sum of any of 32 powers of two, as arguments will have it
        code += [
            (ST, 0, 0, 0),
            (LD, 0, 0, 16),
            (JSET, 0, 3, 1 << bit),
            (LD_MEM, 0, 0, 0),
            (ADD, 0, 0, 1 << bit),
            (JA, 0, 0, 1),
            (LD_MEM, 0, 0, 0),
        ]
    with pytest.raises(ProgramError, match="too many"):
        returned(*code, (RET, 0, 0, cbpf.ALLOW))


def test_many_numbers_at_once_that_a_program_computes_with() -> None:
    code = program((LD, 0, 0, 0), (AND, 0, 0, 1), (JEQ, 1, 0, 1), (RET, 0, 0, 0x50001), (RET, 0, 0, cbpf.ALLOW))
    assert run(code, X86_64, (2, 3, 4, 7)) == {0x50001: 0b0101, cbpf.ALLOW: 0b1010}


NUMBERS = (*range(0, 40, 3), 165, 0x40000001)
OPERANDS = st.one_of(
    st.sampled_from([*NUMBERS, 1, 40, X86_64, 0xFFFFFFFF, 0x40000000]), st.integers(0, 0xFFFFFFFF)
)


@st.composite
def programs(draw: Callable[[st.SearchStrategy[int]], int]) -> Sequence[Code]:
    """Valid programs of every instruction; memory is written first, so that all of it may be read."""
    length = draw(st.integers(1, 25))
    code: list[Code] = [(ST, 0, 0, slot) for slot in range(3)]
    for at in range(length):
        kind = draw(st.integers(0, 9))
        left = length - at  # the two returns follow
        operand = draw(OPERANDS)
        register = draw(st.sampled_from([0, X]))
        if kind <= 2:
            code.append((LD, 0, 0, 4 * draw(st.integers(0, 7))))
        elif kind <= 4:
            jump = draw(st.sampled_from([JEQ, JGT, JGE, JSET]))
            code.append((jump | register, draw(st.integers(0, left)), draw(st.integers(0, left)), operand))
        elif kind == 5:
            code.append((draw(st.sampled_from([TAX, TXA, NEG])), 0, 0, 0))
        elif kind == 6:
            code.append((draw(st.sampled_from([ST, STX, LD_MEM, LDX])), 0, 0, draw(st.integers(0, 2))))
        elif kind == 7:
            code.append((draw(st.sampled_from([LD_IMM, LDX_IMM])), 0, 0, operand))
        else:
            operation = draw(st.sampled_from([ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, XOR]))
            small = operand % 31 + 1 if operation in (DIV, LSH, RSH) else operand
            code.append((operation | register, 0, 0, small))
    return [*code, (RET, 0, 0, 0x50001), (RET, 0, 0, cbpf.ALLOW)]


@settings(max_examples=150, deadline=None)
@given(code=programs(), arguments=st.dictionaries(st.integers(0, 1), st.integers(0, (1 << 64) - 1)))
def test_all_numbers_at_once_are_as_one_by_one(code: Sequence[Code], arguments: dict[int, int]) -> None:
    made = program(*code)
    together = run(made, X86_64, NUMBERS, words_of(arguments))
    for position, number in enumerate(NUMBERS):
        alone = set(run(made, X86_64, (number,), words_of(arguments)))
        assert {value for value, which in together.items() if which >> position & 1} == alone


@settings(max_examples=150, deadline=None)
@given(
    code=programs(), arguments=st.tuples(*[st.integers(0, (1 << 64) - 1)] * 6), number=st.sampled_from(NUMBERS)
)
def test_what_arguments_get_is_among_what_unknown_ones_may(
    code: Sequence[Code], arguments: tuple[int, ...], number: int
) -> None:
    made = program(*code)
    known = dict(enumerate(arguments))
    concrete = {**words_of(known), 8: 1, 12: 2}
    exact = set(run(made, X86_64, (number,), concrete))
    assert len(exact) == 1
    assert exact <= set(run(made, X86_64, (number,)))


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=400))
def test_any_bytes_are_followed_or_refused(raw: bytes) -> None:
    try:
        run(decode(raw), X86_64, NUMBERS)
    except ProgramError:
        return


def test_a_real_filter_in_one_pass() -> None:
    made = decode(bytes.fromhex(captured("docker-20.10.24")))
    returned = run(made, X86_64, tuple(range(600)))
    assert {value: which.bit_count() for value, which in returned.items()} == {
        cbpf.ALLOW: 292,
        cbpf.ERRNO | 1: 159,
        cbpf.ERRNO | 38: 151,
    }
