"""A count that all containers share is cheap to exhaust.

## What it detects
Kernel-wide counts with one limit for all, of which what is left costs the container less memory than it may
have: slots of AIO contexts, open files, pseudo-terminals, threads, entries of the neighbour table, and
committed memory where the kernel keeps a limit on it. The finding gives the cost of each: what is left, times
the bytes that one is charged. A count is left out where another limit comes first: pids, open files, the
system call filter, no terminal or network inside.

## Why it matters
Memory limits count bytes, these limits count things. A container that stays well within its memory can take
the last of them, and then nobody on the host opens a file, a terminal or a database: a denial of service that
no cgroup controller answers to.

## Remediation
Raise the limit until it costs more than a container may have, or bound what the container can take.

- host: `sysctl fs.aio-max-nr=1048576 fs.file-max=9223372036854775807 kernel.pty.max=65536`,
  `net.ipv4.neigh.default.gc_thresh3=16384`, `kernel.pid_max=4194304`
- docker, podman: `--memory`, `--pids-limit`, `--ulimit nofile=1024:4096`; a seccomp profile without
  `io_setup`
- compose: `mem_limit`, `pids_limit`, `ulimits`
- Kubernetes: `resources.limits.memory`, the kubelet's `podPidsLimit`
- systemd: `MemoryMax=`, `TasksMax=`, `LimitNOFILE=`

## When it is fine
Where all containers of the host are trusted not to.

## References
- Yang et al., "Demons in the Shared Kernel: Abstract Resource Attacks Against OS-level Virtualization", CCS
  2021
- proc_sys_fs(5); Documentation/admin-guide/sysctl/fs.rst and kernel.rst
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.calls import letting, ways
from isoaudit.facts.confinement import holds_over_host
from isoaudit.facts.limits import memory_bytes, pids_count
from isoaudit.facts.masks import tree_of
from isoaudit.facts.quotas import GLOBAL, Count, Global
from isoaudit.facts.units import binary, count
from isoaudit.kernel.capability import bit
from isoaudit.model import FactMissing

if TYPE_CHECKING:
    from isoaudit.model import Reading

_SETUP = ways("io_setup")


class _Cheap(NamedTuple):
    cost: int
    kind: Global
    left: int
    evidence: Evidence


@check(severity="medium")
def global_cheap(host: Host, container: Container) -> Outcome:
    limit = require(memory_bytes(require(container.cgroup)))
    budget = require(host.memory_bytes) if limit.amount is None else limit.amount
    within = (
        f"within its memory limit of {binary(budget)}"
        if limit.amount is not None
        else "as nothing limits its memory,"
    )
    cheap, missing = [], None
    for name, reading in require(host.quotas).counts.items():
        try:
            found = _exhaustible(host, container, name, reading, budget)
        except FactMissing as error:
            missing = missing or error
            continue
        if found is not None:
            cheap.append(found)
    if not cheap:
        if missing is not None:
            raise missing
        return passed(
            f"to exhaust any count of the kernel's costs it more than the {binary(budget)} that it may have",
            [Evidence(limit.source, limit.observed)],
        )
    cheap.sort(key=lambda one: one.cost)
    prices = ", ".join(f"{binary(one.cost)} for {count(one.left, one.kind.noun)}" for one in cheap)
    return fail(
        f"{within} it can take all that is left of what everybody shares: {prices}",
        [one.evidence for one in cheap],
    )


def _exhaustible(
    host: Host, container: Container, name: str, reading: Reading[Count], budget: float
) -> _Cheap | None:
    """What it costs to take all that is left, where the container can and may.

    Raises:
        FactMissing: what was read does not decide.
    """
    kind = GLOBAL[name]
    if name == "commitment" and require(host.sysctl("vm.overcommit_memory")) != "2":
        return None
    amounts = require(reading)
    left = max(amounts.limit - amounts.used, 0)
    cost = left * kind.cost
    if cost >= budget or not _reaches(container, name) or left > _most(container, kind):
        return None
    evidence = Evidence(
        reading.source,
        f"{amounts.used} of {amounts.limit} used",
        f"what is left costs more than {binary(budget)}: {kind.setting}",
    )
    return _Cheap(cost, kind, left, evidence)


def _reaches(container: Container, name: str) -> bool:
    """Whether it can take any at all."""
    if name == "aio":
        return bool(letting(container, container.tasks, _SETUP).decided().processes)
    if name == "terminals":
        tree = tree_of(require(container.mounts))
        return any(tree.at(mount.target) is mount for mount in tree.of_type("devpts"))
    if name == "neighbours":
        return bool(require(container.network).interfaces)
    return True


def _most(container: Container, kind: Global) -> float:
    """How many it can have, by its limits of processes and files."""
    if not (kind.per_process or kind.per_file):
        return float("inf")
    pids = require(pids_count(require(container.cgroup))).amount
    if pids is None:
        return float("inf")
    if kind.per_process:
        return pids
    files = require(container.rlimits).get("Max open files")
    if files is None or files.hard is None or holds_over_host(container, bit("CAP_SYS_RESOURCE")):
        return float("inf")
    return pids * files.hard
