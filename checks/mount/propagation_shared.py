"""Mounts propagate to the host.

## What it detects
A mount inside is in a peer group of a mount of the host's: both have the same `shared:N` in mountinfo. A slave
(`master:N`) only receives, and is fine.

## Why it matters
What the container mounts there with CAP_SYS_ADMIN appears on the host too, over whatever stands there, and what
it unmounts disappears: a way to cover /etc files of the host's or to take its filesystems away.

## Remediation
Let mounts propagate into the container at most.

- docker, podman: remove `:shared` and `:rshared`; use `:rslave` where new mounts of the host's must appear
- compose: `bind.propagation: rslave` or `rprivate`
- Kubernetes: `mountPropagation: HostToContainer` or None
- unshare: without `--propagation shared`; systemd: `MountFlags=slave`

## When it is fine
Storage drivers (CSI) that mount volumes for other containers.

## References
- mount_namespaces(7), "SHARED SUBTREES"
- CIS Docker Benchmark 1.6.0, 5.20 (5.19 in older ones)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit import Container, Host, Outcome, Severity, check, fail, not_applicable, passed, require
from isoaudit.facts.confinement import holds, presumed
from isoaudit.facts.hostpaths import host_mounts, mount_evidence
from isoaudit.facts.namespaces import same
from isoaudit.kernel.capability import bit

if TYPE_CHECKING:
    from isoaudit.facts.mounts import Mount


@check(severity="high")
def propagation_shared(host: Host, container: Container) -> Outcome:
    if same(host.namespaces.mnt, container.namespaces.mnt):
        return not_applicable("it has no mount namespace of its own: namespace-mnt-shared judges that")
    mounts = [mount for mount in require(container.mounts) if mount.propagation]
    if not mounts:
        return passed("none of its mounts is in a peer group")
    groups = host_mounts(host).peer_groups
    found = [mount for mount in mounts if not groups.isdisjoint(mount.peer_groups)]
    if not found:
        slaves = [mount for mount in mounts if _masters(mount) & groups]
        if slaves:
            return passed(
                f"it only receives: what the host mounts there appears below {slaves[0].target} inside",
                mount_evidence(container, slaves, ""),
            )
        return passed("none of its mounts is in a peer group of the host's")
    can_mount = presumed(lambda one: holds(one, bit("CAP_SYS_ADMIN")), container)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return fail(
        f"what is mounted below {found[0].target}{more} inside appears on the host too"
        + ("" if can_mount else ", though no process of it can mount now"),
        mount_evidence(container, found, "master:N, or no propagation"),
        severity=Severity.HIGH if can_mount else Severity.MEDIUM,
    )


def _masters(mount: Mount) -> frozenset[str]:
    """The groups from which mounts propagate into it, spelled as those see themselves."""
    return frozenset(f"shared:{field[7:]}" for field in mount.propagation if field.startswith("master:"))
