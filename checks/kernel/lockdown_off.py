"""Kernel lockdown is off.

## What it detects
`/sys/kernel/security/lockdown` says none, or the running kernel has security modules and lockdown is not one of
them.

## Why it matters
Without lockdown the host's root, and so a container that got that far, may change the running kernel: by
unsigned modules, /dev/mem, kexec or BPF writes. It is the last wall between root and a rootkit.

## Remediation
Boot with `lockdown=integrity`, or with Secure Boot where the distribution turns lockdown on by it.

## When it is fine
Hosts that need unsigned modules, hibernation or kernel debuggers.

## References
- kernel_lockdown(7)
"""

from isoaudit import Evidence, Host, Known, Outcome, check, fail, passed, require


@check(severity="low")
def lockdown_off(host: Host) -> Outcome:
    if isinstance(host.lsms, Known) and "lockdown" not in host.lsms.value:
        active = ",".join(host.lsms.value)
        return fail(
            "lockdown is not among the kernel's active security modules",
            [Evidence(host.lsms.source, active, "a list with lockdown in it")],
        )
    level = require(host.lockdown)
    evidence = [Evidence(host.lockdown.source, level, "integrity or confidentiality")]
    if level == "none":
        return fail("root may change the running kernel: lockdown is off", evidence)
    return passed(f"lockdown is at {level}", evidence)
