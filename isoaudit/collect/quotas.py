"""Reading the kernel's counts, and whom what a container takes is charged to."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import TYPE_CHECKING

from isoaudit.collect.tree import VanishedError, read_file, read_record, refused
from isoaudit.facts.namespaces import INITIAL, missing_type
from isoaudit.facts.quotas import (
    Account,
    Count,
    Quotas,
    parse_file_nr,
    parse_neighbour_count,
    parse_thread_count,
)
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoaudit.collect.paths import Paths
    from isoaudit.collect.process import ProcessDirectory
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.model import Reading

# include/uapi/linux/nsfs.h
_NS_GET_PARENT, _NS_GET_OWNER_UID = 0xB702, 0xB704
_DEEPEST = 33  # user namespaces can be 32 deep (kernel/user_namespace.c)
_ENDED = (errno.ENOENT, errno.ESRCH)


def read_quotas(paths: Paths, host: Namespaces, reference: int) -> Quotas:
    """Read what is used of each count, and who uses the host.

    Args:
        paths: the trees to read.
        host: the host's namespaces.
        reference: a process in them.
    """
    fs, kernel = f"{paths.proc}/sys/fs", f"{paths.proc}/sys/kernel"
    network = f"{paths.proc}/{reference}/net/stat/arp_cache"
    thresholds = f"{paths.proc}/sys/net/ipv4/neigh/default/gc_thresh3"
    return Quotas(
        counts={
            "aio": _count(f"{fs}/aio-nr", lambda: Count(_number(f"{fs}/aio-nr"), _number(f"{fs}/aio-max-nr"))),
            "files": _count(f"{fs}/file-nr", lambda: parse_file_nr(read_file(f"{fs}/file-nr"))),
            "terminals": _count(f"{kernel}/pty/nr", lambda: _terminals(f"{kernel}/pty")),
            "threads": _count(
                f"{paths.proc}/loadavg",
                lambda: Count(
                    parse_thread_count(read_file(f"{paths.proc}/loadavg")),
                    min(_number(f"{kernel}/threads-max"), _number(f"{kernel}/pid_max")),
                ),
            ),
            "neighbours": _count(
                network, lambda: Count(parse_neighbour_count(read_file(network)), _number(thresholds))
            ),
            "commitment": _count(f"{paths.proc}/meminfo", lambda: _commitment(paths)),
        },
        users=_users(paths, host),
    )


def _number(path: str) -> int:
    return int(read_file(path))


def _count(source: str, count: Callable[[], Count]) -> Reading[Count]:
    try:
        return Known(count(), source)
    except OSError as error:
        return refused(error, source)
    except (ValueError, IndexError) as error:
        return Unknown(source, f"not understood: {error}")


def _terminals(folder: str) -> Count:
    # The last of them are kept for the initial instance of devpts, and a container has one of its own.
    return Count(_number(f"{folder}/nr"), _number(f"{folder}/max") - _number(f"{folder}/reserve"))


def _commitment(paths: Paths) -> Count:
    """Committed memory, and its limit, which only a strict kernel keeps (vm.overcommit_memory)."""
    fields = dict(entry.split(b":", 1) for entry in read_file(f"{paths.proc}/meminfo").split(b"\n") if entry)
    try:
        used, limit = (int(fields[name].split()[0]) * 1024 for name in (b"Committed_AS", b"CommitLimit"))
    except KeyError as error:
        raise ValueError(f"no {error.args[0].decode()} line") from None
    return Count(used, limit)


def _users(paths: Paths, host: Namespaces) -> Reading[frozenset[int]]:
    """The real and effective uids of the processes that have the host's mounts."""
    source = f"{paths.proc}/*/status"
    if isinstance(host.mnt, Unknown):
        return host.mnt
    ours = f"mnt:[{host.mnt.value}]"
    users = {0}
    for pid in os.listdir(paths.proc):
        # PID 1 is root's, though some machines hide it from root itself.
        if not pid.isdigit() or pid == "1":
            continue
        try:
            if os.readlink(f"{paths.proc}/{pid}/ns/mnt") == ours:
                status = read_record(f"{paths.proc}/{pid}/status")
                ids = status[status.index(b"\nUid:\t") + 6 :].split(None, 2)
                users |= {int(ids[0]), int(ids[1])}
        except OSError as error:
            if error.errno not in _ENDED:
                return refused(error, f"{paths.proc}/{pid}/ns/mnt")
        except (ValueError, IndexError) as error:
            return Unknown(f"{paths.proc}/{pid}/status", f"not understood: {error}")
    return Known(frozenset(users), source)


def read_owners(
    leader: ProcessDirectory, namespaces: Namespaces, *, live: bool
) -> Reading[tuple[Account, ...]]:
    """Who made a container's user namespace, and those above it, up to the initial one.

    Args:
        leader: its first process.
        namespaces: that one's.
        live: whether the tree is the running kernel's, which alone can be asked.

    Raises:
        VanishedError: the process has ended.
    """
    source = f"{leader.path}/ns/user"
    user = namespaces.user
    if missing_type(user) or (isinstance(user, Known) and user.value == INITIAL["user"]):
        return Known((), source)
    if isinstance(user, Unknown):
        return user
    if not live:
        return Unknown(source, "the tree is not the running kernel's, which alone tells who made it")
    try:
        return Known(_owners(os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=leader.fd)), source)
    except OSError as error:
        if error.errno in _ENDED:
            raise VanishedError(leader.path) from error
        return refused(error, source)


def _owners(fd: int) -> tuple[Account, ...]:
    """Ask a user namespace; the descriptor is closed."""
    chain: list[Account] = []
    try:
        for _ in range(_DEEPEST):
            if os.fstat(fd).st_ino == INITIAL["user"]:
                break
            uid = bytearray(4)
            fcntl.ioctl(fd, _NS_GET_OWNER_UID, uid)
            parent = fcntl.ioctl(fd, _NS_GET_PARENT)
            os.close(fd)
            fd = parent
            chain.append(Account(os.fstat(fd).st_ino, int.from_bytes(uid, sys.byteorder)))
        return tuple(chain)
    finally:
        os.close(fd)
