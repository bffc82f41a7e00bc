"""More capabilities than an engine grants by default.

## What it detects
A process inside has a capability in the initial user namespace that is not among the fourteen which Docker
and containerd grant (of which Podman leaves three out). In the bounding or inheritable set only, where
executing a file gives it, it is a lesser gap; with no_new_privs set it is none.

## Why it matters
The defaults were chosen so that root inside is not root outside. Each capability beyond them was added by
somebody, and most give a way out: `capability-NAME` says what each is worth.

## Remediation
Add no capability that the workload is not known to need.

- docker, podman: `--cap-drop ALL` and `--cap-add` for the few that are needed
- compose: `cap_drop: [ALL]`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`
- LXC: `lxc.cap.keep`; systemd: `CapabilityBoundingSet=`

## When it is fine
Containers that manage a part of the host: its network, its time, its storage.

## References
- capabilities(7)
- OCI runtime-spec, config.md "Linux Process"; moby, oci/caps/defaults.go
- CIS Docker Benchmark 1.6.0, 5.4
"""

from isoaudit import Container, Known, Outcome, check, fail, passed
from isoaudit.facts.container import Process
from isoaudit.facts.processes import Reach, listed, lowered, named, nearest, set_evidence
from isoaudit.kernel.capability import OCI_DEFAULT, names

_BEYOND = ((1 << 64) - 1) & ~OCI_DEFAULT
_SHOWN = 6


@check(severity="medium")
def beyond_default(container: Container) -> Outcome:
    holders = nearest(container, _BEYOND)
    if holders is None:
        return passed("its processes have no more than the default capabilities")
    who = named(holders.processes)
    if holders.reach is Reach.CONFINED:
        return passed(f"what it has beyond the default is over a user namespace of its own: {who}")
    if holders.reach is Reach.KEPT:
        return passed(f"what its bounding set has beyond the default, no_new_privs keeps there: {who}")
    excess = 0
    for process in holders.processes:
        excess |= _excess(process, holders.reach)
    shown = names(excess)
    verb = "have" if holders.reach is Reach.HELD else "get by executing a file"
    return fail(
        f"processes {verb} {listed(shown[:_SHOWN], len(shown))} beyond the default: {who}",
        [set_evidence(holders.processes[0], excess, f"within the default {OCI_DEFAULT:016x}")],
        severity=lowered("medium", holders.reach),
    )


def _excess(process: Process, reach: Reach) -> int:
    if not isinstance(process.status, Known):
        return 0
    status = process.status.value
    if reach is Reach.HELD:
        return (status.cap_effective | status.cap_permitted) & _BEYOND
    return (status.cap_bounding | status.cap_inheritable) & _BEYOND
