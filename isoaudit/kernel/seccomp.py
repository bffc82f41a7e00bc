"""Small seccomp filters, built by hand as classic BPF (seccomp(2); userspace-api/seccomp_filter.rst)."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import TYPE_CHECKING

from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Sequence

# include/uapi/linux/audit.h
_ARCHITECTURES = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "loongarch64": 0xC0000102,
}
# include/uapi/linux/bpf_common.h and seccomp.h
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_EQUAL = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
# The lower half of clone's first argument, on a little-endian machine, and what CLONE_NEW… are in it.
_FLAGS_AT = 16
_NEW_NAMESPACES = 0x7E020000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_X32_BIT = 0x40000000
_SET_MODE_FILTER = 1


# struct sock_filter: code, jump if true, jump if false, operand
_INSTRUCTION = struct.Struct("=HBBI")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def deny_list(denied: Sequence[int], clone: int | None = None) -> list[tuple[int, int, int, int]]:
    """A filter that answers EPERM to those system calls and allows the rest; foreign ABIs are killed.

    Args:
        denied: at most 250 numbers on this machine.
        clone: the number of clone(2), which gets EPERM if it asks for new namespaces.

    Returns:
        Instructions as (code, jump if true, jump if false, operand).
    """
    last = []
    if clone is not None:
        last = [
            (_JUMP_EQUAL, 0, 2, clone),
            (_LOAD_WORD, 0, 0, _FLAGS_AT),
            (_JUMP_SET, 1, 0, _NEW_NAMESPACES),
        ]
    count = len(denied)
    after = count + len(last)
    return [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_JUMP_GREATER_EQUAL, after + 1, 0, _X32_BIT),
        *((_JUMP_EQUAL, after - position, 0, number) for position, number in enumerate(denied)),
        *last,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]


def assemble(instructions: Sequence[tuple[int, int, int, int]]) -> str:
    """A program as `install` takes it: struct sock_filter after struct sock_filter, hexadecimal."""
    return b"".join(_INSTRUCTION.pack(*one) for one in instructions).hex()


def install(program: str) -> None:
    """Put a filter on this thread and all it will fork; it stays for ever.

    Raises:
        OSError: EACCES; neither no_new_privs is set nor CAP_SYS_ADMIN held. EINVAL; it is no filter.
    """
    raw = bytes.fromhex(program)
    head = _Program(len(raw) // _INSTRUCTION.size, raw)
    syscalls.call("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(head))
