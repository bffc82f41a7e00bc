"""System calls that Python has no function for, by ctypes.

Numbers are per architecture (arch/*/entry/syscalls/). Arguments reach the kernel as they stand here: no libc
wrapper rewrites them, which matters to probes.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# From 5.1 on, new system calls have one number on all architectures but alpha.
_OPENAT2 = 437
_PIDFD_OPEN = 434

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def syscall(number: int, *arguments: object) -> int:
    """Make a system call.

    Raises:
        OSError: what the kernel answered.
    """
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def openat2(root: int, path: bytes, flags: int, resolve: int) -> int:
    """Open a path beneath a directory (openat2(2), Linux 5.6).

    With RESOLVE_IN_ROOT every link inside, absolute ones too, is resolved as if `root` were `/`.

    Raises:
        OSError: what the kernel answered; ENOSYS before 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    return syscall(
        _OPENAT2,
        ctypes.c_int(root),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


class Timex(NamedTuple):
    """What a read-only adjtimex(2) answers."""

    state: int
    status: int
    max_error: int
    estimated_error: int


def read_adjtimex() -> Timex:
    """Read the clock's discipline; `modes` is 0, so nothing is adjusted and no right is needed.

    Raises:
        OSError: what the kernel answered.
    """
    buffer = _Timex(modes=0)
    state = _libc.adjtimex(ctypes.byref(buffer))
    if state < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return Timex(state, buffer.status, buffer.maxerror, buffer.esterror)


# f_type of statfs(2) (include/uapi/linux/magic.h).
CGROUP2_SUPER_MAGIC = 0x63677270
TMPFS_MAGIC = 0x01021994
