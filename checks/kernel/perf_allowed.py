"""Processes inside can use performance events.

## What it detects
The seccomp filter of a process lets perf_event_open(2) through, and the process can get CAP_SYS_ADMIN or
CAP_PERFMON over the host, or `kernel.perf_event_paranoid` lets everybody use some events: all of them on whole
CPUs up to 0, of processes' kernel side up to 1, of one's own user side only from 2 on. Debian's and Ubuntu's
kernels refuse everything to whoever has no CAP_SYS_ADMIN from 3 on, CAP_PERFMON too; others take 3 for 2.

If probes ran, a test container with the same walls tried it (`perf-watch`, `perf-open` and `perf-own`, a
dummy event that is never enabled).

## Why it matters
Events of whole CPUs tell what every other container and the host run, down to branches and addresses, from
which keys have been recovered. The code behind the call is large and has had flaws that gave root.

## Remediation
Drop the capability, keep the engine's default seccomp profile, and restrict the events of everybody.

- docker, podman: leave out `--privileged`, `--cap-add PERFMON`, `--cap-add SYS_ADMIN` and
  `--security-opt seccomp=unconfined`
- compose: remove them from `cap_add`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`, `seccompProfile.type: RuntimeDefault`
- systemd: `SystemCallFilter=~perf_event_open`
- host: `sysctl kernel.perf_event_paranoid=2`, or 3 where the kernel knows it

## When it is fine
Profilers, while somebody profiles.

## References
- perf_event_open(2), capabilities(7) "CAP_PERFMON"
- Documentation/admin-guide/perf-security.rst
- CVE-2013-2094, CVE-2022-1729, CVE-2023-2235
"""

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Severity,
    check,
    fail,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.grants import granted
from isoaudit.facts.processes import lowered, named
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit, mask

_SETTING = "kernel.perf_event_paranoid"
_OPEN = ways("perf_event_open")
_TRIED = Attempt(
    ("perf-watch", "perf-open", "perf-own"), (Call("perf_event_open"),), mask("CAP_SYS_ADMIN", "CAP_PERFMON")
)
_VENDORS = ("debian", "ubuntu")


@check(severity="medium")
def perf_allowed(host: Host, container: Container) -> Outcome:
    if host.sysctl_absent(_SETTING):
        return not_applicable("this kernel is built without performance events")
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="it can watch events",
        wall="it cannot watch events, not even its own",
        severity="low",
    )


def _by_state(host: Host, container: Container) -> Outcome:
    setting = host.sysctl(_SETTING)
    level = int(require(setting))
    evidence = Evidence(setting.source, str(level), "2 or more")
    closed = level > 2 and _vendors(host)
    grant = granted(container, bit("CAP_SYS_ADMIN") if closed else mask("CAP_SYS_ADMIN", "CAP_PERFMON"), _OPEN)
    if not isinstance(grant, Outcome):
        return fail(
            f"{grant.capability} lets it watch every CPU's events: {grant.who}",
            grant.evidence,
            severity=lowered(Severity.MEDIUM, grant.holders.reach),
            basis=grant.basis,
        )
    if closed:
        return passed(
            f"performance events take CAP_SYS_ADMIN: {grant.message}",
            [evidence, *grant.evidence],
            basis=Basis.INFERRED,
        )
    answers = letting(container, container.tasks, _OPEN).decided()
    if not answers.processes:
        return passed("its seccomp filter refuses perf_event_open", answers.evidence, basis=answers.basis)
    what, severity = _everybody(level)
    return fail(
        f"without any capability it can watch the events of {what}: {named(answers.processes)}",
        [evidence, *answers.evidence],
        severity=severity,
        basis=answers.basis,
    )


def _vendors(host: Host) -> bool:
    """Whether it is a kernel of those that know a value above 2; the text says who built it."""
    build = host.kernel_build.value.lower() if isinstance(host.kernel_build, Known) else ""
    return any(vendor in build for vendor in _VENDORS)


def _everybody(level: int) -> tuple[str, Severity]:
    if level <= 0:
        return "whole CPUs", Severity.MEDIUM
    if level == 1:
        return "its processes, the kernel's side included", Severity.MEDIUM
    return "its own processes", Severity.LOW
