"""In what a process or a thread is less confined than the first process of its container.

Less alone is drift: a process that has dropped more, or that is in namespaces of its own making, is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.cgroup import CONTROLLERS
from isoaudit.facts.confinement import over_host, presumed
from isoaudit.facts.lsm import parse_label
from isoaudit.facts.namespaces import INITIAL, missing_type
from isoaudit.facts.processes import line_evidence, listed, set_evidence
from isoaudit.facts.seccomp import programs
from isoaudit.facts.seccomp_programs import allowed_calls
from isoaudit.facts.status import SECCOMP_DISABLED
from isoaudit.facts.units import count
from isoaudit.kernel.capability import names
from isoaudit.model import SEVERITIES, Evidence, FactMissing, Known, Severity, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoaudit.facts.cgroup import Membership
    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.host import Host
    from isoaudit.facts.seccomp import FilterStack
    from isoaudit.facts.status import Status

_SHOWN = 6
_NAMESPACES = {
    "mnt": Severity.HIGH,
    "pid": Severity.HIGH,
    "net": Severity.HIGH,
    "ipc": Severity.MEDIUM,
    "uts": Severity.LOW,
    "cgroup": Severity.LOW,
    "time": Severity.LOW,
}


class Drift(NamedTuple):
    """One thing in which a process has more than the first one; `text` is a clause about the process."""

    text: str
    evidence: Sequence[Evidence]
    severity: Severity


class Drifts(NamedTuple):
    """All that was found of one process, and what could not be compared."""

    found: tuple[Drift, ...]
    missing: FactMissing | None


def drifts(host: Host, container: Container, task: Process) -> Drifts:
    """In what a process or a thread has more than the container's first process.

    Raises:
        FactMissing: the first one's status could not be read.
    """
    leader = require(container.processes[0].status)
    comparisons = [_seccomp, _capabilities, _no_new_privs, _root, _filters]
    if not _is_thread(task):  # what a thread has in common with its process is said of that
        comparisons += [_user_namespace, _namespaces, _cgroup, _label]
    found: list[Drift] = []
    missing = None
    for compare in comparisons:
        try:
            found += compare(_Pair(host, container, leader, task))
        except FactMissing as error:
            missing = missing or error
    return Drifts(tuple(found), missing)


class _Pair(NamedTuple):
    host: Host
    container: Container
    leader: Status
    task: Process


def _is_thread(task: Process) -> bool:
    return isinstance(task.status, Known) and task.status.value.tgid not in (0, task.pid)


def _seccomp(pair: _Pair) -> Iterator[Drift]:
    ours, status = pair.leader.seccomp, require(pair.task.status)
    if isinstance(ours, Known) and ours.value and require(status.seccomp) == SECCOMP_DISABLED:
        expected = f"Seccomp:\t{ours.value}, as the first process"
        evidence = line_evidence(pair.task, f"Seccomp:\t{SECCOMP_DISABLED}", expected)
        yield Drift("has no seccomp filter", [evidence], Severity.HIGH)


def _capabilities(pair: _Pair) -> Iterator[Drift]:
    leader, status = pair.leader, require(pair.task.status)
    excess = (status.capabilities | status.cap_inheritable) & ~(leader.capabilities | leader.cap_inheritable)
    where = f"within the first process's {leader.capabilities:016x}"
    severity, least = Severity.HIGH, Severity.MEDIUM
    text = "has {}"
    if not excess and isinstance(leader.no_new_privs, Known) and leader.no_new_privs.value:
        # no_new_privs keeps what is in the first one's bounding set only from it.
        excess = (status.cap_effective | status.cap_permitted) & ~(leader.cap_permitted | leader.cap_effective)
        where = "none that the first process, with no_new_privs, does not hold"
        severity, least = Severity.MEDIUM, Severity.LOW
        text = "holds {}, which no_new_privs keeps from the first process"
    if not excess or not _comparable(pair):
        return
    shown = names(excess)
    over = presumed(lambda container: over_host(container, pair.task), pair.container)
    yield Drift(
        text.format(listed(shown[:_SHOWN], len(shown))),
        [set_evidence(pair.task, excess, where)],
        severity if over else least,
    )


def _comparable(pair: _Pair) -> bool:
    """Whether a task's capabilities compare with the first one's: over the host, or over one namespace."""
    ours, theirs = pair.container.namespaces.user, pair.task.user_namespace
    if isinstance(ours, Known) and isinstance(theirs, Known) and ours.value == theirs.value:
        return True
    return over_host(pair.container, pair.task)


def _no_new_privs(pair: _Pair) -> Iterator[Drift]:
    ours, status = pair.leader.no_new_privs, require(pair.task.status)
    if isinstance(ours, Known) and ours.value and not require(status.no_new_privs):
        evidence = line_evidence(pair.task, "NoNewPrivs:\t0", "NoNewPrivs:\t1, as the first process")
        yield Drift("lacks no_new_privs", [evidence], Severity.HIGH)


def _root(pair: _Pair) -> Iterator[Drift]:
    """Is uid 0 of the host, which status shows whatever user namespace the process is in."""
    leader, uids = pair.leader, require(pair.task.status).uids
    if 0 in uids and 0 not in leader.uids:
        evidence = line_evidence(pair.task, "Uid:\t" + "\t".join(map(str, uids)), "no 0, as the first process")
        bound = isinstance(leader.no_new_privs, Known) and leader.no_new_privs.value
        # Without no_new_privs the first one may become root by a set-user-ID file, and so may have this one.
        yield Drift("is the host's root", [evidence], Severity.MEDIUM if bound else Severity.LOW)


def _filters(pair: _Pair) -> Iterator[Drift]:
    ours, theirs = pair.leader.seccomp_filters, require(pair.task.status).seccomp_filters
    if not isinstance(ours, Known) or not isinstance(theirs, Known) or not theirs.value:
        return
    if theirs.value < ours.value:
        evidence = line_evidence(
            pair.task,
            f"Seccomp_filters:\t{theirs.value}",
            f"Seccomp_filters:\t{ours.value}, as the first process",
        )
        text = f"has {count(theirs.value, 'seccomp filter')} of {ours.value}"
        yield Drift(text, [evidence], Severity.LOW)
        return
    first, own = _stack(pair.container, pair.container.processes[0]), _stack(pair.container, pair.task)
    if first is None or own is None:
        return
    # One profile does not always become one program: what the programs let through is compared.
    before, after = programs(first), programs(own)
    if after[-len(before) :] == before:  # inherited, and more on top
        return
    architecture = first.architectures[0]
    more = sorted(allowed_calls(after, architecture)[0] - allowed_calls(before, architecture)[0])
    if more:
        shown = listed(more[:_SHOWN], len(more))
        source = pair.container.filters.source
        evidence = Evidence(
            source, f"thread {pair.task.pid}: {', '.join(more)}", "none beyond the first process's"
        )
        yield Drift(f"has a seccomp filter that lets {shown} through as well", [evidence], Severity.MEDIUM)


def _stack(container: Container, task: Process) -> FilterStack | None:
    """The filters of a task, as far as they were read from the kernel."""
    if isinstance(container.filters, Known):
        for stack in container.filters.value:
            if not stack.inferred and any(thread == task.pid for _, thread in stack.threads):
                return stack if isinstance(stack.filters, Known) else None
    return None


def _user_namespace(pair: _Pair) -> Iterator[Drift]:
    first, theirs = pair.container.namespaces.user, pair.task.user_namespace
    if isinstance(first, Unknown) or first.value == INITIAL["user"]:
        return
    if require(theirs) == INITIAL["user"]:
        evidence = Evidence(
            theirs.source, f"user:[{INITIAL['user']}]", f"user:[{first.value}], the first process's"
        )
        yield Drift("is in the host's user namespace", [evidence], Severity.HIGH)


def _namespaces(pair: _Pair) -> Iterator[Drift]:
    """The host's namespaces where the first process has others; those that a process made are no drift."""
    others = pair.task.other_namespaces
    shared = []
    for kind, inode in require(others).items():
        host = pair.host.namespaces.of(kind)
        if not missing_type(host) and inode == require(host):
            shared.append(kind)
    if shared:
        evidence = [
            Evidence(
                f"{others.source}/{kind}",
                f"{kind}:[{require(others)[kind]}]",
                f"{kind}:[{require(pair.container.namespaces.of(kind))}], the first process's",
            )
            for kind in shared
        ]
        noun = "namespace" if len(shared) == 1 else "namespaces"
        gravest = min((_NAMESPACES[kind] for kind in shared), key=SEVERITIES.index)
        yield Drift(f"is in the host's {', '.join(shared)} {noun}", evidence, gravest)


def _cgroup(pair: _Pair) -> Iterator[Drift]:
    memberships, first = pair.task.memberships, pair.container.processes[0].memberships
    lines = require(memberships)
    if isinstance(first, Known) and first.value == lines:
        return
    cgroup, ident = require(pair.container.cgroup), pair.container.identity.id
    outside: dict[str, tuple[Membership, str]] = {}
    refused: Unknown | None = None
    for controller in CONTROLLERS:
        place = cgroup.place(controller)
        if isinstance(place, Unknown):
            refused = refused or place
        elif place.value is not None and place.value.own:
            line = _line(lines, controller if place.value.version == 1 else "")
            top = _top(place.value.path, ident)
            if line is not None and not f"{line.path}/".startswith(top.rstrip("/") + "/"):
                outside[controller] = line, top
    if outside:
        line, top = next(iter(outside.values()))
        seen = f"{line.hierarchy}:{','.join(line.controllers)}:{line.path}"
        text = f"is outside of its cgroup for {listed(list(outside)[:_SHOWN], len(outside))}"
        # The device policy is a cgroup's as well: outside of it nodes are open that the container may not use.
        severity = Severity.HIGH if "devices" in outside else Severity.MEDIUM
        yield Drift(text, [Evidence(memberships.source, seen, f"at or below {top}")], severity)
    elif refused:
        require(refused)


def _line(memberships: tuple[Membership, ...], controller: str) -> Membership | None:
    for membership in memberships:
        if controller in membership.controllers or (not controller and membership.hierarchy == 0):
            return membership
    return None


def _top(path: str, ident: str) -> str:
    """The cgroup that was made for the container: its first process may have moved into one below.

    systemd as the first process moves into init.scope; nested engines move what is there out of their way.
    """
    at = path.find(ident) if ident else -1
    if at >= 0:
        end = path.find("/", at)
        return path if end < 0 else path[:end]
    return path.removesuffix("/init.scope")


def _label(pair: _Pair) -> Iterator[Drift]:
    first, theirs = pair.container.lsm_label, pair.task.lsm_label
    if isinstance(first, Unknown):
        return
    ours = parse_label(first.value)
    if ours is None or ours.unconfined:
        return
    raw = require(theirs)
    label = parse_label(raw)
    if label is not None and label.module == ours.module and label.strength < ours.strength:
        text = (
            f"is not confined by {label.module}" if label.unconfined else f"has a profile in {label.mode} mode"
        )
        evidence = Evidence(theirs.source, raw, f"{first.value}, the first process's")
        yield Drift(text, [evidence], Severity.HIGH)
