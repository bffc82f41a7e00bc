"""Go's build information: of this machine's runtimes, and of forged files."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gobinaries import LINES, MAGIC, elf, section

from isoaudit.kernel.buildinfo import read_build_information


def information(raw: bytes) -> str | None:
    return read_build_information(lambda offset, size: raw[offset : offset + size])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_go_program(order: str) -> None:
    assert information(elf(section(), order=order)) == LINES.decode()


def test_a_long_one() -> None:
    lines = LINES + b"dep\tx\tv1\n" * 5000
    assert information(elf(section(lines))) == lines.decode()


def test_without_module_information() -> None:
    assert information(elf(section(b""))) == ""


def test_other_programs() -> None:
    assert information(elf(b"x" * 64, b".data")) is None
    assert information(elf(section(flags=0))) is None, "of before Go 1.18"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 10, "not an ELF file"),
        (elf(section())[:200], "beyond its end"),
        (elf(b"no magic" * 10), "no beginning"),
        (elf(MAGIC), "no beginning"),
        (elf(MAGIC + bytes([8, 2]) + bytes(16) + b"\xff\xff\xff\x7f"), "longer than it"),
        (elf(section())[:60] + b"\xff\xff" + elf(section())[62:], "odd size or number"),
        (elf(section())[:40] + b"\xff" * 8 + elf(section())[48:], "beyond what a file can have"),
    ],
)
def test_forged(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        information(raw)


@given(st.data())
def test_any_damage_is_a_value_error_or_an_answer(data: st.DataObject) -> None:
    raw = bytearray(elf(section()))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        information(bytes(raw))
    except ValueError:
        return


@pytest.mark.parametrize(
    "path", ["/usr/sbin/runc", "/usr/bin/containerd", "/usr/bin/podman", "/usr/sbin/dockerd"]
)
def test_this_machine(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"{path} is not installed")
    fd = os.open(path, os.O_RDONLY)
    try:
        lines = read_build_information(lambda offset, size: os.pread(fd, size, offset))
    finally:
        os.close(fd)
    assert lines
    assert lines.startswith("path\tgithub.com/")
