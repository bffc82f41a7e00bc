"""Go's build information in ELF files (debug/buildinfo): what `go version -m` prints, without Go.

The section `.go.buildinfo` begins with a magic number. Since Go 1.18 the strings stand in it, each after its
length; before, it holds addresses, which are not followed here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MAGIC = b"\xff Go buildinf:"
_SECTION = b".go.buildinfo\0"
_INLINE = 0x2
_STRINGS_AT = 32
_MOST_SECTIONS = 512
_MOST_NAMES = 1 << 16
_MOST_BYTES = 1 << 20
# Around the module information stand 16 bytes of another magic number.
_FENCE = 16


def read_build_information(read: Callable[[int, int], bytes]) -> str | None:
    """The build information of a Go program.

    Args:
        read: gives at most so many bytes (second argument) from an offset (first argument).

    Returns:
        Its lines; None where it is no Go program or one of before Go 1.18.

    Raises:
        ValueError: it is no ELF file of 64 bits, or one that contradicts itself.
    """
    header = read(0, 64)
    if len(header) < 64 or header[:4] != b"\x7fELF" or header[4] != 2 or header[5] not in (1, 2):
        raise ValueError("not an ELF file of 64 bits")
    order = "<" if header[5] == 1 else ">"
    (table_at,) = struct.unpack_from(order + "Q", header, 40)
    size, count, names_index = struct.unpack_from(order + "HHH", header, 58)
    if size != 64 or not 0 <= names_index < count <= _MOST_SECTIONS:
        raise ValueError("its section headers have an odd size or number")
    table = _range(read, table_at, size * count)
    sections = [struct.unpack_from(order + "II4Q", table, at * size) for at in range(count)]
    names_at, names_size = sections[names_index][4:6]
    names = _range(read, names_at, min(names_size, _MOST_NAMES))
    for name, _, _, _, offset, length in sections:
        if names[name : name + len(_SECTION)] == _SECTION:
            return _strings(_range(read, offset, min(length, _MOST_BYTES)))
    return None


def _range(read: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    if offset > (1 << 63) - 1 - size:
        raise ValueError("an offset lies beyond what a file can have")
    content = read(offset, size)
    if len(content) < size:
        raise ValueError("a part of it lies beyond its end")
    return content


def _strings(section: bytes) -> str | None:
    if not section.startswith(_MAGIC) or len(section) <= _STRINGS_AT:
        raise ValueError("its build information has no beginning")
    if not section[15] & _INLINE:
        return None
    _, at = _string(section, _STRINGS_AT)  # the version of Go
    module, _ = _string(section, at)
    return module[_FENCE:-_FENCE].decode("utf-8", "backslashreplace") if len(module) >= 2 * _FENCE else ""


def _string(section: bytes, at: int) -> tuple[bytes, int]:
    """A string after its length, which is written in groups of seven bits."""
    length = shift = 0
    while at < len(section):
        byte = section[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
        if shift > 28:
            break
    if at + length > len(section):
        raise ValueError("a string of its build information is longer than it")
    return section[at : at + length], at + length
