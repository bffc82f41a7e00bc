"""No CPU quota.

## What it detects
Neither the container's CPU cgroup nor any of its ancestors has a quota: `cpu.cfs_quota_us` is -1 on v1,
`cpu.max` is `max` on v2. The effective quota is the smallest quota ÷ period on the way to the root. The
probe `cpu-quota` burns one CPU in a test container with the same limits and reads whether the kernel
throttled it.

## Why it matters
The container can keep every CPU busy. Others still get the share that weights promise them, but no more:
what ran fast on an idle host slows down as soon as a neighbour wants the CPUs.

## Remediation
Set a CPU quota.

- docker, podman: `--cpus 1.5` (or `--cpu-quota` and `--cpu-period`)
- compose: `cpus: 1.5` or `deploy.resources.limits.cpus: "1.5"`
- Kubernetes: `resources.limits.cpu: 1500m`
- systemd, quadlet: `CPUQuota=150%`

## When it is fine
Where weights alone are the policy, as idle CPUs are then never wasted; latency suffers less than under a
quota.

## References
- scheduler/sched-bwc.rst, cgroup-v2.rst "CPU Interface Files"
- NIST SP 800-190, 4.4.3
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.limits import bound, cpu_count, in_cpus


@check(severity="medium")
def cpu_unlimited(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    found = bound(cpu_count(cgroup), container.probe("cpu-quota"), "a quota")
    if not found.bounded:
        why = cgroup.obstacle("cpu") or "it can keep every CPU busy"
        return fail(f"nothing limits its CPU time: {why}", found.evidence, basis=found.basis)
    if found.amount is None:
        return passed("a test container with its limits was throttled", found.evidence, basis=found.basis)
    return passed(f"its CPU time is limited to {in_cpus(found.amount)}", found.evidence, basis=found.basis)
