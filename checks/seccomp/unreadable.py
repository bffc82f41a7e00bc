"""The live seccomp filter could not be read.

## What it detects
A process inside runs under a seccomp filter whose program could not be read from the kernel. What other checks
say of it is then unknown, or rests on the profile that the runtime noted when it started the container.

isoaudit reads filters by ptrace(2), which stops a thread for a tenth of a millisecond. It leaves alone what
could notice: threads asleep in a call that a stop ends early (epoll_wait(2) and a few more), stopped, traced
and frozen ones. With `--no-ptrace` it stops nothing.

## Why it matters
A filter's mere presence says nothing: it may let everything through.

## Remediation
Run isoaudit as root of the host, without `--no-ptrace`, and not under a seccomp filter of its own.

- the kernel needs CONFIG_CHECKPOINT_RESTORE, and `kernel.yama.ptrace_scope` must not be 3
- a process with all threads in epoll_wait(2) is read when one of them sleeps elsewhere: scan again

## When it is fine
Where the profile that the runtime noted is enough, and no process could have put itself under another.

## References
- ptrace(2), "PTRACE_SECCOMP_GET_FILTER"
- signal(7), "Interruption of system calls and library functions by stop signals"
"""

from isoaudit import Container, Evidence, Outcome, check, not_applicable, passed, unknown
from isoaudit.facts.filtered import by_filters
from isoaudit.facts.processes import named
from isoaudit.facts.units import count


@check(severity="info")
def unreadable(container: Container) -> Outcome:
    known, missing = by_filters(container)
    if missing:
        raise missing
    if not known:
        return not_applicable("no process of it runs under a filter: see seccomp-absent")
    inferred = [one for one in known if one.inferred]
    if inferred:
        return unknown(
            f"the live filter of {named(inferred[0].tasks)} was not read: what its runtime noted stands in",
            inferred[0].source,
        )
    return passed(
        "the filters of all its processes were read from the kernel",
        [
            Evidence(one.source, f"{count(len(one.programs), 'program')} for {named(one.tasks)}")
            for one in known
        ],
    )
