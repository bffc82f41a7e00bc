"""Which of the host's devices a container can use: by a node, or the right to make one, and by its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host
from isoaudit.facts.devices import DeviceNode, DevicePolicy, policy_of
from isoaudit.kernel.capability import bit
from isoaudit.model import Known, Unknown, require

if TYPE_CHECKING:
    from isoaudit.facts.container import Container
    from isoaudit.model import Reading


class Exposure(NamedTuple):
    """A node inside that its processes may open, as far as the device policy is concerned."""

    node: DeviceNode
    access: str  # "r", "w" or "rw"


def policy(container: Container) -> Reading[DevicePolicy]:
    """The device policy in force: v1's devices.list of its cgroup and of every ancestor.

    Without any hierarchy that could hold a policy there is none, and everything is allowed.
    """
    if not isinstance(container.cgroup, Known):
        return container.cgroup
    cgroup = container.cgroup.value
    readings = cgroup.readings("devices.list")
    if readings:
        source = next((r.source for r in readings if isinstance(r, Known)), "devices.list")
        return policy_of(readings, source)
    if cgroup.path("devices") is not None:
        return Unknown("devices.list", "no such file on this container's cgroup")
    if cgroup.path("") is not None:
        return Unknown(
            f"BPF programs on cgroup {cgroup.path('')}",
            "the device policy of cgroup v2 is a BPF program, which is not read",
        )
    return Known(DevicePolicy((), container.cgroup.source), container.cgroup.source)


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


def may_mknod(container: Container) -> bool:
    """Whether a process has CAP_MKNOD over the host, without which mknod(2) makes no device node.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    return bool(holds_over_host(container, bit("CAP_MKNOD")))
