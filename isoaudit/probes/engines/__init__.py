"""What makes test containers: by system calls alone (`native`), or a real engine's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isoaudit.probes.engines.base import Engine, Run

# In the order in which one is taken where none is asked for.
NAMES = ("docker", "podman", "runc", "crun", "native")
# And in which all are started: native makes the run's cgroups, in which the runtimes make theirs.
SIDE_BY_SIDE = ("native", "runc", "crun", "podman", "docker")
TAKE_BUNDLES = ("runc", "crun", "native")


def engine(name: str, run: Run) -> Engine:
    """The engine of a name.

    Args:
        name: one of `NAMES`.
        run: whose name, folder and cgroups it is to use.
    """
    if name == "docker":
        from isoaudit.probes.engines.docker import Docker

        return Docker(run)
    if name == "podman":
        from isoaudit.probes.engines.podman import Podman

        return Podman(run)
    if name == "native":
        from isoaudit.probes.engines.bare import Bare

        return Bare(run)
    from isoaudit.probes.engines.runc import OciRuntime

    return OciRuntime(name, run)
