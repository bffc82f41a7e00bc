"""The host's root filesystem is mounted.

## What it detects
A mount inside shows the root directory of the host: the same filesystem, and the same directory in it or one
further up, whatever the mount is called, or an overlay that an engine made over it. That includes containers
whose own `/` is the host's, as sandboxes make them with `bwrap --ro-bind / /` or `unshare --mount`. A read-only
mount counts as writable where it can be remounted: a process has CAP_SYS_ADMIN over the host and a seccomp
filter that lets mount(2) through, and no LSM's profile confines it.

## Why it matters
Writable, it is the host: a key in /root/.ssh, a line in /etc/crontab, a changed program. Read-only, it still
gives every file that the container's user may read, password hashes and private keys for root among them, and
sockets in it can be connected to.

## Remediation
Mount only the directories that the workload needs, read-only where it only reads.

- docker, podman: remove `-v /:/…` and `--mount type=bind,source=/`; podman: no `--rootfs /`
- compose: remove `/` from `volumes`
- Kubernetes: no `hostPath` volume with `path: /` (Pod Security Standards, Baseline)
- bubblewrap: bind /usr and what else is needed onto an empty root; firejail: `--private`

## When it is fine
Sandboxes that shall only confine writing, run by a user who is not root. Node agents that are as trusted as
the host's root.

## References
- mount(8), "Bind mount operation"; proc_pid_mountinfo(5)
- CIS Docker Benchmark 1.6.0, 5.6; MITRE ATT&CK T1611
"""

from __future__ import annotations

from isoaudit import Basis, Container, Evidence, Host, Outcome, Severity, check, fail, passed
from isoaudit.facts.hostpaths import for_user, mount_evidence, view
from isoaudit.facts.opening import remounting


@check(severity="critical")
def host_root(host: Host, container: Container) -> Outcome:
    seen = view(host, container)
    found = (*seen.root_parts, *seen.root_layers)
    if not found:
        return passed(
            "the host's root is mounted nowhere in it", [Evidence(container.mounts.source, "no such mount")]
        )
    writable = [mount for mount in seen.root_parts if not mount.read_only]
    way = remounting(container) if seen.root_parts and not writable else None
    first = (writable or found)[0]
    how = "writable" if writable else "read-only, but it can remount it writable" if way else "read-only"
    evidence = mount_evidence(container, writable or found, "no mount of the host's root")
    return fail(
        f"the host's root is mounted at {first.target}, {how}",
        [*evidence, *(way.evidence if way else ())],
        severity=for_user(Severity.CRITICAL if writable or way else Severity.HIGH, container),
        basis=way.basis if way else Basis.OBSERVED,
    )
