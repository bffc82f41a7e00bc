"""Container shares the host's UTS namespace.

## What it detects
The first process of the container is in the UTS namespace of the host's PID 1: the inode of
`/proc/PID/ns/uts` is the same. Whether it can also set the name is told by the probe `hostname-set`, a
sethostname(2) with an impossible length that is refused only after the permission was checked; without the
probe by CAP_SYS_ADMIN in the initial user namespace and a seccomp filter that lets sethostname(2) or
setdomainname(2) through, which a filter that could not be read counts as.

## Why it matters
It learns the host's name. With CAP_SYS_ADMIN it changes the host's and NIS domain name for everyone: logs,
certificates, cluster membership and licences follow it.

## Remediation
Start the container without the host's UTS namespace.

- docker, podman: leave out `--uts=host`
- compose: remove `uts: host`
- Kubernetes: `hostNetwork: false` (it brings the host's UTS namespace with it)
- systemd: `ProtectHostname=yes`; bubblewrap: `--unshare-uts`

## When it is fine
Agents that report under the host's name and have no CAP_SYS_ADMIN.

## References
- uts_namespaces(7), sethostname(2)
- CIS Docker Benchmark 1.6.0, 5.21
"""

from isoaudit import Basis, Container, Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.calls import ways
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.processes import Reach
from isoaudit.kernel.capability import bit
from isoaudit.model import FactMissing

_NAMES = ways("sethostname", "setdomainname")


@check(severity="low")
def uts_shared(host: Host, container: Container) -> Outcome:
    ours, theirs = require(host.namespaces.uts), require(container.namespaces.uts)
    evidence = [Evidence(container.namespaces.uts.source, f"uts:[{theirs}]", f"not the host's uts:[{ours}]")]
    if ours != theirs:
        return passed("its UTS namespace is its own", evidence)
    probe = container.probe("hostname-set")
    if isinstance(probe, Known):
        evidence.append(Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM"))
        if probe.value.succeeded:
            message = "it is in the host's UTS namespace and can set the host's name"
            return fail(message, evidence, severity="high", basis=Basis.PROVEN)
        message = "it is in the host's UTS namespace and sees the host's name, but cannot set it"
        return fail(message, evidence, basis=Basis.PROVEN)
    try:
        grant = granted(container, bit("CAP_SYS_ADMIN"), _NAMES, presume=True)
    except FactMissing:  # the gap is certain without it
        return fail("it is in the host's UTS namespace; whether it can set the name is not known", evidence)
    if not isinstance(grant, Grant) or grant.holders.reach is not Reach.HELD:
        return fail("it is in the host's UTS namespace and sees the host's name", evidence)
    return fail(
        f"it is in the host's UTS namespace and CAP_SYS_ADMIN lets it set the name: {grant.who}",
        [*evidence, *grant.evidence],
        severity="high",
        basis=grant.basis,
    )
