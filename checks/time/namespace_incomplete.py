"""A time namespace leaves most of time shared.

## What it detects
The container has a time namespace of its own, which shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME, and nothing
else.

## Why it matters
Whoever relies on it for a time of one's own is mistaken: CLOCK_REALTIME, CLOCK_TAI, adjtimex(2), the hardware
clocks and the idle column of `/proc/uptime` stay the host's. They still tell that two containers are on one
machine, and a step of the host's clock is seen inside.

## Remediation
Run workloads that need a whole time of their own in a virtual machine.

## When it is fine
Where only the monotonic clocks have to go on, as after checkpoint and restore.

## References
- time_namespaces(7)
- fs/proc/uptime.c: only the first column is shifted
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, require
from isoaudit.facts.namespaces import missing_type
from isoaudit.facts.tried import tried


@check(severity="info")
def namespace_incomplete(host: Host, container: Container) -> Outcome:
    if missing_type(container.namespaces.time):
        return not_applicable("this kernel has no time namespaces")
    ours, theirs = require(host.namespaces.time), require(container.namespaces.time)
    if ours == theirs:
        return not_applicable("it has no time namespace of its own")
    evidence = [Evidence(container.namespaces.time.source, f"time:[{theirs}]")]
    found = tried(container, "clock-shared", expected="another time, on a kernel with a namespace for it")
    return fail(
        "its time namespace shifts its monotonic and boot clocks only: all other time stays the host's",
        [*evidence, *(found.evidence if found else ())],
        basis=Basis.PROVEN if found and found.succeeded else Basis.OBSERVED,
        inherent=True,
    )
