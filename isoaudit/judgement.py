"""From the facts of a scan to its report: every subject judged, counted and encoded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from isoaudit import gate
from isoaudit.audit import Judge, peers_of
from isoaudit.baseline import Terms
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.sharing import sharing
from isoaudit.facts.units import count
from isoaudit.facts.walls import walls
from isoaudit.model import Known
from isoaudit.policy import Policy, require_known
from isoaudit.report import (
    FindingEncoder,
    Report,
    Section,
    container_document,
    host_document,
    path_documents,
    scan_document,
    tool_document,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from isoaudit.audit import Finding
    from isoaudit.facts.host import Host
    from isoaudit.facts.peers import Peers
    from isoaudit.facts.scan import ScanFacts, Snapshot
    from isoaudit.registry import Catalogue
    from isoaudit.report import Document
    from isoaudit.waivers import Register


class Judgement:
    """Judges the subjects of one scan, one after the other.

    Args:
        catalogue: the checks.
        policy: which of them count, and for what.
        frameworks: by check id, the controls of each framework that it is evidence for.
        host: the host's facts.
        peers: all containers of the scan.
        started: when the scan began (RFC 3339), for waivers that expire.

    Raises:
        UsageError: the policy names a check that does not exist.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policy: Policy,
        frameworks: Mapping[str, Mapping[str, list[str]]],
        host: Host,
        peers: Peers,
        started: str,
    ) -> None:
        require_known(policy.severities, (check.id for check in catalogue.checks))
        self._waivers = _register(policy, catalogue, started) if policy.waivers else None
        self._catalogue = catalogue.selected(policy.select, policy.ignore)
        self._policy = policy
        self._host = host
        self._peers = peers
        self._judge = Judge(self._catalogue, host, peers, policy.severities, catalogue)
        self._encoder = FindingEncoder(frameworks)

    def host(self, *, judged: bool) -> Section:
        """The host's section; without findings where only containers were asked for."""
        return self._encode(None, self._judge.host() if judged else ())

    def section(self, one: Container | Identity) -> Section:
        """A container's section; of one that vanished only its identity is left."""
        if isinstance(one, Identity):
            return self._encode(container_document(one, None, {}), ())
        document = container_document(one.identity, one, walls(self._host, one))
        findings, routes = self._judge.container(one)
        section = self._encode(document, findings)
        return section._replace(paths=path_documents(one.key, routes)) if routes and routes.open else section

    def _encode(self, document: Document | None, findings: Iterable[Finding]) -> Section:
        covering = self._waivers.covering(document) if self._waivers else ()
        return self._encoder.section(document, findings, self._policy, covering)

    def report(self, scan: ScanFacts, sections: Sequence[Section], notices: Iterable[str]) -> Report:
        """The report of all sections."""
        total: Counter[str] = Counter()
        for section in sections:
            total.update(section.tally)
        undecided = total["unknown"] + total["error"] - total["waived undecided"]
        vanished = sum(1 for s in sections if s.container and s.container.get("vanished"))
        got = gate.reach(sections)
        used = frozenset[int]().union(*(section.waivers for section in sections))
        expired = self._waivers.expired if self._waivers else []
        return Report(
            tool=tool_document(self._catalogue.digest),
            scan=scan_document(
                scan,
                {
                    **self._policy.document(),
                    "waivers": self._waivers.documents(used) if self._waivers else [],
                },
                [
                    *notices,
                    *_notices(scan, vanished, self._host),
                    *gate.notices(self._policy, got),
                    *self._told_of_waivers(scan, sections, used),
                    *self._told_of_baseline(scan, total["known"]),
                ],
                complete=not undecided and not scan.hidden and not _contained(self._host),
            ),
            host=host_document(self._host, sharing(self._host, self._peers)),
            sections=sections,
            gate=gate.word(
                self._policy,
                got,
                blocked=any(section.blocking for section in sections),
                expired=bool(expired),
            ),
        )

    def _told_of_waivers(
        self, scan: ScanFacts, sections: Sequence[Section], used: Collection[int]
    ) -> list[str]:
        if self._waivers is None:
            return []
        # Of one container, nobody expects the waivers of the others to be of use.
        subjects = None if scan.mode == "host" else [s.container for s in sections if s.findings]
        unused = self._waivers.unused(used, [check.id for check in self._catalogue.checks], subjects)
        return [
            *(f"{waiver} expired on {waiver.expires}" for waiver in self._waivers.expired),
            *(f"{waiver} accepts nothing that was found: remove it?" for waiver in unused),
        ]

    def _told_of_baseline(self, scan: ScanFacts, known: int) -> list[str]:
        baseline = self._policy.baseline
        if baseline is None:
            return []
        chosen = frozenset(self._policy.select), frozenset(self._policy.ignore)
        differences = baseline.terms.differences(Terms(scan.mode, self._catalogue.digest, *chosen))
        told = [f"{count(known, 'gap')} known from {baseline.name}: not counted for the gate"]
        if differences:
            told.append(f"incomparable with {baseline.name}: {' and '.join(differences)} differ")
        return told


def _register(policy: Policy, catalogue: Catalogue, started: str) -> Register:
    from isoaudit import waivers

    waivers.require_known(policy.waivers, (check.id for check in catalogue.checks))
    return waivers.Register(policy.waivers, started)


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
    peers = peers_of(snapshot.containers, snapshot.others)
    judgement = Judgement(catalogue, policy, frameworks, snapshot.host, peers, snapshot.scan.started)
    subjects: list[Container | Identity] = [*snapshot.containers, *snapshot.vanished]
    sections = [judgement.host(judged=snapshot.scan.mode == "host"), *map(judgement.section, subjects)]
    return judgement.report(snapshot.scan, sections, ())


def _contained(host: Host) -> bool:
    """Whether what was taken for the host is itself in a PID namespace that is not the initial one."""
    pid = host.namespaces.pid
    return isinstance(pid, Known) and pid.value != INITIAL["pid"]


def _notices(scan: ScanFacts, vanished: int, host: Host) -> list[str]:
    """What makes a report less than whole, in words."""
    notices = []
    if _contained(host):
        notices.append(
            "what is called the host here is a container itself, in a PID namespace of its own: run isoaudit "
            "on the real host, or give it that one's /proc and /sys by --proc and --sys"
        )
    if scan.hidden:
        notices.append(
            f"{count(scan.hidden, 'process')} could not be looked into: run isoaudit as root to see them"
        )
    if scan.sandboxes:
        notices.append(
            f"{count(scan.sandboxes, 'service')} of the host with private mounts left out: "
            "add --include-sandboxes"
        )
    if vanished:
        notices.append(f"{count(vanished, 'container')} ended while being read, and could not be judged")
    return notices
