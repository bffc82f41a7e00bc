"""Container shares the host's user namespace.

## What it detects
The first process of the container is in the user namespace of the host's PID 1, or in one of its own whose
`/proc/PID/uid_map` maps the host's uid 0 into it. It is high where a process really runs as uid 0 with all
that Podman, the most careful engine, grants by default, or more.

## Why it matters
uid 0 inside is uid 0 outside. Whatever reaches an object of the host's, through a mount, a leaked descriptor
or a kernel bug, reaches it as root, and uid 0 without any capability still writes root's files: /proc/sys is
guarded by owner and mode alone. Most escapes of the last ten years ended at a user namespace.

## Remediation
Give the container a user namespace that maps its ids to unprivileged ones of the host.

- docker: `"userns-remap": "default"` in daemon.json, or rootless mode
- podman: `--userns=auto`, or rootless
- Kubernetes: `hostUsers: false` (needs no feature gate since 1.33)
- LXC: `lxc.idmap`; systemd-nspawn: `--private-users=pick`

## When it is fine
A process that runs as an unprivileged uid without capabilities loses little. Device plugins, storage drivers
and whatever must act on the host as root cannot do without.

## References
- user_namespaces(7)
- CIS Docker Benchmark 1.6.0, 5.31 and 2.9
- CVE-2019-5736, CVE-2022-0492, CVE-2024-21626: stopped by a user namespace
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import matching
from isoaudit.facts.namespaces import missing_type
from isoaudit.facts.processes import named, set_evidence
from isoaudit.facts.status import Status
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import FactMissing

# What every OCI engine grants: Podman leaves these three of Docker's fourteen out.
_GRANTED_BY_ALL = OCI_DEFAULT & ~mask("CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE")


@check(severity="medium")
def user_shared(host: Host, container: Container) -> Outcome:
    if missing_type(container.namespaces.user):
        evidence = [Evidence(container.namespaces.user.source, "no such file", "a user namespace of its own")]
        return _shared(container, "this kernel has no user namespaces", evidence)
    ours, theirs = require(host.namespaces.user), require(container.namespaces.user)
    evidence = [Evidence(container.namespaces.user.source, f"user:[{theirs}]", f"not the host's user:[{ours}]")]
    if ours == theirs:
        return _shared(container, "it is in the host's user namespace", evidence)
    for inside, outside, length in require(container.uid_map):
        if outside <= 0 < outside + length:
            row = Evidence(
                container.uid_map.source, f"{inside} {outside} {length}", "a range without the host's 0"
            )
            message = (
                f"it has a user namespace of its own, but uid {inside - outside} inside is the host's root"
            )
            return fail(message, [row])
    return passed("its user namespace is its own, and maps no uid to the host's root", evidence)


def _shared(container: Container, message: str, evidence: list[Evidence]) -> Outcome:
    try:
        roots = matching(container, _is_granted_root)
    except FactMissing:  # the gap is certain without them
        roots = ()
    if not roots:
        return fail(f"{message}: uid 0 inside is the host's root", evidence)
    evidence.append(set_evidence(roots[0], _GRANTED_BY_ALL, "no capabilities, or not as uid 0"))
    return fail(
        f"{message} and runs as the host's root with an engine's default capabilities or more: {named(roots)}",
        evidence,
        severity="high",
    )


def _is_granted_root(status: Status) -> bool:
    return status.uids[1] == 0 and status.cap_effective & _GRANTED_BY_ALL == _GRANTED_BY_ALL
