"""A container can set the clock.

## What it detects
A process has CAP_SYS_TIME effective or permitted in the initial user namespace. The probe `clock-set` decides
where it ran: settimeofday(2) with two null pointers changes nothing, but is refused without the permission.
Where it did not, a seccomp filter may still forbid the calls; the engines' default profiles let them through
with the capability. A process that has it only in its bounding set gets it by executing a program as root, or
a set-user-ID one, as long as no_new_privs is unset: that is a lesser gap.

## Why it matters
There is one wall clock, and no namespace for it: set inside, it is set for the host and every container. That
revives expired certificates and tickets, invalidates valid ones, upsets databases and consensus protocols,
and falsifies logs.

## Remediation
Drop CAP_SYS_TIME.

- docker, podman: leave out `--cap-add SYS_TIME` and `--privileged`
- compose: remove `SYS_TIME` from `cap_add`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`
- systemd: `ProtectClock=yes`

## When it is fine
One container whose work is to keep the host's time (chronyd, ntpd). Give it no other capability.

## References
- capabilities(7) "CAP_SYS_TIME", settimeofday(2), clock_settime(2), adjtimex(2)
- time_namespaces(7): a time namespace does not cover CLOCK_REALTIME
"""

from isoaudit import Basis, Container, Evidence, Known, Outcome, check, fail, passed
from isoaudit.facts.container import Process
from isoaudit.facts.processes import Nearest, Reach, lowered, named, nearest, set_evidence
from isoaudit.facts.status import SECCOMP_DISABLED
from isoaudit.kernel.capability import bit

SYS_TIME = bit("CAP_SYS_TIME")


@check(severity="critical")
def clock_settable(container: Container) -> Outcome:
    probe = container.probe("clock-set")
    if not isinstance(probe, Known):
        return _by_capability(nearest(container, SYS_TIME))
    evidence = [Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM")]
    if probe.value.succeeded:
        return fail("it can set the clock of the host and of every container", evidence, basis=Basis.PROVEN)
    holders = nearest(container, SYS_TIME)
    if holders and holders.reach is Reach.HELD:
        # The twin is the first process's: what a less confined neighbour can do it cannot tell.
        freer = tuple(process for process in holders.processes if _freer(container, holders, process))
        if freer:
            return _by_capability(Nearest(Reach.HELD, freer))
    return passed(f"it cannot set the clock: {probe.value.answer}", evidence, basis=Basis.PROVEN)


def _by_capability(holders: Nearest | None) -> Outcome:
    if holders is None:
        return passed("no process of it has CAP_SYS_TIME")
    who = named(holders.processes)
    if holders.reach is Reach.CONFINED:
        return passed(f"its CAP_SYS_TIME is over a user namespace of its own, which has no clock: {who}")
    if holders.reach is Reach.KEPT:
        return passed(f"CAP_SYS_TIME is in the bounding set only, and no_new_privs keeps it there: {who}")
    evidence = [set_evidence(holders.processes[0], SYS_TIME, "without CAP_SYS_TIME (0000000002000000)")]
    if holders.reach is Reach.HELD:
        unread = "" if _unfiltered(holders) else "; its seccomp filter was not read"
        return fail(f"CAP_SYS_TIME lets it set the clock for the host and all: {who}{unread}", evidence)
    how = "any program" if holders.reach is Reach.EXECUTION else "a set-user-ID root program"
    return fail(
        f"executing {how} gives it CAP_SYS_TIME, which its bounding set allows: {who}",
        evidence,
        severity=lowered("critical", holders.reach),
    )


def _unfiltered(holders: Nearest) -> bool:
    return any(_seccomp(process) == SECCOMP_DISABLED for process in holders.processes)


def _seccomp(process: Process) -> int | None:
    if isinstance(process.status, Known) and isinstance(process.status.value.seccomp, Known):
        return process.status.value.seccomp.value
    return None


def _freer(container: Container, holders: Nearest, process: Process) -> bool:
    first = container.processes[0]
    if process == first:
        return False
    return first not in holders.processes or (
        _seccomp(process) == SECCOMP_DISABLED and _seccomp(first) != SECCOMP_DISABLED
    )
