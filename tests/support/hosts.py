"""Copies of /proc for tests: of invented hosts, process by process, and of captured ones (tests/hosts)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.collect.discovery import Candidate, Discovery, discover, host_namespaces
from isoaudit.collect.paths import Paths
from isoaudit.collect.tree import read
from isoaudit.facts.mounts import parse_mountinfo
from support.facts import HOST_INODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pytest

HOSTS = Path(__file__).parent.parent / "hosts"
HOST_ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
OVERLAY_ROOT = "100 90 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l"
KERNEL_THREAD = 0x00200040
IDENTITY_MAP = "         0          0 4294967295\n"


class Tree:
    """A host with its PID 1 (init) and 2 (kthreadd); `add` gives it processes."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.paths = Paths(str(self.proc), str(folder / "sys"), str(folder / "root"))
        for path in (self.paths.proc, self.paths.sys, self.paths.root):
            os.makedirs(path)
        self._inodes = 4026532200
        self.add(1, "systemd", 0, cgroup=("/init.scope",))
        self.add(2, "kthreadd", 0, flags=KERNEL_THREAD)
        os.symlink("1", self.proc / "self")

    def inodes(self, *kinds: str, **joined: int) -> dict[str, int]:
        """New namespaces of some kinds, and given ones."""
        new = {}
        for kind in kinds:
            self._inodes += 1
            new[kind] = self._inodes
        return {**new, **joined}

    def add(
        self,
        pid: int,
        comm: str = "sleep",
        ppid: int = 1,
        *,
        own: Mapping[str, int] | None = None,
        cgroup: Sequence[str] = ("/",),
        arguments: Sequence[str] = (),
        root: str = "/",
        mounts: str = HOST_ROOT,
        ns_pids: Sequence[int] = (),
        uid: int = 0,
        state: str = "S",
        flags: int = 0x400100,
        started: int | None = None,
    ) -> int:
        """Add a process.

        Args:
            pid: its number on the host.
            comm: its name.
            ppid: its parent's number.
            own: namespaces that are not the host's.
            cgroup: its path in cgroup2, then in v1 hierarchies.
            arguments: its command line.
            root: where its root link points.
            mounts: its mountinfo.
            ns_pids: its numbers in PID namespaces below the host's.
            uid: of the host.
            state: "Z" is a zombie, which has no namespaces.
            flags: field 9 of stat.
            started: field 22 of stat; its number when None.

        Returns:
            Its pid.
        """
        base = self.proc / str(pid)
        (base / "ns").mkdir(parents=True)
        if state != "Z":
            for kind, inode in {**HOST_INODES, **(own or {})}.items():
                os.symlink(f"{kind}:[{inode}]", base / "ns" / kind)
            os.symlink(root, base / "root")
        numbers = "\t".join(map(str, (pid, *ns_pids)))
        caps = "".join(f"Cap{name}:\t0000000000000000\n" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
        ids = f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
        (base / "status").write_text(
            f"Name:\t{comm}\nState:\t{state} (some)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{ppid}\nTracerPid:\t0\n{ids}"
            f"NSpid:\t{numbers}\nThreads:\t1\n{caps}NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n"
        )
        after = f"{state} {ppid} 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 {pid if started is None else started} 0 0"
        (base / "comm").write_text(f"{comm}\n")
        (base / "stat").write_text(f"{pid} ({comm}) {after}\n")
        first, *others = cgroup
        v1 = "".join(f"{index}:c{index}:{path}\n" for index, path in enumerate(others, 1))
        (base / "cgroup").write_text(f"{v1}0::{first}\n")
        (base / "mountinfo").write_text(f"{mounts}\n" if mounts else "")
        (base / "cmdline").write_bytes(b"".join(os.fsencode(one) + b"\0" for one in arguments))
        return pid

    def thread(self, pid: int, tid: int, **process: Any) -> None:
        """Add a living thread to a process whose first one is dead; /proc shows it under its own number too."""
        self.add(tid, **process)
        (self.proc / str(pid) / "task").mkdir()
        os.symlink(f"../../{tid}", self.proc / str(pid) / "task" / str(tid))

    def discover(self) -> Discovery:
        """Run discovery as a scan does."""
        return discovered(self.paths)


def discovered(paths: Paths) -> Discovery:
    """What a scan of a tree finds."""
    host, reference = host_namespaces(paths)
    return discover(paths, host, read(f"{paths.proc}/{reference}/mountinfo", parse_mountinfo))


def holding(discovery: Discovery, pid: int) -> Candidate | None:
    """The container or sandbox that a process was put into."""
    found = [c for c in discovery.candidates if any(process.pid == pid for process in c.processes)]
    assert len(found) <= 1, "a process is in one container"
    return found[0] if found else None


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Callable[[str], int]) -> None:
    """Let links and files of a tree answer as a kernel does.

    Args:
        monkeypatch: undoes it.
        refused: gives the errno for a path, or 0.
    """
    really_open, really_readlink = os.open, os.readlink

    def full(path: str | bytes, dir_fd: int | None) -> str:
        spelled = os.fsdecode(path)
        return spelled if dir_fd is None else f"{really_readlink(f'/proc/self/fd/{dir_fd}')}/{spelled}"

    def open_(path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        number = refused(full(path, dir_fd))
        if number:
            raise OSError(number, os.strerror(number))
        return really_open(path, flags, mode, dir_fd=dir_fd)

    def readlink(path: str, *, dir_fd: int | None = None) -> str:
        number = refused(full(path, dir_fd))
        if number:
            raise OSError(number, os.strerror(number))
        return really_readlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "readlink", readlink)


class Captured(NamedTuple):
    """A captured host, laid out again."""

    paths: Paths
    errors: Mapping[str, int]  # by path below the folder: the errno that reading it gave


def lay_out(name: str, folder: Path) -> Captured:
    """Lay out a host that tests/hosts/capture.py wrote."""
    document = json.loads((HOSTS / f"{name}.json").read_text())
    for path, content in document["files"].items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode("utf-8", "surrogateescape"))
    for path, content in document["links"].items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(content, target)
    (folder / "root").mkdir()
    return Captured(Paths(str(folder / "proc"), str(folder / "sys"), str(folder / "root")), document["errors"])


def replay(monkeypatch: pytest.MonkeyPatch, folder: Path, captured: Captured) -> None:
    """Let the paths that refused when the host was captured refuse again."""
    prefix = f"{folder}/"
    refuse(monkeypatch, lambda path: captured.errors.get(path.removeprefix(prefix), 0))
