"""Control groups: which one a process is in, and what limits it there and on every ancestor.

cgroups(7); Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst. A limit binds through all ancestors, so the
effective one is the tightest on the way to the root. The functions below answer in one vocabulary for v1 and
v2: the unit is in their name, `None` is "unlimited", and the evidence is the file that decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text
from isoaudit.model import Basis, Evidence, Known, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoaudit.facts.probe import ProbeAnswer
    from isoaudit.model import Reading

# v1 spells "unlimited" as the largest page counter in bytes: LONG_MAX rounded down to the page size, for
# hugetlb to the huge page's, which is up to 16 GiB (mm/page_counter.c, mm/hugetlb_cgroup.c). No machine has
# that much memory.
V1_UNLIMITED_BYTES = 1 << 62

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
# A login's own cgroup (pam_systemd): what is started from a shell is in it beside the shell itself.
_SESSION = re.compile(r"/session-\w+\.scope")


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


_MEMBERSHIPS = "/proc/PID/cgroup"


class Place(NamedTuple):
    """The cgroup in which a controller holds a container."""

    version: int
    path: str
    own: bool  # False: processes of the host's are in it too


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
        return Place(version, path, own=not shared and not _SESSION.search(path))

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
            if path != "/" and not enabled[0]:
                return f"the {name} controller is not enabled down to its cgroup"
        return "it is in the root cgroup, which cannot be limited" if path == "/" else ""

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


def in_cpus(amount: float) -> str:
    """A share of CPU time in words: "0.5 CPUs"."""
    return "1 CPU" if amount == 1 else f"{amount:.4g} CPUs"


class Bound(NamedTuple):
    """Whether a resource is bounded: what the files say and what a probe found, together."""

    bounded: bool
    amount: float | None  # what the files say; None where they set no limit or could not be read
    basis: Basis
    evidence: tuple[Evidence, ...]


def bound(limit: Reading[Limit], probe: Reading[ProbeAnswer], expected: str) -> Bound:
    """Judge a limit by its files and by the probe that tried to pass it.

    A probe that was stopped proves a limit, even one that no file showed. One that was not stopped proves that
    there is none only where no file sets one: else it may have ended below the limit, or the limit does not
    hold, which is another gap than having none.

    Args:
        limit: the effective limit.
        probe: the answer of the probe for it.
        expected: what evidence would have been fine.

    Raises:
        FactMissing: neither decides.
    """
    files = limit.value if isinstance(limit, Known) else None
    evidence = [Evidence(files.source, files.observed, expected)] if files else []
    amount = files.amount if files else None
    if isinstance(probe, Unknown):
        require(limit)
        return Bound(amount is not None, amount, Basis.OBSERVED, tuple(evidence))
    answer = probe.value
    evidence.append(Evidence(probe.source, f"{answer.call} = {answer.answer}", "stopped by the limit"))
    proven = amount is None or not answer.succeeded
    return Bound(
        not (proven and answer.succeeded),
        amount,
        Basis.PROVEN if proven else Basis.OBSERVED,
        tuple(evidence),
    )


def hugetlb_bytes(cgroup: Cgroup, size: str) -> Reading[Limit]:
    """Effective limit of huge pages of a size ("2MB") in bytes (hugetlb.SIZE.limit_in_bytes, .max)."""
    if v1 := cgroup.readings(f"hugetlb.{size}.limit_in_bytes"):
        return tightest(v1, _v1_bytes, f"hugetlb.{size}.limit_in_bytes")
    return tightest(cgroup.readings(f"hugetlb.{size}.max"), _max, f"hugetlb.{size}.max")


_THROTTLES = (
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
    "io.max",
)
# Weights as a new cgroup has them (block/blk-cgroup.h, block/bfq-cgroup.c, cfq's last in Linux 4.20).
_IO_WEIGHTS: dict[str, str] = {
    "blkio.weight": "500",
    "blkio.bfq.weight": "100",
    "io.weight": "default 100",
    "io.bfq.weight": "default 100",
}


def io_bound(cgroup: Cgroup) -> Reading[str]:
    """The line that bounds block I/O: a throttle on any level, else a weight of its own; "" without either.

    A line of io.max may leave everything at "max"; a v1 throttle file is empty without a limit.
    """
    refused: Unknown | None = None
    readings = [reading for file in _THROTTLES for reading in cgroup.readings(file)]
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        for entry in reading.value.splitlines():
            if any(not amount.endswith("=max") for amount in entry.split()[1:]):
                return Known(entry, reading.source)
    for file, default in _IO_WEIGHTS.items():
        weight = next(iter(cgroup.readings(file)), None)
        if isinstance(weight, Unknown):
            refused = refused or weight
        elif weight is not None and weight.value != default:
            return Known(weight.value, weight.source)
    return refused or Known("", readings[0].source if readings else "io.max")


def pool_limits(readings: Sequence[Reading[str]]) -> Reading[dict[str, bool]]:
    """Every pool that rdma.max or misc.max lists, and whether some level limits it.

    `mlx5_0 hca_handle=2 hca_object=max` lists two pools of one device, `sev max` one.
    """
    limited: dict[str, bool] = {}
    refused: Unknown | None = None
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        for entry in reading.value.splitlines():
            name, *amounts = entry.split()
            for amount in amounts:
                kind, separator, value = amount.rpartition("=")
                pool = f"{name} {kind}" if separator else name
                limited[pool] = limited.get(pool, False) or value != "max"
    if refused and not (limited and all(limited.values())):
        return refused
    return Known(limited, readings[0].source if readings else "")


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
