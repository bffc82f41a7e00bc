"""Swap is not limited.

## What it detects
The host has swap, and nothing limits how much of it the container takes: neither
`memory.memsw.limit_in_bytes` (memory and swap together, v1) nor `memory.swap.max` (swap alone, v2), on its
cgroup or any ancestor, is below what there is; and `memory.swappiness` of its v1 cgroup is not 0.

## Why it matters
A container at its memory limit goes on into swap: it fills the swap that others need and keeps the disk
busy for everyone. Its memory limit then slows it down but does not stop it.

## Remediation
Limit memory and swap together.

- docker, podman: `--memory 512m --memory-swap 512m` (equal: no swap at all)
- compose: `mem_limit: 512m`, `memswap_limit: 512m`
- Kubernetes: `memorySwap.swapBehavior: LimitedSwap` or `NoSwap` in the kubelet's configuration
- systemd, quadlet: `MemorySwapMax=0`
- v1 without the file: boot with `swapaccount=1`

## When it is fine
On hosts whose swap is there for rarely used memory, and large and fast enough for all.

## References
- cgroup-v1/memory.rst, "memory+swap"; cgroup-v2.rst, `memory.swap.max`
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.limits import memory_and_swap_bytes, swap_bytes
from isoaudit.facts.units import binary


@check(severity="low")
def memory_swap_unlimited(host: Host, container: Container) -> Outcome:
    swap = require(host.swap_bytes)
    if not swap:
        return not_applicable("the host has no swap")
    cgroup = require(container.cgroup)
    if obstacle := cgroup.obstacle("memory"):
        evidence = [
            Evidence(container.cgroup.source, cgroup.path("memory") or cgroup.path("") or "", "a limit")
        ]
        return fail(f"nothing limits its swap: {obstacle}", evidence)
    swappiness = cgroup.leaf("memory.swappiness")
    if isinstance(swappiness, Known) and swappiness.value == "0":
        return passed("its memory is not swapped out", [Evidence(swappiness.source, "0")])
    v1 = cgroup.path("memory") is not None
    limit = require(memory_and_swap_bytes(cgroup) if v1 else swap_bytes(cgroup))
    total = swap + require(host.memory_bytes) if v1 else swap
    what = "memory and swap together are" if v1 else "swap is"
    evidence = [Evidence(limit.source, limit.observed, f"a limit below {binary(total)}")]
    if limit.amount is None:
        return fail(f"nothing limits its swap: it can take all {binary(swap)} of the host's", evidence)
    if limit.amount >= total:
        return fail(
            f"its {what} limited to {binary(limit.amount)}, not below the host's {binary(total)}", evidence
        )
    return passed(f"its {what} limited to {binary(limit.amount)}", evidence)
