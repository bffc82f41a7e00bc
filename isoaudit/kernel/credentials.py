"""Changing what a process may do: ids, capability sets, no_new_privs (capabilities(7), credentials(7)).

By raw system calls, which change this thread alone: the C library's own wrappers look for other threads in
tables that are wrong in a child made by clone3.
"""

from __future__ import annotations

import ctypes
import signal
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522


class CapabilitySets(NamedTuple):
    """The five sets, as masks."""

    inheritable: int = 0
    permitted: int = 0
    effective: int = 0
    bounding: int = 0
    ambient: int = 0

    def within(self, limit: int) -> CapabilitySets:
        """The same without what is not in a mask."""
        return CapabilitySets(*(mask & limit for mask in self))


def _numbers(mask: int) -> Iterable[int]:
    return (number for number in range(mask.bit_length()) if mask >> number & 1)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets (capset(2)).

    Raises:
        OSError: EPERM; a set would grow beyond what may be.
    """
    words = []
    for shift in (0, 32):
        words += [mask >> shift & 0xFFFFFFFF for mask in (effective, permitted, inheritable)]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    syscalls.call("capset", header, (ctypes.c_uint32 * 6)(*words))


def permitted() -> int:
    """What this thread's permitted set holds (capget(2)).

    Raises:
        OSError: what the kernel answered.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    words = (ctypes.c_uint32 * 6)()
    syscalls.call("capget", header, words)
    return int(words[1]) | int(words[4]) << 32


def known_capabilities() -> int:
    """The mask of the capabilities that this kernel has."""
    mask = 0
    for number in range(64):
        try:
            syscalls.call("prctl", _PR_CAPBSET_READ, number, 0, 0, 0)
        except OSError:
            break
        mask |= 1 << number
    return mask


def die_with_parent() -> None:
    """Be killed as soon as the parent ends (PR_SET_PDEATHSIG). Any change of credentials undoes it."""
    syscalls.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_name(name: str) -> None:
    """Set what /proc/PID/comm shows; 15 bytes at most."""
    syscalls.call("prctl", _PR_SET_NAME, name.encode(), 0, 0, 0)


def set_no_new_privs() -> None:
    """Let no program that is executed from here on give more rights than there are."""
    syscalls.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def take_ids(uids: tuple[int, int, int], gids: tuple[int, int, int], groups: Sequence[int] = ()) -> None:
    """Take on ids (real, effective, saved) and supplementary groups, and keep every capability.

    Raises:
        OSError: EPERM; CAP_SETUID or CAP_SETGID is lacking. EINVAL; this user namespace has no such id.
    """
    now = permitted()
    syscalls.call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    syscalls.call("setgroups", len(groups), (ctypes.c_uint32 * len(groups))(*groups))
    syscalls.call("setresgid", *gids)
    syscalls.call("setresuid", *uids)
    syscalls.call("prctl", _PR_SET_KEEPCAPS, 0, 0, 0, 0)
    # The change from uid 0 has emptied the effective set alone.
    capset(now, now, 0)


def become(
    uids: tuple[int, int, int],
    gids: tuple[int, int, int],
    sets: CapabilitySets,
    groups: Sequence[int] = (),
) -> None:
    """Take on ids, supplementary groups and capability sets for good.

    Args:
        uids: real, effective, saved, as this user namespace counts.
        gids: likewise.
        sets: no more than this thread has; it must hold CAP_SETUID, CAP_SETGID and CAP_SETPCAP so far.
        groups: the supplementary ones.

    Raises:
        OSError: what the kernel answered.
    """
    take_ids(uids, gids, groups)
    now = permitted()
    # Inheritable may only grow from the bounding set, so it comes first.
    capset(now, now, sets.inheritable)
    for number in _numbers(known_capabilities() & ~sets.bounding):
        syscalls.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
    capset(sets.effective, sets.permitted, sets.inheritable)
    for number in _numbers(sets.ambient):
        syscalls.call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
