"""A system call that changes the whole machine is allowed.

## What it detects
A process can get the capability in the initial user namespace, its seccomp filter lets one of the calls
through, the kernel has it, and no setting forbids it:

- `kernel-module-loadable`: CAP_SYS_MODULE, finit_module(2) or init_module(2), `kernel.modules_disabled` is 0
- `kernel-kexec-allowed`: CAP_SYS_BOOT, kexec_load(2) or kexec_file_load(2), `kernel.kexec_load_disabled` is 0
- `kernel-reboot-allowed`: CAP_SYS_BOOT, reboot(2), and the host's PID namespace: elsewhere it ends only that
- `kernel-swap-allowed`: CAP_SYS_ADMIN, swapon(2) or swapoff(2)
- `kernel-acct-allowed`: CAP_SYS_PACCT, acct(2), and the host's PID namespace: each has accounting of its own

A capability that only executing a program would give makes it a step or two less grave, and so does a locked
down kernel, which takes signed modules and kernels only. Where the filter that decides could not be read, it
is not known. If probes ran, a test container with the same walls made the calls with arguments that the kernel
refuses only after it has looked at the right (`module-load`, `kexec-load`, `reboot`, `swap-on`, `account`).

## Why it matters
A module is code in the one kernel that all share. kexec prepares another kernel, which runs in its place after
the next crash or reboot. reboot stops every container. A swap file from inside receives everybody's memory
pages, and where the host's swap is taken away others are killed. acct takes away the host's process
accounting, or writes down inside what all of its processes ran.

## Remediation
Drop the capability, and keep the engine's default seccomp profile.

- docker, podman: leave out `--privileged`, `--cap-add` of it and `--security-opt seccomp=unconfined`
- compose: remove it from `cap_add`, and `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`, `seccompProfile.type: RuntimeDefault`
- systemd: `ProtectKernelModules=yes`, `SystemCallFilter=~@module @reboot @swap @obsolete`
- host: `sysctl kernel.modules_disabled=1 kernel.kexec_load_disabled=1`, which last until reboot

## When it is fine
Installers of drivers and node agents that reboot or reconfigure the host: they are part of it.

## References
- capabilities(7), init_module(2), kexec_load(2), reboot(2), swapon(2), acct(2), kernel_lockdown(7)
- pid_namespaces(7), "reboot(2)"; kernel/acct.c
- MITRE ATT&CK T1547.006, Kernel Modules and Extensions
"""

from typing import NamedTuple

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Reading,
    Severity,
    Variant,
    fail,
    family,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.calls import Call, Way, ways
from isoaudit.facts.grants import granted, in_host_namespace
from isoaudit.facts.processes import lowered
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit

# The two magic numbers and the command to restart, by include/uapi/linux/reboot.h.
_RESTART = ((0, 0xFEE1DEAD), (1, 672274793), (2, 0x01234567))


class _Power(NamedTuple):
    """What a capability and a call give, and what the kernel needs to have for it."""

    capability: int
    ways: tuple[Way, ...]
    does: str
    attempt: Attempt
    there: str = ""  # a setting or a file of kernels that have the call; "": all have
    off: str = ""  # the value of the setting that forbids the call
    signed: bool = False  # a locked down kernel takes only what is signed
    divided: bool = False  # in another PID namespace than the host's, it is about that one only
    started: bool = False  # what it prepares is started by reboot(2), which is so divided


_VARIANTS = (
    Variant(
        "module_loadable",
        "critical",
        "Kernel modules can be loaded from inside",
        _Power(
            bit("CAP_SYS_MODULE"),
            ways("finit_module", "init_module"),
            "load code into the kernel",
            Attempt(("module-load",), (Call("finit_module"), Call("init_module")), bit("CAP_SYS_MODULE")),
            "kernel.modules_disabled",
            off="1",
            signed=True,
        ),
    ),
    Variant(
        "kexec_allowed",
        "critical",
        "Another kernel can be prepared from inside",
        _Power(
            bit("CAP_SYS_BOOT"),
            ways("kexec_load", "kexec_file_load"),
            "start another kernel in place of the host's",
            Attempt(("kexec-load",), (Call("kexec_load"), Call("kexec_file_load")), bit("CAP_SYS_BOOT")),
            "kernel.kexec_load_disabled",
            off="1",
            signed=True,
            started=True,
        ),
    ),
    Variant(
        "reboot_allowed",
        "high",
        "The host can be rebooted from inside",
        _Power(
            bit("CAP_SYS_BOOT"),
            ways(Call("reboot", _RESTART)),
            "reboot or halt the host",
            Attempt(("reboot",), (Call("reboot", ((0, 0), (1, 0), (2, 0))),), bit("CAP_SYS_BOOT")),
            divided=True,
        ),
    ),
    Variant(
        "swap_allowed",
        "high",
        "The host's swap can be changed from inside",
        _Power(
            bit("CAP_SYS_ADMIN"),
            ways("swapon", "swapoff"),
            "add and remove the host's swap",
            Attempt(("swap-on",), (Call("swapon"), Call("swapoff")), bit("CAP_SYS_ADMIN")),
            "/proc/swaps",
        ),
    ),
    Variant(
        "acct_allowed",
        "high",
        "The host's process accounting can be changed from inside",
        _Power(
            bit("CAP_SYS_PACCT"),
            ways("acct"),
            "take over or stop the host's process accounting",
            Attempt(("account",), (Call("acct"),), bit("CAP_SYS_PACCT")),
            "kernel.acct",
            divided=True,
        ),
    ),
)


@family(_VARIANTS)
def machine_call_allowed(host: Host, container: Container, *, variant: Variant) -> Outcome:
    power: _Power = variant.value
    setting = Known(True, "") if not power.there else _reading(host, power.there)
    if power.there and _lacking(host, power.there):
        return not_applicable("this kernel is built without the call")
    if power.off and isinstance(setting, Known) and setting.value == power.off:
        return passed("nobody can until the next reboot", [Evidence(setting.source, power.off, power.off)])
    return settled(
        container,
        power.attempt,
        lambda some: _by_capability(host, some, variant),
        gap=f"it can {power.does}",
        wall=f"it cannot {power.does}",
    )


def _by_capability(host: Host, container: Container, variant: Variant) -> Outcome:
    power: _Power = variant.value
    setting = Known(True, "") if not power.there else _reading(host, power.there)
    grant = granted(container, power.capability, power.ways)
    if isinstance(grant, Outcome):
        return grant
    require(setting)
    severity, hints = Severity(variant.severity), ""
    if power.divided or power.started:
        outside = tuple(
            process for process in container.processes if in_host_namespace(host, container, process, "pid")
        )
        if power.divided:
            if not outside:
                return passed(
                    f"{grant.capability} and {grant.by} are about its own PID namespace only: {grant.who}"
                )
            grant = granted(container._replace(processes=outside), power.capability, power.ways)
            if isinstance(grant, Outcome):
                return grant
        elif not outside:
            severity, hints = Severity.HIGH, " at the next one that the host does"
    if power.signed and isinstance(host.lockdown, Known) and host.lockdown.value != "none":
        severity, hints = Severity.HIGH, f"{hints}, if it is signed, as the kernel is locked down"
    return fail(
        f"{grant.capability} and {grant.by} let it {power.does}{hints}: {grant.who}",
        grant.evidence,
        severity=lowered(severity, grant.holders.reach),
        basis=grant.basis,
    )


def _lacking(host: Host, there: str) -> bool:
    """Whether the kernel is known not to have what tells that it has the call."""
    if there.startswith("/"):
        has = host.has(there)
        return isinstance(has, Known) and not has.value
    return host.sysctl_absent(there)


def _reading(host: Host, there: str) -> Reading[str] | Reading[bool]:
    return host.has(there) if there.startswith("/") else host.sysctl(there)
