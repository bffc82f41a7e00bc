"""The processes and threads of a container by the seccomp filters that they run under."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.seccomp import programs, stacks
from isoaudit.facts.status import SECCOMP_FILTER
from isoaudit.model import Basis, FactMissing, require

if TYPE_CHECKING:
    from isoaudit.facts.container import Container, Process


class Filtered(NamedTuple):
    """Some that run under the same programs."""

    programs: tuple[str, ...]  # the newest first
    architectures: tuple[str, ...]  # by which the kernel can be called, its own first
    inferred: bool
    source: str
    tasks: tuple[Process, ...]

    @property
    def basis(self) -> Basis:
        """How its programs are known."""
        return Basis.INFERRED if self.inferred else Basis.OBSERVED


class Sorted(NamedTuple):
    """All filtered ones, those of the first process first; why something is not known, if so."""

    known: tuple[Filtered, ...]
    missing: FactMissing | None


def by_filters(container: Container) -> Sorted:
    """Sort a container's filtered processes and threads by their programs."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...], bool], Filtered] = {}
    missing: FactMissing | None = None
    for task in container.tasks:
        try:
            if require(require(task.status).seccomp) != SECCOMP_FILTER:
                continue
            for stack in stacks(container, task):
                key = programs(stack), stack.architectures, stack.inferred
                before = found.get(key)
                tasks = before.tasks if before else ()
                found[key] = Filtered(*key, stack.filters.source, (*tasks, task))
        except FactMissing as error:
            missing = missing or error
    return Sorted(tuple(found.values()), missing)
