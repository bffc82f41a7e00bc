"""CPU weight was not chosen.

## What it detects
`cpu.shares` is 1024 (v1) or `cpu.weight` is 100 (v2) on the container's cgroup: what the kernel gives to
every new cgroup. `cpu.idle` counts as a choice.

## Why it matters
When CPUs are scarce, all containers get the same, the important ones as little as the unimportant.

## Remediation
Give the container a CPU weight that says how important it is.

- docker, podman: `--cpu-shares 512`
- compose: `cpu_shares: 512`
- Kubernetes: `resources.requests.cpu: 500m`
- systemd, quadlet: `CPUWeight=50`

## When it is fine
Where all containers are equally important, or every one has a quota.

## References
- scheduler/sched-design-CFS.rst, cgroup-v2.rst "CPU Interface Files"
- CIS Docker Benchmark 1.6.0, 5.12
"""

from isoaudit import Container, Evidence, Outcome, check, fail, passed, require
from isoaudit.facts.limits import NO_CONTROLLER

_DEFAULTS = {"cpu.shares": "1024", "cpu.weight": "100"}


@check(severity="info")
def cpu_weight_default(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    file = next((name for name in _DEFAULTS if cgroup.readings(name)), "")
    if not file:
        why = cgroup.obstacle("cpu") or "its cgroup has no weight"
        return fail(f"it has no CPU weight: {why}", [Evidence("cpu.weight", NO_CONTROLLER, "a weight")])
    own = cgroup.readings(file)
    for reading in own:
        if require(reading) != _DEFAULTS[file]:
            evidence = [Evidence(reading.source, require(reading), f"other than {_DEFAULTS[file]}")]
            return passed(f"its {file} is {require(reading)}", evidence)
    for reading in cgroup.readings("cpu.idle"):
        if require(reading) != "0":
            return passed(
                "it runs only when nobody else wants the CPU", [Evidence(reading.source, require(reading))]
            )
    evidence = [Evidence(reading.source, require(reading), f"other than {_DEFAULTS[file]}") for reading in own]
    return fail("its CPU weight is the kernel's default: it counts as much as any other", evidence)
