from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.units import binary, count


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1000 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (999.6 * 1024, "1000 KiB"),
        (512 << 20, "512 MiB"),
        (24 << 30, "24 GiB"),
        (2**63 - 4096, "8 EiB"),
        (2**80, "1048576 EiB"),
    ],
)
def test_binary(amount: float, words: str) -> None:
    assert binary(amount) == words


@given(st.integers(0, 2**70))
def test_binary_reads_as_a_number(amount: int) -> None:
    assert re.fullmatch(r"\d+(\.\d+)? ([KMGTPE]i)?B", binary(amount))


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "process", "1 process"),
        (0, "process", "0 processes"),
        (2, "check", "2 checks"),
        (3, "capability", "3 capabilities"),
        (4, "key", "4 keys"),
        (2, "switch", "2 switches"),
        (2, "cgroup", "2 cgroups"),
    ],
)
def test_count(number: int, noun: str, words: str) -> None:
    assert count(number, noun) == words
