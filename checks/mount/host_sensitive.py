"""A sensitive directory of the host's is mounted.

## What it detects
A mount inside shows one of the directories in which the host keeps what gives power over it or over others, or
a directory that contains one: /etc, /root, /home, /boot, /usr and other programs, /run, /dev, /proc, /sys,
/var/log, cron's tables, engines' and the kubelet's state, folders of keys such as ~/.ssh. It goes by
filesystem and path within it. Files that engines make for each container, named volumes, and world-readable
files such as /etc/localtime (read-only) are left out; the host's root, engine sockets and single device nodes
have checks of their own. A read-only mount counts as writable where CAP_SYS_ADMIN over the host and the seccomp
filter let it be remounted.

## Why it matters
Writing there is a way to run code as root on the host. Reading gives password hashes, keys and tokens, or the
files of other containers; sockets and devices can be used through a read-only mount as well.

## Remediation
Mount a directory made for the container, or a volume, in its place.

- docker, podman: remove the `-v`; a single file with `:ro` where the workload needs just that
- compose: remove it from `volumes`, use a named volume
- Kubernetes: no `hostPath` volumes (Pod Security Standards, Baseline); ConfigMaps, Secrets, CSI volumes
- bubblewrap, systemd: leave out the `--bind`, `BindPaths=`

## When it is fine
Agents that manage or watch the host: mount read-only what they watch, and nothing above it.

## References
- CIS Docker Benchmark 1.6.0, 5.6; Kubernetes Pod Security Standards, "HostPath Volumes"
- NIST SP 800-190, 4.4.3
"""

from __future__ import annotations

from isoaudit import Container, Host, Outcome, check, fail, passed
from isoaudit.facts.hostpaths import mount_evidence, sensitive


@check(severity="high")
def host_sensitive(host: Host, container: Container) -> Outcome:
    found = sensitive(host, container)
    if not found:
        return passed("it has none of the host's sensitive directories mounted")
    worst = found[0]
    mount = worst.part.mount
    mounts = {one.part.mount.id: one.part.mount for one in found}
    more = f", and {len(mounts) - 1} more are mounted" if len(mounts) > 1 else ""
    return fail(
        f"the host's {worst.part.path} ({worst.tree.holds}) is mounted at {mount.target}, "
        f"{worst.part.access}{more}",
        mount_evidence(container, mounts.values(), "no such mount"),
        severity=worst.severity,
    )
