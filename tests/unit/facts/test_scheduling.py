from __future__ import annotations

import pytest

from isoaudit.facts.scheduling import Scheduling, parse_scheduling

STAT = (
    b"42 (odd ) name) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 -21 -5 1 0 100 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"
    b" 17 1 20 2 0 0 0\n"
)


def test_fields() -> None:
    assert parse_scheduling(STAT) == Scheduling(policy=2, priority=20, nice=-5)
    assert parse_scheduling(STAT).realtime


def test_this_process() -> None:
    with open("/proc/self/stat", "rb") as file:
        assert parse_scheduling(file.read()).realtime is False


@pytest.mark.parametrize("raw", [b"", b"42 (x) S 1 2\n", STAT.replace(b" 2 0 0 0", b" x 0 0 0")])
def test_what_is_no_stat_file(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"fields|subsection|substring|invalid"):
        parse_scheduling(raw)
