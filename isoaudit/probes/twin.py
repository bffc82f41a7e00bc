"""The recipe of a twin: a test container with the walls of a running one, from its facts. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.idmap import IdRange, inside_of
from isoaudit.facts.lsm import parse_label
from isoaudit.facts.mounts import within
from isoaudit.facts.namespaces import TYPES, missing_type, same
from isoaudit.facts.scheduling import NAMES, SCHED_OTHER, Scheduling
from isoaudit.facts.seccomp import programs, stacks
from isoaudit.facts.seccomp_programs import programs_answer
from isoaudit.facts.status import SECCOMP_DISABLED, SECCOMP_FILTER
from isoaudit.kernel.capability import bit
from isoaudit.kernel.credentials import CapabilitySets
from isoaudit.model import FactMissing, Known, Reading, Unknown
from isoaudit.probes.kernel_mounts import KernelMount, Unlike, kernel_mounts
from isoaudit.probes.twin_limits import Limits, cgroup_limits, device_programs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.rlimits import Rlimit
    from isoaudit.facts.status import Status

# /proc/PID/limits to RLIMIT_* (asm-generic/resource.h). Those of address space, data, stack, resident memory
# and CPU time would only hinder the interpreter that runs the probes.
RLIMITS: Mapping[str, int] = {
    "Max file size": 1,
    "Max core file size": 4,
    "Max processes": 6,
    "Max open files": 7,
    "Max locked memory": 8,
    "Max file locks": 10,
    "Max pending signals": 11,
    "Max msgqueue size": 12,
    "Max nice priority": 13,
    "Max realtime priority": 14,
    "Max realtime timeout": 15,
}
_OPEN_FILES = "Max open files"
_LEAST_FILES = 64  # what the interpreter and its pipes need, amply
_NEVER_COPIED = (
    "root filesystem, and its mounts but those of the kernel's filesystems",
    "oom_score_adj: a test container is always the first to be killed",
    "resource limits of address space, data, stack, resident memory and CPU time",
    "securebits, which the kernel shows to nobody else",
    "I/O priority",
    "umask",
    "the lack of a limit of memory or tasks: a test container always has its own",
    "personality",
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
    seccomp: tuple[str, ...] = ()  # programs as `kernel.seccomp.install` takes them, the oldest first
    profile: str = ""  # AppArmor's; "" is none
    groups: tuple[int, ...] = ()  # supplementary ones, as counted inside
    scheduling: Scheduling = Scheduling(SCHED_OTHER, 0, 0)  # never a real-time one
    mounts: tuple[KernelMount, ...] | None = None  # of the kernel's filesystems; None: a procfs if it may


class Doubt(NamedTuple):
    """A wall that the twin may lack, and the probes it could refuse; none named: all of permissions."""

    wall: str
    probes: frozenset[str] = frozenset()


class Recipe(NamedTuple):
    """All that makes a twin, and what is known to differ. Containers with equal recipes share one."""

    confinement: Confinement
    limits: Limits
    unlimited: tuple[
        tuple[str, str], ...
    ]  # by probe: why it would tell nothing, such as a limit that there is not
    doubts: tuple[Doubt, ...]
    unlike: tuple[Unlike, ...]  # places below which the twin's files are not the container's
    not_copied: tuple[str, ...]

    def doubt(self, probe: str) -> str:
        """The wall that could refuse the container what its twin may do; "" if there is none."""
        for doubt in self.doubts:
            if not doubt.probes or probe in doubt.probes:
                return doubt.wall
        return ""

    def unlike_at(self, path: str, failures: Mapping[str, str]) -> str:
        """Why what the twin finds at a path says nothing of the container; "" if it does.

        Args:
            path: absolute.
            failures: what could not be given to the twin, and why: mounts are named by their places.
        """
        for place, why in (*self.unlike, *failures.items()):
            if place.startswith("/") and within(path, place):
                return f"its twin does not have {place} as it has: {why}"
        return ""


_DEVICE_PROBES = frozenset({"device-mknod", "device-open"})


class NoTwinError(Exception):
    """A container of which too little is known; the message says what is missing."""


def recipe(host: Host, container: Container, shared: Collection[tuple[str, int]] = ()) -> Recipe:
    """What a container's twin is made of.

    A namespace that it shares with another container, as those of a pod do, is the twin's own: to join it would
    be to enter those containers, whose addresses, abstract sockets and semaphores are all in it.

    Args:
        host: the host's side.
        container: whose twin to make.
        shared: (kind, inode) of the namespaces that more than one container is in.

    Raises:
        NoTwinError: its credentials or id maps could not be read.
    """
    status = _known(container.status, "its status")
    new: set[str] = {"mnt"}
    joined: list[str] = []
    not_copied = list(_NEVER_COPIED)
    for kind in TYPES:
        if missing_type(container.namespaces.of(kind)):
            continue
        same_as_host = same(host.namespaces.of(kind), container.namespaces.of(kind))
        if same_as_host is None:
            if kind == "user":
                raise NoTwinError("its user namespace could not be compared with the host's")
            not_copied.append(f"{kind} namespace: it could not be compared with the host's and is taken as own")
        if not same_as_host:
            new.add(kind)
            inode = container.namespaces.of(kind)
            if kind != "mnt" and isinstance(inode, Known) and (kind, inode.value) in shared:
                joined.append(kind)
                not_copied.append(f"{kind} namespace: it shares it with other containers, the twin has its own")
        elif kind == "mnt":
            not_copied.append("mount namespace: the container's is the host's, the twin's its own")
    confinement = _confinement(container, status, frozenset(new), not_copied)
    limits, unlimited = cgroup_limits(host, container, not_copied)
    confinement = confinement._replace(scheduling=_scheduling(container, status, not_copied, unlimited))
    mounts = kernel_mounts(host, container, frozenset(new))
    doubts = _doubts(host, container, status)
    if joined and "user" in new:
        # The twin's user namespace owns them; who owns the container's is not known here.
        doubts += (Doubt(f"{' and '.join(joined)} namespace, which another user namespace may own"),)
    not_copied += [doubt.wall for doubt in doubts]
    not_copied += [f"{path}: {why}" for path, why in mounts.unlike]
    not_copied += mounts.notes
    return Recipe(
        confinement._replace(mounts=mounts.mounts),
        limits,
        tuple(unlimited.items()),
        doubts,
        mounts.unlike,
        tuple(not_copied),
    )


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
    groups = _groups(status, gid_map if "user" in new else None, not_copied)
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
        seccomp=_filters(container, status)[0],
        profile=_profile(container.lsm_label),
        groups=groups,
    )


# What a twin calls after its filters are in force, whatever it probes: interpreter, report, deadline.
_PAYLOAD_CALLS = ("read", "write", "clone", "wait4", "exit_group", "mmap", "munmap", "rt_sigaction", "prctl")
# And before that where the filters must come first, as only privilege installs them without no_new_privs.
_IDENTITY_CALLS = ("setgroups", "setresgid", "setresuid", "capset")


def _filters(container: Container, status: Status) -> tuple[tuple[str, ...], str]:
    """The programs to install, the oldest first; if none, why not, or "" where there is no filter."""
    if isinstance(status.seccomp, Unknown):
        return (), "seccomp filter (if it has one)"
    if status.seccomp.value == SECCOMP_DISABLED:
        return (), ""
    if status.seccomp.value != SECCOMP_FILTER:
        return (), "seccomp strict mode"
    try:
        stack, *others = stacks(container, container.processes[0])
        if others:
            return (), "seccomp filter, which is not the same for all threads"
        if stack.inferred:
            return (), "seccomp filter, of which only its runtime's state file tells"
        stacked = programs(stack)
        needed = list(_PAYLOAD_CALLS)
        if not (isinstance(status.no_new_privs, Known) and status.no_new_privs.value):
            needed += _IDENTITY_CALLS
        if len(stacked) > 1:
            needed.append("seccomp")
        for call in needed:
            if not programs_answer(stacked, stack.architectures[0], call).allowed:
                return (), f"seccomp filter, under which no test container could run: it forbids {call}(2)"
    except FactMissing as missing:
        return (), f"seccomp filter: {missing.reason}"
    return tuple(reversed(stacked)), ""


_PROFILE = re.compile(r"([^\s:&()][^\s&()]*) \((?:enforce|complain)\)")


def _profile(label: Reading[str]) -> str:
    """The AppArmor profile of a label that is one plain profile; "" where there is none or it is stacked."""
    match = _PROFILE.fullmatch(label.value) if isinstance(label, Known) else None
    return match[1] if match and match[1] != "unconfined" else ""


def _inside(
    ranges: tuple[IdRange, ...], ids: tuple[int, int, int], what: str, not_copied: list[str]
) -> tuple[int, int, int]:
    """The host's ids as the user namespace counts them; what it does not map becomes its first id."""
    found = []
    for one in ids:
        inside = inside_of(ranges, one)
        if inside is not None:
            found.append(inside)
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
    found = []
    for name, number in RLIMITS.items():
        if name not in reading.value:
            continue
        soft, hard = reading.value[name]
        if name == _OPEN_FILES and any(one is not None and one < _LEAST_FILES for one in (soft, hard)):
            not_copied.append(f"{name}: a test container needs {_LEAST_FILES}")
            soft, hard = (one if one is None else max(one, _LEAST_FILES) for one in (soft, hard))
        found.append((number, soft, hard))
    return tuple(found)


def _groups(
    status: Status, gid_map: Reading[tuple[IdRange, ...]] | None, not_copied: list[str]
) -> tuple[int, ...]:
    """Its supplementary groups as its user namespace counts them; those that it does not map are left out."""
    if isinstance(status.groups, Unknown):
        not_copied.append("supplementary groups: they could not be read")
        return ()
    if gid_map is None:
        return status.groups.value
    not_copied.append("whether its user namespace forbids setgroups(2)")
    found = []
    for group in status.groups.value:
        inside = inside_of(gid_map.value, group) if isinstance(gid_map, Known) else None
        if inside is None:
            not_copied.append(f"supplementary group {group}: its user namespace does not map it")
        else:
            found.append(inside)
    return tuple(found)


_SYS_NICE = bit("CAP_SYS_NICE")


def _scheduling(
    container: Container, status: Status, not_copied: list[str], unlimited: dict[str, str]
) -> Scheduling:
    """How the twin is scheduled: as its original is, but never before the host's own processes."""
    reading = container.scheduling
    if isinstance(reading, Unknown):
        not_copied.append("scheduling: it could not be read")
        return Scheduling(SCHED_OTHER, 0, 0)
    scheduling = reading.value
    if scheduling.realtime or scheduling.policy not in NAMES:
        name = NAMES.get(scheduling.policy, f"policy {scheduling.policy}")
        not_copied.append(f"scheduling: {name}, under which a test container could keep the host from its work")
        if not status.cap_effective & _SYS_NICE:
            unlimited["realtime-schedule"] = f"it runs under {name} already, which its twin is not given"
        return Scheduling(SCHED_OTHER, 0, 0)
    return scheduling


def _doubts(host: Host, container: Container, status: Status) -> tuple[Doubt, ...]:
    doubts = []
    filter_missing = _filters(container, status)[1]
    if filter_missing:
        doubts.append(Doubt(filter_missing))
    label = container.lsm_label
    if isinstance(label, Unknown):
        doubts.append(Doubt("LSM label (if it has one)"))
    elif (parsed := parse_label(label.value)) and not parsed.unconfined and not _profile(label):
        doubts.append(Doubt("LSM label"))
    if isinstance(container.cgroup, Unknown) or _devices_unread(container.cgroup.value):
        doubts.append(Doubt("device policy", _DEVICE_PROBES))
    elif missing := device_programs(container.cgroup.value)[1]:
        doubts.append(Doubt(missing, _DEVICE_PROBES))
    if same(host.namespaces.mnt, container.namespaces.mnt):
        # The kernel refuses them to whoever is chrooted (create_user_ns).
        doubts.append(Doubt("changed root, in which the kernel refuses user namespaces", _USER_PROBES))
    return tuple(doubts)


_USER_PROBES = frozenset({"user-namespace-create"})


def _devices_unread(cgroup: Cgroup) -> bool:
    readings = cgroup.readings("devices.list")
    return bool(readings) and isinstance(readings[0], Unknown)
