"""ELF notes: real files against readelf, and forged ones against everything but ValueError."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoaudit.kernel.elf import Notes, read_notes

CANDIDATES = (
    sys.executable,
    "/bin/sh",
    "/bin/ls",
    "/bin/busybox",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/usr/sbin/runc",
)
LEVELS = {"x86-64-baseline": 1, "x86-64-v2": 2, "x86-64-v3": 3, "x86-64-v4": 4}
PT_LOAD, PT_NOTE = 1, 4
ABI_TAG, PROPERTY = 1, 5
NEEDED = 0xC0008002


def notes_of(data: bytes) -> Notes:
    return read_notes(lambda offset, size: data[offset : offset + size])


def note(kind: int, content: bytes, *, order: str = "<", align: int = 4, name: bytes = b"GNU\0") -> bytes:
    head = struct.pack(order + "3I", len(name), len(content), kind) + name
    head += bytes(-len(head) % align)
    return head + content + bytes(-len(content) % align)


def elf(notes: bytes, *, order: str = "<", wide: bool = True, align: int = 4) -> bytes:
    """A file with a header, one load segment's header and one note segment."""
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    header, entry = (64, 56) if wide else (52, 32)
    start = header + 2 * entry
    if wide:
        rest = struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, 0, header, 0, 0, header, entry, 2, 0, 0, 0)
        load = struct.pack(order + "IIQQQQQQ", PT_LOAD, 5, 0, 0, 0, start, start, 4096)
        segment = struct.pack(order + "IIQQQQQQ", PT_NOTE, 4, start, 0, 0, len(notes), len(notes), align)
    else:
        rest = struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, header, 0, 0, header, entry, 2, 0, 0, 0)
        load = struct.pack(order + "8I", PT_LOAD, 0, 0, 0, start, start, 5, 4096)
        segment = struct.pack(order + "8I", PT_NOTE, start, 0, 0, len(notes), len(notes), 4, align)
    return ident + rest + load + segment + notes


def abi(*kernel: int, order: str = "<", system: int = 0) -> bytes:
    return note(ABI_TAG, struct.pack(order + "4I", system, *kernel), order=order)


def level(bits: int, *, order: str = "<", wide: bool = True) -> bytes:
    align = 8 if wide else 4
    other = struct.pack(order + "III", 0xC0000002, 4, 3) + bytes(-12 % align)
    needed = struct.pack(order + "III", NEEDED, 4, bits) + bytes(-12 % align)
    return note(PROPERTY, other + needed, order=order, align=align)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is the second witness")
@pytest.mark.parametrize("path", [path for path in CANDIDATES if os.path.exists(path)])
def test_agrees_with_readelf(path: str) -> None:
    shown = subprocess.run(
        ["readelf", "-n", "--wide", path], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    ).stdout
    tag = re.search(r"OS: Linux, ABI: (\d+)\.(\d+)\.(\d+)", shown)
    needed = re.search(r"x86 ISA needed: (.+)", shown)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = read_notes(lambda offset, size: os.pread(fd, size, offset))
    finally:
        os.close(fd)
    assert found.abi_kernel == (tuple(map(int, tag.groups())) if tag else None)
    levels = [LEVELS[name] for name in needed[1].split(", ")] if needed else [None]
    assert found.x86_level == levels[-1]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [64, 32])
def test_both_classes_and_orders(order: str, bits: int) -> None:
    wide = bits == 64
    tag = elf(abi(4, 15, 3, order=order), order=order, wide=wide)
    assert notes_of(tag) == Notes((4, 15, 3), None)
    align = 8 if wide else 4
    properties = elf(level(7, order=order, wide=wide), order=order, wide=wide, align=align)
    assert notes_of(properties) == Notes(None, 3)


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, None), (1, 1), (2, 2), (3, 2), (8, 4), (15, 4), (1 << 31, 4)]
)
def test_the_highest_level_counts(bits: int, expected: int | None) -> None:
    assert notes_of(elf(level(bits), align=8)).x86_level == expected


def test_other_notes_are_passed_over() -> None:
    mixed = note(3, b"id" * 10) + note(ABI_TAG, bytes(16), name=b"Go\0\0") + abi(3, 2, 0)
    assert notes_of(elf(mixed)).abi_kernel == (3, 2, 0)
    assert notes_of(elf(abi(5, 0, 0, system=3))).abi_kernel is None, "FreeBSD's"
    assert notes_of(elf(note(ABI_TAG, bytes(8)))).abi_kernel is None, "cut short"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\n",
        b"\x7fELF",
        elf(b"")[:60],
        b"\x7fELF\3\1" + bytes(60),
        elf(b"")[:54] + struct.pack("<HH", 55, 2) + bytes(6),
        elf(b"")[:56] + struct.pack("<H", 65535) + bytes(6),
        # An offset that no file has, and that pread(2) does not take.
        elf(b"")[:32] + struct.pack("<Q", (1 << 64) - 1) + elf(b"")[40:],
        elf(b"")[:128] + struct.pack("<Q", (1 << 63) + 5) + elf(b"")[136:],
    ],
)
def test_what_contradicts_itself_is_refused(data: bytes, tmp_path: object) -> None:
    path = f"{tmp_path}/forged"
    with open(path, "wb") as file:
        file.write(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(ValueError, match=r".+"):
            read_notes(lambda offset, size: os.pread(fd, size, offset))
    finally:
        os.close(fd)


def strict(data: bytes, offset: int, size: int) -> bytes:
    """As pread(2) would: an offset or a size that does not fit raises what nobody catches."""
    assert 0 <= offset < 1 << 63
    assert 0 <= size <= 1 << 16, "a forged size must not make us read much"
    return data[offset : offset + size]


def survives(data: bytes) -> None:
    try:
        found = read_notes(lambda offset, size: strict(data, offset, size))
    except ValueError:
        return
    assert found.x86_level in (None, 1, 2, 3, 4)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    survives(data)


@settings(max_examples=300)
@given(st.data(), st.sampled_from([64, 32]), st.sampled_from("<>"))
def test_any_change_to_a_good_file(data: st.DataObject, bits: int, order: str) -> None:
    wide = bits == 64
    good = bytearray(elf(abi(3, 2, 0, order=order) + level(3, order=order, wide=wide), order=order, wide=wide))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(good) - 1))
        change = data.draw(
            st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, b"\x7f" + b"\xff" * 7])
        )
        good[at : at + len(change)] = change
    survives(bytes(good[: data.draw(st.integers(0, len(good)))]) if data.draw(st.booleans()) else bytes(good))
