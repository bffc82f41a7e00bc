"""The recipe of a twin: a test container with the walls of a running one, from its facts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts import cgroup as cgroups
from isoaudit.facts.cgroup import Cgroup
from isoaudit.facts.devices import parse_devices_list
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.namespaces import TYPES, missing_type, same
from isoaudit.kernel.credentials import CapabilitySets
from isoaudit.model import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.rlimits import Rlimit
    from isoaudit.facts.status import Status

# Resource limits that give or take rights which probes ask for (/proc/PID/limits to RLIMIT_*, asm-generic/
# resource.h). The others would only hinder the interpreter that runs the probes.
_RLIMITS = {
    "Max locked memory": 8,
    "Max pending signals": 11,
    "Max msgqueue size": 12,
    "Max nice priority": 13,
    "Max realtime priority": 14,
}
_NEVER_COPIED = (
    "root filesystem and its mounts",
    "masked and read-only paths",
    "supplementary groups",
    "scheduling priority",
    "oom_score_adj: a test container is always the first to be killed",
    "resource limits but memlock, sigpending, msgqueue, nice and rtprio",
)


class Confinement(NamedTuple):
    """The walls that a process carries itself."""

    namespaces: frozenset[str]  # those that are new; the others are the host's
    uid_map: tuple[IdRange, ...] = ()  # empty unless "user" is new
    gid_map: tuple[IdRange, ...] = ()
    uids: tuple[int, int, int] = (0, 0, 0)  # real, effective, saved, as counted inside
    gids: tuple[int, int, int] = (0, 0, 0)
    capabilities: CapabilitySets = CapabilitySets()
    no_new_privs: bool = False
    rlimits: tuple[tuple[int, int | None, int | None], ...] = ()  # resource, soft, hard
    seccomp: tuple[tuple[int, int, int, int], ...] = ()  # instructions of a filter; none: no filter


class Limits(NamedTuple):
    """What the container's cgroups allow it; None or "" where nothing limits."""

    cpu: tuple[int, int] | None = None  # quota and period in microseconds
    memory: int | None = None  # bytes
    memory_and_swap: int | None = None  # bytes, v1
    swap: int | None = None  # bytes, v2
    pids: int | None = None
    rt_runtime: int | None = None  # microseconds, v1; None: it has no cpu cgroup of its own
    cpus: str = ""
    memory_nodes: str = ""
    devices: tuple[str, ...] | None = None  # lines of devices.list, v1; None: any device
    freezer: bool = False  # whether it has a cgroup of its own to be frozen in


class Doubt(NamedTuple):
    """A wall that the twin may lack, and the probes it could refuse; none named: all of permissions."""

    wall: str
    probes: frozenset[str] = frozenset()


class Recipe(NamedTuple):
    """All that makes a twin, and what is known to differ. Containers with equal recipes share one."""

    confinement: Confinement
    limits: Limits
    unlimited: tuple[tuple[str, str], ...]  # by probe of a limit: why there is nothing to measure
    doubts: tuple[Doubt, ...]
    not_copied: tuple[str, ...]

    def doubt(self, probe: str) -> str:
        """The wall that could refuse the container what its twin may do; "" if there is none."""
        for doubt in self.doubts:
            if not doubt.probes or probe in doubt.probes:
                return doubt.wall
        return ""


_DEVICE_PROBES = frozenset({"device-mknod", "device-open"})


class NoTwinError(Exception):
    """A container of which too little is known; the message says what is missing."""


def recipe(host: Host, container: Container) -> Recipe:
    """What a container's twin is made of.

    Raises:
        NoTwinError: its credentials or id maps could not be read.
    """
    status = _known(container.status, "its status")
    new: set[str] = {"mnt"}
    not_copied = list(_NEVER_COPIED)
    for kind in TYPES:
        if missing_type(container.namespaces.of(kind)):
            continue
        shared = same(host.namespaces.of(kind), container.namespaces.of(kind))
        if shared is None:
            if kind == "user":
                raise NoTwinError("its user namespace could not be compared with the host's")
            not_copied.append(f"{kind} namespace: it could not be compared with the host's and is taken as own")
        if not shared:
            new.add(kind)
        elif kind == "mnt":
            not_copied.append("mount namespace: the container's is the host's, the twin's its own")
    confinement = _confinement(container, status, frozenset(new), not_copied)
    limits, unlimited = _limits(host, container, not_copied)
    doubts = _doubts(host, container, status)
    not_copied += [doubt.wall for doubt in doubts]
    return Recipe(confinement, limits, tuple(unlimited.items()), doubts, tuple(not_copied))


def _known(reading: Reading[Status], what: str) -> Status:
    if isinstance(reading, Unknown):
        raise NoTwinError(f"{what} could not be read: {reading.reason}")
    return reading.value


def _confinement(
    container: Container, status: Status, new: frozenset[str], not_copied: list[str]
) -> Confinement:
    uid_map, gid_map = container.uid_map, container.gid_map
    uids, gids = status.uids[:3], status.gids[:3]
    maps: tuple[tuple[IdRange, ...], tuple[IdRange, ...]] = ((), ())
    if "user" in new:
        if isinstance(uid_map, Unknown) or isinstance(gid_map, Unknown):
            raise NoTwinError("the id maps of its user namespace could not be read")
        if not uid_map.value or not gid_map.value:
            raise NoTwinError("the id maps of its user namespace have not been written")
        maps = (uid_map.value, gid_map.value)
        uids, gids = (
            _inside(uid_map.value, uids, "user", not_copied),
            _inside(gid_map.value, gids, "group", not_copied),
        )
    nnp = status.no_new_privs
    if isinstance(nnp, Unknown):
        not_copied.append("no_new_privs: the kernel does not show it")
    return Confinement(
        namespaces=new,
        uid_map=maps[0],
        gid_map=maps[1],
        uids=uids,
        gids=gids,
        capabilities=CapabilitySets(
            status.cap_inheritable,
            status.cap_permitted,
            status.cap_effective,
            status.cap_bounding,
            status.cap_ambient.value if isinstance(status.cap_ambient, Known) else 0,
        ),
        no_new_privs=isinstance(nnp, Known) and nnp.value,
        rlimits=_rlimits(container.rlimits, not_copied),
    )


def _inside(
    ranges: tuple[IdRange, ...], ids: tuple[int, int, int], what: str, not_copied: list[str]
) -> tuple[int, int, int]:
    """The host's ids as the user namespace counts them; what it does not map becomes its first id."""
    found = []
    for one in ids:
        for start, outside, length in ranges:
            if outside <= one < outside + length:
                found.append(start + one - outside)
                break
        else:
            not_copied.append(f"{what} id {one}: its user namespace does not map it")
            found.append(ranges[0].inside)
    return found[0], found[1], found[2]


def _rlimits(
    reading: Reading[Mapping[str, Rlimit]], not_copied: list[str]
) -> tuple[tuple[int, int | None, int | None], ...]:
    if isinstance(reading, Unknown):
        not_copied.append("resource limits: they could not be read")
        return ()
    return tuple(
        (number, reading.value[name].soft, reading.value[name].hard)
        for name, number in _RLIMITS.items()
        if name in reading.value
    )


def _limits(host: Host, container: Container, not_copied: list[str]) -> tuple[Limits, dict[str, str]]:
    unlimited: dict[str, str] = {}
    if isinstance(container.cgroup, Unknown):
        reason = f"its cgroups could not be read: {container.cgroup.reason}"
        not_copied.append("cgroup limits: they could not be read")
        return Limits(), dict.fromkeys(("cpu-quota", "memory-limit", "pids-limit", "freezer"), reason)
    cgroup = container.cgroup.value

    def amount(probe: str, reading: Reading[cgroups.Limit]) -> float | None:
        if isinstance(reading, Unknown):
            unlimited[probe] = f"its limit could not be read: {reading.source}: {reading.reason}"
            return None
        if reading.value.amount is None:
            unlimited[probe] = "it has no limit to measure"
        return reading.value.amount

    cpus = amount("cpu-quota", cgroups.cpu_count(cgroup))
    memory = amount("memory-limit", cgroups.memory_bytes(cgroup))
    pids = amount("pids-limit", cgroups.pids_count(cgroup))
    place = cgroup.place("freezer")
    frozen = isinstance(place, Known) and place.value is not None and place.value.own
    if isinstance(place, Unknown):
        unlimited["freezer"] = f"its cgroup could not be told: {place.source}: {place.reason}"
    elif not frozen:
        unlimited["freezer"] = "it has no cgroup of its own to be frozen in"
    return (
        Limits(
            # The tightest level may have any period: a quota is put over the kernel's default one.
            cpu=(max(round(cpus * _PERIOD), 1000), _PERIOD) if cpus is not None else None,
            memory=_whole(memory),
            memory_and_swap=_whole(_amount(cgroups.memory_and_swap_bytes(cgroup))),
            swap=_whole(_amount(cgroups.swap_bytes(cgroup))),
            pids=_whole(pids),
            rt_runtime=_rt_runtime(cgroup),
            cpus=_subset(cgroup.leaf("cpuset.effective_cpus", "cpuset.cpus.effective"), host.cpus),
            memory_nodes=_subset(
                cgroup.leaf("cpuset.effective_mems", "cpuset.mems.effective"), host.memory_nodes
            ),
            devices=_devices(cgroup),
            freezer=frozen,
        ),
        unlimited,
    )


_PERIOD = 100_000  # microseconds, as the kernel's default (kernel/sched/fair.c)


def _amount(reading: Reading[cgroups.Limit]) -> float | None:
    return reading.value.amount if isinstance(reading, Known) else None


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)


def _rt_runtime(cgroup: Cgroup) -> int | None:
    reading = cgroup.leaf("cpu.rt_runtime_us")
    if isinstance(reading, Unknown) or cgroup.path("cpu") in (None, "/"):
        return None
    return int(reading.value)


def _subset(reading: Reading[str], online: Reading[frozenset[int]]) -> str:
    """A cpuset list if it is a real restriction, else ""."""
    if isinstance(reading, Unknown) or isinstance(online, Unknown) or not reading.value:
        return ""
    return "" if cgroups.parse_cpu_list(reading.value) >= online.value else reading.value


def _devices(cgroup: Cgroup) -> tuple[str, ...] | None:
    """The rules of the container's own devices cgroup; the kernel keeps them within its ancestors'."""
    readings = cgroup.readings("devices.list")
    if not readings or isinstance(readings[0], Unknown):
        return None
    lines = tuple(readings[0].value.splitlines())
    if any(rule.kind == "a" for rule in parse_devices_list(readings[0].value)):
        return None
    return lines


def _doubts(host: Host, container: Container, status: Status) -> tuple[Doubt, ...]:
    doubts = []
    if isinstance(status.seccomp, Unknown):
        doubts.append(Doubt("seccomp filter (if it has one)"))
    elif status.seccomp.value:
        doubts.append(Doubt("seccomp filter"))
    label = container.lsm_label
    if isinstance(label, Unknown):
        doubts.append(Doubt("LSM label (if it has one)"))
    elif label.value and not label.value.startswith("unconfined") and ":unconfined_t:" not in label.value:
        doubts.append(Doubt("LSM label"))
    if _devices_by_program(container):
        doubts.append(Doubt("device program of cgroup v2", _DEVICE_PROBES))
    if isinstance(container.cgroup, Unknown) or _devices_unread(container.cgroup.value):
        doubts.append(Doubt("device policy", _DEVICE_PROBES))
    if same(host.namespaces.mnt, container.namespaces.mnt):
        # The kernel refuses them to whoever is chrooted (create_user_ns).
        doubts.append(Doubt("changed root, in which the kernel refuses user namespaces", _USER_PROBES))
    return tuple(doubts)


_USER_PROBES = frozenset({"user-namespace-create"})


def _devices_by_program(container: Container) -> bool:
    if isinstance(container.cgroup, Unknown):
        return False
    cgroup = container.cgroup.value
    return cgroup.path("devices") is None and cgroup.path("") not in (None, "/")


def _devices_unread(cgroup: Cgroup) -> bool:
    readings = cgroup.readings("devices.list")
    return bool(readings) and isinstance(readings[0], Unknown)
