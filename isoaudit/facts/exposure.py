"""Which of the host's devices a container can use: by a node, or the right to make one, and by its policy."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host, matching
from isoaudit.facts.devices import (
    BLOCK,
    DEFAULT_NODES,
    DeviceNode,
    DevicePolicy,
    classify,
    policy_of,
    sample_numbers,
)
from isoaudit.kernel.capability import bit
from isoaudit.model import Known, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.container import Container
    from isoaudit.facts.devices import DeviceRule
    from isoaudit.model import Reading


class Exposure(NamedTuple):
    """A node inside that its processes may open, as far as the device policy is concerned."""

    node: DeviceNode
    access: str  # "r", "w" or "rw"


# A dozen checks ask the same of one container in a row: the last answers are kept, by what they were made from.
_last_policy: list[tuple[Reading[Cgroup], Reading[DevicePolicy]]] = []
_last_nodes: list[tuple[Reading[tuple[DeviceNode, ...]], tuple[DeviceNode, ...]]] = []


def policy(container: Container) -> Reading[DevicePolicy]:
    """The device policy in force: v1's devices.list of its cgroup and of every ancestor.

    Without any hierarchy that could hold a policy there is none, and everything is allowed.
    """
    if not _last_policy or _last_policy[0][0] is not container.cgroup:
        _last_policy[:] = [(container.cgroup, _policy(container.cgroup))]
    return _last_policy[0][1]


def _policy(reading: Reading[Cgroup]) -> Reading[DevicePolicy]:
    if not isinstance(reading, Known):
        return reading
    cgroup = reading.value
    readings = cgroup.readings("devices.list")
    if readings:
        return policy_of(readings, readings[0].source)
    if cgroup.path("devices") is not None:
        return Unknown("devices.list", "no such file on this container's cgroup")
    if cgroup.path("") is not None:
        return Unknown(
            f"BPF programs on cgroup {cgroup.path('')}",
            "the device policy of cgroup v2 is a BPF program, which is not read",
        )
    return Known(DevicePolicy((), reading.source), reading.source)


def foreign_nodes(container: Container) -> tuple[DeviceNode, ...]:
    """The nodes beyond the default ones, on mounts without nodev.

    Raises:
        FactMissing: the nodes are not known.
    """
    if not _last_nodes or _last_nodes[0][0] is not container.devices:
        found = tuple(
            node
            for node in require(container.devices)
            if not node.nodev and (node.kind, node.major, node.minor) not in DEFAULT_NODES
        )
        _last_nodes[:] = [(container.devices, found)]
    return _last_nodes[0][1]


def exposed_nodes(container: Container) -> tuple[Exposure, ...]:
    """The nodes on a mount without nodev that the policy lets be read or written.

    Raises:
        FactMissing: the nodes or the policy are not known.
    """
    nodes, rules = require(container.devices), require(policy(container))
    exposed = []
    for node in nodes:
        access = "" if node.nodev else rules.access(node.kind, node.major, node.minor).replace("m", "")
        if access:
            exposed.append(Exposure(node, access))
    return tuple(exposed)


def makeable(
    rules: DevicePolicy, names: tuple[tuple[str, int, str], ...], disks: tuple[tuple[int, int], ...]
) -> Mapping[str, Exposure]:
    """What a policy lets whoever has CAP_MKNOD make and then open: by class, an example (without a path).

    Args:
        rules: the policy.
        names: rows of the host's /proc/devices.
        disks: major and minor numbers of the host's mounted block devices.
    """
    return _makeable(rules.levels, names, disks)


@lru_cache(maxsize=256)
def _makeable(
    levels: tuple[tuple[DeviceRule, ...], ...],
    names: tuple[tuple[str, int, str], ...],
    disks: tuple[tuple[int, int], ...],
) -> Mapping[str, Exposure]:
    rules = DevicePolicy(levels, "")
    # A policy that names one number knows better than we what there is.
    named = [(r.kind, r.major, r.minor or 0) for level in levels for r in level if r.major is not None]
    found: dict[str, Exposure] = {}
    for kind, major, minor in (*((BLOCK, *disk) for disk in disks), *named, *sample_numbers(names)):
        access = rules.access(kind, major, minor)
        if "m" in access and access != "m":
            node = DeviceNode("", kind, major, minor, 0, 0, 0, nodev=False)
            found.setdefault(classify(kind, major, minor, names), Exposure(node, access.replace("m", "")))
    return found


def may_mknod(container: Container) -> bool:
    """Whether a process has CAP_MKNOD over the host, without which mknod(2) makes no device node.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    return bool(holds_over_host(container, bit("CAP_MKNOD")))


def permitted(container: Container, node: DeviceNode) -> bool:
    """Whether a node's owner and mode let any process inside open it in some way.

    The rules of the filesystem, capabilities(7): CAP_DAC_OVERRIDE counts over a node whose owner and group
    exist in the container's user namespace. A group that a process is in beyond its own one is not known
    here, so any group's right counts.

    Raises:
        FactMissing: no process is known to, and one could not be read.
    """
    if node.mode & 0o066:
        return True
    ours = _mapped(container, node)
    override = bit("CAP_DAC_OVERRIDE")
    return bool(
        matching(
            container,
            lambda status: (
                (node.mode & 0o600 != 0 and node.uid in status.uids)
                or (ours and bool((status.cap_effective | status.cap_permitted) & override))
            ),
        )
    )


def _mapped(container: Container, node: DeviceNode) -> bool:
    """Whether a node's owner and group exist in the container's user namespace."""
    return all(
        any(first <= ident < first + length for _, first, length in require(ranges))
        for ranges, ident in ((container.uid_map, node.uid), (container.gid_map, node.gid))
    )
