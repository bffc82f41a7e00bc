"""Everything that was read about one container."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.devices import DeviceNode
    from isoaudit.facts.idmap import IdRange
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.facts.probe import ProbeAnswer
    from isoaudit.facts.rlimits import Rlimit
    from isoaudit.facts.status import Status
    from isoaudit.facts.userland import Userland
    from isoaudit.model import Reading


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


class Process(NamedTuple):
    """One process inside."""

    pid: int
    status: Reading[Status]
    # Not always the first process's: browsers and build tools make user namespaces of their own.
    user_namespace: Reading[int] = Unknown("/proc/PID/ns/user", "it was not read")


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

    @property
    def key(self) -> str:
        """Its key in the report."""
        return self.identity.key

    def probe(self, name: str) -> Reading[ProbeAnswer]:
        """What a probe in this container's twin found, or why it did not run."""
        return self.probes.get(name) or Unknown(
            f"probe {name}", "it was not run: probes are off (--probes none) or need root"
        )
