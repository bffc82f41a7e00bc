"""Counts that the kernel keeps for all, or for a user, whatever container asks.

Two kinds of counts go by user. The user's own structure is found by uid alone (user_struct, key_user): pipe
buffers, keys, epoll watches. The others (kernel/ucount.c) go by user namespace and uid, and each of them is
charged to whoever made that namespace as well, in the namespace above it, up to the initial one: a container
with a user namespace of its own still uses up the inotify instances of the user who started it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.namespaces import INITIAL, missing_type
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.facts.container import Process
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.model import Reading


class Count(NamedTuple):
    """A count of the whole kernel's."""

    used: int
    limit: int


class Quotas(NamedTuple):
    """What is used of each, and how much there is."""

    counts: Mapping[str, Reading[Count]]  # by the names of `GLOBAL`
    users: Reading[frozenset[int]]  # uids of the host's own processes


class Global(NamedTuple):
    """A count with one limit for all, and what a unit of it costs whoever takes it."""

    noun: str
    setting: str  # what sets the limit
    cost: int  # bytes charged to the taker's memory cgroup for one; measured on Linux 6.18, x86-64
    per_file: bool = False  # each is an open file of some process
    per_process: bool = False  # each is a process or thread


# Costs are rounded up. An open file is a struct file and its place in the table; a thread has a kernel stack of
# 16 KiB; an AIO context that asks for the fewest slots takes a page for its ring and counts for some fifty.
GLOBAL: Mapping[str, Global] = {
    "aio": Global("AIO context slot", "fs.aio-max-nr", 86),
    "files": Global("open file", "fs.file-max", 232, per_file=True),
    "terminals": Global("pseudo-terminal", "kernel.pty.max", 3200, per_file=True),
    "threads": Global("thread", "kernel.threads-max, kernel.pid_max", 22400, per_process=True),
    "neighbours": Global("neighbour entry", "net.ipv4.neigh.default.gc_thresh3", 512),
    "commitment": Global("committed byte", "vm.overcommit_memory", 0),
}


class Account(NamedTuple):
    """Whom counts by user namespace are charged to."""

    user_namespace: int
    uid: int  # as the host counts


class Accounts(NamedTuple):
    """Whom what a container takes is charged to."""

    own: frozenset[Account]  # its processes'
    owners: frozenset[Account]  # of those who made its user namespace, and the ones above it
    missing: Unknown | None  # a process, or the owners, that could not be read


NO_ACCOUNTS = Accounts(frozenset(), frozenset(), Unknown("/proc/PID/status", "it was not read"))


def accounts_of(
    processes: Iterable[Process], namespaces: Namespaces, owners: Reading[tuple[Account, ...]]
) -> Accounts:
    """Whom what a container takes is charged to.

    Args:
        processes: its processes.
        namespaces: its first process's: others may have made user namespaces of their own.
        owners: who made its user namespace, and so on.
    """
    own: set[Account] = set()
    missing: Unknown | None = None
    for process in processes:
        status, user = process.status, process.user_namespace
        if isinstance(user, Unknown):
            user = namespaces.user
        if missing_type(user):
            user = Known(INITIAL["user"], user.source)
        if isinstance(status, Unknown):
            missing = missing or status
        elif isinstance(user, Unknown):
            missing = missing or user
        else:
            # inotify goes by the effective uid, the rest by the real one.
            own.update(Account(user.value, uid) for uid in status.value.uids[:2])
    if isinstance(owners, Unknown):
        return Accounts(frozenset(own), frozenset(), missing or owners)
    return Accounts(frozenset(own), frozenset(owners.value), missing)


def parse_file_nr(raw: bytes) -> Count:
    """/proc/sys/fs/file-nr: allocated, free (always 0 since Linux 2.6), maximum.

    Raises:
        ValueError: it is not three numbers.
    """
    used, free, limit = map(int, raw.split())
    return Count(used - free, limit)


def parse_thread_count(raw: bytes) -> int:
    """How many threads there are: the second of the two numbers in /proc/loadavg's fourth field.

    Raises:
        ValueError: there is no such field.
        IndexError: the same.
    """
    return int(raw.split()[3].partition(b"/")[2])


def parse_neighbour_count(raw: bytes) -> int:
    """How many entries the IPv4 neighbour table has: the first column of /proc/net/stat/arp_cache.

    Raises:
        ValueError: it is no such table.
        IndexError: the same.
    """
    heading, row, *_ = raw.split(b"\n")
    if heading.split()[0] != b"entries":
        raise ValueError(f"no column of entries: {heading[:80]!r}")
    return int(row.split()[0], 16)
