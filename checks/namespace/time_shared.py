"""No time namespace of its own.

## What it detects
The first process of the container is in the time namespace of the host's PID 1: the inode of
`/proc/PID/ns/time` is the same, or the kernel has no time namespaces (before Linux 5.6).

## Why it matters
CLOCK_MONOTONIC and CLOCK_BOOTTIME are the host's: they tell how long it has been up, the same number in each
container, which shows that two of them are on one machine. It also matters for checkpoint and restore.

## Remediation
Give the container a time namespace where its up-time must not be the host's.

- runc 1.2, crun 1.7: `"namespaces": [{"type": "time"}]` with `"timeOffsets"` in the OCI configuration
- unshare: `unshare --time --boottime SECONDS`
- docker, podman, Kubernetes, systemd: no option yet

## When it is fine
Nearly always. The wall clock would stay shared all the same: see `time-clock-not-namespaced`.

## References
- time_namespaces(7)
- OCI runtime-spec 1.1, config-linux.md "Time offsets"
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.namespaces import missing_type


@check(severity="info")
def time_shared(host: Host, container: Container) -> Outcome:
    if missing_type(container.namespaces.time):
        evidence = [Evidence(container.namespaces.time.source, "no such file", "Linux 5.6 or newer")]
        return fail(
            "this kernel has no time namespaces: its monotonic and boot clocks are the host's", evidence
        )
    ours, theirs = require(host.namespaces.time), require(container.namespaces.time)
    evidence = [Evidence(container.namespaces.time.source, f"time:[{theirs}]", f"not the host's time:[{ours}]")]
    if ours == theirs:
        return fail(
            "it is in the host's time namespace: its monotonic and boot clocks are the host's", evidence
        )
    return passed("its time namespace is its own", evidence)
