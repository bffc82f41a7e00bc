"""The host's procfs is mounted.

## What it detects
A procfs inside is the very one that the host has mounted, so that it shows the host's PID namespace. At /proc
in a container that is in this namespace anyway it is not counted: namespace-pid-shared judges that.

## Why it matters
It shows every process of the host with its command line, and for who may trace them their environment, memory
and root directory (`/proc/1/root`). It is another way to the kernel settings, past what the engine masked or
made read-only in the container's own /proc.

## Remediation
Leave the host's /proc out; metrics agents take their numbers from the host itself or over its API.

- docker, podman, compose: remove `-v /proc:/host/proc`
- Kubernetes: no `hostPath` volume of /proc; `procMount: Default`
- bubblewrap: `--proc /proc` with `--unshare-pid` in place of `--bind /proc /proc`

## When it is fine
Agents that watch the host's processes. Mount it read-only, and run them without capabilities.

## References
- proc(5); pid_namespaces(7), "/proc and PID namespaces"
- CIS Docker Benchmark 1.6.0, 5.6
"""

from __future__ import annotations

from isoaudit import Container, Host, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.hostpaths import for_user, host_mounts, mount_evidence, view
from isoaudit.facts.namespaces import same


@check(severity="high")
def procfs_host(host: Host, container: Container) -> Outcome:
    ours = host_mounts(host).procfs
    found = [mount for mount in require(container.mounts) if mount.fstype == "proc" and mount.device in ours]
    if found and same(host.namespaces.pid, container.namespaces.pid):
        found = [mount for mount in found if mount.target != "/proc" and not mount.target.startswith("/proc/")]
    if found:
        seen = view(host, container).mounts
        found = [mount for mount in found if mount in seen]
    if not found:
        return passed("each procfs inside is its own")
    return fail(
        f"the host's procfs is mounted at {found[0].target}",
        mount_evidence(container, found, "a procfs of its own"),
        severity=for_user(Severity.HIGH, container),
    )
