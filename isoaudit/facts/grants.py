"""Who inside can use a capability over the host: who can get it, and whom seccomp lets make its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.calls import ALONE, SHOWN, letting
from isoaudit.facts.latest import latest
from isoaudit.facts.namespaces import missing_type
from isoaudit.facts.processes import Nearest, Reach, listed, named, nearest, nearest_of, set_evidence
from isoaudit.kernel.capability import names
from isoaudit.model import Basis, Evidence, Known, Outcome, passed, require

if TYPE_CHECKING:
    from isoaudit.facts.calls import Way
    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.host import Host


class Grant(NamedTuple):
    """Who inside can make a call that takes a capability over the host."""

    holders: Nearest
    capability: str  # which, and how near, as the beginning of a message
    calls: tuple[str, ...]  # those that get through
    evidence: tuple[Evidence, ...]
    basis: Basis
    unread: bool = False  # the holders' filters, which are only presumed to let the calls through

    @property
    def who(self) -> str:
        """The holders by name, and what is presumed of them."""
        doubt = "; what their seccomp filter says to it was not read" if self.unread else ""
        return f"{named(self.holders.processes)}{doubt}"

    @property
    def by(self) -> str:
        """The calls in one line."""
        return listed(self.calls[:SHOWN], len(self.calls))


@latest
def granted(
    container: Container, mask: int, open_ways: tuple[Way, ...], *, presume: bool = False
) -> Grant | Outcome:
    """Who can make one of some calls that take any capability of a mask over the host.

    Args:
        container: the container.
        mask: the capabilities.
        open_ways: the calls.
        presume: take a filter that is not known for one that lets them through.

    Returns:
        The pass that says why, where nobody can.

    Raises:
        FactMissing: nobody is known to be able to, and of one it could not be said.
    """
    wanted = " or ".join(names(mask))
    holders = nearest(container, mask)
    if holders is None:
        return passed(f"no process of it has {wanted}")
    who = named(holders.processes)
    if holders.reach is Reach.CONFINED:
        return passed(f"its {wanted} is over a user namespace of its own, not over the host: {who}")
    if holders.reach is Reach.KEPT:
        return passed(f"{wanted} is in the bounding set only, and no_new_privs keeps it there: {who}")
    candidates = [task._replace(threads=ALONE) for task in container.tasks if _may_have(task, mask)]
    answers = letting(container, candidates, open_ways)
    for processes in (answers.processes, answers.undecided):
        able = _over_host(container, processes, mask)
        if not able:
            continue
        unread = processes is answers.undecided
        if unread and answers.missing and not presume:
            raise answers.missing
        line = set_evidence(able.processes[0], mask, f"without {wanted} ({mask:016x})")
        return Grant(
            able,
            _capability(able, mask),
            () if unread else answers.calls,
            (line,) if unread else (line, *answers.evidence),
            answers.basis,
            unread,
        )
    calls = list(dict.fromkeys(way[-1].name for way in open_ways))
    return passed(
        f"its seccomp filter refuses {listed(calls[:SHOWN], len(calls))} to all that have {wanted}: {who}",
        answers.evidence,
        basis=answers.basis,
    )


def _may_have(task: Process, mask: int) -> bool:
    if not isinstance(task.status, Known):
        return True
    status = task.status.value
    return bool(
        (status.cap_bounding | status.cap_effective | status.cap_permitted | status.cap_inheritable) & mask
    )


def _over_host(container: Container, processes: tuple[Process, ...], mask: int) -> Nearest | None:
    """Those of some processes that are nearest to a capability over the host."""
    found = nearest_of(container, processes, mask) if processes else None
    return found if found and found.reach <= Reach.FILE else None


def _capability(able: Nearest, mask: int) -> str:
    status = require(able.processes[0].status)
    if able.reach is Reach.HELD:
        return " and ".join(names((status.cap_effective | status.cap_permitted) & mask))
    wanted = " and ".join(names((status.cap_bounding | status.cap_inheritable) & mask))
    how = "any program" if able.reach is Reach.EXECUTION else "a set-user-ID root program"
    return f"{wanted}, which executing {how} gives it,"


def in_host_namespace(host: Host, container: Container, process: Process, kind: str) -> bool:
    """Whether a process is in the host's namespace of a type, whichever the container's first process is in.

    Raises:
        FactMissing: the inodes could not be read.
    """
    ours, theirs = host.namespaces.of(kind), container.namespaces.of(kind)
    if missing_type(ours):
        return True
    others = process.other_namespaces
    if isinstance(others, Known) and kind in others.value:
        return others.value[kind] == require(ours)
    return require(ours) == require(theirs)
