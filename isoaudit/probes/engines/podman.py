"""Podman: no daemon, and no image: it takes a folder as the root filesystem."""

from __future__ import annotations

import resource

from isoaudit.errors import UsageError
from isoaudit.kernel import capability, credentials
from isoaudit.probes.configuration import Ulimit
from isoaudit.probes.engines.base import Asked, Run, Started
from isoaudit.probes.engines.command import find
from isoaudit.probes.engines.docker import Client

_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
# Podman lowers its own limits when it starts, and to more than these they cannot be raised again.
_MOST = 16384
_HYBRID = "cgroups in hybrid mode not supported"


class Podman(Client):
    """Podman's command.

    Args:
        run: whose name and folder to use.
    """

    def __init__(self, run: Run) -> None:
        super().__init__("podman", run)
        self._runtime: tuple[str, ...] = ()

    def _options(self) -> tuple[str, ...]:
        # Its own record of what was started is nobody's to read.
        return ("--events-backend=none", *self._runtime)

    def _removal(self) -> tuple[str, ...]:
        # The first process of a PID namespace does not hear SIGTERM, for which Podman would wait ten seconds.
        return (*super()._removal(), "--time=0")

    def start(self, asked: Asked) -> Started:
        """Start a container.

        Raises:
            EngineError: it refuses.
            UsageError: it does not know a flag.
        """
        if asked.bundle is not None:
            raise UsageError("--oci-bundle: podman takes no bundle: use --engine runc, crun or native")
        limits = _kept_limits(asked)
        notices = []
        if limits:
            words = ", ".join(f"{one.name} {one.hard}" for one in limits)
            notices.append(f"limits that Podman would raise, and root lacks CAP_SYS_RESOURCE for here: {words}")
            asked = asked._replace(
                configuration=asked.configuration._replace(ulimits=(*asked.configuration.ulimits, *limits))
            )
        image = ("--rootfs", self._run.fill(f"{self._run.folder()}/{asked.name}"))
        done = self._run_detached(asked, image)
        if done.code and _HYBRID in done.err and find("runc"):
            notices.append("run by runc: crun says that cgroups in hybrid mode are not supported")
            self._runtime = ("--runtime=runc",)
            self._remove(asked.name)
            done = self._run_detached(asked, image)
        started = self._answered(done, asked)
        return started._replace(notices=(*notices, *started.notices))


def _kept_limits(asked: Asked) -> tuple[Ulimit, ...]:
    """The limits that Podman would raise and root may not; what was asked for goes before them."""
    if credentials.permitted() & capability.bit("CAP_SYS_RESOURCE"):
        return ()
    given = {one.name for one in asked.configuration.ulimits}
    kept = []
    for name, number in _LIMITS.items():
        if name not in given:
            hard = resource.getrlimit(number)[1]
            amount = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
            kept.append(Ulimit(name, amount, amount))
    return tuple(kept)
