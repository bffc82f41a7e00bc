"""The seccomp filter lets dangerous system calls through.

## What it detects
The filters that the processes inside really run under, read from the kernel and evaluated for every system
call, let calls through that contained programs hardly need and attacks do. A group of calls counts only where
nothing else stops it: a process has the capability without which they are harmless, and no kernel setting
closes them. Calls that the filter hands to a supervisor in user space (SECCOMP_RET_USER_NOTIF) do not count.

- without any capability: new user namespaces, bpf, perf, keyrings, userfaultfd, io_uring, obsolete calls
- with it: mounts, setns, modules, kexec, reboot, other processes (ptrace and its kin), file handles, the clock,
  swap, accounting, quotas, raw I/O ports, the kernel's log, fanotify

The evidence compares the filter with the defaults of Docker and Podman by version.

## Why it matters
Each of these calls opens kernel code in which flaws that give root have been found again and again. A filter is
there to leave that code out of reach.

## Remediation
Run the container under the default profile of a current engine, or allow only what the workload calls.

- docker, podman: leave out `--security-opt seccomp=FILE` or take the calls out of the file; update the engine,
  whose default grows stricter (docker 25.0 dropped io_uring)
- podman: its default allows new user namespaces; use a profile without `unshare`, `clone3` and `clone` with
  CLONE_NEW* flags where nothing inside makes containers
- compose: `security_opt: [seccomp:FILE]`
- Kubernetes: `securityContext.seccompProfile`, with type `RuntimeDefault`, or `Localhost` and a file
- systemd: `SystemCallFilter=@system-service`

## When it is fine
Container engines, debuggers, profilers and databases inside that need one of the groups; allow them only that.

## References
- seccomp(2), capabilities(7); Documentation/userspace-api/seccomp_filter.rst
- docs.docker.com/engine/security/seccomp
- Google Security Blog, "Learnings from kCTF VRP's 42 Linux kernel exploits submissions", 2023
"""

from typing import NamedTuple

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.confinement import over_host
from isoaudit.facts.container import Process
from isoaudit.facts.dangerous_calls import GROUPS, Group, open_calls
from isoaudit.facts.filtered import Filtered, by_filters
from isoaudit.facts.processes import listed, named
from isoaudit.facts.seccomp_defaults import nearest_defaults
from isoaudit.facts.seccomp_programs import allowed_calls, supervised_calls
from isoaudit.model import FactMissing

_SHOWN = 4


class _Open(NamedTuple):
    """A group that a filter leaves open, by which of its calls, to whom."""

    group: Group
    calls: tuple[str, ...]
    tasks: tuple[Process, ...]
    filtered: Filtered


@check(severity="medium")
def permissive(host: Host, container: Container) -> Outcome:
    known, missing = by_filters(container)
    found: list[_Open] = []
    for filtered in known:
        try:
            found += _open(host, container, filtered)
        except FactMissing as error:
            missing = missing or error
    if found:
        return _fail(found)
    if missing:
        raise missing
    if not known:
        return not_applicable("no process of it runs under a filter: see seccomp-absent")
    first = known[0]
    supervised = {name for one in known for name in supervised_calls(one.programs, one.architectures[0])}
    rest = (
        f"; a supervisor decides of {listed(sorted(supervised)[:_SHOWN], len(supervised))}"
        if supervised
        else ""
    )
    return passed(
        f"{_count(first)}, and none of the dangerous ones that it could make use of{rest}",
        [_comparison(first)],
        basis=Basis.INFERRED if any(one.inferred for one in known) else Basis.OBSERVED,
    )


def _open(host: Host, container: Container, filtered: Filtered) -> list[_Open]:
    let = open_calls(filtered.programs, filtered.architectures[0])
    found = []
    for group in GROUPS:
        calls = tuple(name for name in group.calls if name in let)
        if not calls:
            continue
        tasks = tuple(task for task in filtered.tasks if _makes_use(host, container, group, task))
        if tasks:
            found.append(_Open(group, calls, tasks, filtered))
    return found


def _makes_use(host: Host, container: Container, group: Group, task: Process) -> bool:
    """Whether a group's calls, let through, are of any use to a process."""
    held = _capabilities(task)
    if group.needs:
        return bool(held & group.needs) and (not group.over_host or over_host(container, task))
    if group.setting is None:
        return True
    setting = host.sysctl(group.setting.name)
    if not isinstance(setting, Known):
        return (
            True  # a kernel without it has the call open, or the call is new code to be kept from all the same
        )
    value = setting.value.strip()
    if value in group.setting.for_all:
        return False
    return value not in group.setting.for_unprivileged or bool(held & group.privileged)


def _capabilities(task: Process) -> int:
    """What it has, and what executing a file can give it."""
    status = require(task.status)
    kept = isinstance(status.no_new_privs, Known) and status.no_new_privs.value
    return status.cap_effective | status.cap_permitted | (0 if kept else status.cap_bounding)


def _fail(found: list[_Open]) -> Outcome:
    first = found[0].filtered
    groups = dict.fromkeys(f"{one.group.name} ({listed(one.calls[:_SHOWN], len(one.calls))})" for one in found)
    evidence = [
        Evidence(one.filtered.source, f"lets {', '.join(one.calls)} through to {named(one.tasks)}", "ERRNO")
        for one in found
    ]
    return fail(
        f"{_count(first)}, dangerous ones among them: {'; '.join(groups)}",
        [*evidence, *map(_comparison, {one.filtered.programs: one.filtered for one in found}.values())],
        basis=Basis.INFERRED if all(one.filtered.inferred for one in found) else Basis.OBSERVED,
    )


def _count(filtered: Filtered) -> str:
    allowed, total = allowed_calls(filtered.programs, filtered.architectures[0])
    return f"its filter lets {len(allowed)} of {total} system calls through"


def _comparison(filtered: Filtered) -> Evidence:
    allowed, _ = allowed_calls(filtered.programs, filtered.architectures[0])
    held = _capabilities(filtered.tasks[0])
    nearest = nearest_defaults(allowed, filtered.architectures[0], held)
    return Evidence(
        filtered.source, f"{_count(filtered)}: {'; or '.join(map(str, nearest))}", "a current default"
    )
