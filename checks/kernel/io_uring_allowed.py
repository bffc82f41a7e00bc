"""Processes inside can use io_uring.

## What it detects
The seccomp filter of a process lets io_uring_setup(2) through, and `kernel.io_uring_disabled` is 0; where it is
1, a process that can get CAP_SYS_ADMIN over the host or is in `kernel.io_uring_group` is needed, and 2 forbids
it to everybody. Kernels from 5.1 to 6.5 have no such setting.

If probes ran, a test container with the same walls tried it (`io-uring-setup`, a ring of one entry that is
closed at once).

## Why it matters
io_uring is a second way to nearly all that system calls do, and the filter does not see what goes through it.
Its code has had more flaws that gave root than any other of its size.

## Remediation
Forbid io_uring in the container's seccomp profile, or on the host.

- docker 25.0 and newer forbid it in their default profile; leave out `--security-opt seccomp=unconfined`
- compose: remove `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`
- systemd: `SystemCallFilter=~@io-event`, or `~io_uring_setup`
- host: `sysctl kernel.io_uring_disabled=2`, or 1 and `kernel.io_uring_group` for those that need it

## When it is fine
Databases and proxies that are built on it.

## References
- io_uring(7), io_uring_setup(2)
- Documentation/admin-guide/sysctl/kernel.rst, io_uring_disabled, io_uring_group
- Google Security Blog, "Learnings from kCTF VRP's 42 Linux kernel exploits submissions", 2023
- CVE-2022-29582, CVE-2023-2598, CVE-2024-0582
"""

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.confinement import matching
from isoaudit.facts.grants import granted
from isoaudit.facts.processes import lowered, named
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit

_SETUP = ways("io_uring_setup")
_TRIED = Attempt(("io-uring-setup",), (Call("io_uring_setup"),), bit("CAP_SYS_ADMIN"))
_SETTING, _GROUP = "kernel.io_uring_disabled", "kernel.io_uring_group"


@check(severity="medium")
def io_uring_allowed(host: Host, container: Container) -> Outcome:
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="it can use io_uring",
        wall="it cannot use io_uring",
    )


def _by_state(host: Host, container: Container) -> Outcome:
    setting = host.sysctl(_SETTING)
    if host.sysctl_absent(_SETTING):
        # Absence alone does not tell a kernel without io_uring from one without the setting: its age does.
        kernel = require(host.kernel)
        if not (5, 1) <= kernel.series < (6, 6):
            return not_applicable(f"{kernel} has no io_uring: older, or built without")
        return _by_filter(
            container, Evidence(setting.source, f"not there on {kernel}", "1 or 2"), inferred=True
        )
    level = require(setting)
    evidence = Evidence(setting.source, level, "1 or 2")
    if level == "2":
        return passed("nobody may use io_uring", [evidence])
    if level == "0":
        return _by_filter(container, evidence, inferred=False)
    return _by_privilege(host, container, evidence)


def _by_filter(container: Container, setting: Evidence, *, inferred: bool) -> Outcome:
    answers = letting(container, container.tasks, _SETUP).decided()
    basis = Basis.INFERRED if inferred else answers.basis
    if answers.processes:
        return fail(
            f"io_uring is open to it: {named(answers.processes)}", [setting, *answers.evidence], basis=basis
        )
    return passed("its seccomp filter refuses io_uring_setup", answers.evidence, basis=answers.basis)


def _by_privilege(host: Host, container: Container, setting: Evidence) -> Outcome:
    grant = granted(container, bit("CAP_SYS_ADMIN"), _SETUP)
    if not isinstance(grant, Outcome):
        return fail(
            f"{grant.capability} lets it use io_uring: {grant.who}",
            [setting, *grant.evidence],
            severity=lowered("medium", grant.holders.reach),
            basis=grant.basis,
        )
    group = host.sysctl(_GROUP)
    if require(group) == "-1":
        return passed(f"only CAP_SYS_ADMIN may use io_uring: {grant.message}", [setting, *grant.evidence])
    number = int(require(group))
    members = matching(container, lambda status: number in status.gids)
    answers = letting(container, members or container.tasks, _SETUP).decided()
    if not answers.processes:
        return passed("its seccomp filter refuses io_uring_setup", answers.evidence, basis=answers.basis)
    if members:
        return fail(
            f"group {number}, which may use io_uring, is that of {named(answers.processes)}",
            [setting, Evidence(group.source, str(number), "-1"), *answers.evidence],
            basis=answers.basis,
        )
    return unknown(f"group {number} may use io_uring, and supplementary groups are not read", group.source)
