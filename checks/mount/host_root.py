"""The host's root filesystem is mounted.

## What it detects
A mount inside shows the root directory of the host: the same filesystem, and the same directory in it or one
further up, whatever the mount is called. That includes containers whose own `/` is the host's, as sandboxes
make them with `bwrap --ro-bind / /` or `unshare --mount`.

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
Sandboxes that shall only confine writing, run by a user who is not root. Node agents that are as trusted as the
host's root.

## References
- mount(8), "Bind mount operation"; proc_pid_mountinfo(5)
- CIS Docker Benchmark 1.6.0, 5.6; MITRE ATT&CK T1611
"""

from __future__ import annotations

from isoaudit import Container, Evidence, Host, Outcome, Severity, check, fail, passed
from isoaudit.facts.hostpaths import for_user, mount_evidence, view


@check(severity="critical")
def host_root(host: Host, container: Container) -> Outcome:
    found = view(host, container).root_parts
    if not found:
        return passed(
            "the host's root is mounted nowhere in it", [Evidence(container.mounts.source, "no such mount")]
        )
    writable = [mount for mount in found if not mount.read_only]
    first = (writable or found)[0]
    return fail(
        f"the host's root is mounted at {first.target}, {'writable' if writable else 'read-only'}",
        mount_evidence(container, writable or found, "no mount of the host's root"),
        severity=for_user(Severity.CRITICAL if writable else Severity.HIGH, container),
    )
