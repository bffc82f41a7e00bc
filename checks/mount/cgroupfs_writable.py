"""A writable cgroup filesystem.

## What it detects
A cgroup hierarchy (v1 or v2) is mounted inside, and neither the mount nor the filesystem is read-only, or
CAP_SYS_ADMIN over the host and the seccomp filter let it be remounted.

## Why it matters
Root inside can lift the container's own limits, and where the mount shows more than its own subtree those of
others, freeze or kill them, and on v1 with CAP_SYS_ADMIN name a program that the kernel runs as root outside
(`release_agent`, CVE-2022-0492).

## Remediation
Have cgroups mounted read-only, as engines do by default; let a service manager inside have a user namespace.

- docker, podman: no `--privileged`, no `-v /sys/fs/cgroup:/sys/fs/cgroup` without `:ro`; podman for systemd
  inside: rootless or `--userns=auto`
- compose: remove `privileged: true`
- Kubernetes: `privileged: false`; `hostUsers: false` for systemd inside
- LXC: `lxc.mount.auto = cgroup:ro`

## When it is fine
A cgroup v2 subtree that is delegated to a user namespace without the host's root: limits that are set above it
still hold.

## References
- cgroups(7), "Cgroup delegation"; cgroup-v1/cgroups.rst, "release_agent"
- CVE-2022-0492
"""

from __future__ import annotations

from isoaudit import Container, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.confinement import maps_host_root, presumed
from isoaudit.facts.hostpaths import mount_evidence
from isoaudit.facts.mounts import reachable, writable
from isoaudit.facts.opening import remounting


@check(severity="high")
def cgroupfs_writable(container: Container) -> Outcome:
    mounts = require(container.mounts)
    found = writable(mounts, "cgroup", "cgroup2")
    if not found:
        return _read_only(container)
    whole = [mount for mount in found if mount.root == "/"]
    confined = not presumed(maps_host_root, container)
    first = (whole or found)[0]
    what = "a whole cgroup hierarchy of the host's" if whole else f"the cgroup {first.root}"
    return fail(
        f"{what} is writable at {first.target}"
        + (", as far as it was delegated to a user of its own user namespace" if confined else ""),
        mount_evidence(container, whole + [mount for mount in found if mount not in whole], "ro"),
        severity=Severity.LOW if confined else Severity.HIGH,
    )


def _read_only(container: Container) -> Outcome:
    way = remounting(container)
    found = (
        [mount for mount in reachable(require(container.mounts)) if mount.fstype in ("cgroup", "cgroup2")]
        if way
        else []
    )
    if way is None or not found:
        return passed("it has no writable cgroup filesystem")
    return fail(
        f"the cgroup {found[0].root} is read-only at {found[0].target}, but it can remount it writable",
        [*mount_evidence(container, found, "read-only, and no way to remount it"), *way.evidence],
        basis=way.basis,
    )
