"""No mount namespace of its own.

## What it detects
The first process of the container is in the host's mount namespace: the inode of `/proc/PID/ns/mnt` is that
of the host's PID 1. What sets it apart is its root directory (chroot), or another namespace, alone.

## Why it matters
Every mount that the host makes is the container's as well, and what it mounts the host sees. chroot(2) is no
wall: a process with CAP_SYS_CHROOT leaves it by a second chroot with its working directory outside.

## Remediation
Start the container with a mount namespace of its own and pivot_root(2) instead of chroot(2).

- docker, podman, Kubernetes: every container has one
- systemd: `RootDirectory=` or `RootImage=` make one; a unit's `ExecStart=chroot …` does not
- bubblewrap always makes one; unshare: `unshare --mount --root=DIR …`

## When it is fine
A build root (schroot, debootstrap) whose programs are trusted as much as the host's.

## References
- mount_namespaces(7), chroot(2) "This call does not change the current working directory"
- pivot_root(2)
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.processes import Reach, named, nearest
from isoaudit.kernel.capability import bit
from isoaudit.model import FactMissing


@check(severity="high")
def mnt_shared(host: Host, container: Container) -> Outcome:
    ours, theirs = require(host.namespaces.mnt), require(container.namespaces.mnt)
    evidence = [Evidence(container.namespaces.mnt.source, f"mnt:[{theirs}]", f"not the host's mnt:[{ours}]")]
    if ours != theirs:
        return passed("its mount namespace is its own", evidence)
    message = "it is in the host's mount namespace: only its root directory is its own"
    try:
        holders = nearest(container, bit("CAP_SYS_CHROOT"))
    except FactMissing:  # the gap is certain without them
        holders = None
    if holders is None or holders.reach is not Reach.HELD:
        return fail(message, evidence)
    return fail(
        f"{message}, and CAP_SYS_CHROOT leaves it: {named(holders.processes)}", evidence, severity="critical"
    )
