"""Resource limits are out of reach.

## What it detects
A hard limit of the first process (`/proc/PID/limits`) on processes, open files, pending signals or bytes in
message queues is unlimited, or higher than can matter: more open files than the kernel's own default ceiling
of 1048576 (`fs.nr_open`), more processes than the largest possible `pid_max`, 4194304. A limit of the pids
cgroup makes the one on processes moot.

## Why it matters
Open files, signals and queues are kernel memory and come out of numbers that the whole host shares
(`fs.file-max`). Programs that close or poll every possible descriptor need minutes and gigabytes where the
limit is a billion.

## Remediation
Set limits that fit the workload.

- docker, podman: `--ulimit nofile=1024:524288 --ulimit sigpending=4096`; `"default-ulimits"` in daemon.json
- compose: `ulimits:`
- Kubernetes: `LimitNOFILE=1024:524288` in containerd's or CRI-O's unit, for all containers of the node
- systemd: `LimitNOFILE=`, `LimitSIGPENDING=`, `LimitMSGQUEUE=`

## When it is fine
Databases and proxies with very many connections.

## References
- getrlimit(2), proc_pid_limits(5)
- CIS Docker Benchmark 1.6.0, 5.19
"""

from isoaudit import Container, Evidence, Known, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.limits import pids_count

PROCESSES = "Max processes"
# The largest hard limit of each that still limits; None: any number does.
_CEILINGS: dict[str, int | None] = {
    PROCESSES: 1 << 22,  # PID_MAX_LIMIT, include/linux/threads.h
    "Max open files": 1 << 20,  # fs.nr_open as the kernel starts with it, fs/file.c
    "Max pending signals": None,
    "Max msgqueue size": None,
}


@check(severity="low")
def limits_unlimited(container: Container) -> Outcome:
    limits = require(container.rlimits)
    source = container.rlimits.source
    missing = [name for name in _CEILINGS if name not in limits]
    high = {
        name: limits[name].hard
        for name, ceiling in _CEILINGS.items()
        if name in limits and _is_high(limits[name].hard, ceiling)
    }
    moot = False
    if PROCESSES in high:
        cgroup = container.cgroup
        pids = pids_count(cgroup.value) if isinstance(cgroup, Known) else cgroup
        if not isinstance(pids, Known):
            if len(high) == 1:
                return unknown(pids.reason, pids.source)
        elif pids.value.amount is not None:
            moot = True
            del high[PROCESSES]
    if high:
        shown = [f"{name} {'unlimited' if hard is None else hard}" for name, hard in high.items()]
        return fail(
            f"hard limits do not limit: {', '.join(shown)}", [Evidence(source, "; ".join(shown), "a limit")]
        )
    if missing:
        return unknown(f"no row {missing[0]!r}", source)
    return passed("its hard limits limit" + (", its processes by the pids cgroup" if moot else ""))


def _is_high(hard: int | None, ceiling: int | None) -> bool:
    return hard is None or (ceiling is not None and hard > ceiling)
