"""A directory of the host's is mounted writable.

## What it detects
A mount inside shows a file or directory that the host has in its own tree, and writes go through, or do once it
is remounted, which CAP_SYS_ADMIN over the host and the seccomp filter may allow. Named
volumes, engines' own files and the directories of mount-host-root and mount-host-sensitive are left out.

## Why it matters
What the container writes there, the host and other containers may read and run: scripts, configuration,
set-user-ID files, links that lead somewhere else. It can also fill the host's disk.

## Remediation
Mount it read-only, or use a volume.

- docker, podman: `-v /srv/data:/data:ro`, or `-v data:/data`
- compose: `read_only: true` at the volume
- Kubernetes: `readOnly: true` at the mount; a volume claim in place of `hostPath`
- systemd: `BindReadOnlyPaths=`

## When it is fine
Data that only this container uses, on a mount with nosuid and nodev.

## References
- CIS Docker Benchmark 1.6.0, 5.6; CIS Docker Benchmark 1.6.0, 5.13
"""

from __future__ import annotations

from isoaudit import Container, Host, Outcome, Severity, check, fail, passed
from isoaudit.facts.hostpaths import for_user, is_judged_elsewhere, mount_evidence, sensitive, view


@check(severity="medium")
def host_writable(host: Host, container: Container) -> Outcome:
    judged = {one.part.mount.id for one in sensitive(host, container)}
    found = [
        part
        for part in view(host, container).parts
        if not part.read_only and part.mount.id not in judged and not is_judged_elsewhere(part, host, container)
    ]
    if not found:
        return passed("it has no other directory of the host's mounted writable")
    first = min(found, key=lambda part: part.mount.read_only)
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return fail(
        f"it can write the host's {first.path} at {first.mount.target}"
        f"{', once it has remounted it' if first.mount.read_only else ''}{more}",
        mount_evidence(container, [part.mount for part in found], "ro"),
        severity=for_user(Severity.MEDIUM, container),
    )
