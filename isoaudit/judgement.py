"""From the facts of a scan to its report: every subject judged, counted and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.audit import Judge, peers_of
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
    from collections.abc import Iterable, Mapping, Sequence

    from isoaudit.facts.host import Host
    from isoaudit.facts.peers import Peers
    from isoaudit.facts.scan import ScanFacts, Snapshot
    from isoaudit.registry import Catalogue


class Judgement:
    """Judges the subjects of one scan, one after the other.

    Args:
        catalogue: the checks.
        policy: which of them count, and for what.
        frameworks: by check id, the controls of each framework that it is evidence for.
        host: the host's facts.
        peers: all containers of the scan.

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
    ) -> None:
        require_known(policy.severities, (check.id for check in catalogue.checks))
        self._catalogue = catalogue.selected(policy.select, policy.ignore)
        self._policy = policy
        self._host = host
        self._peers = peers
        self._judge = Judge(self._catalogue, host, peers, policy.severities, catalogue)
        self._encoder = FindingEncoder(frameworks)

    def host(self, *, judged: bool) -> Section:
        """The host's section; without findings where only containers were asked for."""
        return self._encoder.section(None, self._judge.host() if judged else (), self._policy)

    def section(self, one: Container | Identity) -> Section:
        """A container's section; of one that vanished only its identity is left."""
        if isinstance(one, Identity):
            return self._encoder.section(container_document(one, None, {}), (), self._policy)
        document = container_document(one.identity, one, walls(self._host, one))
        findings, routes = self._judge.container(one)
        section = self._encoder.section(document, findings, self._policy)
        return section._replace(paths=path_documents(one.key, routes)) if routes and routes.open else section

    def report(self, scan: ScanFacts, sections: Sequence[Section], notices: Iterable[str]) -> Report:
        """The report of all sections."""
        undecided = sum(s.tally.get("unknown", 0) + s.tally.get("error", 0) for s in sections)
        vanished = sum(1 for s in sections if s.container and s.container.get("vanished"))
        gate = "none"
        if self._policy.fail_on is not None:
            gate = "failed" if any(section.blocking for section in sections) else "passed"
        return Report(
            tool=tool_document(self._catalogue.digest),
            scan=scan_document(
                scan,
                self._policy,
                [*notices, *_notices(scan, vanished, self._host)],
                complete=not undecided and not scan.hidden and not _contained(self._host),
            ),
            host=host_document(self._host, sharing(self._host, self._peers)),
            sections=sections,
            gate=gate,
        )


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
    judgement = Judgement(catalogue, policy, frameworks, snapshot.host, peers_of(snapshot.containers))
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
