"""The report: what every renderer draws, fresh from a scan or read back from its JSON.

Findings are kept as JSON text, a section a subject: a thousand containers have seventy thousand of them, and as
objects they would take ten times the memory. Renderers read them back one section at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit._version import __version__
from isoaudit.errors import UsageError
from isoaudit.model import SEVERITIES, Known, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from isoaudit.audit import Finding
    from isoaudit.escape import Routes
    from isoaudit.facts.container import Container, Identity
    from isoaudit.facts.host import Host
    from isoaudit.facts.scan import ScanFacts
    from isoaudit.facts.sharing import Shared
    from isoaudit.model import Reading, Subject
    from isoaudit.policy import Policy
    from isoaudit.waivers import Standing

SCHEMA = "isoaudit/report/1"

Document = dict[str, Any]


class Section(NamedTuple):
    """One subject: its entry under `containers` (None for the host), and its findings."""

    container: Document | None
    findings: str  # JSON objects, a line each, joined by ",\n"
    tally: Mapping[str, int]  # findings by "outcome" and, where failed, by "fail severity"
    blocking: int  # how many of them make the gate fail
    paths: tuple[Document, ...] = ()  # its entries under `escape_paths`
    waivers: frozenset[int] = frozenset()  # the numbers of those that accept any of them


# Escaped to ASCII: valid JSON whatever bytes a container has put into its names.
_dump = json.JSONEncoder(separators=(",", ":")).encode
_quote = json.encoder.encode_basestring_ascii
_quote_again = lru_cache(maxsize=1024)(_quote)  # for texts that stand in many findings
_BOOLEAN = {False: "false", True: "true"}


def _end(frameworks: str) -> str:
    return f'","waiver":null,"frameworks":{frameworks}}}'


_NO_FRAMEWORKS = _end("{}")


class FindingEncoder:
    """Writes findings as JSON objects of the contract.

    By hand, as there are seventy a container: the generic encoder takes three times as long. A test holds it
    against the schema and against the json module.

    Args:
        frameworks: by check id, the controls of each framework that it is evidence for.
    """

    def __init__(self, frameworks: Mapping[str, Mapping[str, list[str]]]) -> None:
        # What is the same for each finding of a check, or of a subject, is encoded once.
        self._ends = {check: _end(_dump(controls)) for check, controls in frameworks.items()}
        self._subject: tuple[Subject, str] | None = None

    def encode(self, finding: Finding, waiver: str = "") -> str:
        """One finding as one line of JSON.

        Args:
            finding: what to encode.
            waiver: what accepts it, as JSON; "" is nothing.
        """
        evidence = ",".join(
            [
                f'{{"source":{_quote(source)},"observed":{_quote(observed)},"expected":{_quote(expected)}}}'
                for source, observed, expected in finding.evidence
            ]
        )
        subject = finding.subject
        if self._subject is None or self._subject[0] is not subject:
            words = f',"subject":{{"kind":{_quote(subject.kind)},"key":{_quote(subject.key)}}},"outcome":"'
            self._subject = subject, words
        # Verdict, severity and basis are strings as well as enums: joined, they are their own words.
        return "".join(
            (
                '{"check":',
                _quote_again(finding.check),
                self._subject[1],
                finding.outcome,
                '","severity":"',
                finding.severity,
                '","basis":"',
                finding.basis,
                '","inherent":',
                _BOOLEAN[finding.inherent],
                ',"message":',
                _quote(finding.message),
                ',"evidence":[',
                evidence,
                '],"remediation":',
                _quote_again(finding.remediation),
                ',"reproduce":',
                _quote(finding.reproduce),
                ',"fingerprint":"',
                finding.fingerprint,
                self._end(finding.check, waiver) if waiver else self._ends.get(finding.check, _NO_FRAMEWORKS),
            )
        )

    def _end(self, check: str, waiver: str) -> str:
        return self._ends.get(check, _NO_FRAMEWORKS).replace("null", waiver, 1)

    def section(
        self,
        container: Document | None,
        findings: Iterable[Finding],
        policy: Policy,
        waivers: Sequence[Standing] = (),
    ) -> Section:
        """All of a subject's findings.

        Args:
            container: the subject's entry under `containers`; None is the host.
            findings: all of them.
            policy: which of them make the gate fail.
            waivers: those that are about this subject.
        """
        findings = list(findings)
        tally: dict[str, int] = dict(Counter([finding.outcome.value for finding in findings]))
        failed = [finding for finding in findings if finding.outcome is Verdict.FAIL]
        tally.update(Counter([f"fail {finding.severity.value}" for finding in failed]))
        tally["inherent"] = sum([finding.inherent for finding in failed])
        accepted = _accepted(findings, waivers) if waivers else {}
        tally["waived"] = len(accepted)
        tally["waived undecided"] = sum(findings[at].outcome in _UNDECIDED for at in accepted)
        if policy.baseline is not None:
            tally["known"] = sum(policy.knows(one) for at, one in enumerate(findings) if at not in accepted)
        if not accepted:
            blocking = sum(map(policy.blocks, findings)) if policy.fail_on is not None else 0
            return Section(container, ",\n".join(map(self.encode, findings)), tally, blocking)
        return Section(
            container,
            ",\n".join(
                self.encode(one, accepted[at][0].encoded if at in accepted else "")
                for at, one in enumerate(findings)
            ),
            tally,
            sum(policy.blocks(one) for at, one in enumerate(findings) if at not in accepted),
            waivers=frozenset(one.number for standing in accepted.values() for one in standing),
        )


_UNDECIDED = (Verdict.UNKNOWN, Verdict.ERROR)


def _accepted(findings: Sequence[Finding], waivers: Sequence[Standing]) -> dict[int, list[Standing]]:
    """The findings, by their places, that waivers accept: gaps, and what could not be decided."""
    accepted = {}
    for at, finding in enumerate(findings):
        if finding.outcome is Verdict.FAIL or finding.outcome in _UNDECIDED:
            standing = [one for one in waivers if one.waiver.concerns(finding.check)]
            if standing:
                accepted[at] = standing
    return accepted


class Report:
    """A finished report. The attributes are the parts of the JSON contract under their names there."""

    def __init__(
        self,
        *,
        tool: Document,
        scan: Document,
        host: Document,
        sections: Iterable[Section],
        gate: str,
    ) -> None:
        self.tool = tool
        self.scan = scan
        self.host = host
        self.sections = tuple(sections)
        self.containers: list[Document] = [s.container for s in self.sections if s.container is not None]
        self.escape_paths: list[Document] = [path for section in self.sections for path in section.paths]
        self.summary = _summary(self.sections, gate)

    def findings(self) -> Iterator[Document]:
        """All findings: the host's, then container by container."""
        for section in self.sections:
            if section.findings:
                yield from json.loads(f"[{section.findings}]")

    def to_json(self) -> Iterator[str]:
        """The document in parts, one finding a line."""
        yield f'{{"schema":{_dump(SCHEMA)},\n'
        for name in ("tool", "scan", "host"):
            yield f'"{name}":{_dump(getattr(self, name))},\n'
        yield '"containers":['
        yield ",\n".join(map(_dump, self.containers))
        yield '],\n"findings":[\n'
        first = True
        for section in self.sections:
            if section.findings:
                yield ("" if first else ",\n") + section.findings
                first = False
        yield f'\n],\n"escape_paths":{_dump(self.escape_paths)},\n"summary":{_dump(self.summary)}}}\n'

    @classmethod
    def from_json(cls, text: str, name: str) -> Report:
        """Read a saved report.

        Args:
            text: the JSON document.
            name: what to call it in an error.

        Raises:
            UsageError: it is no report that this version can draw.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name}: not JSON: {error}") from error
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise UsageError(f"{name}: not a report (schema {schema!r}, not {SCHEMA!r})")
        try:
            return cls.from_dict(document)
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{name}: broken report: {type(error).__name__}: {error}") from error

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """The report of a document by the contract.

        Raises:
            KeyError, TypeError, AttributeError: the document is not by the contract.
        """
        by_subject: dict[str | None, list[Document]] = {}
        for finding in document["findings"]:
            subject = finding["subject"]
            key = None if subject["kind"] == "host" else subject["key"]
            by_subject.setdefault(key, []).append(finding)
        subjects: list[Document | None] = [None, *document["containers"]]
        sections = []
        for container in subjects:
            findings = by_subject.pop(None if container is None else container["key"], [])
            tally: Counter[str] = Counter()
            for finding in findings:
                tally[finding["outcome"]] += 1
                if finding["outcome"] == Verdict.FAIL:
                    tally[f"fail {finding['severity']}"] += 1
                    tally["inherent"] += bool(finding["inherent"])
                tally["waived"] += finding["waiver"] is not None
            sections.append(Section(container, ",\n".join(map(_dump, findings)), dict(tally), 0))
        if by_subject:
            raise KeyError(f"findings on {next(iter(by_subject))!r}, which is not among the containers")
        report = cls(
            tool=dict(document["tool"]),
            scan=dict(document["scan"]),
            host=dict(document["host"]),
            sections=sections,
            gate=document["summary"]["gate"],
        )
        report.escape_paths = list(document["escape_paths"])
        return report


def _summary(sections: Iterable[Section], gate: str) -> Document:
    total: Counter[str] = Counter()
    for section in sections:
        total.update(section.tally)
    return {
        "fail": {severity.value: total[f"fail {severity.value}"] for severity in SEVERITIES},
        "unknown": total["unknown"],
        "error": total["error"],
        "pass": total["pass"],
        "not-applicable": total["not-applicable"],
        "inherent": total["inherent"],
        "waived": total["waived"],
        "gate": gate,
    }


def tool_document(catalogue: str) -> Document:
    """The `tool` part: who judged, by which catalogue."""
    return {"name": "isoaudit", "version": __version__, "catalogue": catalogue}


def scan_document(scan: ScanFacts, policy: Document, notices: Iterable[str], *, complete: bool) -> Document:
    """The `scan` part: how the report came about."""
    return {
        "id": scan.id,
        "started": scan.started,
        "seconds": scan.seconds,
        "mode": scan.mode,
        "command": list(scan.command),
        "euid": scan.euid,
        "probes": scan.probes,
        "complete": complete,
        "notices": list(notices),
        "processes": scan.processes,
        "policy": policy,
    }


def path_documents(key: str, routes: Routes) -> tuple[Document, ...]:
    """The entries of `escape_paths` for a container: each way out with its steps, in order."""
    return tuple(
        {
            "subject": {"kind": "container", "key": key},
            "rule": route.rule,
            "title": route.title,
            "steps": [{"finding": step.finding or None, "text": step.text} for step in route.steps],
            "basis": route.basis.value,
        }
        for route in routes.open
    )


def _plain(reading: Reading[Any]) -> Any:
    """A known value, else null: the contract's words for "not read" outside of findings."""
    return reading.value if isinstance(reading, Known) else None


def host_document(host: Host, shared: Iterable[Shared] = ()) -> Document:
    """The `host` part: which machine it was, and what containers share with it and with each other."""
    kernel, cpus = _plain(host.kernel), _plain(host.cpus)
    return {
        "hostname": _plain(host.hostname),
        "kernel": str(kernel) if kernel else None,
        "kernel_build": _plain(host.kernel_build),
        "machine": host.machine,
        "distribution": _plain(host.distribution),
        "boot_id": _plain(host.boot_id),
        "cgroup": _plain(host.cgroup_layout),
        "cpus": len(cpus) if cpus is not None else None,
        "memory_bytes": _plain(host.memory_bytes),
        "lsms": _plain(host.lsms),
        "x86_level": _plain(host.x86_level),
        "sharing": [
            {"what": one.what, "with_host": one.with_host, "containers": list(one.containers)} for one in shared
        ],
    }


def container_document(identity: Identity, container: Container | None, walls: Mapping[str, str]) -> Document:
    """An entry of `containers`; without facts it is one that vanished."""
    document: Document = {
        "key": identity.key,
        "pid": identity.pid,
        "id": identity.id or None,
        "name": identity.name or None,
        "runtime": identity.runtime,
        "image": identity.image or None,
        "pod": identity.pod or None,
        "sandbox": identity.sandbox,
        "processes": len(container.processes) if container else 0,
        "walls": dict(walls),
    }
    if container is None:
        document["vanished"] = True
    return document
