"""Where the kernel's trees are mounted: /proc and /sys, or a captured copy of them."""

from __future__ import annotations

import os
from typing import NamedTuple

from isoaudit.errors import UsageError


class Paths(NamedTuple):
    """The roots of the trees to read."""

    proc: str = "/proc"
    sys: str = "/sys"
    root: str = "/"  # the host's own files: engine state, os-release

    @property
    def live(self) -> bool:
        """Whether these are the running kernel's own trees, so that system calls answer for them too."""
        return self.proc == "/proc" and self.sys == "/sys"

    def host(self, path: str) -> str:
        """Where a file of the host's stands, given its absolute path there."""
        return path if self.root == "/" else self.root.rstrip("/") + path

    def cgroup(self, mount_point: str) -> str:
        """Where a cgroup hierarchy can be read, given its mount point on the host."""
        if mount_point.startswith("/sys/") and self.sys != "/sys":
            return self.sys + mount_point.removeprefix("/sys")
        return self.host(mount_point)


def require_proc(paths: Paths) -> None:
    """Make sure that the tree is a procfs with processes in it, or a copy of one.

    Raises:
        UsageError: it is not there, cannot be read, or shows no process.
    """
    try:
        names = os.listdir(paths.proc)
    except OSError as error:
        raise UsageError(
            f"cannot read {paths.proc}: {error.strerror}; is /proc mounted, or --proc right?"
        ) from error
    if not any(name.isdigit() for name in names):
        raise UsageError(f"{paths.proc} shows no process: it is no procfs, or it is mounted with hidepid=")
