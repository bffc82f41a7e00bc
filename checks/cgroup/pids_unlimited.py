"""No limit of processes.

## What it detects
Neither the container's pids cgroup nor any of its ancestors has a limit (`pids.max` is `max`). The probe
`pids-limit` forks a bounded number of children in a test container with the same limits until one fork
fails.

## Why it matters
A fork bomb takes all process ids of the host (`kernel.pid_max`, `kernel.threads-max`): then nobody can
start a process, neither the engine that would stop the container nor an administrator who logs in.

## Remediation
Set a limit of processes.

- docker, podman: `--pids-limit 200`
- compose: `pids_limit: 200` or `deploy.resources.limits.pids: 200`
- Kubernetes: `podPidsLimit` in the kubelet's configuration
- systemd, quadlet: `TasksMax=200`

## When it is fine
Hardly ever. A per-user limit (RLIMIT_NPROC) does not replace it: it does not bind uid 0 and counts all
containers of one uid together.

## References
- cgroup-v1/pids.rst, cgroup-v2.rst "PID Interface Files"
- CIS Docker Benchmark 1.6.0, 5.29
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.limits import bound, pids_count


@check(severity="high")
def pids_unlimited(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    found = bound(pids_count(cgroup), container.probe("pids-limit"), "a number")
    if not found.bounded:
        why = cgroup.obstacle("pids") or "a fork bomb takes all process ids of the host"
        return fail(f"nothing limits how many processes it starts: {why}", found.evidence, basis=found.basis)
    if found.amount is None:
        return passed("a test container with its limits could not fork on", found.evidence, basis=found.basis)
    return passed(f"it may have {found.amount:.0f} processes and threads", found.evidence, basis=found.basis)
