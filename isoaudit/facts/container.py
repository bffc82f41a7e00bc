"""Everything that was read about one container."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.latest import latest
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.cgroup import Cgroup, Membership
    from isoaudit.facts.devices import DeviceNode
    from isoaudit.facts.files import PrivilegedFile, Secret
    from isoaudit.facts.idmap import IdRange
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.facts.network import Network
    from isoaudit.facts.probe import ProbeAnswer
    from isoaudit.facts.quotas import Account
    from isoaudit.facts.rlimits import Rlimit
    from isoaudit.facts.scheduling import Scheduling
    from isoaudit.facts.seccomp import FilterStack
    from isoaudit.facts.status import Status
    from isoaudit.facts.userland import Userland
    from isoaudit.model import Reading


_NOT_READ = "it was not read"


class Identity(NamedTuple):
    """Which container it is. Only `key`, `pid` and `start_time` are always known; "" is "no file told"."""

    key: str  # unique within one report, and the same in the next one where the container has a name or id
    pid: int  # of its first process, as the host counts
    start_time: int  # of that process in clock ticks since boot: with the pid it names one process for ever
    runtime: str  # "docker", "podman", "containerd", "lxc", … or "unknown"
    id: str
    name: str
    image: str
    pod: str
    sandbox: bool = False  # a service of the host with private mounts, not a container


class Thread(NamedTuple):
    """A thread whose credentials or confinement differ from its process's."""

    tid: int
    status: Reading[Status]


_NONE: Reading[tuple[Thread, ...]] = Known((), "/proc/PID/task")


class Process(NamedTuple):
    """One process inside."""

    pid: int
    status: Reading[Status]
    # Not always the first process's: browsers and build tools make user namespaces of their own.
    user_namespace: Reading[int] = Unknown("/proc/PID/ns/user", _NOT_READ)
    threads: Reading[tuple[Thread, ...]] = Unknown("/proc/PID/task", _NOT_READ)  # those that differ
    lsm_label: Reading[str] = Unknown("/proc/PID/attr/current", _NOT_READ)
    memberships: Reading[tuple[Membership, ...]] = Unknown("/proc/PID/cgroup", _NOT_READ)
    # By type, those of its namespaces in which the first process is not.
    other_namespaces: Reading[Mapping[str, int]] = Unknown("/proc/PID/ns", _NOT_READ)

    @property
    def tasks(self) -> tuple[Process, ...]:
        """The process, then those of its threads that differ from it, as if they were processes.

        Where its threads could not be compared, one stands for them whose status is unknown.
        """
        status, threads = self.status, self.threads
        if isinstance(threads, Known):
            return (
                self,
                *(
                    self._replace(pid=thread.tid, status=thread.status, threads=_NONE)
                    for thread in threads.value
                ),
            )
        # A thread that is alone differs from nobody.
        if isinstance(status, Unknown) or status.value.threads == 1:
            return (self,)
        return (self, self._replace(status=threads, threads=_NONE))


@latest
def _tasks(processes: tuple[Process, ...]) -> tuple[Process, ...]:
    return tuple([task for process in processes for task in process.tasks])


class Container(NamedTuple):
    """One container. Readings of `status`, `rlimits` and so on are its first process's."""

    identity: Identity
    processes: tuple[Process, ...]  # the first process first
    namespaces: Namespaces
    status: Reading[Status]
    uid_map: Reading[tuple[IdRange, ...]]
    gid_map: Reading[tuple[IdRange, ...]]
    mounts: Reading[tuple[Mount, ...]]
    cgroup: Reading[Cgroup]
    rlimits: Reading[Mapping[str, Rlimit]]
    lsm_label: Reading[str]  # "docker-default (enforce)", "unconfined"; "" where no LSM labels processes
    oom_score_adj: Reading[int]
    devices: Reading[tuple[DeviceNode, ...]]
    userland: Reading[Userland]
    probes: Mapping[str, Reading[ProbeAnswer]]
    filters: Reading[tuple[FilterStack, ...]] = Unknown("ptrace(2) PTRACE_SECCOMP_GET_FILTER", _NOT_READ)
    network: Reading[Network] = Unknown("/proc/PID/net", _NOT_READ)
    secrets: Reading[tuple[Secret, ...]] = Unknown("/proc/PID/root", _NOT_READ)
    privileged_files: Reading[tuple[PrivilegedFile, ...]] = Unknown("/proc/PID/root", _NOT_READ)
    # Who made its user namespace, and the ones above it; empty in the initial one.
    owners: Reading[tuple[Account, ...]] = Unknown("/proc/PID/ns/user", _NOT_READ)
    scheduling: Reading[Scheduling] = Unknown("/proc/PID/stat", _NOT_READ)

    @property
    def tasks(self) -> tuple[Process, ...]:
        """Its processes, and with each those of its threads that differ from it (`Process.tasks`)."""
        return _tasks(self.processes)

    @property
    def key(self) -> str:
        """Its key in the report."""
        return self.identity.key

    def probe(self, name: str) -> Reading[ProbeAnswer]:
        """What a probe in this container's twin found, or why it did not run."""
        return self.probes.get(name) or Unknown(
            f"probe {name}", "it was not run: probes are off (--probes none) or need root"
        )
