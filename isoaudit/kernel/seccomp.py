"""Small seccomp filters, built by hand as classic BPF (seccomp(2); userspace-api/seccomp_filter.rst)."""

from __future__ import annotations

import ctypes
import errno
import platform
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
_RETURN = 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_X32_BIT = 0x40000000
_SET_MODE_FILTER = 1


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def deny_list(denied: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A filter that answers EPERM to those system calls and allows the rest; foreign ABIs are killed.

    Args:
        denied: at most 250 numbers on this machine.

    Returns:
        Instructions as (code, jump if true, jump if false, operand).
    """
    count = len(denied)
    return [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_JUMP_GREATER_EQUAL, count + 1, 0, _X32_BIT),
        *((_JUMP_EQUAL, count - position, 0, number) for position, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]


def install(instructions: Sequence[tuple[int, int, int, int]]) -> None:
    """Put a filter on this thread and all it will fork; it stays for ever.

    Raises:
        OSError: EACCES; neither no_new_privs is set nor CAP_SYS_ADMIN held.
    """
    array = (_Instruction * len(instructions))(*(_Instruction(*one) for one in instructions))
    program = _Program(len(instructions), array)
    syscalls.call("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(program))
