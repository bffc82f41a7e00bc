from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ebpf import (
    BLOCK,
    CHARACTER,
    EXIT,
    MAJOR,
    MINOR,
    MKNOD,
    PROLOGUE,
    READ,
    WRITE,
    Entry,
    jump,
    op,
    program,
    returns,
)
from support.facts import CAPTURED_PROGRAMS

from isoaudit.facts.device_program import ProgramRules, program_rules
from isoaudit.kernel.ebpf import NotUnderstoodError

ALL = MKNOD | READ | WRITE


def understood(text: bytes) -> ProgramRules:
    rules = program_rules(text.hex())
    assert isinstance(rules, ProgramRules), rules
    return rules


@pytest.mark.parametrize("name", CAPTURED_PROGRAMS)
def test_programs_of_engines_read_back_as_their_rules(name: str) -> None:
    captured = CAPTURED_PROGRAMS[name]
    rules = understood(bytes.fromhex(captured["instructions"]))
    assert rules.rules == tuple(captured["rules"])
    assert rules.unrestricted == name.endswith("_privileged")


def test_what_dockers_program_allows() -> None:
    docker = understood(bytes.fromhex(CAPTURED_PROGRAMS["docker"]["instructions"]))
    for kind, major, minor, allowed in (
        ("c", 1, 3, "r w rw m"),
        ("c", 1, 6, "m"),
        ("c", 136, 77, "r w rw m"),
        ("c", 10, 200, "r w rw m"),
        ("c", 10, 232, "m"),
        ("b", 8, 0, "m"),
    ):
        found = [one for one in ("r", "w", "rw", "m") if docker.allows(kind, major, minor, one)]
        assert " ".join(found) == allowed


def test_the_same_program_is_taken_apart_once() -> None:
    text = CAPTURED_PROGRAMS["crun"]["instructions"]
    assert program_rules(text) is program_rules(text)


def test_a_program_that_returns_one_is_no_restriction() -> None:
    assert understood(returns(1)).rules == ("b *:* rwm", "c *:* rwm")
    assert understood(returns(1)).unrestricted
    assert understood(returns(0)).rules == ()
    assert not understood(returns(0)).unrestricted


def test_one_that_denies_a_single_device_restricts() -> None:
    rules = understood(program([Entry(BLOCK, 8, 0, ALL, 0)], default=1))
    assert rules.rules == ("b 0-7:* rwm", "b 8:1-1048575 rwm", "b 9-4095:* rwm", "c *:* rwm")
    assert not rules.unrestricted
    assert not rules.allows("b", 8, 0, "w")


def test_one_that_denies_writing_alone_lets_it_be_written_with_reading() -> None:
    rules = understood(program([Entry(None, None, None, WRITE, 0)], default=1))
    assert not rules.allows("b", 8, 0, "w")
    assert rules.allows("b", 8, 0, "rw")
    assert rules.rules == ("b *:* rwm", "c *:* rwm")
    assert not rules.unrestricted


def test_what_it_denies_at_the_last_number_of_all_is_seen() -> None:
    rules = understood(program([Entry(CHARACTER, 4095, (1 << 20) - 1, ALL, 0)], default=1))
    assert not rules.unrestricted
    assert rules.rules[-2:] == ("c 0-4094:* rwm", "c 4095:0-1048574 rwm")


def test_ranges_stay_ranges() -> None:
    ptys = PROLOGUE + op(0x14, MAJOR, immediate=136) + jump(0xA6, MAJOR, 8, 2) + returns(0) + returns(1)
    rules = understood(ptys)
    assert rules.rules == ("b 136-143:* rwm", "c 136-143:* rwm")
    assert ("c", 136, 0) in rules.named


def test_a_request_is_asked_whole() -> None:
    both = PROLOGUE + jump(0x55, 3, READ | WRITE, 2) + returns(1) + returns(0)
    rules = understood(both)
    assert rules.allows("c", 1, 1, "rw")
    assert not rules.allows("c", 1, 1, "r")
    assert rules.rules == ("b *:* rw", "c *:* rw")
    assert not rules.unrestricted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ((op(0x85, immediate=1) + EXIT).hex(), "a call"),
        ("", "no program"),
        ("xyz", "hexadecimal"),
        (returns(1).hex()[:-2], "no program"),
        ((PROLOGUE + op(0xBF, 0, MINOR) + op(0x57, 0, immediate=1) + EXIT).hex(), "cases"),
    ],
)
def test_what_is_not_understood(text: str, says: str) -> None:
    error = program_rules(text)
    assert isinstance(error, NotUnderstoodError)
    assert says in str(error)
    assert program_rules(text) is error, "that is found out once"


MAJORS, MINORS = (None, 0, 1, 5, 6, 4095), (None, 0, 3, 4, (1 << 20) - 1)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from([None, BLOCK, CHARACTER]),
        st.sampled_from(MAJORS),
        st.sampled_from(MINORS),
        st.integers(1, ALL),
        st.integers(0, 1),
    ),
    max_size=8,
)
REQUESTS = {"m": MKNOD, "r": READ, "w": WRITE, "rw": READ | WRITE}


def expected(entries: list[Entry], default: int, kind: int, major: int, minor: int, access: int) -> int:
    """What the first entry that fits says, as engines mean it."""
    for entry in entries:
        if (
            entry.kind in (None, kind)
            and entry.major in (None, major)
            and entry.minor in (None, minor)
            and access & ~entry.access == 0
        ):
            return entry.verdict
    return default


@settings(deadline=None, max_examples=60)
@given(entries=ENTRIES, default=st.integers(0, 1))
def test_any_list_reads_back_exactly(entries: list[Entry], default: int) -> None:
    rules = understood(program(entries, default))
    free = True
    for letter, kind in (("b", BLOCK), ("c", CHARACTER)):
        for major in (0, 1, 2, 5, 6, 7, 4094, 4095):
            for minor in (0, 1, 3, 4, 5, (1 << 20) - 2, (1 << 20) - 1):
                answers = {
                    request: bool(expected(entries, default, kind, major, minor, access))
                    for request, access in REQUESTS.items()
                }
                assert {r: rules.allows(letter, major, minor, r) for r in REQUESTS} == answers
                free = free and all(answers[request] for request in ("r", "w", "rw"))
                shown = "".join(sorted({x for request, allowed in answers.items() if allowed for x in request}))
                regions = [
                    region.access
                    for region in rules.regions
                    if region.kind == letter
                    and region.majors[0] <= major <= region.majors[1]
                    and region.minors[0] <= minor <= region.minors[1]
                ]
                assert "".join(sorted(set("".join(regions)))) == shown
    assert rules.unrestricted == free
