"""Reading everything about one container, through its first process."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.rootfs import HostilePathError, RootDirectory, device_nodes
from isoaudit.collect.tree import VanishedError, refused
from isoaudit.collect.userland import read_userland
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.idmap import parse_id_map
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.facts.rlimits import parse_limits
from isoaudit.facts.status import parse_status
from isoaudit.facts.text import line
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.collect.cgroups import CgroupReader
    from isoaudit.collect.discovery import Candidate
    from isoaudit.collect.naming import Names
    from isoaudit.collect.paths import Paths
    from isoaudit.facts.devices import DeviceNode
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.userland import Userland
    from isoaudit.model import Reading


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
    """

    def __init__(self, paths: Paths, cgroups: CgroupReader, machine: str) -> None:
        self._paths = paths
        self._cgroups = cgroups
        self._machine = machine

    def read(self, named: Named) -> Container:
        """Read one container.

        Raises:
            VanishedError: it ended before it was read; what was read of it belongs to nobody.
        """
        candidate = named.candidate
        with ProcessDirectory(self._paths.proc, candidate.leader) as leader:
            # The pid may have been given to another process since /proc was walked.
            if leader.start_time() != candidate.start_time:
                raise VanishedError(leader.path)
            mounts = leader.read("mountinfo", parse_mountinfo)
            memberships = candidate.memberships
            devices, userland = self._inside(leader, mounts)
            container = Container(
                identity=named.identity,
                processes=candidate.processes,
                namespaces=candidate.namespaces,
                status=leader.read("status", lambda raw: parse_status(raw, f"{leader.path}/status")),
                uid_map=leader.read("uid_map", parse_id_map),
                gid_map=leader.read("gid_map", parse_id_map),
                mounts=mounts,
                cgroup=Known(self._cgroups.read(memberships.value), memberships.source)
                if isinstance(memberships, Known)
                else memberships,
                rlimits=leader.read("limits", parse_limits),
                lsm_label=lsm_label(leader),
                oom_score_adj=leader.read("oom_score_adj", int),
                devices=devices,
                userland=userland,
                probes={},
            )
            if leader.ended() or leader.start_time() != candidate.start_time:
                raise VanishedError(leader.path)
        return container

    def _inside(
        self, leader: ProcessDirectory, mounts: Reading[tuple[Mount, ...]]
    ) -> tuple[Reading[tuple[DeviceNode, ...]], Reading[Userland]]:
        """The two facts that lie in the container's own root filesystem."""
        source = f"{leader.path}/root"
        if not isinstance(mounts, Known):
            reason = "its mounts are not known, so that nothing inside can be opened safely"
            return Unknown(f"{source}/dev", reason), Unknown(source, reason)
        try:
            root = RootDirectory(source, mounts.value)
        except OSError as error:
            return refused(error, f"{source}/dev"), refused(error, source)
        except HostilePathError as error:
            return Unknown(f"{source}/dev", str(error)), Unknown(source, str(error))
        devices: Reading[tuple[DeviceNode, ...]]
        userland: Reading[Userland]
        try:
            try:
                devices = Known(device_nodes(root), f"{source}/dev")
            except OSError as error:
                devices = refused(error, f"{source}/dev")
            except HostilePathError as error:
                devices = Unknown(f"{source}/dev", str(error))
            try:
                userland = Known(read_userland(root, self._machine), source)
            except OSError as error:
                userland = refused(error, source)
            except HostilePathError as error:
                userland = Unknown(source, str(error))
        finally:
            root.close()
        return devices, userland


def lsm_label(leader: ProcessDirectory) -> Reading[str]:
    """The label of AppArmor or SELinux; "" where no LSM labels processes, which the kernel says by EINVAL."""
    source = f"{leader.path}/attr/current"
    try:
        return Known(line(leader.raw("attr/current")), source)
    except OSError as error:
        if error.errno in (
            errno.EINVAL,
            errno.ENOENT,
        ):  # no LSM that labels is active; the kernel has none at all
            return Known("", source)
        return refused(error, source)
