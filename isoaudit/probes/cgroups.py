"""Cgroups of test containers: `isoaudit-<pid>-<start time>-<random>/<name>` in every hierarchy that is needed.

The name tells whose they are, so that the next run can remove what a killed one left (`sweep`).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import signal
import time
from typing import TYPE_CHECKING

from isoaudit.collect.process import start_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.cgroup import Hierarchy

_NAME = re.compile(r"isoaudit-(\d+)-(\d+)-[0-9a-f]{8}")
# A cgroup stays busy for a moment after its last process was reaped.
_PATIENCE = 2.0  # seconds
# What goes with a cgroup's directory to whom it is delegated (cgroup-v2.rst, "Model of Delegation").
_DELEGATED = frozenset({"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"})
# What v2 needs enabled in a run's own cgroup for those of its test containers.
_V2_WANTED = ("cpu", "cpuset", "memory", "pids")


def own_start_time() -> int:
    """Our own start time in clock ticks since boot."""
    return _start_time(os.getpid()) or 0


def _start_time(pid: int) -> int | None:
    """A process's start time; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return start_time(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def write(path: str, value: str) -> None:
    """Write a kernel file in one call.

    Raises:
        OSError: what the kernel answered.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    """Read a small kernel file.

    Raises:
        OSError: what the kernel answered.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode("ascii", "replace").strip()
    finally:
        os.close(fd)


class RunCgroups:
    """The cgroups of one run. Use as a context manager: all are gone afterwards.

    Args:
        hierarchies: the host's.
    """

    def __init__(self, hierarchies: Iterable[Hierarchy]) -> None:
        self.name = f"isoaudit-{os.getpid()}-{own_start_time()}-{secrets.token_hex(4)}"
        self._tops: dict[str, tuple[str, int]] = {}  # controller to mount point and version
        for hierarchy in hierarchies:
            for controller in hierarchy.controllers or ((hierarchy.name,) if hierarchy.version == 1 else ()):
                self._tops[controller] = (hierarchy.mount_point, hierarchy.version)
            if hierarchy.version == 2:
                self._tops[""] = (hierarchy.mount_point, 2)
        self._made: set[str] = set()
        self._groups: list[Group] = []

    def __enter__(self) -> RunCgroups:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self, controller: str) -> int | None:
        """Which version of cgroups has a controller ("" asks for v2 itself); None: none has."""
        top = self._tops.get(controller)
        return top[1] if top else None

    def group(self, name: str) -> Group:
        """The cgroup of one test container; it is made in a hierarchy when something is set there."""
        group = Group(self, name)
        self._groups.append(group)
        return group

    def directory(self, controller: str, name: str) -> str:
        """Make the directory of a test container in the hierarchy of a controller.

        Raises:
            OSError: what the kernel answered; ENODEV where no hierarchy has the controller.
        """
        if controller not in self._tops:
            raise OSError(errno.ENODEV, f"no cgroup hierarchy has the {controller} controller")
        top, version = self._tops[controller]
        run = f"{top}/{self.name}"
        if run not in self._made:
            # Noted before it is made: an interrupt may come between the two.
            self._made.add(run)
            try:
                os.mkdir(run, 0o755)
            except OSError:
                self._made.discard(run)
                raise
            if version == 2:
                offered = read(f"{run}/cgroup.controllers").split()
                wanted = [f"+{one}" for one in _V2_WANTED if one in offered]
                if wanted:
                    write(f"{run}/cgroup.subtree_control", " ".join(wanted))
        if controller == "cpuset" and version == 1:
            _inherit_cpuset(top, run)
        directory = f"{run}/{name}"
        if not os.path.isdir(directory):
            os.mkdir(directory, 0o755)
            if controller == "cpuset" and version == 1:
                _inherit_cpuset(run, directory)
        return directory

    def forget(self, group: Group) -> None:
        """A group has been removed by its owner."""
        self._groups.remove(group)

    def close(self) -> None:
        """Kill what is left in the cgroups, and remove them. What stays busy, the next run's `sweep` gets."""
        for group in list(self._groups):
            group.remove()
        for run in self._made:
            remove_tree(run)
        self._made.clear()


def _inherit_cpuset(parent: str, child: str) -> None:
    # A new v1 cpuset is empty, and nothing can be put into an empty one (cgroup-v1/cpusets.rst).
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{child}/{file}"):
            write(f"{child}/{file}", read(f"{parent}/{file}"))


class Group:
    """The cgroup of one test container, in as many hierarchies as it needs."""

    def __init__(self, run: RunCgroups, name: str) -> None:
        self._run = run
        self._name = name
        self._directories: dict[str, str] = {}
        self._inhabited = False

    def join(self, controller: str) -> str:
        """Have a cgroup in the hierarchy of a controller.

        Raises:
            OSError: what the kernel answered; ENODEV once its process is in the others: it is not in this one.
        """
        if controller not in self._directories:
            if self._inhabited:
                raise OSError(errno.ENODEV, f"it was not put into a cgroup of the {controller} controller")
            self._directories[controller] = self._run.directory(controller, self._name)
        return self._directories[controller]

    def set(self, controller: str, file: str, value: str) -> None:
        """Write one of its files.

        Raises:
            OSError: what the kernel answered.
        """
        write(f"{self.join(controller)}/{file}", value)

    def give(self, controller: str, directory: int, files: int) -> None:
        """Let it belong to users: the directory with what delegates it, and the files that limit.

        Args:
            controller: in whose hierarchy.
            directory: uid of the host's.
            files: likewise.

        Raises:
            OSError: what the kernel answered.
        """
        path = self.join(controller)
        os.chown(path, directory, -1)
        for name in os.listdir(path):
            os.chown(f"{path}/{name}", directory if name in _DELEGATED else files, -1)

    def get(self, controller: str, file: str) -> str:
        """Read one of its files.

        Raises:
            OSError: what the kernel answered.
        """
        return read(f"{self.join(controller)}/{file}")

    def number(self, controller: str, file: str, key: str) -> int:
        """The number behind a key in a flat-keyed file such as cpu.stat.

        Raises:
            OSError: what the kernel answered; ENODATA where there is no such key.
        """
        for entry in self.get(controller, file).splitlines():
            name, _, value = entry.partition(" ")
            if name == key:
                return int(value)
        raise OSError(errno.ENODATA, f"{file} has no {key}")

    def version(self, controller: str) -> int | None:
        """Which version of cgroups has a controller."""
        return self._run.version(controller)

    def add(self, pid: int) -> None:
        """Put a process into all of them.

        Raises:
            OSError: what the kernel answered.
        """
        self._inhabited = True
        for directory in set(self._directories.values()):
            write(f"{directory}/cgroup.procs", str(pid))

    def remove(self) -> None:
        """Kill what is inside, and remove them."""
        for directory in set(self._directories.values()):
            remove_tree(directory)
        self._directories.clear()
        self._run.forget(self)


def remove_tree(directory: str) -> bool:
    """Kill the processes in a cgroup and those below, thaw them first, and remove it.

    Returns:
        Whether it is gone.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        busy = False
        for path, _, files in os.walk(directory, topdown=False):
            _empty(path, files)
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    raise
                busy = True
        if not busy or time.monotonic() > until:
            return not busy
        time.sleep(0.001)


def _empty(path: str, files: Iterable[str]) -> None:
    """Send SIGKILL to all processes of one cgroup; a frozen one would not hear it."""
    try:
        pids = read(f"{path}/cgroup.procs").split()
        if not pids:
            return
        if "freezer.state" in files:
            write(f"{path}/freezer.state", "THAWED")
        for pid in pids:
            if int(pid) not in (0, os.getpid()):
                os.kill(int(pid), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it went by itself in the meantime
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EOPNOTSUPP):  # removed; threaded
            raise


def abandoned(name: str) -> bool:
    """Whether what has this name belongs to a run whose process is gone; what follows its name is ignored."""
    match = _NAME.match(name)
    return match is not None and _start_time(int(match[1])) != int(match[2])


def sweep(mount_points: Iterable[str]) -> list[str]:
    """Remove the cgroups of runs whose process is gone.

    Args:
        mount_points: of all cgroup hierarchies.

    Returns:
        The paths of what was removed.
    """
    removed = []
    for top in mount_points:
        for name in sorted(os.listdir(top)):
            match = _NAME.fullmatch(name)
            if match and _start_time(int(match[1])) != int(match[2]) and remove_tree(f"{top}/{name}"):
                removed.append(f"{top}/{name}")
    return removed
