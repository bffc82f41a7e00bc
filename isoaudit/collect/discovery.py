"""Finding every container on the host, from /proc alone.

One pass compares each process with the host by mount namespace, PID namespace and root. Who differs is
grouped by mount namespace; the groups that are only services with private mounts are told apart.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.process import ProcessDirectory, is_kernel_thread, start_time
from isoaudit.collect.tree import VanishedError, read_record, refused
from isoaudit.facts import runtimes
from isoaudit.facts.cgroup import Membership, parse_memberships
from isoaudit.facts.container import Process
from isoaudit.facts.mounts import Mount, mount_at, parse_mountinfo
from isoaudit.facts.namespaces import INITIAL, Namespaces, parse_link, same
from isoaudit.facts.status import Status, parse_status
from isoaudit.model import Known, Reading, Unknown

if TYPE_CHECKING:
    from isoaudit.collect.paths import Paths

_ENDED = (errno.ENOENT, errno.ESRCH)


class Candidate(NamedTuple):
    """A group of processes that is a container, or a sandboxed service of the host's."""

    leader: int
    start_time: int
    processes: tuple[Process, ...]  # the leader first
    namespaces: Namespaces
    memberships: Reading[tuple[Membership, ...]]
    made: runtimes.Made
    sandbox: bool


class Discovery(NamedTuple):
    """What one pass over /proc found."""

    candidates: tuple[Candidate, ...]
    processes: int  # how many there are on the host
    hidden: int  # how many of them could not be looked into, and belong to no container that we know


def host_namespaces(paths: Paths) -> tuple[Namespaces, int]:
    """The namespaces that everything is compared with, and the process they were read from.

    PID 1's; where even root may not read them, those of the kernel's own threads, else ours once their
    numbers show that they are the initial ones.
    """
    refusal: Namespaces | None = None
    for pid in (1, 2, _own_pid(paths)):
        try:
            with ProcessDirectory(paths.proc, pid) as directory:
                namespaces = directory.namespaces()
                if pid == 2 and not is_kernel_thread(directory.raw("stat")):
                    continue
        except (VanishedError, OSError):
            continue
        if not isinstance(namespaces.mnt, Known):
            refusal = refusal or namespaces
            continue
        if pid > 2 and not _initial(namespaces):
            continue
        return namespaces, pid
    if refusal is None:
        refusal = Namespaces(
            *(Unknown(f"{paths.proc}/1/ns/{kind}", "there is no PID 1 here") for kind in Namespaces._fields)
        )
    return refusal, 1


def _own_pid(paths: Paths) -> int:
    # Through the tree that is audited: under --proc of another pid namespace our own number differs.
    try:
        return int(os.readlink(f"{paths.proc}/self"))
    except (OSError, ValueError):
        return 0


def _initial(namespaces: Namespaces) -> bool:
    """Whether all namespaces whose first inode is fixed have it."""
    for kind, inode in INITIAL.items():
        reading = namespaces.of(kind)
        if isinstance(reading, Known) and reading.value != inode:
            return False
    return True


def discover(paths: Paths, host: Namespaces, host_mounts: Reading[tuple[Mount, ...]]) -> Discovery:
    """Find all containers and sandboxed services.

    Args:
        paths: the trees to read.
        host: the host's namespaces.
        host_mounts: the host's mount table, to tell a root filesystem of one's own.
    """
    groups, processes, hidden = _group(paths, host)
    candidates = []
    for pids in groups.values():
        candidate = _candidate(paths, host, host_mounts, pids)
        if candidate is not None:
            candidates.append(candidate)
    candidates.sort(key=lambda one: (one.start_time, one.leader))
    return Discovery(_nest(paths, host, _fold(candidates)), processes, hidden)


def _group(paths: Paths, host: Namespaces) -> tuple[dict[tuple[str, str], list[int]], int, int]:
    """Processes that differ from the host, by what sets them apart; how many there are; how many refused."""
    ours = {
        kind: f"{kind}:[{r.value}]" if isinstance(r := host.of(kind), Known) else "" for kind in ("mnt", "pid")
    }
    groups: dict[tuple[str, str], list[int]] = {}
    processes = hidden = 0
    for entry in os.listdir(paths.proc):
        if not entry.isdigit():
            continue
        processes += 1
        try:
            found = _apart(paths, entry, ours)
        except OSError:
            # PID 1 is the host by definition, though some machines hide it from root itself; the kernel's own
            # threads are nobody's.
            hidden += entry != "1" and not _is_kernel_thread(paths, entry)
            continue
        if found is not None:
            groups.setdefault(found[0], []).append(found[1])
    # With hidepid= others' processes are not even listed: how many there are is not told, but PID 1 is one.
    hidden += not os.path.exists(f"{paths.proc}/1")
    return groups, processes, hidden


def _is_kernel_thread(paths: Paths, pid: str) -> bool:
    try:
        return is_kernel_thread(read_record(f"{paths.proc}/{pid}/stat"))
    except OSError:
        return False


def _apart(paths: Paths, pid: str, ours: dict[str, str]) -> tuple[tuple[str, str], int] | None:
    """What sets a process apart from the host, and the number to find it by; None where nothing does.

    Raises:
        OSError: it may not be looked into, and its cgroup names no container.
    """
    base = f"{paths.proc}/{pid}"
    try:
        if not ours["mnt"]:
            raise PermissionError("the host's namespaces are not known")
        key = _difference(base, ours)
    except OSError as error:
        if error.errno in _ENDED:
            return _by_thread(base, ours)
        # Without root the namespaces of others are hidden, but their cgroups are not.
        made = _by_cgroup(base)
        if made is None:
            raise
        key = "cgroup", made
    return None if key is None else (key, int(pid))


def _by_thread(base: str, ours: dict[str, str]) -> tuple[tuple[str, str], int] | None:
    """As `_apart`, for a process that is gone, or whose first thread is, which leaves no namespaces to see.

    A container could hide that way. /proc does not list threads, but shows each under its own number.
    """
    try:
        threads = os.listdir(f"{base}/task")
    except OSError:
        return None
    for thread in threads:
        try:
            key = _difference(f"{base}/task/{thread}", ours)
        except OSError:
            continue
        return None if key is None else (key, int(thread))
    return None


def _difference(base: str, ours: dict[str, str]) -> tuple[str, str] | None:
    mnt = os.readlink(f"{base}/ns/mnt")
    if mnt != ours["mnt"]:
        return "mnt", mnt
    pid_namespace = os.readlink(f"{base}/ns/pid")
    if pid_namespace != ours["pid"]:
        return "pid", pid_namespace
    root = os.readlink(f"{base}/root")
    return None if root == "/" else ("root", root)


def _by_cgroup(base: str) -> str | None:
    """The container that a process's cgroup names, if it does."""
    try:
        memberships = parse_memberships(read_record(f"{base}/cgroup"))
    except (OSError, ValueError):
        return None
    made = runtimes.from_cgroup(membership.path for membership in memberships)
    return (made.id or made.name) or None


def _candidate(
    paths: Paths, host: Namespaces, host_mounts: Reading[tuple[Mount, ...]], pids: list[int]
) -> Candidate | None:
    """Look closer at a group; None where it has ended, or is no container and no sandbox after all."""
    members = []
    for pid in pids:
        path = f"{paths.proc}/{pid}/status"
        try:
            status = Known(parse_status(read_record(path), path), path)
            members.append(Process(pid, status, _user_namespace(paths, pid)))
        except OSError as error:
            if error.errno not in _ENDED:
                members.append(Process(pid, refused(error, path)))
        except ValueError as error:
            members.append(Process(pid, Unknown(path, f"not understood: {error}")))
    members.sort(key=_seniority)
    for position, member in enumerate(members):
        try:
            with ProcessDirectory(paths.proc, member.pid) as leader:
                stat = leader.raw("stat")
                if is_kernel_thread(stat):  # kdevtmpfs has mounts of its own
                    continue
                started = start_time(stat)
                namespaces = leader.namespaces()
                memberships = leader.read("cgroup", parse_memberships)
                cgroup_paths = [m.path for m in memberships.value] if isinstance(memberships, Known) else []
                made = _made(paths, host, member, cgroup_paths)
                sandbox = _is_sandbox(host, host_mounts, namespaces, leader, made, cgroup_paths)
        except (VanishedError, OSError):  # stat is readable by all as long as the process is there
            continue
        return Candidate(
            leader=member.pid,
            start_time=started,
            processes=tuple(members[position:]),  # those before it have ended
            namespaces=namespaces,
            memberships=memberships,
            made=made,
            sandbox=sandbox,
        )
    return None


def _user_namespace(paths: Paths, pid: int) -> Reading[int]:
    path = f"{paths.proc}/{pid}/ns/user"
    try:
        return Known(parse_link(os.readlink(path)), path)
    except OSError as error:
        return refused(error, path)
    except ValueError as error:
        return Unknown(path, f"not understood: {error}")


def _seniority(process: Process) -> tuple[int, int, int]:
    """Sorts the first process of a container first: PID 1 of the outermost PID namespace, else the oldest.

    Pids rise with age but for wrapping, which costs a wrong order only where there is no PID 1 inside.
    """
    status = process.status
    if isinstance(status, Known) and isinstance(status.value.ns_pids, Known):
        levels = status.value.ns_pids.value
        if len(levels) > 1 and levels[-1] == 1:
            return 0, len(levels), process.pid
    return 1, 0, process.pid


def _is_sandbox(
    host: Namespaces,
    host_mounts: Reading[tuple[Mount, ...]],
    namespaces: Namespaces,
    leader: ProcessDirectory,
    made: runtimes.Made,
    cgroup_paths: list[str],
) -> bool:
    """Whether a group is a process of the host's with private mounts rather than a container.

    It has the host's PID namespace, and no runtime's cgroup or monitor, and is a systemd service, or only
    changed its root in the host's mounts (chroot(2)), or has the host's root filesystem.
    """
    if made.id or made.pod or made.runtime not in (runtimes.UNKNOWN, "unshare"):
        return False
    if same(host.pid, namespaces.pid) is False:
        return False
    if runtimes.in_service(cgroup_paths) or same(host.mnt, namespaces.mnt):
        return True
    # The mount table is the longest file that a process has: it is read for those few that come this far.
    return _same_root(host_mounts, leader.read("mountinfo", lambda raw: mount_at(parse_mountinfo(raw), "/")))


def _same_root(host_mounts: Reading[tuple[Mount, ...]], root: Reading[Mount | None]) -> bool:
    """Whether a process's root is the host's root filesystem, mounted again at most."""
    if not isinstance(root, Known) or root.value is None or not isinstance(host_mounts, Known):
        return False
    ours = mount_at(host_mounts.value, "/")
    return ours is not None and (ours.device, ours.root) == (root.value.device, root.value.root)


def _made(paths: Paths, host: Namespaces, leader: Process, cgroup_paths: list[str]) -> runtimes.Made:
    """The runtime: by cgroup where that is sure, else by the monitor above, else by the process itself."""
    by_cgroup = runtimes.from_cgroup(cgroup_paths)
    by_monitor = _monitor(paths, host, leader)
    if by_monitor is not None:
        known = by_cgroup.runtime != runtimes.UNKNOWN
        return runtimes.Made(
            by_cgroup.runtime if known else by_monitor.runtime,
            by_cgroup.id or by_monitor.id,
            by_cgroup.name or ("" if by_monitor.name == by_monitor.id and by_cgroup.id else by_monitor.name),
            by_cgroup.pod,
            by_monitor.bundle,
        )
    if by_cgroup == runtimes.Made() and isinstance(leader.status, Known):
        itself = runtimes.from_monitor(leader.status.value.name, ())
        if itself is not None and itself.runtime in _SELF_CONFINED:
            return itself
    return by_cgroup


# Tools that confine themselves too; the last two are the network helpers of rootless Podman.
_SELF_CONFINED = ("unshare", "bubblewrap", "firejail", "slirp4netns", "pasta")
_SAME_MOUNTS = ("unshare", "bwrap", "firejail")
# Monitors that themselves live in private mounts: rootless Podman's, LXC's, nspawn's.
_OWN_MOUNTS = (*_SAME_MOUNTS, "conmon", "lxc", "systemd-nspawn")

# docker-init, a shell or bwrap's own first stage may stand between a container and its monitor.
_LEVELS = 4


def _mount_namespace(paths: Paths, pid: int) -> int | None:
    try:
        return parse_link(os.readlink(f"{paths.proc}/{pid}/ns/mnt"))
    except (OSError, ValueError):
        return None


def _monitor(paths: Paths, host: Namespaces, leader: Process) -> runtimes.Made | None:
    """What the nearest monitor above a process tells. Only ancestors in the host's mounts are believed."""
    status: Reading[Status] = leader.status
    inside = _mount_namespace(paths, leader.pid)
    for _ in range(_LEVELS):
        if not isinstance(status, Known) or status.value.ppid <= 1:
            return None
        try:
            with ProcessDirectory(paths.proc, status.value.ppid) as above:
                status = above.read("status", lambda raw: parse_status(raw, "status"))
                mnt = above.namespace("mnt")
                if not isinstance(status, Known) or not isinstance(mnt, Known):
                    return None
                comm = status.value.name
                # Tools that unshare first and fork then share the container's mounts; of all others a
                # process in there only pretends to be a monitor.
                if mnt.value == inside and not comm.startswith(_SAME_MOUNTS):
                    continue
                if same(host.mnt, mnt) is False and not comm.startswith(_OWN_MOUNTS):
                    return None  # a process of the container that this one is nested in
                arguments = above.raw("cmdline").decode("utf-8", "backslashreplace").rstrip("\0").split("\0")
                folder = _working_directory(above) if comm.startswith("containerd-shim") else ""
        except (VanishedError, OSError):
            return None
        made = runtimes.from_monitor(comm, arguments, folder)
        if made is not None:
            # Files are read where monitors of root's on the host point to, and nobody else's.
            trusted = status.value.uids[0] == 0 and same(host.mnt, mnt)
            return made if trusted else made._replace(bundle="")
    return None


def _working_directory(process: ProcessDirectory) -> str:
    try:
        return os.readlink("cwd", dir_fd=process.fd)
    except OSError:
        return ""


def _fold(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """Put processes with private mounts inside a container back into it.

    A system container's services have mount namespaces of their own, but its PID namespace, and a cgroup at
    or below its first process's. Containers that merely join a PID namespace have an id or a cgroup elsewhere.
    """
    first_of: dict[int, Candidate] = {}
    with_id: dict[str, Candidate] = {}
    for candidate in candidates:
        pid = candidate.namespaces.pid
        if isinstance(pid, Known) and _is_first(candidate.processes[0]):
            first_of.setdefault(pid.value, candidate)
        if candidate.made.id:
            with_id.setdefault(candidate.made.id, candidate)
    inside: dict[int, list[Process]] = {}
    kept = []
    for candidate in candidates:
        made, pid = candidate.made, candidate.namespaces.pid
        if made.id:
            # The namespaces of some of its processes may be hidden from us, which sets them apart as well.
            owner = with_id[made.id]
            belongs = same(owner.namespaces.pid, pid) is not False
        else:
            first = first_of.get(pid.value) if isinstance(pid, Known) else None
            owner = first or candidate
            belongs = _below(candidate, owner)
        if owner is not candidate and belongs:
            inside.setdefault(owner.leader, []).extend(candidate.processes)
        else:
            kept.append(candidate)
    return tuple(
        candidate._replace(processes=candidate.processes + tuple(inside[candidate.leader]))
        if candidate.leader in inside
        else candidate
        for candidate in kept
    )


def _nest(paths: Paths, host: Namespaces, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Take from nested containers the id and name that their common cgroup gives to the outer one."""
    outermost: dict[tuple[str, str], Candidate] = {}
    named = []
    for candidate in candidates:
        made = candidate.made
        outer = candidate
        if made.id or made.name:
            same_name = ("", made.id) if made.id else (made.runtime, made.name)
            outer = outermost.setdefault(same_name, candidate)
        if outer is not candidate and _below(candidate, outer):
            monitor = _monitor(paths, host, candidate.processes[0])
            inner = monitor if monitor is not None and not monitor.id else runtimes.Made()
            named.append(candidate._replace(made=inner._replace(pod=made.pod)))
        else:
            named.append(candidate)
    return tuple(named)


def _is_first(process: Process) -> bool:
    status = process.status
    return (
        isinstance(status, Known)
        and isinstance(status.value.ns_pids, Known)
        and status.value.ns_pids.value[-1] == 1
    )


def _below(candidate: Candidate, first: Candidate) -> bool:
    """Whether a candidate's cgroups lie at or below those of a container's first process."""
    if not isinstance(candidate.memberships, Known) or not isinstance(first.memberships, Known):
        return False
    tops = {m.hierarchy: m.path for m in first.memberships.value}
    return all(
        (m.path + "/").startswith(_service_root(tops.get(m.hierarchy, "")).rstrip("/") + "/")
        for m in candidate.memberships.value
    )


def _service_root(path: str) -> str:
    # systemd as PID 1 of a container moves itself into init.scope: the container's cgroup is the one above.
    return path.removesuffix("/init.scope")
