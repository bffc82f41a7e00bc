"""Judging: facts in, findings out. No I/O but for reading the catalogue's own data, no clock, no logging."""

from __future__ import annotations

import hashlib
import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.escape import Routes, needed, routes
from isoaudit.facts.peers import Peer, Peers
from isoaudit.facts.quotas import accounts_of
from isoaudit.model import (
    HOST,
    Basis,
    Evidence,
    FactMissing,
    Outcome,
    Severity,
    Subject,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.facts.container import Container, Identity
    from isoaudit.facts.host import Host
    from isoaudit.registry import Catalogue, Check


class Finding(NamedTuple):
    """One check's verdict on one subject, with all that is needed to act on it and to dispute it."""

    check: str
    subject: Subject
    outcome: Verdict
    severity: Severity
    basis: Basis
    inherent: bool
    message: str
    evidence: tuple[Evidence, ...]
    remediation: str  # "" unless it failed
    reproduce: str  # a shell command that shows the evidence; "" where none does
    fingerprint: str
    weight: Severity  # as the check has it, whatever a policy makes of it


class Judged(NamedTuple):
    """What was found on a container, and what of it leads out."""

    findings: list[Finding]
    routes: Routes | None  # None: no check asked for them


class Judge:
    """Judges subjects by a catalogue.

    Args:
        catalogue: the checks to ask.
        host: the host's facts.
        peers: all containers of the scan.
        severities: what a policy makes of a check's severity.
        behind: the checks that ways out rest on, where they are not among those to ask; by default those of the
            catalogue.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        host: Host,
        peers: Peers,
        severities: Mapping[str, Severity] | None = None,
        behind: Catalogue | None = None,
    ) -> None:
        self._host = host
        self._peers = peers
        self._severities = severities or {}
        self._of_host = [check for check in catalogue.checks if check.subject == "host"]
        of_container = [check for check in catalogue.checks if check.subject == "container"]
        self._of_container = [check for check in of_container if "routes" not in check.parameters]
        self._of_routes = [check for check in of_container if "routes" in check.parameters]
        self._unasked: list[Check] = []
        if self._of_routes:
            asked = {check.id for check in of_container}
            every = (behind or catalogue).checks
            self._unasked = [check for check in every if check.id in needed() and check.id not in asked]

    def host(self) -> list[Finding]:
        """Findings on the host itself."""
        arguments = _arguments(self._of_host, {"host": self._host, "peers": self._peers})
        return [self._judge(check, arguments[check.parameters], HOST, None) for check in self._of_host]

    def container(self, container: Container) -> Judged:
        """Findings on one container."""
        facts: dict[str, Any] = {"host": self._host, "container": container, "peers": self._peers}
        findings = self._ask(self._of_container, facts)
        if not self._of_routes:
            return Judged(findings, None)
        seen = {finding.check: finding for finding in (*findings, *self._ask(self._unasked, facts))}
        found = routes(self._host, container, seen)
        return Judged(findings + self._ask(self._of_routes, {**facts, "routes": found}), found)

    def _ask(self, checks: list[Check], facts: Mapping[str, Any]) -> list[Finding]:
        container: Container = facts["container"]
        arguments = _arguments(checks, facts)
        subject, identity = Subject("container", container.key), container.identity
        return [self._judge(check, arguments[check.parameters], subject, identity) for check in checks]

    def _judge(
        self, check: Check, arguments: tuple[Any, ...], subject: Subject, identity: Identity | None
    ) -> Finding:
        try:
            outcome = check.judge(*arguments)
        except FactMissing as missing:
            outcome = Outcome(
                Verdict.UNKNOWN,
                missing.reason,
                (Evidence(missing.source, f"not readable: {missing.reason}"),),
            )
        except Exception as error:  # noqa: BLE001  a broken check must not end the scan: one of our two broad excepts
            outcome = Outcome(Verdict.ERROR, f"the check itself failed: {type(error).__name__}: {error}")
        verdict, message, evidence, own, basis, inherent, remediation, command = outcome
        ident, weight = check.id, own or check.severity
        if verdict is not _FAIL:
            remediation = command = ""
        else:
            command = command or reproduce(evidence)
            remediation = "" if inherent else remediation or check.page.remediation
        return Finding(
            ident,
            subject,
            verdict,
            (self._severities.get(ident) or weight) if self._severities else weight,
            basis,
            inherent,
            message,
            evidence,
            remediation,
            command,
            fingerprint(ident, identity, evidence),
            weight,
        )


def _arguments(checks: Iterable[Check], facts: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """What checks take, by the names that they take it by: a hundred of them ask in three ways."""
    wanted = {check.parameters for check in checks}
    return {names: tuple(facts[name] for name in names) for names in wanted}


def reproduce(evidence: Iterable[Evidence]) -> str:
    """A command that shows what was seen: links are read, files are printed."""
    return _reproduced(tuple([source for source, _, _ in evidence]))


@lru_cache(maxsize=256)  # many checks look at one file of a container
def _reproduced(sources: tuple[str, ...]) -> str:
    links: list[str] = []
    files: list[str] = []
    for source in sources:
        if source.startswith(("/proc/", "/sys/")):
            kind = links if "/ns/" in source or source.endswith("/root") else files
            quoted = source if _PLAIN(source) else shlex.quote(source)
            if quoted not in kind:
                kind.append(quoted)
    commands = []
    if links:
        commands.append(f"readlink {' '.join(links)}")
    if files:
        commands.append(f"cat {' '.join(files)}")
    return "; ".join(commands)


_PLAIN = re.compile(r"[A-Za-z0-9_./-]+").fullmatch
_PROCESS = re.compile(r"/proc/\d+").sub
_FAIL = Verdict.FAIL


@lru_cache(maxsize=256)
def _place(source: str) -> str:
    return _PROCESS("/proc/PID", source)


def fingerprint(check: str, identity: Identity | None, evidence: Iterable[Evidence]) -> str:
    """What stays the same when the container is restarted: who it is, the check, and where it was seen."""
    who, ident = "host", ""
    if identity is not None:
        who, ident = identity.name or identity.image or identity.runtime, identity.id
    text = f"{who}\0{check}"
    if evidence:
        # Each place once: how many processes share a gap is no part of which gap it is.
        places = "\0".join(dict.fromkeys([_place(source) for source, _, _ in evidence]))
        text = f"{text}\0{places.replace(ident, 'ID') if ident else places}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def peers_of(containers: Iterable[Container], others: Iterable[Peer] = ()) -> Peers:
    """The index of containers that are all at hand, as in a snapshot, and of others of the same host."""
    read = [
        Peer(
            c.identity,
            c.namespaces,
            c.uid_map,
            c.lsm_label,
            accounts=accounts_of(c.processes, c.namespaces, c.owners),
            cgroup=c.cgroup,
        )
        for c in containers
    ]
    # In the order in which a scan finds them.
    return Peers(sorted([*read, *others], key=lambda peer: (peer.identity.start_time, peer.identity.pid)))
