"""No effective memory limit.

## What it detects
Neither the container's memory cgroup nor any of its ancestors has a limit below the host's memory
(`memory.limit_in_bytes` on v1, `memory.max` on v2).

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

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.cgroup import memory_bytes
from isoaudit.facts.units import binary


@check(severity="high")
def memory_unlimited(host: Host, container: Container) -> Outcome:
    total = require(host.memory_bytes)
    limit = require(memory_bytes(require(container.cgroup)))
    evidence = [Evidence(limit.source, limit.observed, f"a limit below {binary(total)}")]
    if limit.amount is None:
        return fail("nothing limits its memory: it can take all of the host's", evidence)
    if limit.amount >= total:
        return fail(
            f"its memory limit of {binary(limit.amount)} is not below the host's {binary(total)}", evidence
        )
    return passed(f"its memory is limited to {binary(limit.amount)}", evidence)
