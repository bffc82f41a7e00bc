"""SysRq keys do more than sync.

## What it detects
`kernel.sysrq` allows more than syncing filesystems (16): 1 is everything, other values are a bit mask.

## Why it matters
Whoever has the console, a serial line or a virtual keyboard reboots the host, kills its processes or dumps its
memory, without logging in. A container with a console or input device is such a user.

## Remediation
Set `kernel.sysrq=16`, or 0, in /etc/sysctl.d.

## When it is fine
Machines whose consoles only administrators reach, and who want the keys for recovery.

## References
- Documentation/admin-guide/sysrq.rst
"""

from isoaudit import Evidence, Host, Outcome, check, fail, passed, require

_SYNC = 16
# Documentation/admin-guide/sysrq.rst, "How do I enable the magic SysRq key?"
_BITS = {
    2: "console logging level",
    4: "keyboard",
    8: "dumps of processes and memory",
    32: "remounting read-only",
    64: "signals to all processes",
    128: "reboot and power-off",
    256: "nicing of real-time tasks",
}


@check(severity="low")
def sysrq_enabled(host: Host) -> Outcome:
    if host.sysctl_absent("kernel.sysrq"):
        return passed("this kernel is built without SysRq")
    setting = host.sysctl("kernel.sysrq")
    value = int(require(setting))
    evidence = [Evidence(setting.source, str(value), "0 or 16")]
    if value == 1:
        return fail("every SysRq key is enabled", evidence)
    allowed = [name for number, name in _BITS.items() if value & number]
    if allowed:
        return fail(f"SysRq keys are enabled for {', '.join(allowed)}", evidence)
    return passed("SysRq keys sync at most" if value & _SYNC else "SysRq keys are off", evidence)
