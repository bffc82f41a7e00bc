"""One scan from beginning to end: find, read, probe, judge. The CLI calls this and prints what it returns."""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.audit import Judge, peers_of
from isoaudit.collect.containers import ContainerReader, Named, identify, lsm_label
from isoaudit.collect.discovery import discover
from isoaudit.collect.host import HostReading, read_host
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths, require_proc
from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.tree import VanishedError
from isoaudit.errors import NothingToAuditError, UsageError
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.idmap import IdRange, parse_id_map
from isoaudit.facts.peers import Peer, Peers
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.facts.units import count
from isoaudit.facts.walls import walls
from isoaudit.model import Unknown
from isoaudit.policy import Policy, require_known
from isoaudit.report import (
    FindingEncoder,
    Report,
    Section,
    container_document,
    host_document,
    scan_document,
    tool_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from isoaudit.facts.host import Host
    from isoaudit.model import Reading
    from isoaudit.probes.prober import Prober
    from isoaudit.registry import Catalogue

HAZARDS = ("none", "safe", "visible", "disruptive")

# Below so many containers a second process costs more than it saves.
_WORTH_FORKING = 300
# Containers in memory at once: enough for probes to run side by side.
_BATCH = 64


def _silent(_what: str, _done: int, _total: int) -> None:
    """No progress."""


class Request(NamedTuple):
    """What to scan, and how."""

    paths: Paths = Paths()
    target: str = ""  # a container's pid, name or id; "" is the host and all its containers
    only: tuple[int, ...] = ()  # first processes of the containers to audit, and not the host; () is all
    probes: str = "none"
    include_sandboxes: bool = False
    command: tuple[str, ...] = ()
    workers: int = 0  # 0: as many as CPUs where it pays


class Scope(NamedTuple):
    """What a scan found before it looks closer."""

    reading: HostReading
    named: tuple[Named, ...]  # what will be read
    everything: tuple[Named, ...]  # all that containers are compared with
    processes: int
    hidden: int
    sandboxes: int  # left out


def look(request: Request) -> Scope:
    """Read the host and find its containers.

    Raises:
        UsageError: /proc cannot be read, or the target names several containers.
        NothingToAuditError: the target is no container.
    """
    require_proc(request.paths)
    reading = read_host(request.paths)
    found = discover(request.paths, reading.host.namespaces, reading.host.mounts)
    everything = identify(found.candidates, Names(request.paths))
    sandboxes = sum(named.identity.sandbox for named in everything)
    chosen: tuple[Named, ...]
    if request.target:
        chosen = (resolve(request.target, everything, request.paths),)
        sandboxes = 0
    elif request.only:
        chosen = tuple(named for named in everything if named.identity.pid in request.only)
        sandboxes = 0
    elif request.include_sandboxes:
        chosen, sandboxes = everything, 0
    else:
        chosen = tuple(named for named in everything if not named.identity.sandbox)
    return Scope(reading, chosen, everything, found.processes, found.hidden, sandboxes)


def resolve(target: str, everything: Iterable[Named], paths: Paths) -> Named:
    """The one container that a pid, a name or the beginning of an id means.

    Raises:
        UsageError: it means several.
        NothingToAuditError: it means none.
    """
    everything = tuple(everything)
    if target.isdigit():
        pid = int(target)
        inside = [named for named in everything if any(p.pid == pid for p in named.candidate.processes)]
        if inside:
            return inside[0]
        if os.path.exists(f"{paths.proc}/{pid}"):
            raise NothingToAuditError(
                f"process {pid} is in no container: it has the host's namespaces and root. "
                "`isoaudit list` shows the containers, `isoaudit scan --host` audits the host"
            )
    exact = [n for n in everything if target in (n.identity.key, n.identity.name, n.identity.id)]
    matches = exact or [n for n in everything if n.identity.id.startswith(target) and len(target) >= 2]
    if len(matches) > 1:
        keys = ", ".join(f"{named.identity.key} (pid {named.identity.pid})" for named in matches[:5])
        raise UsageError(f"{target!r} matches {len(matches)} containers: {keys}; give a pid or more of the id")
    if not matches:
        what = "no process or container has the number or id" if target.isdigit() else "no container is called"
        raise NothingToAuditError(f"{what} {target!r}: `isoaudit list` shows the containers")
    return matches[0]


class _Clock:
    """When a scan began, and how long it took."""

    def __init__(self) -> None:
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._from = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._from, 3)


def _mode(request: Request) -> str:
    return "container" if request.target or request.only else "host"


def _facts(request: Request, scope: Scope, clock: _Clock) -> ScanFacts:
    return ScanFacts(
        id=os.urandom(8).hex(),
        started=clock.started,
        seconds=clock.seconds(),
        mode=_mode(request),
        command=request.command,
        euid=os.geteuid(),
        probes=request.probes,
        processes=scope.processes,
        hidden=scope.hidden,
        sandboxes=scope.sandboxes,
    )


@contextmanager
def _without_gc() -> Iterator[None]:
    """Facts hold no cycles; on a large result set the collector would double the cost of parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(request: Request, scope: Scope, batch: Iterable[Named]) -> Iterator[Container | Identity]:
    """Read containers; one that vanished comes as its identity."""
    reader = ContainerReader(request.paths, scope.reading.cgroups, scope.reading.host.machine)
    for named in batch:
        try:
            yield reader.read(named)
        except VanishedError:
            yield named.identity


def collect(request: Request, progress: Callable[[str, int, int], None] = _silent) -> Snapshot:
    """Read, and probe, but do not judge.

    Raises:
        UsageError, NothingToAuditError: as `look`.
    """
    clock = _Clock()
    with _without_gc():
        scope = look(request)
        containers: list[Container] = []
        vanished: list[Identity] = []
        for batch in _batches(scope.named):
            read = list(_read(request, scope, batch))
            vanished += [one for one in read if isinstance(one, Identity)]
            containers += [one for one in read if isinstance(one, Container)]
            progress("reading", len(containers) + len(vanished), len(scope.named))
        with _Probes(request, scope, progress) as probes:
            probed = probes.run(containers)
        return Snapshot(_facts(request, scope, clock), scope.reading.host, tuple(probed), tuple(vanished))


def audit(
    request: Request,
    catalogue: Catalogue,
    policy: Policy,
    frameworks: Mapping[str, Mapping[str, list[str]]],
    progress: Callable[[str, int, int], None] = _silent,
) -> Report:
    """Scan and judge.

    Raises:
        UsageError, NothingToAuditError: as `look`, or a policy that names what does not exist.
    """
    chosen = _chosen(catalogue, policy)
    clock = _Clock()
    with _without_gc():
        scope = look(request)
        host = scope.reading.host
        peers = Peers(_peer(request.paths, named) for named in scope.everything)
        judge = Judge(chosen, host, peers, policy.severities)
        encoder = FindingEncoder(frameworks)
        sections = [encoder.section(None, judge.host() if _mode(request) == "host" else (), policy)]
        done = 0
        with _Probes(request, scope, progress) as probes:

            def work(batch: tuple[Named, ...]) -> list[Section]:
                read = list(_read(request, scope, batch))
                probed = iter(probes.run([one for one in read if isinstance(one, Container)]))
                return [
                    _section(judge, host, encoder, policy, one if isinstance(one, Identity) else next(probed))
                    for one in read
                ]

            workers = _workers(request, len(scope.named))
            for result in _spread(work, _batches(scope.named), workers):
                sections += result
                done += len(result)
                progress("auditing", done, len(scope.named))
        notices = [*probes.notices, *_notices(scope, sections)]
        return _report(_facts(request, scope, clock), host, chosen, policy, sections, notices)


def judge_snapshot(
    snapshot: Snapshot,
    catalogue: Catalogue,
    policy: Policy,
    frameworks: Mapping[str, Mapping[str, list[str]]],
) -> Report:
    """Judge facts that were collected earlier, or elsewhere.

    Raises:
        UsageError: a policy that names what does not exist.
    """
    chosen = _chosen(catalogue, policy)
    judge = Judge(chosen, snapshot.host, peers_of(snapshot.containers), policy.severities)
    encoder = FindingEncoder(frameworks)
    sections = [encoder.section(None, judge.host() if snapshot.scan.mode == "host" else (), policy)]
    subjects: list[Container | Identity] = [*snapshot.containers, *snapshot.vanished]
    sections += [_section(judge, snapshot.host, encoder, policy, one) for one in subjects]
    notices = _notices_of(snapshot.scan.hidden, snapshot.scan.sandboxes, len(snapshot.vanished))
    return _report(snapshot.scan, snapshot.host, chosen, policy, sections, notices)


def _chosen(catalogue: Catalogue, policy: Policy) -> Catalogue:
    require_known(policy.severities, (check.id for check in catalogue.checks))
    return catalogue.selected(policy.select, policy.ignore)


def _section(
    judge: Judge, host: Host, encoder: FindingEncoder, policy: Policy, one: Container | Identity
) -> Section:
    if isinstance(one, Identity):
        return encoder.section(container_document(one, None, {}), (), policy)
    document = container_document(one.identity, one, walls(host, one))
    return encoder.section(document, judge.container(one), policy)


def _report(
    scan: ScanFacts,
    host: Host,
    catalogue: Catalogue,
    policy: Policy,
    sections: list[Section],
    notices: Iterable[str],
) -> Report:
    tallies = [section.tally for section in sections]
    undecided = sum(t.get("unknown", 0) + t.get("error", 0) for t in tallies)
    gate = "none"
    if policy.fail_on is not None:
        gate = "failed" if any(section.blocking for section in sections) else "passed"
    return Report(
        tool=tool_document(catalogue.digest),
        scan=scan_document(scan, policy, notices, complete=not undecided and not scan.hidden),
        host=host_document(host),
        sections=sections,
        gate=gate,
    )


def _peer(paths: Paths, named: Named) -> Peer:
    """The little of a container that others are compared with, read ahead of the rest."""
    candidate = named.candidate
    uid_map: Reading[tuple[IdRange, ...]]
    label: Reading[str]
    try:
        with ProcessDirectory(paths.proc, candidate.leader) as leader:
            uid_map = leader.read("uid_map", parse_id_map)
            label = lsm_label(leader)
    except VanishedError as error:
        uid_map = label = Unknown(str(error), "it has ended")
    return Peer(named.identity, candidate.namespaces, uid_map, label)


def _notices(scope: Scope, sections: Iterable[Section]) -> list[str]:
    vanished = sum(1 for section in sections if section.container and section.container.get("vanished"))
    return _notices_of(scope.hidden, scope.sandboxes, vanished)


def _notices_of(hidden: int, sandboxes: int, vanished: int) -> list[str]:
    """What makes a report less than whole, in words."""
    notices = []
    if hidden:
        notices.append(f"{count(hidden, 'process')} could not be looked into: run isoaudit as root to see them")
    if sandboxes:
        notices.append(
            f"{count(sandboxes, 'service')} of the host with private mounts left out: add --include-sandboxes"
        )
    if vanished:
        notices.append(f"{count(vanished, 'container')} ended while being read, and could not be judged")
    return notices


def _spread(
    work: Callable[[tuple[Named, ...]], list[Section]], batches: list[tuple[Named, ...]], workers: int
) -> Iterator[list[Section]]:
    if workers <= 1:
        return map(work, batches)
    from isoaudit.workers import spread

    return spread(work, batches, workers)


def _batches(named: Sequence[Named]) -> list[tuple[Named, ...]]:
    return [tuple(named[at : at + _BATCH]) for at in range(0, len(named), _BATCH)]


def _workers(request: Request, containers: int) -> int:
    """How many processes to read with. Probes fork for themselves, and side by side already."""
    if request.probes != "none":
        return 1
    if request.workers:
        return request.workers
    return len(os.sched_getaffinity(0)) if containers >= _WORTH_FORKING else 1


class _Probes:
    """The prober of a scan, if it has one; its absence and its failures are notices, never silence."""

    def __init__(self, request: Request, scope: Scope, progress: Callable[[str, int, int], None]) -> None:
        self.notices: list[str] = []
        self._prober: Prober | None = None
        if request.probes == "none" or not scope.named:
            return
        from isoaudit.probes.prober import Prober, available, sweep

        reason = available() if request.paths.live else "the tree is not the running kernel's"
        if reason:
            self.notices.append(f"no probe was run: {reason}")
            return
        self.notices += [f"left over from an earlier run, removed: {path}" for path in sweep()]
        self._prober = Prober(
            scope.reading.host,
            hazard=request.probes,
            progress=lambda done, total: progress("probing", done, total),
        )

    def __enter__(self) -> _Probes:  # noqa: PYI034  typing.Self comes with Python 3.11
        if self._prober:
            self._prober.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._prober:
            self._prober.__exit__(kind, value, trace)

    def run(self, containers: Sequence[Container]) -> list[Container]:
        """The containers with what their twins could do."""
        if self._prober is None or not containers:
            return list(containers)
        answers = self._prober.probe(containers)
        return [container._replace(probes=answers[container.key]) for container in containers]
