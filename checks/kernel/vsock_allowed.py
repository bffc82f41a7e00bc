"""Processes inside can open vsock sockets.

## What it detects
The seccomp filter of a process lets socket(2) through for the family AF_VSOCK (40), and the kernel has that
family or would load it. The 32-bit entry counts: there socketcall(2) takes the family from memory, where no
filter sees it, so that profiles which forbid the family to socket(2) alone do not close it.

If probes ran, a test container with the same walls tried it (`vsock-socket`, where the family is there
already, as asking for it would load it).

## Why it matters
vsock connects a virtual machine with its hypervisor and its agents, past every network namespace and packet
filter: it is not divided by container. From inside, the services that the hypervisor or the host offers its
virtual machines are reached, and on a host with virtual machines their own. Asking for the family loads its
module.

## Remediation
Forbid the family and, for programs of 64 bits, the 32-bit entry in the seccomp profile.

- docker 20.10.22 and newer, containerd 1.7: their default profiles forbid the family to socket(2); docker's
  newest AppArmor profile and SELinux policy close the 32-bit entry too
- own profiles: no architecture beside `SCMP_ARCH_X86_64`, or `socketcall` forbidden
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`
- systemd: `RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX`, `SystemCallArchitectures=native`
- host: keep the module away (`install vsock /bin/false` in modprobe.d), or `ia32_emulation=0` at boot

## When it is fine
Agents that talk to the hypervisor, and virtual machine monitors in containers.

## References
- vsock(7), socketcall(2)
- github.com/moby/moby, pull requests 44562 (seccomp) and 53551 (AppArmor and SELinux)
- CVE-2021-26708, CVE-2024-50264, CVE-2025-21756
"""

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Reading,
    check,
    fail,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.calls import I386, Call, letting, ways
from isoaudit.facts.masks import behind_profile, unless
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Attempt, settled

_AF_VSOCK = 40
_SYS_SOCKET = 1  # socketcall(2)'s number of socket(2)
_WAYS = (*ways(Call("socket", ((0, _AF_VSOCK),))), (Call("socketcall", ((0, _SYS_SOCKET),), I386),))
_TRIED = Attempt(("vsock-socket",), (Call("socket", ((0, _AF_VSOCK),)),))
# Made by the family's module when it is loaded (net/vmw_vsock/af_vsock.c).
_DEVICE = "/sys/class/misc/vsock"


@check(severity="medium")
def vsock_allowed(host: Host, container: Container) -> Outcome:
    there = host.has(_DEVICE)
    loaded = isinstance(there, Known) and there.value
    if not loaded and isinstance(there, Known) and _no_more_modules(host):
        return not_applicable("this kernel has no vsock")
    return settled(
        container,
        _TRIED,
        lambda some: _by_filter(some, there),
        gap="it can open vsock sockets",
        wall="it cannot open vsock sockets",
    )


def _by_filter(container: Container, there: Reading[bool]) -> Outcome:
    loaded = isinstance(there, Known) and there.value
    answers = letting(container, container.tasks, _WAYS).decided()
    if not answers.processes:
        return passed("its seccomp filter refuses AF_VSOCK", answers.evidence, basis=answers.basis)
    require(there)
    by = f"{', '.join(answers.calls)}{unless(container)}: {named(answers.processes)}"
    if loaded:
        return fail(
            f"it can open vsock sockets by {by}",
            answers.evidence,
            severity=behind_profile("medium", container),
            basis=answers.basis,
        )
    return fail(
        f"it can open vsock sockets where the kernel has a module for them, which is then loaded, by {by}",
        [Evidence(there.source, "not loaded", "not loaded, and no more modules"), *answers.evidence],
        severity="low",
        basis=Basis.INFERRED,
    )


def _no_more_modules(host: Host) -> bool:
    setting = "kernel.modules_disabled"
    reading = host.sysctl(setting)
    return host.sysctl_absent(setting) or (isinstance(reading, Known) and reading.value == "1")
