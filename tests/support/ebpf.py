"""Device programs for tests: assembled, and loaded into this kernel onto a cgroup of a test's own."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import NamedTuple

from isoaudit.kernel import syscalls
from isoaudit.kernel.bpf import CGROUP_DEVICE

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ALLOW_MULTI = 2

# Of the context, as engines load them: r2 the kind of device, r3 the access, r4 and r5 the number.
TYPE, ACCESS, MAJOR, MINOR = 2, 3, 4, 5
BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4


def op(code: int, to: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    """One instruction, in the order of a little-endian machine."""
    return struct.pack("<BBhi", code, source << 4 | to, offset, immediate)


def mov(to: int, immediate: int) -> bytes:
    return op(0xB7, to, immediate=immediate)


def jump(code: int, register: int, immediate: int, offset: int) -> bytes:
    """A jump by comparison with a constant, such as 0x15 (JEQ) and 0x55 (JNE)."""
    return op(code, register, offset=offset, immediate=immediate)


EXIT = op(0x95)
PROLOGUE = (
    op(0x61, TYPE, 1, 0)
    + op(0x54, TYPE, immediate=0xFFFF)
    + op(0x61, ACCESS, 1, 0)
    + op(0x74, ACCESS, immediate=16)
    + op(0x61, MAJOR, 1, 4)
    + op(0x61, MINOR, 1, 8)
)


def returns(number: int) -> bytes:
    return mov(0, number) + EXIT


class Entry(NamedTuple):
    """One rule; None is any."""

    kind: int | None
    major: int | None
    minor: int | None
    access: int
    verdict: int = 1


def program(entries: Sequence[Entry], default: int = 0) -> bytes:
    """A program of the shape that runc, crun and systemd generate: the first entry that fits decides."""
    text = PROLOGUE
    for kind, major, minor, access, verdict in entries:
        body = b""
        tail = returns(verdict)
        for register, wanted in ((MINOR, minor), (MAJOR, major)):
            if wanted is not None:
                body = jump(0x55, register, wanted, len(body + tail) // 8) + body
        if access != MKNOD | READ | WRITE:
            test = op(0xBC, 1, ACCESS) + op(0x54, 1, immediate=access)
            body = test + op(0x5D, 1, ACCESS, len(body + tail) // 8) + body
        if kind is not None:
            body = jump(0x55, TYPE, kind, len(body + tail) // 8) + body
        text += body + tail
    return text + returns(default)


def load(text: bytes, name: str = "isoaudit_test") -> int:
    """Load a device program into the kernel.

    Raises:
        OSError: the verifier refuses it, or CAP_BPF is lacking.
    """
    instructions, licence = ctypes.create_string_buffer(text, len(text)), ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into(
        "=IIQQIIQII16s",
        attributes,
        0,
        _PROG_TYPE_CGROUP_DEVICE,
        len(text) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        0,  # no log
        0,
        0,
        0,
        0,
        name.encode(),
    )
    return syscalls.call("bpf", _PROG_LOAD, attributes, 64)


def attach(cgroup: int, loaded: int) -> None:
    """Attach a loaded program to a cgroup, beside what is there."""
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("=IIII", attributes, 0, cgroup, loaded, CGROUP_DEVICE, _ALLOW_MULTI)
    syscalls.call("bpf", _PROG_ATTACH, attributes, 64)
