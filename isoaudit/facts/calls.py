"""Who inside can really make a system call: the capability that it takes, and what seccomp answers to it.

The kernel asks a thread's filters before anything else, and hands them on to every child and through execve(2):
what they refuse to a process, they refuse to whatever it starts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.processes import line_evidence
from isoaudit.facts.seccomp import answer, programs, stacks
from isoaudit.facts.seccomp_programs import programs_answer
from isoaudit.facts.status import SECCOMP_DISABLED
from isoaudit.model import Basis, Evidence, FactMissing, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from isoaudit.facts.container import Container, Process, Thread
    from isoaudit.facts.seccomp import FilterStack
    from isoaudit.facts.seccomp_programs import Answer
    from isoaudit.model import Reading

I386 = "i386"
SHOWN = 3  # calls of one list in messages and evidence
ALONE: Reading[tuple[Thread, ...]] = Known((), "/proc/PID/task")  # of a thread that is judged for itself


class Call(NamedTuple):
    """A system call, those of its arguments that a filter can look at, and the entry by which it is made."""

    name: str
    arguments: tuple[tuple[int, int], ...] = ()  # position and value; what is left out may be anything
    architecture: str = ""  # "": the kernel's own; I386: the 32-bit one of x86-64, where there is one

    def __str__(self) -> str:
        return f"{self.name} ({self.architecture})" if self.architecture else self.name


Way = tuple[Call, ...]  # calls that are needed all together


def ways(*calls: str | Call) -> tuple[Way, ...]:
    """Each of some calls as a way of its own, by the kernel's own entry and by the 32-bit one."""
    each = tuple(call if isinstance(call, Call) else Call(call) for call in calls)
    return tuple((call,) for call in (*each, *(call._replace(architecture=I386) for call in each)))


class Letting(NamedTuple):
    """What the filters of some processes make of some ways to one thing."""

    processes: tuple[Process, ...]  # whose filters, if any, let one of them through
    calls: tuple[str, ...]  # those that get through
    undecided: tuple[Process, ...]  # of which it could not be said
    missing: FactMissing | None  # why not
    evidence: tuple[Evidence, ...]  # of the first that gets through; of a refusal where none does
    basis: Basis

    def decided(self) -> Letting:
        """Itself.

        Raises:
            FactMissing: no process is known to get through, and of one it could not be said.
        """
        if self.missing and not self.processes:
            raise self.missing
        return self


def letting(container: Container, processes: Iterable[Process], open_ways: Sequence[Way]) -> Letting:
    """Which of some processes have filters that let one of some ways through."""
    found: list[Process] = []
    undecided: list[Process] = []
    calls: dict[str, None] = {}
    evidence: tuple[Evidence, ...] = ()
    refusal: tuple[Evidence, ...] = ()
    missing: FactMissing | None = None
    basis = Basis.OBSERVED
    for group, of_process in _alike(container, processes):
        if any(stack.inferred for stack in of_process):
            basis = Basis.INFERRED
        try:
            open_calls, shown = _judged(container, group[0], of_process, open_ways)
        except FactMissing as error:
            missing = missing or error
            undecided += group
            continue
        if open_calls:
            found += group
            calls.update(dict.fromkeys(open_calls))
            evidence = evidence or shown
        else:
            refusal = refusal or shown
    return Letting(tuple(found), tuple(calls), tuple(undecided), missing, evidence or refusal, basis)


def _judged(
    container: Container, process: Process, of_process: Sequence[FilterStack], open_ways: Sequence[Way]
) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    """The calls that get through, and what shows that they do, or that none does.

    Raises:
        FactMissing: none is known to, and of one it could not be said.
    """
    if _mode(process) == SECCOMP_DISABLED:
        calls = tuple(str(way[-1]) for way in open_ways if not way[-1].architecture)
        return calls, (line_evidence(process, "Seccomp:\t0", "Seccomp:\t2"),)
    source = container.filters.source
    if len(of_process) == 1 and isinstance(of_process[0].filters, Known):
        through, lines = _by_programs(programs(of_process[0]), of_process[0].architectures, tuple(open_ways))
    else:
        architectures = {architecture for stack in of_process for architecture in stack.architectures}
        through, lines = _asked(
            open_ways,
            frozenset(architectures),
            lambda call: answer(container, process, call.name, dict(call.arguments), call.architecture),
        )
    return through, tuple(Evidence(source, line, "ERRNO(EPERM)") for line in lines)


@lru_cache(maxsize=1024)
def _by_programs(
    of_stack: tuple[str, ...], architectures: tuple[str, ...], open_ways: tuple[Way, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `_asked`; the containers of a host mostly have the same few programs."""
    return _asked(
        open_ways,
        frozenset(architectures),
        lambda call: programs_answer(
            of_stack, call.architecture or architectures[0], call.name, call.arguments or None
        ),
    )


def _asked(
    open_ways: Sequence[Way], architectures: frozenset[str], ask: Callable[[Call], Answer]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The calls that get through, and the answers to those, or to all where none does, as many as help.

    Raises:
        FactMissing: none is known to get through, and of one it could not be said.
    """
    through: list[Call] = []
    refused: list[Call] = []
    actions: dict[Call, str] = {}
    missing = None
    for way in open_ways:
        if way[-1].architecture and way[-1].architecture not in architectures:
            continue
        try:
            answers = [ask(call) for call in way]
        except FactMissing as error:
            missing = missing or error
            continue
        actions[way[-1]] = answers[-1].action
        (through if all(one.allowed for one in answers) else refused).append(way[-1])
    if missing and not through:
        raise missing
    # The kernel's own entry first.
    shown = sorted(through or refused, key=lambda call: call.architecture)[:SHOWN]
    return tuple(map(str, through)), tuple(f"{call}: {actions[call]}" for call in shown)


def _mode(process: Process) -> int | None:
    status = process.status
    if isinstance(status, Known) and isinstance(status.value.seccomp, Known):
        return status.value.seccomp.value
    return None


def _alike(
    container: Container, processes: Iterable[Process]
) -> Iterable[tuple[list[Process], tuple[FilterStack, ...]]]:
    """Processes by what filters they have, as those of one container mostly have the same, and the filters."""
    groups: dict[tuple[object, ...], tuple[list[Process], tuple[FilterStack, ...]]] = {}
    for process in processes:
        mode = _mode(process)
        of_process = _stacks(container, process) if mode else ()
        # Of what was not read, each process has a reason of its own.
        key = (mode, *map(id, of_process)) if mode is not None and (of_process or not mode) else (process.pid,)
        groups.setdefault(key, ([], of_process))[0].append(process)
    return groups.values()


def _stacks(container: Container, process: Process) -> tuple[FilterStack, ...]:
    """A process's filters; none where they are not known."""
    try:
        return stacks(container, process)
    except FactMissing:
        return ()
