"""The machine's memory is readable.

## What it detects
A process with CAP_SYS_RAWIO over the host, and something to use it on: /proc/kcore that is not masked, or a
usable device node for memory or I/O ports (`mem`, `kmem`, `port`: c 1:1, 1:2, 1:4). The kernel asks for the
capability in addition to the file's permissions.

If probes ran, a test container with the same walls tried it (`kernel-core-read`, /proc/kcore opened and not
read).

## Why it matters
There are the secrets of every process of every container in it, and through mem and port everything can be
changed as well.

## Remediation
Take CAP_SYS_RAWIO away, and mask /proc/kcore.

- docker, podman: leave out `--privileged`, `--cap-add SYS_RAWIO` and `--device /dev/mem`
- Kubernetes: `capabilities.drop: [ALL]`, `securityContext.procMount: Default`
- systemd: `PrivateDevices=yes`, `ProtectKernelTunables=yes`
- host: boot with `lockdown=confidentiality`

## When it is fine
Forensic tools, which are root on the host in all but name.

## References
- mem(4), proc_kcore(5), kernel_lockdown(7)
- drivers/char/mem.c, open_port; fs/proc/kcore.c, open_kcore
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import holds_over_host
from isoaudit.facts.devices import CHARACTER
from isoaudit.facts.exposure import exposed_nodes
from isoaudit.facts.masks import (
    PROC,
    KernelFile,
    behind_profile,
    mount_evidence,
    places,
    shown,
    tree_of,
    unless,
)
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Opened, confirmed
from isoaudit.kernel.capability import bit

_KCORE = KernelFile(PROC, "/kcore")
_NODES = {(CHARACTER, 1, 1), (CHARACTER, 1, 2), (CHARACTER, 1, 4)}


@check(severity="critical")
def memory_readable(host: Host, container: Container) -> Outcome:
    holders = holds_over_host(container, bit("CAP_SYS_RAWIO"))
    if not holders:
        return passed("no process inside has CAP_SYS_RAWIO over the host, without which the kernel refuses")
    # Without securityfs nobody can read the lockdown. The capability and the way are a gap all the same.
    lockdown = host.lockdown.value if isinstance(host.lockdown, Known) else "none"
    doubt = "" if isinstance(host.lockdown, Known) else "; whether lockdown forbids it could not be read"
    if lockdown == "confidentiality":
        return passed(
            "the kernel is locked down, so that nobody reads its memory",
            [Evidence(host.lockdown.source, lockdown)],
        )
    mounts = require(container.mounts)
    cores = places(tree_of(mounts), _KCORE)
    there = host.has("/proc/kcore")
    if cores and isinstance(there, Known) and there.value:
        outcome = fail(
            f"the kernel's memory is readable at {shown(cores)} by {named(holders)}{unless(container)}{doubt}",
            mount_evidence(container, cores, "a mask on kcore"),
            severity=behind_profile("critical", container),
        )
        return confirmed(
            container,
            Opened("kernel-core-read", ("/proc/kcore",), cores, holders),
            outcome,
            gap="it can open the kernel's memory",
            wall="/proc/kcore is there, but it cannot be opened",
        )
    if lockdown == "none":
        nodes = [e for e in exposed_nodes(container) if (e.node.kind, e.node.major, e.node.minor) in _NODES]
        if nodes:
            paths = ", ".join(exposure.node.path for exposure in nodes)
            return fail(
                f"the machine's memory or ports can be used at {paths} by {named(holders)}{doubt}",
                [
                    Evidence(
                        container.devices.source, f"{e.node.path} {e.node.number} {e.access}", "no such node"
                    )
                    for e in nodes
                ],
            )
    if cores:
        require(there)
    return passed("it has CAP_SYS_RAWIO, but neither /proc/kcore nor a memory device to use it on")
