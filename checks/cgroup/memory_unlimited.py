"""No effective memory limit.

## What it detects
Neither the container's memory cgroup nor any of its ancestors has a limit below the host's memory
(`memory.limit_in_bytes` on v1, `memory.max` on v2). `memory.high` alone is no limit: it slows a container down,
which may grow beyond it. The probe `memory-limit` touches memory in a test
container with the same limits until it is stopped.

## Why it matters
One container can take all memory. The kernel then kills processes anywhere on the host, other containers'
and system services' among them.

## Remediation
Set a memory limit that fits the workload.

- docker, podman: `--memory 512m --memory-swap 512m`
- compose: `mem_limit: 512m` or `deploy.resources.limits.memory: 512M`
- Kubernetes: `resources.limits.memory: 512Mi`
- systemd, quadlet: `MemoryMax=512M`

## When it is fine
A container that has the machine to itself.

## References
- cgroup-v1/memory.rst, cgroup-v2.rst "Memory Interface Files"
- CIS Docker Benchmark 1.6.0, 5.11
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.limits import bound, memory_bytes, memory_high_bytes
from isoaudit.facts.units import binary


@check(severity="high")
def memory_unlimited(host: Host, container: Container) -> Outcome:
    total = require(host.memory_bytes)
    cgroup = require(container.cgroup)
    found = bound(memory_bytes(cgroup), container.probe("memory-limit"), f"a limit below {binary(total)}")
    if not found.bounded:
        why = cgroup.obstacle("memory") or "it can take all of the host's"
        evidence = list(found.evidence)
        high = memory_high_bytes(cgroup)
        if isinstance(high, Known) and high.value.amount is not None:
            why = f"memory.high of {binary(high.value.amount)} slows it down and does not stop it"
            evidence.append(Evidence(high.source, high.value.observed))
        return fail(f"nothing limits its memory: {why}", evidence, basis=found.basis)
    if found.amount is None:
        return passed("a test container with its limits was stopped", found.evidence, basis=found.basis)
    if found.amount >= total:
        return fail(
            f"its memory limit of {binary(found.amount)} is not below the host's {binary(total)}",
            found.evidence,
        )
    return passed(f"its memory is limited to {binary(found.amount)}", found.evidence, basis=found.basis)
