"""One scan from beginning to end: find, read, probe, judge. The CLI calls this and prints what it returns."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.containers import ContainerReader, Named, identify, lsm_label
from isoaudit.collect.discovery import discover
from isoaudit.collect.filters import FilterReader
from isoaudit.collect.host import HostReading, read_host
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import require_proc
from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.quotas import read_owners
from isoaudit.collect.tree import VanishedError
from isoaudit.errors import NothingToAuditError, UsageError
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.idmap import parse_id_map
from isoaudit.facts.lsm import label_file
from isoaudit.facts.namespaces import TYPES
from isoaudit.facts.peers import Peer, Peers
from isoaudit.facts.quotas import accounts_of
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.model import Known
from isoaudit.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from isoaudit.collect.cgroups import CgroupReader
    from isoaudit.collect.paths import Paths
    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.model import Reading
    from isoaudit.policy import Policy
    from isoaudit.probes.prober import Prober
    from isoaudit.registry import Catalogue
    from isoaudit.report import Report, Section

# Below so many containers a second process costs more than it saves.
_WORTH_FORKING = 50
# Containers in memory at once: few, so that workers come out even; with probes enough to run side by side.
_BATCH = 16
_PROBED_BATCH = 64


def _silent(_what: str, _done: int, _total: int) -> None:
    """No progress."""


class Scope(NamedTuple):
    """What a scan found before it looks closer."""

    reading: HostReading
    named: tuple[Named, ...]  # what will be read
    everything: tuple[Named, ...]  # all that containers are compared with
    processes: int
    hidden: int
    sandboxes: int  # left out
    started: str  # RFC 3339
    clock: float  # time.monotonic() then


def look(request: Request) -> Scope:
    """Read the host and find its containers.

    Raises:
        UsageError: /proc cannot be read, or the target names several containers.
        NothingToAuditError: the target is no container.
    """
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), time.monotonic()
    require_proc(request.paths)
    with without_gc():
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
    return Scope(reading, chosen, everything, found.processes, found.hidden, sandboxes, started, clock)


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


def _mode(request: Request) -> str:
    return "container" if request.target or request.only else "host"


def _facts(request: Request, scope: Scope) -> ScanFacts:
    return ScanFacts(
        id=os.urandom(8).hex(),
        started=scope.started,
        seconds=round(time.monotonic() - scope.clock, 3),
        mode=_mode(request),
        command=request.command,
        euid=os.geteuid(),
        probes=request.probes,
        processes=scope.processes,
        hidden=scope.hidden,
        sandboxes=scope.sandboxes,
    )


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
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
    host = scope.reading.host
    with FilterReader(request.paths, host.machine, ptrace=request.ptrace) as filters:
        reader = ContainerReader(
            request.paths,
            scope.reading.cgroups,
            host.machine,
            label_file(host.lsms),
            scope.reading.networks,
            filters,
        )
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
    scope = look(request)
    with without_gc():
        containers: list[Container] = []
        vanished: list[Identity] = []
        for batch in _batches(request, scope.named):
            read = list(_read(request, scope, batch))
            vanished += [one for one in read if isinstance(one, Identity)]
            containers += [one for one in read if isinstance(one, Container)]
            progress("reading", len(containers) + len(vanished), len(scope.named))
        with _Probes(request, scope, progress) as probes:
            probed = probes.run(containers)
        chosen = {named.identity.key for named in scope.named}
        left_out = [named for named in scope.everything if named.identity.key not in chosen]
        others = tuple(_peers(request.paths, scope, left_out))
        return Snapshot(_facts(request, scope), scope.reading.host, tuple(probed), tuple(vanished), others)


def audit(
    request: Request,
    catalogue: Catalogue,
    policy: Policy,
    frameworks: Mapping[str, Mapping[str, list[str]]],
    progress: Callable[[str, int, int], None] = _silent,
    scope: Scope | None = None,
) -> Report:
    """Scan and judge.

    Args:
        request: what to scan.
        catalogue: the checks; the policy may leave some out.
        policy: what the user demands.
        frameworks: by check id, the controls of each framework that it is evidence for.
        progress: told what is done, how much of it, and of how much.
        scope: what `look` found for this request, if it was asked already.

    Raises:
        UsageError, NothingToAuditError: as `look`, or a policy that names what does not exist.
    """
    scope = scope or look(request)
    from isoaudit.judgement import Judgement  # with all that it needs: a scan has begun by now

    with without_gc():
        judgement = Judgement(
            catalogue,
            policy,
            frameworks,
            scope.reading.host,
            Peers(_peers(request.paths, scope, scope.everything)),
            scope.started,
        )
        sections = [judgement.host(judged=_mode(request) == "host")]
        done = 0
        with _Probes(request, scope, progress) as probes:

            def work(batch: tuple[Named, ...]) -> list[Section]:
                read = list(_read(request, scope, batch))
                probed = iter(probes.run([one for one in read if isinstance(one, Container)]))
                return [judgement.section(one if isinstance(one, Identity) else next(probed)) for one in read]

            workers = _workers(request, len(scope.named))
            for result in _spread(work, _batches(request, scope.named), workers):
                sections += result
                done += len(result)
                progress("auditing", done, len(scope.named))
        return judgement.report(_facts(request, scope), sections, probes.notices)


def _peers(paths: Paths, scope: Scope, compared: Iterable[Named]) -> Iterator[Peer]:
    """The little of each container that others are compared with, read apart from the rest.

    One that has ended shares nothing with anybody any more.
    """
    file = label_file(scope.reading.host.lsms)
    for named in compared:
        with contextlib.suppress(VanishedError):
            yield _peer(paths, named, file, scope.reading.cgroups)


def _peer(paths: Paths, named: Named, file: str, cgroups: CgroupReader) -> Peer:
    candidate = named.candidate
    with ProcessDirectory(paths.proc, candidate.leader) as leader:
        uid_map = leader.read("uid_map", parse_id_map)
        label = lsm_label(leader, file)
        owners = read_owners(leader, candidate.namespaces, live=paths.live)
    accounts = accounts_of(candidate.processes, candidate.namespaces, owners)
    memberships = candidate.memberships
    cgroup: Reading[Cgroup] = (
        Known(cgroups.compared(memberships.value), memberships.source)
        if isinstance(memberships, Known)
        else memberships
    )
    return Peer(named.identity, candidate.namespaces, uid_map, label, accounts=accounts, cgroup=cgroup)


def _spread(
    work: Callable[[tuple[Named, ...]], list[Section]], batches: list[tuple[Named, ...]], workers: int
) -> Iterator[list[Section]]:
    if workers <= 1:
        return map(work, batches)
    from isoaudit.workers import spread

    return spread(work, batches, workers)


def _batches(request: Request, named: Sequence[Named]) -> list[tuple[Named, ...]]:
    size = _BATCH if request.probes == "none" else _PROBED_BATCH
    return [tuple(named[at : at + size]) for at in range(0, len(named), size)]


def _workers(request: Request, containers: int) -> int:
    """How many processes to read with. Probes fork for themselves, and side by side already."""
    if request.probes != "none":
        return 1
    if request.workers:
        return request.workers
    return len(os.sched_getaffinity(0)) if containers >= _WORTH_FORKING else 1


def _shared(everything: Iterable[Named]) -> frozenset[tuple[str, int]]:
    """The namespaces, by kind and inode, that more than one container is in."""
    seen: set[tuple[str, int]] = set()
    found: set[tuple[str, int]] = set()
    for named in everything:
        for kind in TYPES:
            reading = named.candidate.namespaces.of(kind)
            if isinstance(reading, Known):
                inode = (kind, reading.value)
                (found if inode in seen else seen).add(inode)
    return frozenset(found)


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
            shared=_shared(scope.everything),
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
