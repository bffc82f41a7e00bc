from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

import pytest

from isoaudit.kernel import bpf, syscalls

Call = Callable[..., int]


def answering(monkeypatch: pytest.MonkeyPatch, answer: Call) -> None:
    """Let bpf(2) be answered by a function of command and attributes."""

    def call(name: str, command: int, attributes: ctypes.Array[ctypes.c_char], size: int) -> int:
        assert name == "bpf"
        assert size <= len(attributes)
        return answer(command, attributes)

    monkeypatch.setattr(syscalls, "call", call)


def test_a_list_longer_than_expected_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = list(range(1, 101))
    rooms = []

    def answer(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
        fd, kind, flags, _, pointer, room = struct.unpack_from("=IIIIQI", attributes)
        assert (command, fd, kind, flags) == (16, 5, 6, 1)
        rooms.append(room)
        struct.pack_into("=I", attributes, 24, len(ids))
        if room < len(ids):
            raise OSError(errno.ENOSPC, "too many")
        (ctypes.c_uint32 * room).from_address(pointer)[: len(ids)] = ids
        return 0

    answering(monkeypatch, answer)
    assert bpf.cgroup_programs(5, bpf.CGROUP_DEVICE, effective=True) == tuple(ids)
    assert rooms == [64, 100]


def test_a_list_that_never_fits_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
        raise OSError(errno.ENOSPC, "too many")

    answering(monkeypatch, answer)
    with pytest.raises(OSError, match="too many"):
        bpf.cgroup_programs(5, bpf.CGROUP_DEVICE, effective=False)


def loaded(text: bytes, *, hidden: bool = False, length: int | None = None) -> Call:
    """A kernel with one program, number 7."""

    def answer(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
        if command == 13:
            assert struct.unpack_from("=I", attributes) == (7,)
            return os.open("/dev/null", os.O_RDONLY)
        assert command == 15
        _, size, place = struct.unpack_from("=IIQ", attributes)
        assert size == 80
        information = (ctypes.c_char * size).from_address(place)
        room, pointer = (
            struct.unpack_from("=I", information, 20)[0],
            struct.unpack_from("=Q", information, 32)[0],
        )
        whole = len(text) if length is None else length
        shown = 0 if hidden else min(room, len(text))
        ctypes.memmove(pointer or ctypes.addressof(ctypes.create_string_buffer(1)), text, shown)
        struct.pack_into("=II8sII", information, 0, 15, 7, b"\x01\x02\x03\x04\x05\x06\x07\x08", 0, whole)
        struct.pack_into("=Q", information, 32, 0 if hidden else pointer)
        struct.pack_into("=16s", information, 64, b"sd_devices\0\xff")
        return 0

    return answer


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_a_program_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    answering(monkeypatch, loaded(b"\xb7\0\0\0\1\0\0\0\x95\0\0\0\0\0\0\0"))
    assert bpf.program(7) == bpf.Program(
        7, "0102030405060708", "sd_devices", b"\xb7\0\0\0\1\0\0\0\x95\0\0\0\0\0\0\0"
    )
    assert descriptors() == before


def test_a_program_that_the_kernel_does_not_show_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    answering(monkeypatch, loaded(bytes(16), hidden=True))
    with pytest.raises(PermissionError, match="bpf_jit_harden"):
        bpf.program(7)
    answering(monkeypatch, loaded(b"", length=1 << 30))
    with pytest.raises(OSError, match="bytes"):
        bpf.program(7)
    assert descriptors() == before
