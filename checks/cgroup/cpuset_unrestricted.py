"""May run on every CPU.

## What it detects
The container's effective cpuset holds every online CPU and every memory node of the host.

## Why it matters
It shares all caches, and all cores with their hyper-threads, with every other container: the ground for
side-channel attacks and for noise between neighbours.

## Remediation
Confine the container to CPUs of its own where neighbours must not notice each other.

- docker, podman: `--cpuset-cpus 0-1 --cpuset-mems 0`
- compose: `cpuset: "0-1"`
- Kubernetes: the static CPU manager policy, and a whole number of CPUs in a Guaranteed pod
- systemd, quadlet: `AllowedCPUs=0-1`, `AllowedMemoryNodes=0`

## When it is fine
Nearly always: most workloads run better where they may go to any idle CPU.

## References
- cpuset(7), cgroup-v2.rst "Cpuset Interface Files"
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require, unknown
from isoaudit.facts.cgroup import parse_cpu_list
from isoaudit.facts.limits import NO_CONTROLLER

_CPUS = ("cpuset.effective_cpus", "cpuset.cpus.effective", "cpuset.cpus")
_NODES = ("cpuset.effective_mems", "cpuset.mems.effective", "cpuset.mems")


@check(severity="info")
def cpuset_unrestricted(host: Host, container: Container) -> Outcome:
    cpus, nodes = require(host.cpus), require(host.memory_nodes)
    if len(cpus) == len(nodes) == 1:
        return not_applicable("the host has one CPU and one memory node")
    cgroup = require(container.cgroup)
    if not any(cgroup.readings(file) for file in _CPUS):
        why = cgroup.obstacle("cpuset") or "no cpuset holds it"
        return fail(f"it may run on every CPU: {why}", [Evidence(_CPUS[1], NO_CONTROLLER, "some of the CPUs")])
    evidence = []
    whole = True
    for files, all_of_them in ((_CPUS, cpus), (_NODES, nodes)):
        reading = cgroup.leaf(*files)
        observed = require(reading)
        try:
            allowed = parse_cpu_list(observed)
        except ValueError:
            return unknown(f"not a list of CPUs: {observed[:80]!r}", reading.source)
        if not allowed:
            return unknown("its cpuset is empty, though processes run in it", reading.source)
        evidence.append(Evidence(reading.source, observed, "some of them"))
        whole = whole and allowed >= all_of_them
    if whole:
        return fail("it may run on every CPU and use every memory node", evidence)
    return passed(
        f"it is confined to CPUs {evidence[0].observed} and memory nodes {evidence[1].observed}", evidence
    )
