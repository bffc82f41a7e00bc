"""The wall clock has no namespace.

## What it detects
Every container, always: CLOCK_REALTIME and CLOCK_TAI are one clock for the whole kernel. A time namespace
shifts only CLOCK_MONOTONIC and CLOCK_BOOTTIME. If probes ran, a test container read its clocks between two
readings of the host's (`clock-shared`).

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

from isoaudit import Basis, Container, Outcome, check, fail
from isoaudit.facts.tried import tried


@check(severity="info")
def clock_not_namespaced(container: Container) -> Outcome:
    found = tried(container, "clock-shared", expected="another time, on a kernel with a namespace for it")
    return fail(
        "it shares the host's wall clock, as every container does: CLOCK_REALTIME has no namespace",
        found.evidence if found else (),
        basis=Basis.PROVEN if found and found.succeeded else Basis.OBSERVED,
        inherent=True,
        reproduce=f"nsenter --target {container.identity.pid} --mount date; date",
    )
