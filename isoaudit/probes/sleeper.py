"""What a test container of an engine runs: an ELF of some 200 bytes that sleeps, and needs nothing else.

Written here byte by byte, so that no image, registry or program of the host is needed. It ends by itself after
`LONGEST` seconds, should nobody be left to end it.
"""

from __future__ import annotations

import os
import struct

NAME = "isoaudit-sleep"
PATH = f"/{NAME}"
LONGEST = 600  # seconds

_BASE = 0x400000
_HEADERS = 64 + 56  # struct elf64_hdr and one elf64_phdr (include/uapi/linux/elf.h)
_EXECUTABLE, _LOAD, _READ_AND_EXECUTE = 2, 1, 5
# nanosleep(&time, NULL); exit_group(whether that failed). The time stands right behind the code.
_X86_64 = bytes.fromhex(
    "488d3d1a000000"  # lea rdi, [rip + time]
    "31f6"  # xor esi, esi
    "b823000000"  # mov eax, nanosleep
    "0f05"  # syscall
    "85c0"  # test eax, eax
    "400f95c7"  # setne dil
    "400fb6ff"  # movzx edi, dil
    "b8e7000000"  # mov eax, exit_group
    "0f05"  # syscall
)
_AARCH64 = struct.pack(
    "<9I",
    0x10000120,  # adr x0, time
    0xD2800001,  # mov x1, #0
    0xD2800CA8,  # mov x8, nanosleep
    0xD4000001,  # svc #0
    0xF100001F,  # cmp x0, #0
    0x9A9F07E0,  # cset x0, ne
    0xD2800BC8,  # mov x8, exit_group
    0xD4000001,  # svc #0
    0xD503201F,  # nop
)
_CODE = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}  # EM_X86_64, EM_AARCH64


def program(machine: str = os.uname().machine) -> bytes:
    """The program as an ELF executable.

    Args:
        machine: as `uname -m` says it.

    Raises:
        ValueError: there is none for this machine.
    """
    if machine not in _CODE:
        raise ValueError(f"there is no program for a test container on {machine}, only on {', '.join(_CODE)}")
    number, code = _CODE[machine]
    body = code + struct.pack("<qq", LONGEST, 0)
    size = _HEADERS + len(body)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1",
        *(_EXECUTABLE, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", _LOAD, _READ_AND_EXECUTE, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + body
