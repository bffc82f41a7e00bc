"""ELF notes: the kernel ABI tag and the x86 property (elf(5); LSB core; x86-64 psABI, "Program Property").

The files come out of images and may be forged: every offset and size is checked, and little is read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PT_NOTE = 4
_NT_GNU_ABI_TAG = 1
_NT_GNU_PROPERTY_TYPE_0 = 5
_X86_ISA_1_NEEDED = 0xC0008002
_MOST_HEADERS = 128
_MOST_NOTES = 1 << 16
_LINUX = 0
# Offsets are signed to pread(2), and to Python's: a forged one beyond is no file's.
_FARTHEST = (1 << 63) - 1


class Notes(NamedTuple):
    """What was found; None is "no such note"."""

    abi_kernel: tuple[int, int, int] | None
    x86_level: int | None


def read_notes(read: Callable[[int, int], bytes]) -> Notes:
    """The notes of an ELF file.

    Args:
        read: gives at most so many bytes (second argument) from an offset (first argument).

    Raises:
        ValueError: it is no ELF file, or one that contradicts itself.
    """
    header = read(0, 64)
    if len(header) < 52 or header[:4] != b"\x7fELF" or header[4] not in (1, 2) or header[5] not in (1, 2):
        raise ValueError("not an ELF file")
    wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
    try:
        if wide:
            (offset,) = struct.unpack_from(order + "Q", header, 32)
            size, count = struct.unpack_from(order + "HH", header, 54)
        else:
            (offset,) = struct.unpack_from(order + "I", header, 28)
            size, count = struct.unpack_from(order + "HH", header, 42)
        if size != (56 if wide else 32) or count > _MOST_HEADERS:
            raise ValueError("its program headers have an odd size or number")
        table = _range(read, offset, size * count)
        abi: tuple[int, int, int] | None = None
        level: int | None = None
        for index in range(len(table) // size):
            kind, start, length, align = _program_header(table, index * size, order, wide=wide)
            if kind != _PT_NOTE or length > _MOST_NOTES:
                continue
            for name, note_kind, content in _notes(_range(read, start, length), order, 8 if align == 8 else 4):
                if name != b"GNU\0":
                    continue
                if note_kind == _NT_GNU_ABI_TAG and len(content) >= 16:
                    system, *kernel = struct.unpack_from(order + "4I", content)
                    if system == _LINUX:
                        abi = (kernel[0], kernel[1], kernel[2])
                elif note_kind == _NT_GNU_PROPERTY_TYPE_0:
                    level = _x86_level(content, order, 8 if wide else 4) or level
    except struct.error as error:
        raise ValueError(f"its headers are cut short: {error}") from None
    return Notes(abi, level)


def _range(read: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    if offset > _FARTHEST - size:
        raise ValueError("an offset lies beyond what a file can have")
    content = read(offset, size)
    if len(content) < size:
        raise ValueError("a part of it lies beyond its end")
    return content


def _program_header(table: bytes, at: int, order: str, *, wide: bool) -> tuple[int, int, int, int]:
    """Type, file offset, size in the file and alignment of one program header."""
    if wide:
        kind, _, offset, _, _, filesz, _, align = struct.unpack_from(order + "IIQQQQQQ", table, at)
    else:
        kind, offset, _, _, filesz, _, _, align = struct.unpack_from(order + "8I", table, at)
    return kind, offset, filesz, align


def _notes(raw: bytes, order: str, align: int) -> Iterator[tuple[bytes, int, bytes]]:
    at = 0
    while at + 12 <= len(raw):
        name_size, size, kind = struct.unpack_from(order + "3I", raw, at)
        name_at = at + 12
        content_at = (name_at + name_size + align - 1) // align * align
        if content_at + size > len(raw):
            return
        yield raw[name_at : name_at + name_size], kind, raw[content_at : content_at + size]
        at = (content_at + size + align - 1) // align * align


def _x86_level(content: bytes, order: str, align: int) -> int | None:
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, at)
        if kind == _X86_ISA_1_NEEDED and size == 4 and at + 12 <= len(content):
            (bits,) = struct.unpack_from(order + "I", content, at + 8)
            # Bit 0 is the baseline, bits 1 to 3 are v2 to v4: the highest one set counts.
            return min(bits.bit_length(), 4) or None
        at += 8 + (size + align - 1) // align * align
    return None
