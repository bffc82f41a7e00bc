"""A trial of engines: containers that are started side by side, and taken away together."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect import cgroups as collected
from isoaudit.collect.paths import Paths
from isoaudit.collect.tree import read_file
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.probes import engines
from isoaudit.probes.engines.base import Asked, Engine, Run, sweep_folders
from isoaudit.probes.engines.command import EngineError
from isoaudit.probes.prober import sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.probes.configuration import Configuration, Wanted
    from isoaudit.probes.settings import Document

ALL = "all"


class Tried(NamedTuple):
    """A container that runs for as long as its trial."""

    key: str  # what a report calls it
    engine: str
    pid: int


class Trial:
    """Use as a context manager: on leaving it, all that was started is gone.

    Args:
        wanted: the engines' names: one, ALL, or "" for the first that can be used.
    """

    def __init__(self, wanted: str = "") -> None:
        self.notices: list[str] = []
        self.left: list[str] = []  # what could not be taken away; filled on leaving
        self._wanted = wanted
        mounts = parse_mountinfo(read_file("/proc/self/mountinfo"))
        self._run = Run(collected.hierarchies(mounts, Paths()))
        self._engines: list[Engine] = []

    def __enter__(self) -> Trial:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        # What ends us must not come between the containers that are to be taken away.
        signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            for one in reversed(self._engines):
                self.left += one.stop()
            self.left += self._run.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def start(self, wanted: Sequence[Wanted], bundle: Document | None = None) -> tuple[Tried, ...]:
        """Start a container of each engine for each that is wanted.

        Raises:
            EngineError: none could be.
            UsageError: what is wanted makes no sense.
        """
        usable = self._usable(bundled=bundle is not None)
        self.notices += [
            f"left over from an earlier run, removed: {path}" for path in (*sweep(), *sweep_folders())
        ]
        tried: list[Tried] = []
        refused = ""
        for engine in usable:
            self._engines.append(engine)
            self.notices += [f"left over from an earlier run, removed: {one}" for one in engine.sweep()]
            for one in wanted:
                key = f"probe-{engine.name}" + (f"-{one.name}" if len(wanted) > 1 else "")
                name = f"{self._run.name}-{len(tried)}-{engine.name}"
                try:
                    started = engine.start(Asked(name, self._possible(one.configuration), bundle))
                except EngineError as error:
                    if self._wanted != ALL:
                        raise
                    refused = str(error)
                    self.notices.append(f"{key}: {error}")
                    continue
                self.notices += [f"{key}: {notice}" for notice in started.notices]
                tried.append(Tried(key, engine.name, started.pid))
        if not tried:
            raise EngineError(refused or "no engine could be used")
        return tuple(tried)

    def _usable(self, *, bundled: bool) -> list[Engine]:
        if self._wanted not in ("", ALL):
            engine = engines.engine(self._wanted, self._run)
            obstacle = engine.obstacle()
            if obstacle:
                raise EngineError(obstacle)
            return [engine]
        usable, obstacles = [], []
        for name in engines.SIDE_BY_SIDE if self._wanted == ALL else engines.NAMES:
            if bundled and name not in engines.TAKE_BUNDLES:
                continue
            engine = engines.engine(name, self._run)
            obstacle = engine.obstacle()
            if not obstacle:
                usable.append(engine)
                if self._wanted != ALL:
                    break
            else:
                obstacles.append(obstacle)
        if not usable:
            raise EngineError(f"no engine can be used: {'; '.join(obstacles)}")
        if self._wanted == ALL:
            self.notices += [f"left out: {obstacle}" for obstacle in obstacles]
        else:
            self.notices.append(f"run by {usable[0].name}")
        return usable

    def _possible(self, asked: Configuration) -> Configuration:
        """Without paths of the host that are not there: engines make a folder for a bind's missing source."""
        binds, devices = [], []
        for bind in asked.binds:
            if os.path.exists(bind.source):
                binds.append(bind)
            else:
                self.notices.append(f"the mount of {bind.source}: there is no such path here, it was left out")
        for device in asked.devices:
            if os.path.exists(device.source):
                devices.append(device)
            else:
                self.notices.append(f"the device {device.source}: it is not here, it was left out")
        return asked._replace(binds=tuple(binds), devices=tuple(devices))
