"""A device of the host's is usable inside.

## What it detects
The container can open a device that engines do not give to everybody. Two things must come together: its
device policy lets the device be read or written (`devices.list` of its v1 cgroup and the BPF programs of its
v2 cgroup, and those of every ancestor), and there is a node of it on a mount without `nodev`; or a process has
CAP_MKNOD over the host, no seccomp filter that refuses mknod(2), and the policy lets the node be made. Which
permission bits stand on a node counts too. Each kind of device is a check of its own: disks, memory and
registers, /dev/kvm, /dev/kmsg, /dev/fuse, /dev/net/tun, vhost, loop devices, keyboards and mice, consoles,
graphics cards, and all the rest.

Nodes are looked for in /dev, in every other place where a devtmpfs or a part of one is mounted, and wherever
one is mounted alone. Not searched are nodes that lie anywhere else in an image or a volume. On v1,
`devices.list` does not show denials from a list that otherwise allows everything.

## Why it matters
A device has no namespace: who opens it talks to the one driver and the one piece of hardware of all. A disk is
the host's files past every permission, memory devices are the kernel itself, input devices are what is typed
at the host, and every other driver is kernel code that an unprivileged container could not otherwise reach.
Docker's and runc's default policies let every container with CAP_MKNOD, a default capability, make and open
/dev/net/tun (10:200) and Docker's the system console (5:1).

## Remediation
Take the device out of the container and of its device policy, and drop CAP_MKNOD.

- docker, podman: leave out `--privileged`, `--device`, `--device-cgroup-rule` and `-v /dev:…`;
  `--cap-drop MKNOD`
- compose: remove `privileged`, the entry in `devices` and `device_cgroup_rules`; `cap_drop: [MKNOD]`
- Kubernetes: `privileged: false`, `capabilities.drop: [ALL]`, no `hostPath` volume of /dev, a device plugin
  for what is needed
- systemd: `PrivateDevices=yes` or `DevicePolicy=closed`, and `CapabilityBoundingSet=~CAP_MKNOD`

## When it is fine
A workload whose purpose is the device: a virtual machine monitor with /dev/kvm, a VPN with /dev/net/tun, a
computation on a graphics card, a builder with /dev/fuse. Give it that one node and no rule with a `*`.

## References
- cgroup-v1/devices.rst; cgroup-v2.rst, "Device controller"; Documentation/admin-guide/devices.txt; mknod(2);
  mount(8), "nodev"
- OCI runtime-spec, config-linux.md, "Default Devices"
- CIS Docker Benchmark 1.6.0, 5.18
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Severity,
    Variant,
    fail,
    family,
    passed,
    require,
)
from isoaudit.facts.confinement import holds, holds_over_host, maps_host_root, presumed
from isoaudit.facts.devices import DeviceNode, classify
from isoaudit.facts.exposure import (
    Exposure,
    exposed_nodes,
    foreign_nodes,
    makeable,
    may_mknod,
    permitted,
    policy,
)
from isoaudit.facts.hostpaths import host_mounts
from isoaudit.kernel.capability import bit
from isoaudit.model import SEVERITIES


class Kind(NamedTuple):
    """A class of `facts.devices.classify`, and how a message names it."""

    name: str
    noun: str


@family(
    [
        Variant("block_exposed", "critical", "Host disk usable", Kind("block", "a disk of the host's")),
        Variant(
            "memory_exposed",
            "critical",
            "Host memory or registers usable as a device",
            Kind("memory", "the host's memory or registers"),
        ),
        Variant("kvm_exposed", "medium", "/dev/kvm usable", Kind("kvm", "the kernel's hypervisor")),
        Variant("kmsg_exposed", "medium", "Kernel log usable as a device", Kind("kmsg", "the kernel's log")),
        Variant("fuse_exposed", "medium", "/dev/fuse usable", Kind("fuse", "the kernel's FUSE interface")),
        Variant("tun_exposed", "medium", "/dev/net/tun usable", Kind("tun", "the kernel's tunnel interface")),
        Variant(
            "vhost_exposed", "medium", "vhost device usable", Kind("vhost", "the kernel's vhost interface")
        ),
        Variant("loop_exposed", "high", "Loop devices usable", Kind("loop", "the host's loop devices")),
        Variant("input_exposed", "high", "Input devices usable", Kind("input", "the host's input devices")),
        Variant("console_exposed", "medium", "Host console usable", Kind("console", "a console of the host's")),
        Variant("gpu_exposed", "medium", "Graphics card usable", Kind("gpu", "a graphics card of the host's")),
        Variant("other_exposed", "medium", "Other host device usable", Kind("other", "a device of the host's")),
    ]
)
def exposed(host: Host, container: Container, *, variant: Variant) -> Outcome:
    kind: Kind = variant.value
    names = host.device_names.value if isinstance(host.device_names, Known) else ()

    def is_meant(node: DeviceNode) -> bool:
        return classify(node.kind, node.major, node.minor, names) == kind.name

    kept = None
    if any(map(is_meant, foreign_nodes(container))):
        usable = [exposure for exposure in exposed_nodes(container) if is_meant(exposure.node)]
        opened = [exposure for exposure in usable if permitted(container, exposure.node)]
        if opened:
            return _present(host, container, variant, opened)
        # Root inside, which a new process may be, gets past modes; where it is not the host's it does not.
        if usable and presumed(maps_host_root, container):
            kept = _present(host, container, variant, usable, closed=True)
    if may_mknod(container):
        rules = require(policy(container))
        disks = host_mounts(host).disks if isinstance(host.mounts, Known) else ()
        found = makeable(rules, names, disks).get(kind.name)
        if found is not None:
            if rules.missing is not None:
                require(rules.missing)
            number = found.node.number
            return fail(
                f"CAP_MKNOD and its device policy let it make and open {number}: {kind.noun}",
                [Evidence(rules.source, f"allows {number} {found.access}m", "no rule that allows it")],
                severity=_severity(host, container, variant, [found]),
            )
    return kept or passed(f"it cannot open {kind.noun}")


def _present(
    host: Host, container: Container, variant: Variant, exposures: list[Exposure], *, closed: bool = False
) -> Outcome:
    first = exposures[0].node
    more = f" and {len(exposures) - 1} more" if len(exposures) > 1 else ""
    severity = _severity(host, container, variant, exposures)
    message = f"{first.path}{more} can be opened inside: {variant.value.noun}"
    if closed:
        severity = _lowered(severity, 2)
        message += ", but for the node's mode, which stops only who is not root inside"
    inside = f"/proc/{container.identity.pid}/root"
    return fail(
        message,
        [
            Evidence(f"{inside}{node.path}", f"{node.number} {access}, mode {node.mode:04o}", "no such node")
            for node, access in exposures[:10]
        ],
        severity=severity,
        # Never a read: reading a device may act.
        reproduce=shlex.join(
            ["stat", "--format=%A %Hr:%Lr %n", *(f"{inside}{node.path}" for node, _ in exposures[:10])]
        ),
    )


def _lowered(severity: Severity, steps: int) -> Severity:
    return SEVERITIES[min(SEVERITIES.index(severity) + steps, SEVERITIES.index(Severity.LOW))]


def _severity(host: Host, container: Container, variant: Variant, exposures: list[Exposure]) -> Severity:
    """The variant's, lowered where the device gives less to this container than usual."""
    name = variant.value.name
    read_only = all(exposure.access == "r" for exposure in exposures)

    def lacks(capability: str) -> bool:
        return not presumed(lambda one: holds(one, bit(capability)), container)

    steps = 0
    if name == "memory":
        # mem, kmem, port and msr ask for CAP_SYS_RAWIO at open, and lockdown refuses them to everybody.
        locked = isinstance(host.lockdown, Known) and host.lockdown.value != "none"
        if locked or not presumed(lambda one: holds_over_host(one, bit("CAP_SYS_RAWIO")), container):
            steps = 2
    elif name in ("block", "kmsg"):
        steps = int(read_only)
    elif name == "fuse":  # without it nothing can be mounted
        steps = int(lacks("CAP_SYS_ADMIN"))
    elif name == "tun":  # without it no interface can be made
        steps = int(lacks("CAP_NET_ADMIN"))
    elif name == "console":  # the console itself rather than what others type and see
        steps = int(all(exposure.node.major == 5 for exposure in exposures))
    return _lowered(Severity(variant.severity), steps)
