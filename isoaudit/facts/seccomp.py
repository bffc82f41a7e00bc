"""The seccomp filters that processes really run under, and what they answer to a system call.

seccomp(2); Documentation/userspace-api/seccomp_filter.rst. Filters stack: all of them are asked, and the
strictest answer counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.latest import latest
from isoaudit.facts.seccomp_programs import Answer, programs_answer
from isoaudit.facts.status import SECCOMP_DISABLED, SECCOMP_STRICT
from isoaudit.model import FactMissing, Known, Reading, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.facts.container import Container, Process

__all__ = ["Answer", "Filter", "FilterStack", "answer", "lets", "programs", "stacks"]

# What strict mode lets through (mode1_syscalls in kernel/seccomp.c).
_STRICT = frozenset({"read", "write", "exit", "rt_sigreturn", "sigreturn"})


class Filter(NamedTuple):
    """One classic BPF program."""

    program: str  # hexadecimal: struct sock_filter after struct sock_filter, 8 bytes each, little-endian
    flags: int  # SECCOMP_FILTER_FLAG_*, as far as the kernel tells them: LOG only


class FilterStack(NamedTuple):
    """The filters that some threads share."""

    threads: tuple[tuple[int, int], ...]  # (process, thread) as the host counts
    filters: Reading[tuple[Filter, ...]]  # the newest first; unknown where they could not be read
    inferred: bool  # from a runtime's state file rather than from the kernel
    architectures: tuple[str, ...]  # the tables by which this kernel can be called, its own first


_FREE = Answer(allowed=True, conditional=False, error=0, action="no filter")
_NEVER = Answer(allowed=False, conditional=False, error=0, action="")


def answer(
    container: Container,
    process: Process,
    call: str,
    arguments: Mapping[int, int] | None = None,
    architecture: str = "",
) -> Answer:
    """What a process gets for a system call. Where its threads differ, the freest one's answer.

    Args:
        container: the process's.
        process: one of the container's.
        call: the system call's name.
        arguments: those that are known, by index from 0.
        architecture: a table of `calls.AUDIT`; "" is the kernel's own.

    Raises:
        FactMissing: its mode or its filters are not known, cannot be followed, or ask a supervisor.
    """
    status = require(process.status)
    modes = {require(status.seccomp)}
    if isinstance(process.threads, Known):
        modes |= {require(require(thread.status).seccomp) for thread in process.threads.value}
    if SECCOMP_DISABLED in modes:
        return _FREE
    if modes == {SECCOMP_STRICT}:
        return _strict(call)
    known = None if arguments is None else tuple(sorted(arguments.items()))
    answers, missing = [], None
    for stack in stacks(container, process):
        try:
            answers.append(
                programs_answer(programs(stack), architecture or stack.architectures[0], call, known)
            )
        except FactMissing as error:
            missing = missing or error
    freest = max(answers, key=lambda one: (one.allowed, not one.conditional), default=_NEVER)
    if missing and not freest.allowed:
        raise missing
    return freest


def stacks(container: Container, process: Process) -> tuple[FilterStack, ...]:
    """The filters of a filtered process or thread: one stack for all threads, or several.

    Raises:
        FactMissing: nothing is known of them.
    """
    known = require(container.filters)
    found = _by_number(known).get(process.pid)
    if not found:
        raise FactMissing(container.filters.source, f"the filters of process {process.pid} were not read")
    return tuple(known[position] for position in found)


def programs(stack: FilterStack) -> tuple[str, ...]:
    """A stack's programs, the newest first.

    Raises:
        FactMissing: they could not be read.
    """
    return tuple(one.program for one in require(stack.filters))


@latest
def _by_number(known: tuple[FilterStack, ...]) -> Mapping[int, tuple[int, ...]]:
    """The positions of stacks by process and by thread."""
    found: dict[int, tuple[int, ...]] = {}
    for position, stack in enumerate(known):
        for number in {number for pair in stack.threads for number in pair}:
            found[number] = (*found.get(number, ()), position)
    return found


def lets(
    container: Container,
    processes: Iterable[Process],
    call: str,
    arguments: Mapping[int, int] | None = None,
) -> tuple[Process, ...]:
    """Those of some processes whose filters let a system call through, for some arguments at least.

    Raises:
        FactMissing: none is known to be let, and of one it could not be said.
    """
    found, missing = [], None
    for process in processes:
        try:
            if answer(container, process, call, arguments).allowed:
                found.append(process)
        except FactMissing as error:
            missing = missing or error
    if missing and not found:
        raise missing
    return tuple(found)


def _strict(call: str) -> Answer:
    if call in _STRICT:
        return Answer(allowed=True, conditional=False, error=0, action="strict mode lets it through")
    return Answer(allowed=False, conditional=False, error=0, action="KILL_THREAD (strict mode)")
