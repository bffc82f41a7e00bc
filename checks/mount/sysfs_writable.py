"""A writable sysfs.

## What it detects
A sysfs is mounted inside, and neither the mount nor the filesystem is read-only, or
CAP_SYS_ADMIN over the host and the seccomp filter let it be remounted.

## Why it matters
Most of sysfs is the host's own hardware and kernel: root inside can switch devices off, unbind drivers, change
power limits and firmware, and name a helper that the kernel runs as root outside (`/sys/kernel/uevent_helper`).

## Remediation
Have /sys mounted read-only, as engines do by default.

- docker, podman: no `--privileged`; podman: no `--security-opt unmask=/sys/…`; no `-v /sys:/sys` without `:ro`
- compose: remove `privileged: true`
- Kubernetes: `privileged: false`
- LXC: `lxc.mount.auto = sys:ro`; systemd: `ProtectKernelTunables=yes`

## When it is fine
In a user namespace in which the host's root does not exist: files that belong to it cannot be written then.

## References
- sysfs(5); OCI runtime-spec, config-linux.md, "Default Filesystems"
- CIS Docker Benchmark 1.6.0, 5.5
"""

from __future__ import annotations

from isoaudit import Container, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.confinement import maps_host_root, presumed
from isoaudit.facts.hostpaths import mount_evidence
from isoaudit.facts.mounts import reachable, writable
from isoaudit.facts.opening import remounting


@check(severity="high")
def sysfs_writable(container: Container) -> Outcome:
    mounts = require(container.mounts)
    found = writable(mounts, "sysfs")
    if not found:
        return _read_only(container)
    powerless = not presumed(maps_host_root, container)
    return fail(
        f"sysfs is writable at {found[0].target}"
        + (", though the host's root, whose files it holds, does not exist inside" if powerless else ""),
        mount_evidence(container, found, "ro"),
        severity=Severity.LOW if powerless else Severity.HIGH,
    )


def _read_only(container: Container) -> Outcome:
    way = remounting(container)
    found = [mount for mount in reachable(require(container.mounts)) if mount.fstype == "sysfs"] if way else []
    if way is None or not found:
        return passed("it has no writable sysfs")
    return fail(
        f"sysfs is read-only at {found[0].target}, but it can remount it writable",
        [*mount_evidence(container, found, "read-only, and no way to remount it"), *way.evidence],
        basis=way.basis,
    )
