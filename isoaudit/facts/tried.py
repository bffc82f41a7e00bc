"""What a test container's answer decides: a permission that the kernel gave to a container's walls, or refused.

A success is the gap. A refusal holds for what the twin stood for and tried: the first process, and these calls.
Of a neighbour that is less confined, of other calls that a filter forgot, and of a capability that only
executing a program gives, kernel state has to tell all the same (`beyond`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.calls import ALONE, Call, letting
from isoaudit.facts.masks import profile
from isoaudit.facts.processes import Reach, nearest_of
from isoaudit.facts.seccomp import stacks
from isoaudit.model import Basis, Evidence, FactMissing, Known, Outcome, Severity, Verdict, fail, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.masks import Place
    from isoaudit.model import Reading


_CALLS = re.compile(r"; | \(")


class Tried(NamedTuple):
    """What the twin was answered to one or several probes of one permission."""

    succeeded: bool
    answer: str  # the one that decides, as a clause
    evidence: tuple[Evidence, ...]
    probe: str  # whose answer that is

    @property
    def brief(self) -> str:
        """The answer without the calls that it lists besides."""
        return _CALLS.split(self.answer)[0]


def tried(container: Container, *probes: str, expected: str = "EPERM") -> Tried | None:
    """The answers to some probes, of which one success is enough; None where they decide nothing."""
    refusals: list[Tried] = []
    for name in probes:
        reading = container.probe(name)
        if not isinstance(reading, Known):
            continue
        call, answer = reading.value.call, reading.value.answer
        evidence = (Evidence(reading.source, f"{call} = {answer}", expected),)
        one = Tried(reading.value.succeeded, answer, evidence, name)
        if one.succeeded:
            return one
        refusals.append(one)
    if len(refusals) < len(probes):
        return None
    return refusals[0]._replace(evidence=tuple(line for one in refusals for line in one.evidence))


class Attempt(NamedTuple):
    """What the probes of one permission are about."""

    probes: tuple[str, ...]
    calls: tuple[Call, ...]  # those that they make, by the kernel's own entry
    capabilities: int = 0  # any of these may grant it


def settled(
    container: Container,
    attempt: Attempt,
    judge: Callable[[Container], Outcome],
    *,
    gap: str,
    wall: str,
    severity: Severity | str | None = None,
) -> Outcome:
    """The outcome by the probes, where they ran; by kernel state for what they tell nothing of.

    Args:
        container: the container.
        attempt: the probes.
        judge: by kernel state alone, of the processes that it is given.
        gap: the message of a success that kernel state does not explain.
        wall: the message of a refusal, before what the kernel answered.
        severity: of a success that kernel state does not explain, if not the check's default.

    Raises:
        FactMissing: kernel state decides, and does not tell.
    """
    found = tried(container, *attempt.probes)
    if found is None:
        return judge(container)
    if found.succeeded:
        plain = fail(gap, found.evidence, severity=severity, basis=Basis.PROVEN)
        return _proven(container, judge, found, plain)
    rest = beyond(container, attempt)
    if rest:
        outcome = judge(container._replace(processes=rest))
        if outcome.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
            return outcome
    return passed(f"{wall}: {found.brief}", found.evidence, basis=Basis.PROVEN)


def _proven(
    container: Container, judge: Callable[[Container], Outcome], found: Tried, plain: Outcome
) -> Outcome:
    """What kernel state says of a gap that was proven: who has it and what makes it worth more or less."""
    try:
        outcome = judge(container)
    except FactMissing:
        return plain
    return _with(container, found, outcome, plain)


def _with(container: Container, found: Tried, outcome: Outcome, plain: Outcome) -> Outcome:
    if outcome.verdict is not Verdict.FAIL:
        return plain
    # What an LSM's profile might still forbid, kernel state says with reserve; the twin was under it.
    told = plain if profile(container) else outcome
    return told._replace(evidence=(*found.evidence, *outcome.evidence), basis=Basis.PROVEN)


class Opened(NamedTuple):
    """A probe that opens a file of the kernel's, and where kernel state says that the file can be opened."""

    probe: str
    paths: tuple[str, ...] = ()  # what it opens, or the folder that this stands for
    places: Sequence[Place] = ()  # none: a refusal overrules nothing
    processes: Sequence[Process] = ()  # who would get past the permissions


def confirmed(container: Container, opened: Opened, outcome: Outcome, *, gap: str, wall: str = "") -> Outcome:
    """The outcome by kernel state, and what the probe makes of it.

    A refusal is about the paths that were tried and about who is confined as the first process is: it overrules
    kernel state where that names no other.
    """
    found = tried(container, opened.probe, expected="EROFS, EACCES or a mask")
    if found is None:
        return outcome
    if found.succeeded:
        return _with(container, found, outcome, fail(gap, found.evidence, basis=Basis.PROVEN))
    others = _others(container)
    overruled = (
        outcome.verdict is Verdict.FAIL
        and opened.places
        and all(place.path in opened.paths for place in opened.places)
        and not any(process._replace(threads=ALONE) in others for process in opened.processes)
    )
    return passed(f"{wall}: {found.brief}", found.evidence, basis=Basis.PROVEN) if overruled else outcome


def beyond(container: Container, attempt: Attempt) -> tuple[Process, ...]:
    """The processes of which a refusal to the twin tells nothing, or not everything."""
    first = container.processes[0]._replace(threads=ALONE)
    others = _others(container)
    return (first, *others) if _unanswered(container, first, attempt) else others


_latest: list[tuple[tuple[Process, ...], tuple[Process, ...]]] = []


def _others(container: Container) -> tuple[Process, ...]:
    """The tasks that differ from the first process. A dozen checks ask in a row: the latest answer is kept."""
    if not _latest or _latest[0][0] is not container.processes:
        first, *tasks = (task._replace(threads=ALONE) for task in container.tasks)
        found = tuple(task for task in tasks if not _alike(container, first, task))
        _latest[:] = [(container.processes, found)]
    return _latest[0][1]


def _unanswered(container: Container, first: Process, attempt: Attempt) -> bool:
    """Whether the first process may have another way: calls that were not tried, or to execute a program."""
    try:
        holders = nearest_of(container, (first,), attempt.capabilities) if attempt.capabilities else None
    except FactMissing:
        return False  # of what is not known no twin would have been made
    if holders and holders.reach in (Reach.EXECUTION, Reach.FILE):
        return True
    # With a filter that lets the calls through it was the kernel that refused, whatever the call.
    answers = letting(container, (first,), tuple((call,) for call in attempt.calls))
    return bool(attempt.calls) and not answers.processes and not answers.undecided


def _alike(container: Container, first: Process, other: Process) -> bool:
    """Whether a process has the walls that the twin was made of, as far as both are known."""
    if not isinstance(first.status, Known) or not isinstance(other.status, Known):
        return False
    if isinstance(other.other_namespaces, Known) and other.other_namespaces.value:
        return False
    ours, theirs = first.status.value, other.status.value
    same_status = all(
        getattr(ours, name) == getattr(theirs, name)
        for name in (
            "uids",
            "gids",
            "cap_inheritable",
            "cap_permitted",
            "cap_effective",
            "cap_bounding",
        )
    )
    same_readings = all(
        _same(mine, its)
        for mine, its in (
            (ours.seccomp, theirs.seccomp),
            (ours.seccomp_filters, theirs.seccomp_filters),
            (ours.no_new_privs, theirs.no_new_privs),
            (first.user_namespace, other.user_namespace),
            (first.lsm_label, other.lsm_label),
        )
    )
    return same_status and same_readings and _same_filters(container, first, other)


def _same(ours: Reading[object], theirs: Reading[object]) -> bool:
    return not isinstance(ours, Known) or not isinstance(theirs, Known) or ours.value == theirs.value


def _same_filters(container: Container, first: Process, other: Process) -> bool:
    if not isinstance(container.filters, Known) or len(container.filters.value) < 2:
        return True
    try:
        return stacks(container, first) == stacks(container, other)
    except FactMissing:
        return True  # as far as is known
