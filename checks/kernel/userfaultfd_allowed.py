"""Processes inside can stop the kernel by userfaultfd.

## What it detects
The seccomp filter of a process lets userfaultfd(2) through for faults of the kernel's own, and
`vm.unprivileged_userfaultfd` is 1, or the process can get CAP_SYS_PTRACE over the host. Kernels from 4.3 to 5.1
have no such setting and let everybody. Faults of the process's own alone, which newer kernels let anybody
handle, harm nobody.

If probes ran, a test container with the same walls tried it (`userfaultfd`, a descriptor that is closed at
once).

## Why it matters
Whoever handles the page faults of a system call decides how long it sleeps in the middle of a copy. That turns
races in the kernel that nobody would win into certain ones, and has been a part of many exploits.

## Remediation
Forbid userfaultfd to the container, or on the host.

- docker, podman: keep the default seccomp profile, which forbids it; leave out `--cap-add SYS_PTRACE`
- compose: remove `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`
- systemd: `SystemCallFilter=~userfaultfd`
- host: `sysctl vm.unprivileged_userfaultfd=0`

## When it is fine
Virtual machine monitors and programs with live migration or garbage collectors that are built on it.

## References
- userfaultfd(2)
- Documentation/admin-guide/sysctl/vm.rst, unprivileged_userfaultfd
- CVE-2016-6187, CVE-2021-22555, CVE-2022-2588: exploits that used it
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.grants import granted
from isoaudit.facts.processes import lowered, named
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit

_SETTING = "vm.unprivileged_userfaultfd"
_WITH_KERNEL_FAULTS = ways(Call("userfaultfd", ((0, 0),)))
_TRIED = Attempt(("userfaultfd",), (Call("userfaultfd", ((0, 0),)),), bit("CAP_SYS_PTRACE"))


@check(severity="low")
def userfaultfd_allowed(host: Host, container: Container) -> Outcome:
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="it can stop the kernel by userfaultfd",
        wall="it cannot stop the kernel by userfaultfd",
    )


def _by_state(host: Host, container: Container) -> Outcome:
    setting = host.sysctl(_SETTING)
    absent = host.sysctl_absent(_SETTING)
    if absent:
        # As for io_uring: what the absence means depends on the kernel's age.
        kernel = require(host.kernel)
        if not (4, 3) <= kernel.series < (5, 2):
            return not_applicable(f"{kernel} has no userfaultfd: older, or built without")
        evidence = Evidence(setting.source, f"not there on {kernel}", "0")
    else:
        evidence = Evidence(setting.source, require(setting), "0")
    if not absent and require(setting) == "0":
        grant = granted(container, bit("CAP_SYS_PTRACE"), _WITH_KERNEL_FAULTS)
        if isinstance(grant, Outcome):
            return passed(f"userfaultfd takes CAP_SYS_PTRACE: {grant.message}", [evidence, *grant.evidence])
        return fail(
            f"{grant.capability} lets it stop the kernel by userfaultfd: {grant.who}",
            grant.evidence,
            severity=lowered("low", grant.holders.reach),
            basis=grant.basis,
        )
    answers = letting(container, container.tasks, _WITH_KERNEL_FAULTS).decided()
    if not answers.processes:
        return passed("its seccomp filter refuses userfaultfd", answers.evidence, basis=answers.basis)
    return fail(
        f"it can stop the kernel by userfaultfd: {named(answers.processes)}",
        [evidence, *answers.evidence],
        basis=Basis.INFERRED if absent else answers.basis,
    )
