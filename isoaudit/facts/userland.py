"""What a root filesystem was made for: its distribution, libc, service manager and CPU level.

os-release(5); the ABI tag (NT_GNU_ABI_TAG, LSB core specification) and the property note
(NT_GNU_PROPERTY_TYPE_0, x86-64 psABI) of its C library.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from isoaudit.facts.text import text

_ASSIGNMENT = re.compile(rb"([A-Z][A-Z0-9_]*)=(.*)")
_BACKSLASH = re.compile(rb"\\(.)")
_LEADING = re.compile(r"[0-9]{1,9}")
_SERIES = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


class ElfNotes(NamedTuple):
    """What one ELF file asks of the machine it runs on."""

    path: str
    abi_kernel: tuple[int, int, int] | None  # the oldest kernel its ABI tag names; None: no such note
    x86_level: int | None  # 1 is baseline, 2 to 4 are x86-64-v2 …; None: no such note


class Userland(NamedTuple):
    """An image's parts that depend on the kernel; "" where the image does not have the part or does not say."""

    distribution: str  # os-release ID: "debian"
    version: str  # os-release VERSION_ID: "12"
    pretty_name: str
    libc: str  # "glibc", "musl" or ""
    libc_version: str
    systemd_version: str
    elf: tuple[ElfNotes, ...]

    @property
    def silent(self) -> bool:
        """Whether it shows nothing that depends on the kernel, as an image of one static program does."""
        return not (self.distribution or self.libc or self.systemd_version or self.elf)

    @property
    def systemd_major(self) -> int | None:
        """The number that systemd's releases go by: 252 of "252.22"; None where it has none."""
        match = _LEADING.match(self.systemd_version)
        return int(match[0]) if match else None

    @property
    def libc_series(self) -> tuple[int, int] | None:
        """The C library's version as two numbers that compare; None where it does not say."""
        match = _SERIES.match(self.libc_version)
        return (int(match[1]), int(match[2])) if match else None


def parse_os_release(raw: bytes) -> dict[str, str]:
    """The assignments of os-release, unquoted; other lines are passed over, as os-release(5) wants."""
    fields = {}
    for entry in raw.splitlines():
        match = _ASSIGNMENT.fullmatch(entry.strip())
        if match:
            key, value = match.groups()
            quote = value[:1] if len(value) >= 2 and value[:1] == value[-1:] else b""
            if quote in (b'"', b"'"):
                value = value[1:-1]
            if quote != b"'":  # as in a shell, nothing is special between single ones
                value = _BACKSLASH.sub(rb"\1", value)
            fields[text(key)] = text(value)
    return fields


def first_is_systemd(name: str) -> bool:
    """Whether a first process of that name is systemd's service manager, which names itself (core/main.c)."""
    return name == "systemd"
