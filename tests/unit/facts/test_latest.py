from __future__ import annotations

from typing import NamedTuple

import pytest

from isoaudit.facts.latest import latest, latest_of


class Record(NamedTuple):
    number: int


def test_a_record_and_the_one_before_are_remembered_by_identity() -> None:
    asked: list[tuple[int, int]] = []

    @latest
    def times(record: Record, factor: int, *, more: int = 0) -> int:
        asked.append((record.number, factor))
        return record.number * factor + more

    first, alike, third = Record(2), Record(2), Record(5)
    assert [times(first, 3), times(first, 3), times(first, 4)] == [6, 6, 8]
    assert asked == [(2, 3), (2, 4)]
    assert times(first, 3, more=1) == 7
    assert times(alike, 3) == times(first, 3) == times(alike, 3) == 6
    assert asked == [(2, 3), (2, 4), (2, 3), (2, 3)]
    assert times(third, 3) == 15
    assert times(first, 3) == 6
    assert asked[4:] == [(5, 3), (2, 3)]


def test_what_is_raised_is_raised_again_and_anew() -> None:
    calls = []

    @latest
    def refuse(record: Record) -> None:
        calls.append(record)
        raise ValueError(record.number)

    record = Record(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="1"):
            refuse(record)
    assert len(calls) == 2


def test_a_function_that_asks_of_other_records_meanwhile() -> None:
    @latest
    def depth(record: Record) -> int:
        return 1 + depth(Record(record.number - 1)) if record.number else 0

    record = Record(5)
    assert depth(record) == 5
    assert depth(Record(2)) == 2
    assert depth(record) == 5


def test_of_several_records_all_must_be_the_same() -> None:
    asked = []

    @latest_of(2)
    def total(one: Record, other: Record, more: int = 0) -> int:
        asked.append(more)
        return one.number + other.number + more

    one, other = Record(1), Record(2)
    assert total(one, other) == total(one, other) == 3
    assert total(one, other, 4) == total(one, other, more=4) == 7
    assert total(one, Record(3)) == 4
    assert total(other, one) == 3
    assert asked == [0, 4, 4, 0, 0]
