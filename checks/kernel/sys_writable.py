"""sysfs is mounted writable.

## What it detects
A sysfs on a writable mount inside, or on one that the container can remount: by CAP_SYS_ADMIN over the host and
a seccomp filter that lets mount(2) through, which makes the filesystem itself writable; and a process that may
write root's files there.

## Why it matters
/sys is the machine's: a write there offlines CPUs, unbinds drivers, changes power states and memory and, where
the kernel has it, names the program that it runs as root for every device event.

## Remediation
Mount /sys read-only.

- docker, podman: leave out `--privileged` and bind mounts of /sys
- Kubernetes: `securityContext.privileged: false`, no hostPath on /sys
- LXC: `lxc.mount.auto = sys:ro`
- systemd: `ProtectKernelTunables=yes`

## When it is fine
Tools that manage the host's devices, which are part of the host.

## References
- sysfs(5)
- OCI runtime-spec config-linux.md, "Default Filesystems"
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.masks import (
    SYSFS,
    KernelFile,
    MountTree,
    behind_profile,
    below,
    mount_evidence,
    places,
    shown,
    tree_of,
    unless,
    writers,
)
from isoaudit.facts.mounts import within
from isoaudit.facts.opening import REMOUNT, hint, undoing
from isoaudit.facts.processes import named

_ROOT = KernelFile(SYSFS, "/")
# Network devices are shown by network namespace, so that LXC's "mixed" mode leaves them writable.
_NETWORK = "/devices/virtual/net"


@check(severity="high")
def sys_writable(container: Container) -> Outcome:
    tree = tree_of(require(container.mounts))
    standing = [place for place in (*places(tree, _ROOT), *below(tree, _ROOT)) if not place.mount.read_only]
    if not standing:
        return _read_only(container, tree)
    evidence = mount_evidence(container, standing, "a read-only mount")
    paths = shown(standing)
    who = writers(container, sysctl=False)
    if not who:
        return passed(f"{paths} is writable, but no process inside acts as the host's uid 0", evidence)
    if all(within(place.mount.root, _NETWORK) for place in standing):
        return fail(
            f"settings of network devices are writable at {paths} for {named(who)}{unless(container)}",
            evidence,
            severity="low",
        )
    return fail(
        f"the host's devices and drivers can be changed at {paths} by {named(who)}{unless(container)}",
        evidence,
        severity=behind_profile("high", container),
    )


def _read_only(container: Container, tree: MountTree) -> Outcome:
    there = (*places(tree, _ROOT), *below(tree, _ROOT))
    way = undoing(container, REMOUNT) if there else None
    if way is None:
        return passed(f"no sysfs is writable inside{hint(container, REMOUNT) if there else ''}")
    who = writers(container, sysctl=False)
    if not who:
        return passed("sysfs can be remounted writable, but no process inside acts as the host's uid 0")
    return fail(
        f"{shown(there)} is read-only, but {named(who)} can remount it writable",
        [*mount_evidence(container, there, "read-only, and no way to remount it"), *way.evidence],
        basis=way.basis,
        remediation="Take CAP_SYS_ADMIN away, or give it a user namespace of its own.",
    )
