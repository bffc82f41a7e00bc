"""A process inside is less confined than the container.

## What it detects
A process or a thread of the container has more than its first process:

- capabilities beyond all that the first one has or can get (effective, permitted, inheritable, bounding and
  with them ambient; of a thread as well, which has its own)
- no seccomp filter where the first one has one, fewer of them, or others; no no_new_privs where that has it
- the host's user, mount, PID, network, IPC, UTS, cgroup or time namespace where the first one has another
- a cgroup outside of the container's, whose limits and device policy then do not bind it
- a label that AppArmor, SELinux or Smack does not confine where they confine the first one, or only complains
- uid 0 of the host where the first one is another user

Fewer rights than the first one's are no drift; nor are namespaces that a process made itself, nor is the
process that started the first one and waits for it (`unshare --fork`). The securebits of
a process and its Landlock rules cannot be read from outside, and are not compared.

## Why it matters
The container's configuration says one thing, and a process in it does another: `docker exec --privileged`,
`nsenter` and debugging tools leave such processes behind. What they can do every other process of the same
user inside can make them do.

## Remediation
End the process, and start it within the container's own confinement.

- docker, podman: `exec` without `--privileged` and `--user 0`
- nsenter: `--all`, and from a shell in the container's cgroup; better the engine's own `exec`
- Kubernetes: `kubectl debug` without `--profile=sysadmin`
- programs that confine themselves: all threads at once (`SECCOMP_FILTER_FLAG_TSYNC`, libpsx for capabilities),
  and before they start others, not after

## When it is fine
A debugging session that somebody is sitting at. A first process that adds a seccomp filter for itself after
it started others, or that drops root after it started one that needs it, which is `low` here. A runtime on its
way in (`runc:[2:INIT]`, for an `exec` or a health check) that the scan has met: the next scan does not.

## References
- capabilities(7), seccomp(2), PR_SET_NO_NEW_PRIVS(2const), nsenter(1), docker-exec(1)
- CIS Docker Benchmark 1.6.0, 5.23 and 5.24
"""

from isoaudit import Container, Host, Outcome, check, fail, passed, require
from isoaudit.facts.container import Process
from isoaudit.facts.drift import Drift, drifts
from isoaudit.facts.processes import called, listed
from isoaudit.facts.units import count
from isoaudit.model import SEVERITIES, FactMissing

_SHOWN = 4


@check(severity="high")
def process_drift(host: Host, container: Container) -> Outcome:
    found: list[tuple[Process, tuple[Drift, ...]]] = []
    missing: FactMissing | None = None
    started_it = require(container.processes[0].status).ppid
    others = [task for task in container.tasks[1:] if task.pid != started_it]
    for task in others:
        drift = drifts(host, container, task)
        if drift.found:
            found.append((task, tuple(sorted(drift.found, key=_rank))))
        missing = missing or drift.missing
    if found:
        found.sort(key=lambda one: _rank(one[1][0]))
        shown = [
            f"{called(task)} {listed([one.text for one in drift[:_SHOWN]], len(drift))}"
            for task, drift in found[:_SHOWN]
        ]
        gravest = found[0][1]
        return fail(
            f"processes are less confined than its first one: {listed(shown, len(found))}",
            [evidence for drift in gravest for evidence in drift.evidence],
            severity=gravest[0].severity,
        )
    if missing:
        raise missing
    if not others:
        return passed("it has one process")
    return passed(
        f"all its {count(len(container.processes), 'process')} are confined as the first one, or more"
    )


def _rank(drift: Drift) -> int:
    return SEVERITIES.index(drift.severity)
