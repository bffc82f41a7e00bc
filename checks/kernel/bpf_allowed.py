"""Processes inside can load BPF programs into the kernel.

## What it detects
The seccomp filter of a process lets bpf(2) load programs, and the process can get CAP_SYS_ADMIN or CAP_BPF over
the host, or `kernel.unprivileged_bpf_disabled` is 0. CAP_BPF without CAP_PERFMON, and no capability at all,
leave socket filters and maps: a lesser gap.

If probes ran, a test container with the same walls tried it (`bpf-load`, a program of two instructions that
is attached to nothing).

## Why it matters
With CAP_SYS_ADMIN, or with CAP_BPF and CAP_PERFMON, BPF programs read the memory of the kernel and of every
process on the host, and change the arguments and results of their system calls. Without them the verifier, a
large piece of code whose flaws gave root again and again, is open to attack, and to reading memory by
speculation.

## Remediation
Drop the capabilities, and keep the engine's default seccomp profile.

- docker, podman: leave out `--privileged`, `--cap-add SYS_ADMIN` and `--cap-add BPF`
- compose: remove them from `cap_add`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`, `seccompProfile.type: RuntimeDefault`
- systemd: `SystemCallFilter=~bpf`
- host: `sysctl kernel.unprivileged_bpf_disabled=2`

## When it is fine
Network plugins and monitoring agents that are built on BPF. They see everything on the host: treat them so.

## References
- bpf(2), capabilities(7) "CAP_BPF", "CAP_PERFMON"
- Documentation/admin-guide/sysctl/kernel.rst, unprivileged_bpf_disabled
- CVE-2020-8835, CVE-2021-3490, CVE-2021-31440, CVE-2022-23222
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Outcome,
    Severity,
    check,
    fail,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.processes import lowered, named, sets_with
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit, mask

_SETTING = "kernel.unprivileged_bpf_disabled"
_SETTING_SINCE = (4, 4)  # as has the right of everybody to load programs
_LOAD = ways(Call("bpf", ((0, 5),)))  # BPF_PROG_LOAD
_TRIED = Attempt(("bpf-load",), (Call("bpf", ((0, 5),)),), mask("CAP_SYS_ADMIN", "CAP_BPF"))


@check(severity="high")
def bpf_allowed(host: Host, container: Container) -> Outcome:
    if host.sysctl_absent(_SETTING) and require(host.kernel).series >= _SETTING_SINCE:
        return not_applicable("this kernel is built without bpf(2)")
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="it can load BPF programs",
        wall="it cannot load BPF programs",
    )


def _by_state(host: Host, container: Container) -> Outcome:
    setting = host.sysctl(_SETTING)
    absent = host.sysctl_absent(_SETTING)
    grant = granted(container, mask("CAP_SYS_ADMIN", "CAP_BPF"), _LOAD)
    if isinstance(grant, Grant):
        return _by_capability(container, grant)
    if absent:
        return passed(f"this kernel lets CAP_SYS_ADMIN only: {grant.message}", grant.evidence)
    if require(setting) != "0":
        return passed(
            f"bpf takes a capability: {grant.message}",
            [Evidence(setting.source, require(setting), "1 or 2"), *grant.evidence],
            basis=grant.basis,
        )
    answers = letting(container, container.tasks, _LOAD).decided()
    if not answers.processes:
        return passed("its seccomp filter refuses bpf", answers.evidence, basis=answers.basis)
    return fail(
        f"without any capability it can load BPF programs: {named(answers.processes)}",
        [Evidence(setting.source, "0", "1 or 2"), *answers.evidence],
        severity="medium",
        basis=answers.basis,
    )


def _by_capability(container: Container, some: Grant) -> Outcome:
    every = granted(container, bit("CAP_SYS_ADMIN"), _LOAD)
    if isinstance(every, Grant):
        return _failed(every, "load any BPF program", Severity.HIGH)
    if any(sets_with(process, bit("CAP_PERFMON")) for process in some.holders.processes):
        return _failed(some, "load BPF programs that, with CAP_PERFMON, read all memory", Severity.HIGH)
    return _failed(some, "load BPF programs", Severity.MEDIUM)


def _failed(grant: Grant, does: str, severity: Severity) -> Outcome:
    return fail(
        f"{grant.capability} lets it {does}: {grant.who}",
        grant.evidence,
        severity=lowered(severity, grant.holders.reach),
        basis=grant.basis,
    )
