"""ELF files with Go's build information in them, and nothing else."""

from __future__ import annotations

import struct

MAGIC = b"\xff Go buildinf:"
LINES = b"path\tgithub.com/opencontainers/runc\nmod\tgithub.com/opencontainers/runc\tv1.2.3\th1:x\n"


def string(content: bytes) -> bytes:
    length, head = len(content), b""
    while length >= 0x80:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + bytes([length]) + content


def section(lines: bytes = LINES, flags: int = 2) -> bytes:
    fenced = b"F" * 16 + lines + b"G" * 16 if lines else b""
    return MAGIC + bytes([8, flags]) + bytes(16) + string(b"go1.22.5") + string(fenced)


def elf(content: bytes, name: bytes = b".go.buildinfo", order: str = "<") -> bytes:
    names = b"\0" + name + b"\0.shstrtab\0"
    data_at = 64
    names_at = data_at + len(content)
    table_at = names_at + len(names)
    header = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    header += struct.pack(order + "HHIQQQIHHHHHH", 2, 62, 1, 0, 0, table_at, 0, 64, 56, 0, 64, 3, 2)

    def entry(name_at: int, offset: int, size: int) -> bytes:
        return struct.pack(order + "II4QIIQQ", name_at, 1, 0, 0, offset, size, 0, 0, 1, 0)

    table = bytes(64) + entry(1, data_at, len(content)) + entry(len(name) + 2, names_at, len(names))
    return header + content + names + table
