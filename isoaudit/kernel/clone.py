"""clone3(2) without leaving Python: a child in new namespaces that goes on in this very interpreter.

It behaves as fork(2) does. The caller must be single-threaded, and the child must never return into the
frames of its parent: it ends in `os._exit`.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable

# include/uapi/linux/sched.h, by the names of /proc/PID/ns.
NEW: dict[str, int] = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,  # clone3 only; since Linux 5.6
    "user": 0x10000000,
    "uts": 0x04000000,
}
_CLONE_PIDFD = 0x00001000

# PyDLL keeps the interpreter's lock through the call: the child would else have to take what nobody gives.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _CloneArgs(ctypes.Structure):
    """CLONE_ARGS_SIZE_VER0, which every kernel with clone3 takes."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
        )
    )


class Cloned(NamedTuple):
    """What the parent gets; in the child `pid` is 0 and `pidfd` -1."""

    pid: int
    pidfd: int


def clone(namespaces: Iterable[str]) -> Cloned:
    """Make a child in new namespaces of those kinds (Linux 5.3; clone3(2)).

    Raises:
        OSError: what the kernel answered.
    """
    pidfd = ctypes.c_int(-1)
    flags = _CLONE_PIDFD
    for kind in namespaces:
        flags |= NEW[kind]
    arguments = _CloneArgs(flags=flags, pidfd=ctypes.addressof(pidfd), exit_signal=signal.SIGCHLD)
    pid: int = _libc.syscall(
        ctypes.c_long(syscalls.number("clone3")),
        ctypes.byref(arguments),
        ctypes.c_size_t(ctypes.sizeof(arguments)),
    )
    if pid < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return Cloned(pid, pidfd.value if pid else -1)


def fork(namespaces: Iterable[str]) -> int:
    """As `clone`, by the older call, which gives no descriptor (clone(2)): the child's pid, and 0 in the child.

    Raises:
        OSError: what the kernel answered.
    """
    flags = int(signal.SIGCHLD)
    for kind in namespaces:
        flags |= NEW[kind]
    # All other arguments are 0, so that it does not matter in which order a machine takes them.
    pid: int = _libc.syscall(
        ctypes.c_long(syscalls.number("clone")), ctypes.c_long(flags), *(ctypes.c_long(0) for _ in range(4))
    )
    if pid < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return pid


def unshare(kind: str) -> None:
    """Leave one namespace for a new one (unshare(2)).

    Raises:
        OSError: what the kernel answered.
    """
    syscalls.call("unshare", NEW[kind])
