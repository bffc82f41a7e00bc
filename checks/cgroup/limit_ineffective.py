"""A limit that limits nothing.

## What it detects
A limit is set but not below what the machine has: memory of the size of the host's or more, a CPU quota for
all CPUs or more, as many processes as there are process ids (`kernel.pid_max`). Or a probe went past a
limit that is set: `memory-limit`, `cpu-quota` and `pids-limit` try it in a test container with the same
limits.

Lesser settings that do nothing are told too, as low: a promise of memory (`memory.min`, `memory.low`) that an
ancestor does not back or the machine does not have, an `io.weight` where the cost model that enforces it
(`io.cost.qos`) is on for no disk.

## Why it matters
The configuration looks right and protects nobody: the host is exhausted before the limit is reached.

## Remediation
Set the limit well below what the machine has.

- docker, podman: `--memory 512m --cpus 1 --pids-limit 200`
- compose: `mem_limit`, `cpus`, `pids_limit`
- Kubernetes: `resources.limits`, and a LimitRange that caps them
- systemd, quadlet: `MemoryMax=`, `CPUQuota=`, `TasksMax=`
- promises: `MemoryLow=` on every slice above as well; a weight: enable `io.cost.qos`, or use the BFQ scheduler

## When it is fine
A container that has the machine to itself.

## References
- cgroup-v2.rst, "Limits", "Protections", "IO Interface Files"; cgroup-v1/memory.rst; scheduler/sched-bwc.rst
"""

import math

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Reading,
    Unknown,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.cgroup import Cgroup
from isoaudit.facts.limits import cpu_count, idle_io_weight, in_cpus, memory_bytes, pids_count
from isoaudit.facts.memory import memory_promises
from isoaudit.facts.units import binary


def _tasks(amount: float) -> str:
    return f"{amount:.0f} processes"


@check(severity="medium")
def limit_ineffective(host: Host, container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    questions = (
        ("memory", memory_bytes(cgroup), host.memory_bytes, binary),
        ("CPU", cpu_count(cgroup), _size(host.cpus), in_cpus),
        ("process", pids_count(cgroup), _number(host.sysctl("kernel.pid_max")), _tasks),
    )
    set_limits = []
    refused: Unknown | None = None
    gaps: list[str] = []
    evidence = []
    proven = False
    for name, limit, machine, words in questions:
        if isinstance(limit, Unknown):
            refused = refused or limit
            continue
        amount = limit.value.amount
        if amount is None:
            continue
        set_limits.append(name)
        passing = _passed(container, name)
        if passing:
            gaps.append(f"its {name} limit of {words(amount)} does not hold")
            evidence += [Evidence(limit.source, limit.value.observed, "a limit that holds"), passing]
            proven = True
        elif isinstance(machine, Unknown):
            refused = refused or machine
        elif amount >= machine.value:
            gaps.append(f"its {name} limit of {words(amount)} is not below the host's {words(machine.value)}")
            evidence.append(Evidence(limit.source, limit.value.observed, f"below {words(machine.value)}"))
    if gaps:
        return fail("; ".join(gaps), evidence, basis=Basis.PROVEN if proven else Basis.OBSERVED)
    hollow = _hollow(host, cgroup)
    if hollow:
        return fail(
            "; ".join(what for what, _ in hollow), [e for _, seen in hollow for e in seen], severity="low"
        )
    if refused:
        return unknown(refused.reason, refused.source)
    if not set_limits:
        return not_applicable("it has no limit of memory, CPU time or processes")
    return passed(f"its limits of {', '.join(set_limits)} are below what the host has")


def _hollow(host: Host, cgroup: Cgroup) -> list[tuple[str, tuple[Evidence, ...]]]:
    """Settings that are no limits, and do not do what they say either."""
    found = []
    for promise in memory_promises(cgroup):
        amount = "all memory" if promise.promised == math.inf else binary(promise.promised)
        if promise.granted < promise.promised:
            short = (
                f"its {promise.file} of {amount} is worth {binary(promise.granted)}, as an ancestor has no more"
            )
            found.append((short, promise.evidence))
        elif promise.promised > require(host.memory_bytes):
            found.append((f"its {promise.file} of {amount} is more than the host has", promise.evidence))
    idle = idle_io_weight(cgroup)
    if idle is not None:
        found.append((f"its io.weight of {idle.observed} has no effect, as io.cost is on for no disk", (idle,)))
    return found


_PROBES = {"memory": "memory-limit", "CPU": "cpu-quota", "process": "pids-limit"}


def _passed(container: Container, name: str) -> Evidence | None:
    """The evidence of a probe that went past a limit."""
    probe = container.probe(_PROBES[name])
    if isinstance(probe, Unknown) or not probe.value.succeeded:
        return None
    return Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "stopped by the limit")


def _size(reading: Reading[frozenset[int]]) -> Reading[float]:
    return Known(len(reading.value), reading.source) if isinstance(reading, Known) else reading


def _number(reading: Reading[str]) -> Reading[float]:
    if isinstance(reading, Unknown):
        return reading
    if not reading.value.isdigit():
        return Unknown(reading.source, f"not a number: {reading.value[:80]!r}")
    return Known(int(reading.value), reading.source)
