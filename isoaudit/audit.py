"""Judging: facts in, findings out. No I/O but for reading the catalogue's own data, no clock, no logging."""

from __future__ import annotations

import hashlib
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.facts.peers import Peer, Peers
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


class Judge:
    """Judges subjects by a catalogue.

    Args:
        catalogue: the checks to ask.
        host: the host's facts.
        peers: all containers of the scan.
        severities: what a policy makes of a check's severity.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        host: Host,
        peers: Peers,
        severities: Mapping[str, Severity] | None = None,
    ) -> None:
        self._host = host
        self._peers = peers
        self._severities = severities or {}
        self._of_host = [check for check in catalogue.checks if check.subject == "host"]
        self._of_container = [check for check in catalogue.checks if check.subject == "container"]
        self._remediation = {check.id: check.page.remediation for check in catalogue.checks}

    def host(self) -> list[Finding]:
        """Findings on the host itself."""
        arguments = _arguments(self._of_host, {"host": self._host, "peers": self._peers})
        return [self._judge(check, arguments[check.parameters], HOST, None) for check in self._of_host]

    def container(self, container: Container) -> list[Finding]:
        """Findings on one container."""
        facts = {"host": self._host, "container": container, "peers": self._peers}
        arguments = _arguments(self._of_container, facts)
        subject, identity = Subject("container", container.key), container.identity
        return [
            self._judge(check, arguments[check.parameters], subject, identity) for check in self._of_container
        ]

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
        failed = outcome.verdict is Verdict.FAIL
        severity = self._severities.get(check.id) or outcome.severity or check.severity
        remediation = ""
        if failed and not outcome.inherent:
            remediation = outcome.remediation or self._remediation[check.id]
        return Finding(
            check.id,
            subject,
            outcome.verdict,
            severity,
            outcome.basis,
            outcome.inherent,
            outcome.message,
            outcome.evidence,
            remediation,
            (outcome.reproduce or reproduce(outcome.evidence)) if failed else "",
            fingerprint(check.id, identity, outcome.evidence),
        )


def _arguments(checks: Iterable[Check], facts: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """What checks take, by the names that they take it by: a hundred of them ask in three ways."""
    wanted = {check.parameters for check in checks}
    return {names: tuple(facts[name] for name in names) for names in wanted}


def reproduce(evidence: Iterable[Evidence]) -> str:
    """A command that shows what was seen: links are read, files are printed."""
    links: list[str] = []
    files: list[str] = []
    for source, _, _ in evidence:
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


def fingerprint(check: str, identity: Identity | None, evidence: Iterable[Evidence]) -> str:
    """What stays the same when the container is restarted: who it is, the check, and where it was seen."""
    who, ident = "host", ""
    if identity is not None:
        who, ident = identity.name or identity.image or identity.runtime, identity.id
    text = f"{who}\0{check}"
    if evidence:
        # Each place once: how many processes share a gap is no part of which gap it is.
        places = "\0".join(dict.fromkeys([_PROCESS("/proc/PID", source) for source, _, _ in evidence]))
        text = f"{text}\0{places.replace(ident, 'ID') if ident else places}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def peers_of(containers: Iterable[Container]) -> Peers:
    """The index of containers that are all at hand, as in a snapshot."""
    return Peers(Peer(c.identity, c.namespaces, c.uid_map, c.lsm_label) for c in containers)
