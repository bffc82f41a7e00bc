"""An engine's socket can be reached.

## What it detects
A mount inside shows the socket on which a container engine or CRI runtime of the host listens (docker,
containerd, CRI-O, podman, LXD, …): the filesystem and the path within it are the same, whatever the path is
called inside, and nothing is mounted over it. A read-only mount does not stop anybody from connecting.

## Why it matters
Who can talk to an engine can have it start a container with the host's root mounted and every capability: it is
the host's root, and all other containers, in one request.

## Remediation
Do not mount the socket, nor a directory it lies in such as /run.

- docker, podman, compose: remove `-v /var/run/docker.sock:…`, `-v /run:…`
- Kubernetes: no `hostPath` volume of /run or the socket
- where a tool needs the API: a proxy that lets only reading requests through, or an engine of its own
  (rootless, or inside a virtual machine)

## When it is fine
Tools that manage the host's containers and are as trusted as the host's root.

## References
- CIS Docker Benchmark 1.6.0, 5.32 (5.31 in older ones); MITRE ATT&CK T1610, T1611
- OWASP Docker Security Cheat Sheet, rule 1
"""

from __future__ import annotations

from isoaudit import Container, Evidence, Host, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.hostpaths import for_user, view


@check(severity="critical")
def runtime_socket(host: Host, container: Container) -> Outcome:
    found = view(host, container).sockets(require(host.engine_sockets))
    if not found:
        return passed("no engine's socket can be reached through its mounts")
    _, socket, path = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return fail(
        f"it reaches the socket of {socket.engine}, the host's {socket.path}, at {path}{more}",
        [
            Evidence(container.mounts.source, mount.line, f"no mount that shows {s.path}")
            for mount, s, _ in found
        ],
        severity=for_user(Severity.CRITICAL, container),
    )
