"""Who the processes of a container are to the host: the predicates that many checks share.

Each answers as soon as what was read decides, and raises `FactMissing` where only what could not be read would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.facts.idmap import IDENTITY
from isoaudit.facts.latest import latest
from isoaudit.facts.lsm import parse_label
from isoaudit.facts.namespaces import INITIAL, missing_type
from isoaudit.model import FactMissing, Known, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.lsm import Label
    from isoaudit.facts.status import Status


@latest
def own_user_namespace(container: Container) -> bool:
    """Whether its first process is in a user namespace other than the initial one.

    Its capabilities then hold over what that namespace owns and never over the host (user_namespaces(7)). The
    inode decides; where an ordinary user may not read it, the id map does, which everybody may.
    """
    namespace = container.namespaces.user
    if missing_type(namespace):
        return False
    if isinstance(namespace, Known):
        return namespace.value != INITIAL["user"]
    return require(container.uid_map) != IDENTITY


def matching(container: Container, condition: Callable[[Status], bool]) -> tuple[Process, ...]:
    """The processes whose status meets a condition, and the threads where they differ from their process.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    found, missing = [], None
    for process in container.tasks:
        try:
            if condition(require(process.status)):
                found.append(process)
        except FactMissing as error:
            missing = missing or error
    if missing and not found:
        raise missing
    return tuple(found)


def having(container: Container, condition: Callable[[Label], bool]) -> tuple[Process, ...]:
    """The processes, beside the first, whose security label meets a condition.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    found, missing = [], None
    for process in container.processes[1:]:
        try:
            label = parse_label(require(process.lsm_label))
        except FactMissing as error:
            missing = missing or error
        else:
            if label is not None and condition(label):
                found.append(process)
    if missing and not found:
        raise missing
    return tuple(found)


@latest
def holds(container: Container, mask: int) -> tuple[Process, ...]:
    """The processes with any capability of a mask effective or permitted, whatever user namespace it is in.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    return matching(container, lambda status: bool((status.cap_effective | status.cap_permitted) & mask))


@latest
def holds_over_host(container: Container, mask: int) -> tuple[Process, ...]:
    """The processes with any capability of a mask in the initial user namespace: over the host itself.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    found, missing = [], None
    for process in holds(container, mask):
        try:
            if over_host(container, process):
                found.append(process)
        except FactMissing as error:
            missing = missing or error
    if missing and not found:
        raise missing
    return tuple(found)


def over_host(container: Container, process: Process) -> bool:
    """Whether what a process holds, it holds over the host: it is in the initial user namespace.

    A neighbour of the first process can have made a user namespace of its own, as browsers and build tools do;
    /proc/PID/status then shows it with every capability.

    Raises:
        FactMissing: its user namespace could not be read.
    """
    first = container.identity.pid
    # A thread is in its process's user namespace: setns(2) and unshare(2) refuse another to one of several.
    of_first = isinstance(process.status, Known) and process.status.value.tgid == first
    if process.pid == first or of_first or missing_type(container.namespaces.user):
        return not own_user_namespace(container)
    return require(process.user_namespace) == INITIAL["user"]


@latest
def maps_host_root(container: Container) -> bool:
    """Whether uid 0 of the host exists inside, so that a process may be or become it.

    Where it does not, no set-user-ID file and no bug of the container's own makes anybody inside root outside.
    """
    return any(outside == 0 and length for _, outside, length in require(container.uid_map))


def presumed(predicate: Callable[[Container], object], container: Container) -> bool:
    """What a predicate says, or True, the worse, where it cannot tell: for severities, never for verdicts."""
    try:
        return bool(predicate(container))
    except FactMissing:
        return True


@latest
def host_root_processes(container: Container) -> tuple[Process, ...]:
    """The processes with uid 0 of the host as any of their four user ids.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    return matching(container, lambda status: 0 in status.uids)


def runs_as_host_root(container: Container) -> bool:
    """Whether any process has uid 0 of the host: what root's own files let it do does not need a capability.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    return bool(host_root_processes(container))
