"""Out-of-memory killer disabled.

## What it detects
`oom_kill_disable` is 1 in `memory.oom_control` of the container's v1 cgroup or of an ancestor. cgroup v2
has no such switch.

## Why it matters
At the limit, every process that needs memory sleeps until somebody frees some. Sleeping, they hold locks:
of a directory, a pipe or a database, for which others wait too. Without a limit the switch does nothing.

## Remediation
Leave the out-of-memory killer on.

- docker, podman: remove `--oom-kill-disable`
- compose: remove `oom_kill_disable: true`

## When it is fine
Where an agent listens for the event (`cgroup.event_control`) and acts by itself: saves state, raises the
limit.

## References
- cgroup-v1/memory.rst, "OOM Control"
"""

from isoaudit import Container, Evidence, Known, Outcome, check, fail, not_applicable, passed, require


@check(severity="medium")
def memory_oom_disabled(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    place = require(cgroup.place("memory"))
    if place is None:
        return not_applicable("no memory controller holds it")
    if place.version == 2:
        group = [
            Evidence(r.source, r.value) for r in cgroup.readings("memory.oom.group") if isinstance(r, Known)
        ]
        return passed("cgroup v2 cannot disable the out-of-memory killer", group)
    for reading in cgroup.readings("memory.oom_control"):
        for entry in require(reading).splitlines():
            if entry == "oom_kill_disable 1":
                return fail(
                    "at its memory limit its processes hang instead of being killed",
                    [Evidence(reading.source, entry, "oom_kill_disable 0")],
                )
    reading = cgroup.leaf("memory.oom_control")
    return passed(
        "its out-of-memory killer is on", [Evidence(reading.source, require(reading).partition("\n")[0])]
    )
