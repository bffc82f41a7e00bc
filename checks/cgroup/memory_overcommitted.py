"""Containers may together take more memory than there is.

## What it detects
The memory limits of all containers, summed, are above the host's memory, or some containers have none. What
several share, such as a pod's, counts once, and a limit of a common ancestor (a slice, `/docker`) bounds the
sum of those below.

## Why it matters
Every limit may hold and the host still run out of memory: the kernel then reclaims from all, and kills where it
likes. One container's load becomes its neighbours' outage.

## Remediation
Limit every container, and keep the sum below the host's memory, or put all containers below one limit.

- docker: `--memory` for each; `--cgroup-parent containers.slice` with `MemoryMax=` on that slice
- podman: `--memory`, `--cgroup-parent`; compose: `mem_limit`, `cgroup_parent`
- Kubernetes: the kubelet's `--enforce-node-allocatable=pods` limits `kubepods`; ResourceQuota objects
- systemd: `MemoryMax=` on `machine.slice`

Pressure stall information (`/proc/pressure/memory`) shows when it becomes scarce.

## When it is fine
Where the loads are known never to peak together. Most hosts are overcommitted on purpose.

## References
- cgroup-v2.rst, "Memory" and "Resource Distribution Models"; accounting/psi.rst
"""

from isoaudit import Evidence, Host, Known, Outcome, Peers, check, fail, not_applicable, passed, require
from isoaudit.facts.limits import memory_bytes
from isoaudit.facts.memory import committed
from isoaudit.facts.units import binary

_SHOWN = 10
_PRESSURE = "/proc/pressure/memory"


@check(severity="info")
def memory_overcommitted(host: Host, peers: Peers) -> Outcome:
    total = require(host.memory_bytes)
    containers = [peer for peer in peers.all if not peer.identity.sandbox]
    if not containers:
        return not_applicable("no container runs")
    # What could not be read decides only where nothing else does.
    seen = {
        peer.identity.key: (peer.cgroup.value, limit.value)
        for peer in containers
        if isinstance(peer.cgroup, Known) and isinstance(limit := memory_bytes(peer.cgroup.value), Known)
    }
    unlimited = [key for key, (_, limit) in seen.items() if limit.amount is None or limit.amount >= total]
    found = committed(cgroup for key, (cgroup, _) in seen.items() if key not in set(unlimited))
    evidence = [Evidence(host.memory_bytes.source, f"MemTotal {binary(total)}")]
    evidence += [Evidence(limit.source, limit.observed) for limit in found.limits[:_SHOWN]]
    evidence += [
        Evidence(seen[key][1].source, f"{seen[key][1].observed} ({key})", "a limit")
        for key in unlimited[:_SHOWN]
    ]
    pressure = host.has(_PRESSURE)
    if isinstance(pressure, Known):
        evidence.append(Evidence(_PRESSURE, "measured" if pressure.value else "not measured by this kernel"))
    limited = f"limits of {binary(found.amount)}" if found.limits else "no limit"
    if unlimited:
        names = ", ".join(unlimited[:_SHOWN]) + (" and others" if len(unlimited) > _SHOWN else "")
        return fail(f"{len(unlimited)} of {len(containers)} containers may take all memory: {names}", evidence)
    if found.amount > total:
        return fail(f"containers have {limited} together, and the host has {binary(total)}", evidence)
    for peer in containers:
        require(memory_bytes(require(peer.cgroup)))
    return passed(f"containers have {limited} together, of the host's {binary(total)}", evidence)
