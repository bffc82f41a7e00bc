"""Control groups: which one a process is in, and what limits it there and on every ancestor.

cgroups(7); Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst. A limit binds through all ancestors, so the
effective one is the tightest on the way to the root. The functions below answer in one vocabulary for v1 and
v2: the unit is in their name, `None` is "unlimited", and the evidence is the file that decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoaudit.model import Reading

# v1 spells "unlimited" as the largest page counter in bytes: LONG_MAX rounded down to the page size, which
# is 4 KiB to 64 KiB (mm/page_counter.c). No machine has that much memory.
V1_UNLIMITED_BYTES = 0x7FFFFFFFFFFF0000

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
V2_NAMES: dict[str, str] = {"blkio": "io", "cpuacct": "cpu"}
# What every v2 cgroup has without a controller (cgroup.freeze, BPF_CGROUP_DEVICE, perf's own cgroup events).
V2_IMPLICIT = frozenset({"devices", "freezer", "perf_event"})


class Hierarchy(NamedTuple):
    """One mounted cgroup hierarchy of the host."""

    version: int  # 1 or 2
    controllers: tuple[str, ...]  # v1: as mounted; v2: those in cgroup.controllers of its root
    name: str  # of a named v1 hierarchy ("systemd"), else ""
    mount_point: str


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
                Membership(
                    int(hierarchy),
                    tuple(text(controllers).split(",")) if controllers else (),
                    text(path).removesuffix(" (deleted)"),
                )
            )
    return tuple(memberships)


def parse_controllers(raw: bytes) -> dict[str, bool]:
    """Controllers that the kernel has, and whether they are enabled (/proc/cgroups)."""
    rows = (entry.split() for entry in text(raw).splitlines() if not entry.startswith("#"))
    return {row[0]: row[3] == "1" for row in rows}


class Cgroup(NamedTuple):
    """Where a container's processes are in each hierarchy, and what the files there say.

    `settings` maps the name of a cgroup file ("memory.limit_in_bytes") to its readings on the container's
    cgroup, then on its parent, and so on up to the root (where many files do not exist). A controller that is
    bound to no hierarchy, or does not reach down to this cgroup on v2, has no entries.
    """

    memberships: tuple[Membership, ...]
    settings: Mapping[str, tuple[Reading[str], ...]]
    host_paths: Mapping[str, str]  # PID 1's path per controller, to tell "its own" from "the host's"

    def path(self, controller: str) -> str | None:
        """The path in the hierarchy of a controller ("memory", "name=systemd"); "" asks for v2's.

        Returns:
            None where the controller is bound to no hierarchy.
        """
        for membership in self.memberships:
            if controller in membership.controllers or (not controller and membership.hierarchy == 0):
                return membership.path
        return None

    def own(self, controller: str) -> bool | None:
        """Whether the container has a cgroup of its own for a v1 controller (or "" for v2).

        The root cgroup and the one PID 1 sits in are the host's. None: no such hierarchy.
        """
        path = self.path(controller)
        if path is None:
            return None
        return path not in ("/", self.host_paths.get(controller, "/"))

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


class Limit(NamedTuple):
    """An effective limit: `amount` is None where nothing limits. `source` says what in `observed`'s words."""

    amount: float | None
    source: str
    observed: str


NO_CONTROLLER = "no hierarchy has the controller at this container's cgroup"


def tightest(
    readings: Sequence[Reading[str]], parse: Callable[[str], float | None], missing: str
) -> Reading[Limit]:
    """The tightest limit of a chain of cgroups.

    Args:
        readings: one file on every cgroup up to the root.
        parse: the number in the file, None for "unlimited"; ValueError where it is neither.
        missing: where one would look if there are no readings at all.

    Returns:
        Unknown if a file could not be read, unless another one already limits: the effective limit can
        then only be tighter still.
    """
    if not readings:
        return Known(Limit(None, missing, NO_CONTROLLER), missing)
    limit: Limit | None = None
    refused: Unknown | None = None
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        try:
            amount = parse(reading.value)
        except ValueError:
            refused = refused or Unknown(reading.source, f"not a limit: {reading.value[:80]!r}")
            continue
        if limit is None or (amount is not None and (limit.amount is None or amount < limit.amount)):
            limit = Limit(amount, reading.source, reading.value)
    if refused and (limit is None or limit.amount is None):
        return refused
    assert limit is not None  # noqa: S101  readings were there and none was refused
    return Known(limit, limit.source)


def _max(value: str) -> float | None:
    return None if value == "max" else int(value)


def _v1_bytes(value: str) -> float | None:
    amount = int(value)
    return None if amount >= V1_UNLIMITED_BYTES else amount


def memory_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of memory in bytes (memory.limit_in_bytes, memory.max)."""
    if v1 := cgroup.readings("memory.limit_in_bytes"):
        return tightest(v1, _v1_bytes, "memory.limit_in_bytes")
    return tightest(cgroup.readings("memory.max"), _max, "memory.max")


def memory_and_swap_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of memory and swap together in bytes, on v1 (memory.memsw.limit_in_bytes)."""
    return tightest(cgroup.readings("memory.memsw.limit_in_bytes"), _v1_bytes, "memory.memsw.limit_in_bytes")


def swap_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of swap alone in bytes, on v2 (memory.swap.max)."""
    return tightest(cgroup.readings("memory.swap.max"), _max, "memory.swap.max")


def pids_count(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of tasks (pids.max)."""
    return tightest(cgroup.readings("pids.max"), _max, "pids.max")


def _cpu_max(value: str) -> float | None:
    quota, _, period = value.partition(" ")
    return None if quota == "max" else int(quota) / int(period)


def cpu_count(cgroup: Cgroup) -> Reading[Limit]:
    """Effective CPU quota in CPUs: quota ÷ period (cpu.cfs_quota_us and cpu.cfs_period_us, cpu.max)."""
    quotas, periods = cgroup.readings("cpu.cfs_quota_us"), cgroup.readings("cpu.cfs_period_us")
    if not quotas:
        return tightest(cgroup.readings("cpu.max"), _cpu_max, "cpu.max")
    # v1 keeps the two in two files: join them as v2 shows them, so that one rule judges both.
    joined: list[Reading[str]] = []
    for quota, period in zip(quotas, periods, strict=False):
        if isinstance(quota, Known) and isinstance(period, Known):
            shown = "max" if quota.value.startswith("-") else quota.value
            joined.append(Known(f"{shown} {period.value}", quota.source))
        else:
            joined.append(quota if isinstance(quota, Unknown) else period)
    return tightest(joined, _cpu_max, "cpu.cfs_quota_us")


def hugetlb_bytes(cgroup: Cgroup, size: str) -> Reading[Limit]:
    """Effective limit of huge pages of a size ("2MB") in bytes (hugetlb.SIZE.limit_in_bytes, .max)."""
    if v1 := cgroup.readings(f"hugetlb.{size}.limit_in_bytes"):
        return tightest(v1, _v1_bytes, f"hugetlb.{size}.limit_in_bytes")
    return tightest(cgroup.readings(f"hugetlb.{size}.max"), _max, f"hugetlb.{size}.max")


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
