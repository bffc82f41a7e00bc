from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from isoaudit.collect.devices import ProgramReader
from isoaudit.facts.devices import DeviceProgram
from isoaudit.kernel import bpf, syscalls
from isoaudit.model import Known, Unknown

CLOSED = b"\xb7\0\0\0\0\0\0\0\x95\0\0\0\0\0\0\0"


class Kernel:
    """Cgroups below a folder, and the programs that are attached to them."""

    def __init__(
        self, top: Path, attached: Mapping[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.top = top
        self.attached = dict(attached)
        self.effective: dict[str, tuple[int, ...]] = {}
        self.asked: list[tuple[str, bool]] = []
        self.read: list[int] = []
        self.gone: list[int] = []
        for path in attached:
            (top / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(bpf, "cgroup_programs", self.programs)
        monkeypatch.setattr(bpf, "program", self.program)

    def programs(self, cgroup: int, attach_type: int, *, effective: bool) -> tuple[int, ...]:
        path = os.readlink(f"/proc/self/fd/{cgroup}").removeprefix(str(self.top)) or "/"
        self.asked.append((path, effective))
        if not effective:
            return self.attached.get(path, ())
        if path in self.effective:
            return self.effective[path]
        found = self.attached.get(path, ())
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            found += self.attached.get(path, ())
        return found

    def program(self, ident: int) -> bpf.Program:
        self.read.append(ident)
        if ident in self.gone:
            self.gone.remove(ident)
            raise OSError(errno.ENOENT, "No such file or directory")
        return bpf.Program(ident, f"tag{ident}", "", CLOSED)


def read(reader: ProgramReader, path: str) -> list[tuple[int, str]]:
    reading = reader.read(path)
    assert isinstance(reading, Known), reading
    return [(program.id, program.cgroup) for program in reading.value]


def test_programs_of_all_levels_with_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, {"/": (1,), "/s": (2, 3), "/s/a": (4,), "/s/b": (), "/t": ()}, monkeypatch)
    reader = ProgramReader(str(tmp_path))
    assert read(reader, "/s/a") == [(4, "/s/a"), (2, "/s"), (3, "/s"), (1, "/")]
    assert read(reader, "/s/b") == [(2, "/s"), (3, "/s"), (1, "/")]
    assert read(reader, "/t") == [(1, "/")]
    assert read(reader, "/") == [(1, "/")]
    assert kernel.read == [4, 2, 3, 1], "a program is read once"
    assert len(kernel.asked) == len(set(kernel.asked)), "a cgroup is asked once"
    assert reader.read("/s/a") == Known(
        (
            DeviceProgram(4, "tag4", "", CLOSED.hex(), "/s/a"),
            *(DeviceProgram(n, f"tag{n}", "", CLOSED.hex(), "/s") for n in (2, 3)),
            DeviceProgram(1, "tag1", "", CLOSED.hex(), "/"),
        ),
        "bpf(2) BPF_PROG_QUERY, /s/a",
    )


def test_only_what_is_in_effect_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, {"/": (1,), "/s": (2,)}, monkeypatch)
    kernel.effective = {"/s": (2, 9)}  # 1 may be overridden; 9 is attached above the root of our namespace
    assert read(ProgramReader(str(tmp_path)), "/s") == [(2, "/s"), (9, "/..")]


def test_without_programs_nobody_else_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, {"/s/a": ()}, monkeypatch)
    assert read(ProgramReader(str(tmp_path)), "/s/a") == []
    assert kernel.asked == [("/s/a", True)]


def test_a_program_that_was_replaced_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path, {"/s": (2,)}, monkeypatch)
    kernel.gone = [2, 2]
    reader = ProgramReader(str(tmp_path))
    assert read(reader, "/s") == [(2, "/s")]
    kernel.attached["/u"] = (3,)
    (tmp_path / "u").mkdir()
    kernel.gone = [3] * 9
    reading = reader.read("/u")
    assert isinstance(reading, Unknown)
    assert "scan again" in reading.reason


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.EPERM, "EPERM"), (errno.EBADF, "EBADF"), (errno.EINVAL, ""), (errno.ENOSYS, "")],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    def refuse(*_: object, **__: object) -> tuple[int, ...]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bpf, "cgroup_programs", refuse)
    reading = ProgramReader(str(tmp_path)).read("/")
    if reason:
        assert isinstance(reading, Unknown)
        assert reason in reading.reason
    else:  # a kernel that cannot have such programs
        assert reading == Known((), "bpf(2) BPF_PROG_QUERY")


def test_a_cgroup_that_was_removed_is_not_one_without_programs(tmp_path: Path) -> None:
    reading = ProgramReader(str(tmp_path)).read("/gone")
    assert isinstance(reading, Unknown)
    assert "ENOENT" in reading.reason


def test_where_nobody_can_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unmounted = ProgramReader(None)
    assert unmounted.read(None) == unmounted.read("/") == Known((), "bpf(2) BPF_PROG_QUERY")
    for reader, path, says in (
        (unmounted, "/s", "not mounted"),
        (ProgramReader(str(tmp_path)), "/../s", "cgroup namespace"),
        (ProgramReader(str(tmp_path)), "/..", "cgroup namespace"),
    ):
        reading = reader.read(path)
        assert isinstance(reading, Unknown)
        assert says in reading.reason
    monkeypatch.setattr(syscalls, "_TABLE", None)
    reading = ProgramReader(str(tmp_path)).read("/")
    assert isinstance(reading, Unknown)
    assert "bpf(2)" in reading.reason
