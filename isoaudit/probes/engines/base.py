"""What all engines have in common: a run with its folder, and containers that are ended whatever happens."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from isoaudit.collect.tree import read_file
from isoaudit.probes import sleeper
from isoaudit.probes.cgroups import RunCgroups, abandoned, remove_tree
from isoaudit.probes.engines.command import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.cgroup import Hierarchy
    from isoaudit.probes.configuration import Configuration
    from isoaudit.probes.settings import Document

# Where a root filesystem may lie: programs run from there, and only root can write there, if it can be had.
_FOLDERS = ("/var/lib", "/run", "/var/tmp")  # noqa: S108  made by mkdir, which follows nothing
_PATIENCE = 3.0  # seconds until a process that was started is seen


class Started(NamedTuple):
    """A container that runs."""

    pid: int  # of its first process, as we count
    notices: tuple[str, ...] = ()  # what of the configuration is not as it was asked for


class Asked(NamedTuple):
    """One container to start."""

    name: str  # unique on this host
    configuration: Configuration
    bundle: Document | None = None  # over which the configuration goes; None: the engine's own defaults


class Engine(Protocol):
    """Starts test containers, and takes them away."""

    name: str

    def obstacle(self) -> str:
        """Why it cannot be used here; "" where it can."""

    def sweep(self) -> list[str]:
        """Remove what killed runs left with it; what that was."""

    def start(self, asked: Asked) -> Started:
        """Start a container.

        Raises:
            EngineError: it refuses.
            UsageError: what is asked for makes no sense to it.
        """

    def stop(self) -> list[str]:
        """Take all of its containers away, and do not fail; what could not be removed."""


class Run:
    """The name, folder and cgroups of one run.

    Args:
        hierarchies: the host's cgroup hierarchies.
    """

    def __init__(self, hierarchies: Iterable[Hierarchy]) -> None:
        hierarchies = tuple(hierarchies)
        self.cgroups = RunCgroups(hierarchies)
        self.name = self.cgroups.name
        self._tops = [one.mount_point for one in hierarchies]
        self._folder = ""

    def folder(self) -> str:
        """A folder of this run's own.

        Raises:
            EngineError: there is no place for it.
        """
        if not self._folder:
            try:
                # Noted before it is made: an interrupt may come between the two.
                self._folder = os.path.join(_place(), self.name)
                os.mkdir(self._folder, 0o711)
            except OSError as error:
                raise EngineError(f"no root filesystem could be made: {error}") from error
        return self._folder

    def fill(self, path: str, owner: int = 0) -> str:
        """Make a root filesystem below the run's folder; its path.

        Raises:
            EngineError: it could not be made.
        """
        try:
            fill(path, sleeper.program())
            if owner:
                os.chown(path, owner, owner)
        except (OSError, ValueError) as error:
            raise EngineError(f"no root filesystem could be made: {error}") from error
        return path

    def close(self) -> list[str]:
        """Remove cgroups and folder; the paths of what stays."""
        self.cgroups.close()
        trees = [f"{top}/{self.name}" for top in self._tops]
        left = [path for path in trees if os.path.isdir(path) and not remove_tree(path)]
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            left += [self._folder] * os.path.exists(self._folder)
        return left


def fill(folder: str, content: bytes) -> None:
    """Make a root filesystem: the sleeper, and nothing that could be changed through it."""
    os.mkdir(folder, 0o755)
    fd = os.open(folder + sleeper.PATH, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o755)
    try:
        os.write(fd, content)
        os.fchmod(fd, 0o755)
    finally:
        os.close(fd)


def _place() -> str:
    for folder in _FOLDERS:
        if os.path.isdir(folder) and not os.statvfs(folder).f_flag & (os.ST_NOEXEC | os.ST_RDONLY):
            return folder
    raise OSError(f"programs may run in none of {', '.join(_FOLDERS)}")


def sweep_folders() -> list[str]:
    """Remove the folders of runs whose process is gone; their paths."""
    removed = []
    for folder in _FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if abandoned(name):
                path = os.path.join(folder, name)
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


def verified(engine: str, pid: int, run: str) -> int:
    """A pid, once it is seen that it is our container's: an engine may be on another machine.

    Raises:
        EngineError: there is no such process, or it is another one.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            if run.encode() in read_file(f"/proc/{pid}/cmdline").split(b"\0"):
                return pid
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.005)
    raise EngineError(
        f"{engine}: the container ended at once, or its process {pid} is not on this host "
        "(is its daemon on another machine?)"
    )
