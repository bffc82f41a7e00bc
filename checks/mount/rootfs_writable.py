"""The root filesystem is writable.

## What it detects
The mount of `/` inside is not read-only, or CAP_SYS_ADMIN over the host and the seccomp filter let it be
remounted.

## Why it matters
Who breaks into the workload can change its programs and configuration and leave tools behind, and the container
can fill the disk below the engine's storage, which others share.

## Remediation
Make the root filesystem read-only and give the workload a tmpfs or volume where it must write.

- docker, podman: `--read-only --tmpfs /tmp`
- compose: `read_only: true`, `tmpfs: [/tmp]`
- Kubernetes: `securityContext.readOnlyRootFilesystem: true`, an `emptyDir` for scratch space
- systemd: `ProtectSystem=strict`

## When it is fine
System containers, build containers, and others that are made to be changed.

## References
- CIS Docker Benchmark 1.6.0, 5.13 (5.12 in older ones); NIST SP 800-190, 4.4.4
"""

from __future__ import annotations

from isoaudit import Container, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.hostpaths import mount_evidence
from isoaudit.facts.mounts import mount_at
from isoaudit.facts.opening import remounting


@check(severity="low")
def rootfs_writable(container: Container) -> Outcome:
    root = mount_at(require(container.mounts), "/")
    if root is None:
        return unknown(
            "its root is a directory on a mount that its own mount table does not show", container.mounts.source
        )
    evidence = mount_evidence(container, [root], "ro")
    if root.read_only:
        way = remounting(container)
        if way:
            return fail(
                "its root filesystem is read-only, but it can remount it writable",
                [*evidence, *way.evidence],
                basis=way.basis,
            )
        return passed("its root filesystem is read-only", evidence)
    return fail("its root filesystem is writable", evidence)
