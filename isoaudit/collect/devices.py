"""Reading the device programs that apply in a v2 cgroup."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.collect.cgroupfiles import open_cgroup
from isoaudit.collect.tree import refused
from isoaudit.facts.devices import DeviceProgram
from isoaudit.kernel import bpf, syscalls
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.model import Reading

_QUERY = "bpf(2) BPF_PROG_QUERY"
# Engines and systemd replace a program when they change a policy: what was just listed may be gone.
_ATTEMPTS = 4
_NOTHING: Reading[tuple[DeviceProgram, ...]] = Known((), _QUERY)


class ProgramReader:
    """Reads the device programs of many cgroups; each cgroup is asked once, and each program read once.

    Args:
        top: the directory on which cgroup v2 is mounted; None where it is mounted nowhere.
    """

    def __init__(self, top: str | None) -> None:
        self._top = top
        self._readings: dict[str, Reading[tuple[DeviceProgram, ...]]] = {}
        self._attached: dict[str, tuple[int, ...]] = {}
        self._programs: dict[int, DeviceProgram] = {}

    def read(self, path: str | None) -> Reading[tuple[DeviceProgram, ...]]:
        """The programs that are run for the processes of a cgroup.

        Args:
            path: of the cgroup in v2; None where the process is in none, as v2 was never mounted.
        """
        # A program is attached through a directory: to the root of a hierarchy without any, it is not.
        if path is None or (self._top is None and path == "/"):
            return _NOTHING
        if self._top is None:
            return Unknown(
                f"{_QUERY}, {path}", "cgroup v2 is not mounted on the host, so that it cannot be asked"
            )
        if path == "/.." or path.startswith("/../"):
            return Unknown(f"{_QUERY}, {path}", "it lies outside our own cgroup namespace")
        if path not in self._readings:
            self._readings[path] = self._read(path)
        return self._readings[path]

    def _read(self, path: str) -> Reading[tuple[DeviceProgram, ...]]:
        source = f"{_QUERY}, {path}"
        if not syscalls.has_table():
            return Unknown(source, "the number of bpf(2) on this machine is not known here")
        for _ in range(_ATTEMPTS):
            try:
                return Known(self._ask(path), source)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOSYS):  # a kernel without CONFIG_CGROUP_BPF or bpf(2)
                    return _NOTHING
                if error.errno != errno.ENOENT or not os.path.isdir(self._directory(path)):
                    return refused(error, source)
                self._attached.clear()
        return Unknown(source, "its programs were replaced each time that they were read; scan again")

    def _directory(self, path: str) -> str:
        return f"{self._top}{path}" if path != "/" else f"{self._top}"

    def _ask(self, path: str) -> tuple[DeviceProgram, ...]:
        fd = open_cgroup(self._directory(path))
        try:
            remaining = list(bpf.cgroup_programs(fd, bpf.CGROUP_DEVICE, effective=True))
        finally:
            os.close(fd)
        found = []
        for place in _upwards(path):
            if not remaining:
                break
            for ident in self._attached_to(place):
                # Where one may be overridden from below, not all that are attached do run.
                if ident in remaining:
                    remaining.remove(ident)
                    found.append(self._program(ident, place))
        # Above the root of our cgroup namespace there may be more, which apply as well.
        return (*found, *(self._program(ident, "/..") for ident in remaining))

    def _attached_to(self, path: str) -> tuple[int, ...]:
        if path not in self._attached:
            fd = open_cgroup(self._directory(path))
            try:
                self._attached[path] = bpf.cgroup_programs(fd, bpf.CGROUP_DEVICE, effective=False)
            finally:
                os.close(fd)
        return self._attached[path]

    def _program(self, ident: int, path: str) -> DeviceProgram:
        if ident not in self._programs:
            program = bpf.program(ident)
            self._programs[ident] = DeviceProgram(
                ident, program.tag, program.name, program.instructions.hex(), path
            )
        return self._programs[ident]._replace(cgroup=path)


def _upwards(path: str) -> Iterator[str]:
    """A cgroup, its parent, and so on to the root."""
    yield path
    while path not in ("/", ""):
        path = path.rpartition("/")[0] or "/"
        yield path
