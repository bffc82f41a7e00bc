"""Control groups: which one a process is in, and what the files there and on every ancestor say.

cgroups(7); Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst. What limits come of it is said by
`isoaudit.facts.limits`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from isoaudit.facts.devices import DeviceProgram
    from isoaudit.model import Reading

# The controllers a container engine can set limits with, as /proc/cgroups spells them.
CONTROLLERS: tuple[str, ...] = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
)
# How v2 spells those that have another name there. Others keep theirs or have become part of the core.
V2_NAMES: dict[str, str] = {"blkio": "io"}
# What every v2 cgroup has without a controller: the usage in cpu.stat, BPF_CGROUP_DEVICE programs,
# cgroup.freeze, perf's own cgroup events.
V2_IMPLICIT = frozenset({"cpuacct", "devices", "freezer", "perf_event"})
# What a threaded v2 cgroup can hold its own threads by; for the rest its resource domain counts, the nearest
# ancestor that is not threaded (cgroup-v2.rst, "Threads").
V2_THREADED = frozenset({"cpu", "cpuset", "perf_event", "pids"})
# A login's own cgroup (pam_systemd): what is started from a shell is in it beside the shell itself.
_SESSION = re.compile(r"/session-\w+\.scope")


class Hierarchy(NamedTuple):
    """One mounted cgroup hierarchy of the host."""

    version: int  # 1 or 2
    controllers: tuple[str, ...]  # v1: as mounted; v2: those in cgroup.controllers of its root
    name: str  # of a named v1 hierarchy ("systemd"), else ""
    mount_point: str
    refused: str = ""  # why v2's cgroup.controllers could not be read, so that `controllers` is empty


class Membership(NamedTuple):
    """One line of /proc/PID/cgroup."""

    hierarchy: int  # 0 is v2
    controllers: tuple[str, ...]  # ("name=systemd",) for a named one, () for v2
    path: str


def parse_memberships(raw: bytes) -> tuple[Membership, ...]:
    """Parse /proc/PID/cgroup.

    Raises:
        ValueError: a line lacks a field.
    """
    memberships = []
    for entry in raw.split(b"\n"):
        if entry:
            hierarchy, controllers, path = entry.split(b":", 2)
            memberships.append(
                # A " (deleted)" at the end stays: the kernel adds it for what is dead already, and a living
                # cgroup may be called so, beside another that is not.
                Membership(
                    int(hierarchy), tuple(text(controllers).split(",")) if controllers else (), text(path)
                )
            )
    return tuple(memberships)


def parse_controllers(raw: bytes) -> dict[str, bool]:
    """Controllers that the kernel has, and whether they are enabled (/proc/cgroups)."""
    rows = (entry.split() for entry in text(raw).splitlines() if not entry.startswith("#"))
    return {row[0]: row[3] == "1" for row in rows}


_MEMBERSHIPS = "/proc/PID/cgroup"


def own_levels(path: str, names: Collection[str]) -> int:
    """How many cgroups, from that of a container's first process upwards, hold nothing but the container.

    An engine names one after it; systemd inside, and crun under systemd, put the process one or more below.

    Args:
        path: the first process's cgroup.
        names: its id and name; "" is neither.
    """
    components = path.split("/")[:0:-1]
    level = next((n for n, one in enumerate(components, 1) if _names(one, names)), 0)
    return level or (2 if components[0] == "init.scope" and len(components) > 1 else 1)


@lru_cache(maxsize=64)  # a container is in one place for most controllers
def called_after(path: str, names: tuple[str, ...]) -> bool:
    """Whether a cgroup, or one above it, is called after a container of that id and name."""
    return any(_names(component, names) for component in path.split("/"))


def _names(component: str, names: Collection[str]) -> bool:
    stem = component.removesuffix(".scope").removesuffix(".service").replace(r"\x2d", "-")
    return any(name and (stem == name or stem.endswith((f"-{name}", f".{name}", f":{name}"))) for name in names)


class Place(NamedTuple):
    """The cgroup in which a controller holds a container."""

    version: int
    path: str
    own: bool  # False: processes of the host's are in it too


class Owners(NamedTuple):
    """Whose a cgroup is, as the host counts: who owns it may write there whatever capabilities he lacks."""

    directory: int  # uid: makes cgroups below, and moves processes there
    limits: int  # uid of the files that limit: lifts them


class Cgroup(NamedTuple):
    """Where a container's processes are in each hierarchy, and what the files there say.

    `settings` maps the name of a cgroup file ("memory.limit_in_bytes") to its readings on the first process's
    cgroup, then on its parent, and so on up to the root (where many files do not exist). Of files that only
    count for the container itself, such as weights, the readings end where its own cgroups do. A controller
    that is bound to no hierarchy, or does not reach down to this cgroup on v2, has no entries.
    """

    memberships: tuple[Membership, ...]
    settings: Mapping[str, tuple[Reading[str], ...]]
    host_paths: Mapping[str, str]  # PID 1's path per controller, to tell "its own" from "the host's"
    owners: Mapping[str, Owners] = {}  # by v1 controller or "name=…", "" for v2; none where it was not seen
    # That run for its processes, from its own v2 cgroup up to the root; all of them must agree.
    device_programs: Reading[tuple[DeviceProgram, ...]] = Unknown("bpf(2) BPF_PROG_QUERY", "it was not read")

    def path(self, controller: str) -> str | None:
        """The path in the hierarchy of a controller ("memory", "name=systemd"); "" asks for v2's.

        Returns:
            None where the controller is bound to no hierarchy.
        """
        for membership in self.memberships:
            if controller in membership.controllers or (not controller and membership.hierarchy == 0):
                return membership.path
        return None

    def place(self, controller: str) -> Reading[Place | None]:
        """The cgroup in which a controller holds the container.

        On v2 that is the nearest one upwards in which the controller is enabled.

        Args:
            controller: as /proc/cgroups spells it.

        Returns:
            None where the controller is bound to no hierarchy that holds the container.
        """
        path = self.path(controller)
        if path is not None:
            return Known(self._place(1, path, controller), _MEMBERSHIPS)
        unified = self.unified
        if unified is None or controller in V2_IMPLICIT:
            return Known(unified, _MEMBERSHIPS)
        path = unified.path
        for reading in self.readings("cgroup.controllers"):
            if isinstance(reading, Unknown):
                return reading
            if V2_NAMES.get(controller, controller) in reading.value.split():
                return Known(self._place(2, path, ""), reading.source)
            path = path.rpartition("/")[0] or "/"
        return Known(None, "cgroup.controllers")

    @property
    def unified(self) -> Place | None:
        """Its cgroup on v2; None where v2 is not mounted."""
        path = self.path("")
        return None if path is None else self._place(2, path, "")

    def _place(self, version: int, path: str, controller: str) -> Place:
        # The root cgroup, PID 1's, a slice and a login session hold the host's processes too.
        shared = path in ("/", self.host_paths.get(controller, "/")) or path.endswith(".slice")
        return Place(version, path, own=not shared and not ("/session-" in path and _SESSION.search(path)))

    def obstacle(self, controller: str) -> str:
        """Why no limit of a controller could bind the container at all, as a clause; "" where one could."""
        path = self.path(controller)
        if path is None:
            name = V2_NAMES.get(controller, controller)
            enabled = [
                name in r.value.split() for r in self.readings("cgroup.controllers") if isinstance(r, Known)
            ]
            if not any(enabled):
                return f"no cgroup hierarchy of the host has the {name} controller"
            path = self.path("")
            level = 0 if controller in V2_THREADED else self.domain
            if path != "/" and not enabled[min(level, len(enabled) - 1)]:
                return f"the {name} controller is not enabled down to its cgroup"
        return "it is in the root cgroup, which cannot be limited" if path == "/" else ""

    @property
    def domain(self) -> int:
        """How many levels above its v2 cgroup its resource domain is: 0 unless that is threaded."""
        for level, reading in enumerate(self.readings("cgroup.type")):
            if isinstance(reading, Unknown) or reading.value != "threaded":
                return level
        return 0

    def readings(self, file: str) -> tuple[Reading[str], ...]:
        """What a file says, from the container's cgroup up to the root; empty where there is none."""
        return self.settings.get(file, ())

    def leaf(self, *files: str) -> Reading[str]:
        """What the first of those files that exists says on the container's own cgroup."""
        for file in files:
            readings = self.settings.get(file)
            if readings:
                return readings[0]
        return Unknown(" or ".join(files), "no such file on this container's cgroup")


def parse_cpu_list(value: str) -> frozenset[int]:
    """The numbers in a list such as `0-3,8` (cpuset(7), "List format"); empty for an empty list.

    Raises:
        ValueError: it is no such list.
    """
    numbers: set[int] = set()
    for part in value.split(",") if value else ():
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
