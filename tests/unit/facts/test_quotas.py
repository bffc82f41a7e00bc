from __future__ import annotations

import pytest
from support.facts import OWN_INODES, PID, denied, known, make_status, namespaces

from isoaudit.facts.container import Process
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.quotas import (
    Account,
    Count,
    accounts_of,
    parse_file_nr,
    parse_neighbour_count,
    parse_thread_count,
)

HERE = namespaces(PID, **OWN_INODES)


def test_counts() -> None:
    assert parse_file_nr(b"1057\t0\t2466193\n") == Count(1057, 2466193)
    assert parse_thread_count(b"0.90 0.68 0.32 2/167 24331\n") == 167
    assert parse_neighbour_count(b"entries  allocs\n000000b7 00000001\n000000b7 00000002\n") == 183


@pytest.mark.parametrize("raw", [b"", b"arp\n1\n", b"entries\n"])
def test_what_is_no_neighbour_table(raw: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_neighbour_count(raw)


def test_accounts_are_by_real_and_effective_uid() -> None:
    status = make_status(uids=(5, 6, 7, 8))
    accounts = accounts_of([Process(PID, known(status), known(77))], HERE, known(()))
    assert accounts.own == {Account(77, 5), Account(77, 6)}
    assert accounts.missing is None


def test_a_process_without_a_namespace_reading_is_in_the_first_ones() -> None:
    accounts = accounts_of([Process(PID, known(make_status(uids=(5,) * 4)))], HERE, known(()))
    assert accounts.own == {Account(INITIAL["user"], 5)}


def test_what_is_missing_is_said() -> None:
    processes = [Process(PID, known(make_status())), Process(PID + 1, denied())]
    accounts = accounts_of(processes, HERE, known(()))
    assert accounts.own
    assert accounts.missing == denied()
    assert accounts_of([], HERE, denied("ns")).missing == denied("ns")
