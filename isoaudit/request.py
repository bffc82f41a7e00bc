"""What a user asks a scan for."""

from __future__ import annotations

from typing import NamedTuple

from isoaudit.collect.paths import Paths

# How much a probe may do, least first: nothing; what nobody notices; move a counter that others see; disturb.
HAZARDS = ("none", "safe", "visible", "disruptive")


class Request(NamedTuple):
    """What to scan, and how."""

    paths: Paths = Paths()
    target: str = ""  # a container's pid, name or id; "" is the host and all its containers
    only: tuple[int, ...] = ()  # first processes of the containers to audit, and not the host; () is all
    probes: str = "none"
    include_sandboxes: bool = False
    ptrace: bool = True  # threads may be stopped for a moment to read their seccomp filters
    command: tuple[str, ...] = ()
    workers: int = 0  # 0: as many as CPUs where it pays
