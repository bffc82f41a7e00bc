"""The wall clock has no namespace.

## What it detects
Every container, always: CLOCK_REALTIME and CLOCK_TAI are one clock for the whole kernel. A time namespace
shifts only CLOCK_MONOTONIC and CLOCK_BOOTTIME.

## Why it matters
A container cannot have a time or a time source of its own, sees every step of the host's clock, and whoever
may set the clock sets it for all.

## Remediation
Run workloads that need a clock of their own in a virtual machine.

## When it is fine
Nearly always: a correct clock suits everyone. What matters is who can set it: see `time-clock-settable`.

## References
- time_namespaces(7), "Note that time namespaces do not virtualize the CLOCK_REALTIME clock"
"""

from isoaudit import Container, Outcome, check, fail


@check(severity="info")
def clock_not_namespaced(container: Container) -> Outcome:
    return fail(
        "it shares the host's wall clock, as every container does: CLOCK_REALTIME has no namespace",
        inherent=True,
        reproduce=f"nsenter --target {container.identity.pid} --mount date; date",
    )
