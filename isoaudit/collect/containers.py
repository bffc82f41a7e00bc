"""Reading everything about one container, through its first process."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isoaudit.collect.process import ProcessDirectory, start_time
from isoaudit.collect.quotas import read_owners
from isoaudit.collect.rootfs import HostilePathError, RootDirectory, device_nodes
from isoaudit.collect.tasks import complete
from isoaudit.collect.tree import VanishedError, parsed, refused
from isoaudit.collect.userland import read_userland
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.files import may_gain
from isoaudit.facts.idmap import parse_id_map
from isoaudit.facts.lsm import LABEL_FILE
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.facts.rlimits import parse_limits
from isoaudit.facts.scheduling import parse_scheduling
from isoaudit.facts.status import parse_status
from isoaudit.facts.text import line
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isoaudit.collect.cgroups import CgroupReader
    from isoaudit.collect.discovery import Candidate
    from isoaudit.collect.filters import FilterReader
    from isoaudit.collect.naming import Names
    from isoaudit.collect.network import NetworkReader
    from isoaudit.collect.paths import Paths
    from isoaudit.facts.devices import DeviceNode
    from isoaudit.facts.files import PrivilegedFile, Secret
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.userland import Userland
    from isoaudit.model import Reading

T = TypeVar("T")


class Named(NamedTuple):
    """A candidate with the identity that it has in this report."""

    candidate: Candidate
    identity: Identity


def identify(candidates: Iterable[Candidate], names: Names) -> tuple[Named, ...]:
    """Give every candidate a key: its name, else the beginning of its id, else its pid."""
    named = []
    taken: set[str] = set()
    for candidate in candidates:
        made, image = names.complete(candidate.made, candidate.leader, candidate.start_time)
        wanted = made.name or made.id[:12] or f"pid-{candidate.leader}"
        if made.pod and made.name:
            wanted = f"{made.pod}/{made.name}"
        key, count = wanted, 1
        while key in taken:
            count += 1
            key = f"{wanted}~{count}"
        taken.add(key)
        identity = Identity(
            key,
            candidate.leader,
            candidate.start_time,
            made.runtime,
            made.id,
            made.name,
            image,
            made.pod,
            candidate.sandbox,
        )
        named.append(Named(candidate, identity))
    return tuple(named)


class ContainerReader:
    """Reads containers one after the other.

    Args:
        paths: the trees to read.
        cgroups: reads their cgroups.
        machine: `uname -m`, to find their C library.
        label_file: where a process's security label stands, below /proc/PID.
        networks: reads their networks; None leaves those out.
        filters: reads their seccomp filters; None leaves those out.
    """

    def __init__(
        self,
        paths: Paths,
        cgroups: CgroupReader,
        machine: str,
        label_file: str = LABEL_FILE,
        networks: NetworkReader | None = None,
        filters: FilterReader | None = None,
    ) -> None:
        self._paths = paths
        self._cgroups = cgroups
        self._machine = machine
        self._label_file = label_file
        self._networks = networks
        self._filters = filters

    def read(self, named: Named) -> Container:
        """Read one container.

        Raises:
            VanishedError: it ended before it was read; what was read of it belongs to nobody.
        """
        candidate = named.candidate
        with ProcessDirectory(self._paths.proc, candidate.leader) as leader:
            # The pid may have been given to another process since /proc was walked.
            stat = leader.stat()
            if start_time(stat) != candidate.start_time:
                raise VanishedError(leader.path)
            mounts = leader.read("mountinfo", parse_mountinfo)
            memberships = candidate.memberships
            writable = not isinstance(mounts, Known) or any(
                mount.fstype in ("cgroup", "cgroup2") and not mount.read_only for mount in mounts.value
            )
            inside = self._inside(leader, mounts, candidate)
            label = lsm_label(leader, self._label_file)
            container = Container(
                identity=named.identity,
                processes=complete(self._paths.proc, candidate, label, self._label_file),
                namespaces=candidate.namespaces,
                status=leader.read("status", lambda raw: parse_status(raw, f"{leader.path}/status")),
                uid_map=leader.read("uid_map", parse_id_map),
                gid_map=leader.read("gid_map", parse_id_map),
                mounts=mounts,
                cgroup=Known(
                    self._cgroups.read(
                        memberships.value, (named.identity.id, named.identity.name), owned=writable
                    ),
                    memberships.source,
                )
                if isinstance(memberships, Known)
                else memberships,
                rlimits=leader.read("limits", parse_limits),
                lsm_label=label,
                oom_score_adj=leader.read("oom_score_adj", int),
                devices=inside.devices,
                userland=inside.userland,
                probes={},
                secrets=inside.secrets,
                privileged_files=inside.privileged_files,
                owners=read_owners(leader, candidate.namespaces, live=self._paths.live),
                scheduling=parsed(stat, f"{leader.path}/stat", parse_scheduling),
            )
            if self._networks is not None:
                container = container._replace(network=self._networks.read(leader, candidate))
            if self._filters is not None:
                filters = self._filters.read(candidate, container.processes, container.cgroup)
                container = container._replace(filters=filters)
            if leader.ended() or leader.start_time() != candidate.start_time:
                raise VanishedError(leader.path)
        return container

    def _inside(
        self, leader: ProcessDirectory, mounts: Reading[tuple[Mount, ...]], candidate: Candidate
    ) -> _Inside:
        """The facts that lie in the container's own root filesystem."""
        from isoaudit.collect.files import read_privileged, read_secrets  # not needed to begin

        source = f"{leader.path}/root"
        if not isinstance(mounts, Known):
            reason = "its mounts are not known, so that nothing inside can be opened safely"
            return _Inside.unknown(Unknown(source, reason))
        try:
            root = RootDirectory(source, mounts.value)
        except OSError as error:
            return _Inside.unknown(refused(error, source))
        except HostilePathError as error:
            return _Inside.unknown(Unknown(source, str(error)))
        try:
            return _Inside(
                _looked(f"{source}/dev", lambda: device_nodes(root)),
                _looked(source, lambda: read_userland(root, self._machine)),
                _looked(source, lambda: read_secrets(root)),
                _looked(source, lambda: read_privileged(root))
                if any(map(may_gain, candidate.processes))
                else Unknown(source, "not looked for: no_new_privs keeps every process from using any"),
            )
        finally:
            root.close()


class _Inside(NamedTuple):
    """What lies in a container's root filesystem."""

    devices: Reading[tuple[DeviceNode, ...]]
    userland: Reading[Userland]
    secrets: Reading[tuple[Secret, ...]]
    privileged_files: Reading[tuple[PrivilegedFile, ...]]

    @classmethod
    def unknown(cls, why: Unknown) -> _Inside:
        """Nothing could be read."""
        return cls(Unknown(f"{why.source}/dev", why.reason), why, why, why)


def _looked(source: str, look: Callable[[], T]) -> Reading[T]:
    try:
        return Known(look(), source)
    except OSError as error:
        return refused(error, source)
    except HostilePathError as error:
        return Unknown(source, str(error))


def lsm_label(leader: ProcessDirectory, file: str = LABEL_FILE) -> Reading[str]:
    """The label of AppArmor or SELinux; "" where no LSM labels processes, which the kernel says by EINVAL."""
    source = f"{leader.path}/{file}"
    try:
        return Known(line(leader.raw(file)), source)
    except OSError as error:
        if error.errno in (
            errno.EINVAL,
            errno.ENOENT,
        ):  # no LSM that labels is active; the kernel has none at all
            return Known("", source)
        return refused(error, source)
