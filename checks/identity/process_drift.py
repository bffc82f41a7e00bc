"""A process inside is less confined than the container.

## What it detects
A process of the container has more than its first process: capabilities beyond all that the first one has or
can get, the host's user namespace where the first has another, no seccomp filter where the first has one or
fewer of them, or no no_new_privs where the first has it. Fewer rights than the first one's are no drift; nor
is a process in a user namespace that it made itself.

## Why it matters
The container's configuration says one thing, and a process in it does another: `docker exec --privileged`,
`nsenter` and debugging tools leave such processes behind. What they can do every other process of the same
user inside can make them do.

## Remediation
End the process, and start it within the container's own confinement.

- docker, podman: `exec` without `--privileged`; no `nsenter --target PID` without the container's limits
- Kubernetes: `kubectl debug` without `--profile=sysadmin`
- programs that confine themselves: before they start others, not after

## When it is fine
A debugging session that somebody is sitting at. A first process that adds a seccomp filter for itself after
it started others, which is `low` here.

## References
- capabilities(7), seccomp(2), PR_SET_NO_NEW_PRIVS(2const)
- CIS Docker Benchmark 1.6.0, 5.23
"""

from typing import NamedTuple

from isoaudit import Container, Evidence, Known, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.confinement import over_host
from isoaudit.facts.container import Process
from isoaudit.facts.processes import line_evidence, listed, set_evidence
from isoaudit.facts.status import SECCOMP_DISABLED, Status
from isoaudit.facts.units import count
from isoaudit.kernel.capability import names
from isoaudit.model import FactMissing

_SHOWN = 4
_SHOWN_CAPABILITIES = 6


class _Drift(NamedTuple):
    process: Process
    text: str
    evidence: Evidence
    severity: Severity


@check(severity="high")
def process_drift(container: Container) -> Outcome:
    first, *others = container.processes
    leader = require(first.status)
    drifts: list[_Drift] = []
    missing: FactMissing | None = None
    for process in others:
        try:
            drift = _drift(container, leader, process)
        except FactMissing as error:
            missing = missing or error
        else:
            if drift:
                drifts.append(drift)
    if drifts:
        drifts.sort(key=lambda drift: drift.severity is not Severity.HIGH)
        shown = [f"{d.process.pid} ({require(d.process.status).name}) {d.text}" for d in drifts[:_SHOWN]]
        return fail(
            f"processes are less confined than its first one: {listed(shown, len(drifts))}",
            [drifts[0].evidence],
            severity=drifts[0].severity,
        )
    if missing:
        raise missing
    if not others:
        return passed("it has one process")
    return passed(f"all its {count(len(others) + 1, 'process')} are confined as the first one, or more")


def _drift(container: Container, leader: Status, process: Process) -> _Drift | None:
    """The gravest thing in which a process has more than the first one."""
    status = require(process.status)

    def grave(text: str, evidence: Evidence) -> _Drift:
        return _Drift(process, text, evidence, Severity.HIGH)

    if (
        isinstance(leader.seccomp, Known)
        and leader.seccomp.value
        and require(status.seccomp) == SECCOMP_DISABLED
    ):
        expected = f"Seccomp:\t{leader.seccomp.value}, as the first process"
        return grave("has no seccomp filter", line_evidence(process, "Seccomp:\t0", expected))
    excess = status.capabilities & ~(leader.capabilities | leader.cap_inheritable)
    if excess and _counts(container, process):
        evidence = set_evidence(process, excess, f"within the first process's {leader.capabilities:016x}")
        shown = names(excess)
        return grave(f"has {listed(shown[:_SHOWN_CAPABILITIES], len(shown))}", evidence)
    if (
        isinstance(leader.no_new_privs, Known)
        and leader.no_new_privs.value
        and not require(status.no_new_privs)
    ):
        evidence = line_evidence(process, "NoNewPrivs:\t0", "NoNewPrivs:\t1, as the first process")
        return grave("lacks no_new_privs", evidence)
    ours, theirs = leader.seccomp_filters, status.seccomp_filters
    if isinstance(ours, Known) and isinstance(theirs, Known) and theirs.value < ours.value:
        text = f"has {count(theirs.value, 'seccomp filter')} of {ours.value}"
        expected = f"Seccomp_filters:\t{ours.value}, as the first process"
        return _Drift(
            process, text, line_evidence(process, f"Seccomp_filters:\t{theirs.value}", expected), Severity.LOW
        )
    return None


def _counts(container: Container, process: Process) -> bool:
    """Whether capabilities of a process compare with the first one's: over the host, or over one namespace."""
    ours, theirs = container.namespaces.user, process.user_namespace
    if isinstance(ours, Known) and isinstance(theirs, Known) and ours.value == theirs.value:
        return True
    return over_host(container, process)
