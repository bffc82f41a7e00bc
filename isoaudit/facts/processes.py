"""The processes and threads inside a container: how near each is to a capability over the host, and its name.

capabilities(7), "Transformation of capabilities during execve()"; user_namespaces(7): a process in a user
namespace of its own has its capabilities over what that namespace owns, never over the host.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import over_host
from isoaudit.facts.latest import latest
from isoaudit.model import SEVERITIES, Evidence, FactMissing, Known, Severity, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.status import Status

_SHOWN = 4


class Reach(IntEnum):
    """How near a process is to a capability, nearest first. Only the first three are over the host."""

    HELD = 0  # effective or permitted
    EXECUTION = 1  # root with it in the bounding set: executing any program gives it
    FILE = 2  # not root: executing a set-user-ID root file, or one with file capabilities, gives it
    KEPT = 3  # no_new_privs keeps it in the bounding set: no execve(2) gives it
    CONFINED = 4  # over a user namespace of its own only


class Nearest(NamedTuple):
    """The processes that are nearest to a capability."""

    reach: Reach
    processes: tuple[Process, ...]


class _Standing(NamedTuple):
    """What a process has, for whichever capability is asked."""

    process: Process
    anywhere: int  # what it has in some set
    held: int  # what it has effective or permitted, over the host
    further: Reach  # how near it is to the rest
    missing: FactMissing | None  # why it is not known


def _standing(container: Container, process: Process) -> _Standing:
    if isinstance(process.status, Unknown):
        missing = FactMissing(process.status.source, process.status.reason)
        return _Standing(process, -1, 0, Reach.CONFINED, missing)
    status = process.status.value
    held = status.cap_effective | status.cap_permitted
    anywhere = held | status.cap_bounding | status.cap_inheritable
    try:
        if anywhere and not over_host(container, process):
            return _Standing(process, anywhere, 0, Reach.CONFINED, None)
    except FactMissing as error:
        return _Standing(process, anywhere, 0, Reach.CONFINED, error)
    # What a file gives is intersected with what the process had (cap_bprm_creds_from_file, commoncap.c).
    if isinstance(status.no_new_privs, Known) and status.no_new_privs.value:
        further = Reach.KEPT
    else:
        further = Reach.EXECUTION if 0 in status.uids[:2] else Reach.FILE
    return _Standing(process, anywhere, held, further, None)


@latest
def _standings(container: Container) -> tuple[_Standing, ...]:
    return tuple([_standing(container, task) for task in container.tasks])


@latest
def nearest(container: Container, mask: int) -> Nearest | None:
    """The processes that are nearest to any capability of a mask, in host terms.

    Returns:
        None where no process has it in any set.

    Raises:
        FactMissing: none is known to reach it over the host, and of one it could not be said.
    """
    return _nearest(_standings(container), mask)


def nearest_of(container: Container, processes: Sequence[Process], mask: int) -> Nearest | None:
    """Those of some processes and threads that are nearest to any capability of a mask.

    Raises:
        FactMissing: as `nearest`.
    """
    return _nearest([_standing(container, process) for process in processes], mask)


def _nearest(standings: Iterable[_Standing], mask: int) -> Nearest | None:
    best: Reach | None = None
    found: list[Process] = []
    missing: FactMissing | None = None
    for process, anywhere, held, further, unknown in standings:
        # Most processes have it in no set, and fifty checks ask of each.
        if not anywhere & mask:
            continue
        if unknown is not None:
            missing = missing or unknown
            continue
        reach = Reach.HELD if held & mask else further
        if best is None or reach < best:
            best, found = reach, [process]
        elif reach == best:
            found.append(process)
    if missing and (best is None or best > Reach.FILE):
        raise missing
    return None if best is None else Nearest(best, tuple(found))


def lowered(severity: Severity | str, reach: Reach) -> Severity:
    """What a gap is worth that is only as near as that: a step less a step further."""
    return SEVERITIES[min(SEVERITIES.index(Severity(severity)) + reach, len(SEVERITIES) - 1)]


_SETS: tuple[tuple[str, str], ...] = (
    ("effective", "CapEff"),
    ("permitted", "CapPrm"),
    ("inheritable", "CapInh"),
    ("ambient", "CapAmb"),
    ("bounding", "CapBnd"),
)


def _masks(status: Status) -> dict[str, int]:
    ambient = status.cap_ambient.value if isinstance(status.cap_ambient, Known) else 0
    return {
        "effective": status.cap_effective,
        "permitted": status.cap_permitted,
        "inheritable": status.cap_inheritable,
        "ambient": ambient,
        "bounding": status.cap_bounding,
    }


def sets_with(process: Process, mask: int) -> tuple[str, ...]:
    """The names of a process's sets that have any capability of a mask, the one that counts most first."""
    masks = _masks(require(process.status))
    return tuple(name for name, _ in _SETS if masks[name] & mask)


def set_evidence(process: Process, mask: int, expected: str) -> Evidence:
    """The line of its status with the set that counts most of those with any capability of a mask."""
    masks = _masks(require(process.status))
    name, field = next(pair for pair in _SETS if masks[pair[0]] & mask)
    return Evidence(_source(process), f"{field}:\t{masks[name]:016x}", expected)


def line_evidence(process: Process, observed: str, expected: str) -> Evidence:
    """A line of a process's status."""
    return Evidence(_source(process), observed, expected)


def _source(process: Process) -> str:
    return process.status.source


def named(processes: Sequence[Process]) -> str:
    """Processes by pid on the host and command: "4242 (app), 4250 (sh) and 3 more"."""
    return listed([called(process) for process in processes[:_SHOWN]], len(processes))


def called(process: Process) -> str:
    """One process by pid and command, a thread by its own: "4242 (app)", "thread 4243 (worker) of 4242"."""
    if not isinstance(process.status, Known):
        return str(process.pid)
    status = process.status.value
    if status.tgid in (0, process.pid):
        return f"{process.pid} ({status.name})"
    return f"thread {process.pid} ({status.name}) of {status.tgid}"


def listed(shown: Sequence[str], total: int) -> str:
    """Some of a number of things in one line, with how many more there are."""
    rest = total - len(shown)
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return ", ".join(shown)
