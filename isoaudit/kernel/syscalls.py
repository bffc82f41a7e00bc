"""System calls that Python has no function for, by ctypes.

Numbers are per architecture (arch/*/entry/syscalls/). Arguments reach the kernel as they stand here: no libc
wrapper rewrites them, which matters to probes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# From 5.1 on, new system calls have one number everywhere, to which alpha and MIPS add an offset.
_OPENAT2 = 437
_PIDFD_OPEN = 434

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
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


# What the two families of tables call by other numbers (arch/x86/entry/syscalls/syscall_64.tbl;
# scripts/syscall.tbl, which arm64, riscv and loongarch share).
_X86_64 = {
    "mknodat": 259,
    "faccessat": 269,
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "unshare": 272,
    "capget": 125,
    "capset": 126,
    "prctl": 157,
    "seccomp": 317,
    "setgroups": 116,
    "setresgid": 119,
    "setresuid": 117,
    "settimeofday": 164,
    "sethostname": 170,
    "ptrace": 101,
    "init_module": 175,
    "delete_module": 176,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "setns": 308,
    "finit_module": 313,
    "bpf": 321,
    "kexec_file_load": 320,
    "reboot": 169,
    "swapon": 167,
    "swapoff": 168,
    "acct": 163,
    "fstatfs": 138,
    "setdomainname": 171,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "socket": 41,
    "syslog": 103,
    "adjtimex": 159,
    "clock_adjtime": 305,
    "timerfd_create": 283,
    "iopl": 172,
    "ioperm": 173,
    "open_by_handle_at": 304,
    "process_vm_readv": 310,
    "ioprio_set": 251,
    "ioprio_get": 252,
    "mlock2": 325,
    "statx": 332,
    "clone": 56,
}
_GENERIC = {
    "mknodat": 33,
    "faccessat": 48,
    "mount": 40,
    "umount2": 39,
    "pivot_root": 41,
    "unshare": 97,
    "capget": 90,
    "capset": 91,
    "prctl": 167,
    "seccomp": 277,
    "setgroups": 159,
    "setresgid": 149,
    "setresuid": 147,
    "settimeofday": 170,
    "sethostname": 161,
    "ptrace": 117,
    "init_module": 105,
    "delete_module": 106,
    "kexec_load": 104,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "setns": 268,
    "finit_module": 273,
    "bpf": 280,
    "kexec_file_load": 294,
    "reboot": 142,
    "swapon": 224,
    "swapoff": 225,
    "acct": 89,
    "fstatfs": 44,
    "setdomainname": 162,
    "perf_event_open": 241,
    "userfaultfd": 282,
    "socket": 198,
    "syslog": 116,
    "adjtimex": 171,
    "clock_adjtime": 266,
    "timerfd_create": 85,
    "open_by_handle_at": 265,
    "process_vm_readv": 270,
    "ioprio_set": 30,
    "ioprio_get": 31,
    "mlock2": 284,
    "statx": 291,
    "clone": 220,
}
_SHARED = {
    "io_uring_setup": 425,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "faccessat2": 439,
}
_TABLES = {
    "x86_64": _X86_64,
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
}
# A 32-bit interpreter on a 64-bit kernel has yet other numbers.
_TABLE: dict[str, int] | None = (
    {**_TABLES[platform.machine()], **_SHARED}
    if ctypes.sizeof(ctypes.c_void_p) == 8 and platform.machine() in _TABLES
    else None
)


def has_table() -> bool:
    """Whether the numbers of this machine are known here, so that `call` can work."""
    return _TABLE is not None


def number(name: str) -> int:
    """The number of a system call on this machine.

    Raises:
        OSError: ENOSYS; the machine is in no table here, or has no such call.
    """
    if _TABLE is None:
        raise OSError(errno.ENOSYS, f"the system-call numbers of {platform.machine()} are not known here")
    if name not in _TABLE:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _TABLE[name]


def call(name: str, *arguments: object) -> int:
    """Make a system call by name. Integers go as long, bytes as a pointer, None as NULL.

    Raises:
        OSError: what the kernel answered; ENOSYS where the machine is in no table here.
    """
    return syscall(number(name), *[ctypes.c_long(one) if isinstance(one, int) else one for one in arguments])
