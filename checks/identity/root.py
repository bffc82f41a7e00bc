"""Processes run as the host's root.

## What it detects
A process inside has uid 0 of the host as its real, effective, saved or filesystem user id
(`/proc/PID/status`, "Uid", as the host reads it, however many user namespaces lie between). Root of a user
namespace that maps it to another id is not. A thread with other ids than its process is judged for itself.

## Why it matters
uid 0 owns what matters on the host. Whatever of it gets inside, by a mount, a leaked descriptor or a kernel
bug, is open to the process, with or without capabilities: /proc/sys, for one, is guarded by owner and mode
alone.

## Remediation
Run the processes as an unprivileged user, or map root in a user namespace.

- docker, podman: `--user 10001:10001`, or `USER` in the image; `--userns=auto` (podman), userns-remap
  (docker)
- compose: `user: "10001:10001"`
- Kubernetes: `securityContext.runAsNonRoot: true`, `runAsUser: 10001`; `hostUsers: false`
- systemd: `User=` or `DynamicUser=yes`

## When it is fine
A start-up process that drops its privileges before it touches anything foreign; system containers with
capabilities cut down to what they need.

## References
- user_namespaces(7), credentials(7)
- CIS Docker Benchmark 1.6.0, 4.1
- NIST SP 800-190, 4.4.3
"""

from isoaudit import Container, Known, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import host_root_processes, matching
from isoaudit.facts.idmap import outside_of
from isoaudit.facts.processes import line_evidence, named


@check(severity="medium")
def root(container: Container) -> Outcome:
    roots = host_root_processes(container)
    if roots:
        uids = "\t".join(map(str, require(roots[0].status).uids))
        evidence = [line_evidence(roots[0], f"Uid:\t{uids}", "no 0")]
        return fail(f"processes run as the host's root: {named(roots)}", evidence)
    # All were read: an unreadable one would have ended the check above.
    group = matching(container, lambda status: 0 in status.gids)
    beside = f"; of the host's group 0 are {named(group)}" if group else ""
    mapped = outside_of(container.uid_map.value, 0) if isinstance(container.uid_map, Known) else None
    if mapped and (inside := matching(container, lambda status: mapped in status.uids)):
        return passed(f"its root is the host's unprivileged uid {mapped}: {named(inside)}{beside}")
    return passed(f"none of its processes runs as root{beside}")
