"""Work in forked processes: all results, in order, or an error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from isoaudit.errors import IsoauditError
from isoaudit.workers import spread


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_results_come_in_order(workers: int) -> None:
    assert list(spread(lambda n: (n, "x" * 200_000), range(7), workers)) == [
        (n, "x" * 200_000) for n in range(7)
    ]


def test_a_slow_worker_holds_nobody_up() -> None:
    def work(number: int) -> int:
        time.sleep(0.2 if number == 0 else 0)
        return number

    assert list(spread(work, range(6), 2)) == list(range(6))


def test_a_worker_that_dies_is_an_error() -> None:
    def work(number: int) -> int:
        if number == 3:
            os._exit(1)
        return number

    with pytest.raises(IsoauditError, match="ended early"):
        list(spread(work, range(6), 2))


def test_nothing_is_left_behind() -> None:
    before = children()
    results = spread(lambda n: n, range(100), 2)
    assert next(results) == 0
    assert len(children() - before) == 2
    results.close()  # type: ignore[attr-defined]
    assert children() - before == set()


def children() -> set[str]:
    """Our children, of which other tests may have some."""
    return set(Path("/proc/thread-self/children").read_text().split())
