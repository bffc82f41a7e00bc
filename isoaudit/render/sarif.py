"""SARIF 2.1.0, for code-scanning hosts and IDEs.

Locations name a place in kernel state, not a file of a repository. Hosts want a relative URI and a line all the
same, and take a finding whose URI changed for a new one: so the URI is the subject and the path of the evidence
without pids and container ids, as in the fingerprint.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from isoaudit.facts.units import count
from isoaudit.gate import exit_code
from isoaudit.model import SEVERITIES, Verdict
from isoaudit.render.shared import by_id, dump, ended, kind, page_text, stamp, started, subjects, waiver_words
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.registry import Catalogue, Check
    from isoaudit.report import Document, Report

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# GitHub shows up to 3.9 as low, up to 6.9 as medium, up to 8.9 as high, and more as critical.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "1.0"}
_RANK = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
_SHOWN = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.ERROR)
_PROCESS = re.compile(r"^/proc/\d+")
_CODE = re.compile(r"(`[^`]*`)")
_LONGEST = 1000  # characters of a description, of which GitHub takes 1,024
_MOST_TAGS = 20  # of a rule, for GitHub


class _Rule(NamedTuple):
    """A check with results in this report."""

    id: str
    severity: str  # the worst of its gaps here; without one, its own
    broke: int  # on how many subjects
    error: str
    frameworks: tuple[str, ...]


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """The log, a result a line."""
    checks, rules = by_id(catalogue), _rules(report)
    invocation = dump(_invocation(report, rules))
    yield f'{{"$schema":"{_SCHEMA}","version":"2.1.0","runs":[{{\n"tool":{{"driver":{{'
    yield f'"name":"isoaudit","semanticVersion":{dump(report.tool["version"])},'
    yield f'"properties":{dump({"catalogue": report.tool["catalogue"]})},"rules":[\n'
    yield ",\n".join(json.dumps(_descriptor(rule, checks.get(rule.id))) for rule in rules)
    yield f']}}}},\n"invocations":[{invocation}],\n'
    # GitHub keeps the alerts of each category apart: what stands before the last slash.
    run = f"isoaudit/{quote(visible(report.host['hostname'] or 'host'), safe='')}/{report.scan['id']}"
    yield f'"automationDetails":{dump({"id": run})},\n'
    yield f'"properties":{dump(_scope(report))},\n"results":[\n'
    index = {rule.id: number for number, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    separator = ""
    for container, findings in subjects(report):
        for finding in findings:
            if finding["outcome"] in _SHOWN:
                seen[finding["fingerprint"]] += 1
                result = _result(container, finding, index[finding["check"]], seen[finding["fingerprint"]])
                yield separator + dump(result)
                separator = ",\n"
    yield "\n]}]}\n"


def _rules(report: Report) -> list[_Rule]:
    found: dict[str, _Rule] = {}
    for finding in report.findings():
        outcome, check = finding["outcome"], finding["check"]
        if outcome not in _SHOWN:
            continue
        # An undecided check is as bad as its gap might be, but no worse than the gaps that were found.
        rule = found.get(check) or _Rule(check, finding["severity"], 0, "", tuple(finding["frameworks"]))
        if outcome == Verdict.FAIL and _RANK[finding["severity"]] < _RANK[rule.severity]:
            rule = rule._replace(severity=finding["severity"])
        if outcome == Verdict.ERROR:
            rule = rule._replace(broke=rule.broke + 1, error=rule.error or finding["message"])
        found[check] = rule
    return [found[check] for check in sorted(found)]


def _descriptor(rule: _Rule, check: Check | None) -> Document:
    title = check.page.title if check else rule.id
    # A framework's name comes from a saved report: a tag like any other text of it.
    tags = ["security", "container-isolation", *([check.area] if check else []), *map(visible, rule.frameworks)]
    descriptor: Document = {
        "id": visible(rule.id),
        "shortDescription": {"text": visible(title)[:_LONGEST]},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "tags": list(dict.fromkeys(tags))[:_MOST_TAGS],
            "security-severity": _SCORES[rule.severity],
        },
    }
    if check:
        text = page_text(check.page.text)
        detects = " ".join(check.page.sections.get("What it detects", title).split())
        descriptor["fullDescription"] = {"text": visible(detects)[:_LONGEST]}
        descriptor["help"] = {"text": text, "markdown": _no_html(text)}
    return descriptor


def _no_html(markdown: str) -> str:
    """Markdown without HTML, which SARIF forbids; code spans are as they were."""
    parts = _CODE.split(markdown)
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


def _message(text: str) -> str:
    """Text as a message: braces are no placeholders, brackets no link."""
    shown = visible(text).replace("{", "{{").replace("}", "}}")
    return shown.replace("](", r"\](")


def _invocation(report: Report, rules: list[_Rule]) -> Document:
    broken = [
        {
            "level": "error",
            "message": {"text": _message(f"{rule.id} broke on {count(rule.broke, 'subject')}: {rule.error}")},
            "associatedRule": {"id": rule.id},
        }
        for rule in rules
        if rule.broke
    ]
    notices = [{"level": "warning", "message": {"text": _message(text)}} for text in report.scan["notices"]]
    invocation: Document = {
        "executionSuccessful": not broken,
        "exitCode": exit_code(report),
        "commandLine": shlex.join(map(str, report.scan["command"])),
        "arguments": list(map(str, report.scan["command"]))[1:],
        "startTimeUtc": stamp(started(report)),
        "endTimeUtc": stamp(ended(report)),
        "toolExecutionNotifications": broken + notices,
        "properties": {"euid": report.scan["euid"], "probes": report.scan["probes"]},
    }
    if report.host["hostname"]:
        invocation["machine"] = report.host["hostname"]
    return invocation


def _scope(report: Report) -> Document:
    return {
        "host": {key: value for key, value in report.host.items() if key != "sharing"},
        "containers": len(report.containers),
        "complete": report.scan["complete"],
        "policy": report.scan.get("policy", {}),
        "summary": report.summary,
        "escapePaths": report.escape_paths,
    }


def _result(container: Document | None, finding: Document, rule: int, occurrence: int) -> Document:
    failed = finding["outcome"] == Verdict.FAIL
    who = finding["subject"]["key"] if container else "the host"
    verdict = "" if failed else "not decided: "
    result: Document = {
        "ruleId": finding["check"],
        "ruleIndex": rule,
        # SARIF's "open" is what we call unknown; only a failed result has a level.
        "kind": "fail" if failed else "open",
        "level": _LEVELS[finding["severity"]] if failed else "none",
        "message": {"text": _message(f"{who}: {verdict}{finding['message']}")},
        "locations": [_location(container, finding)],
        # GitHub reads no other than the first; two alike containers are two alerts.
        "partialFingerprints": {
            "primaryLocationLineHash": f"{finding['fingerprint']}:{occurrence}",
            "isoaudit/v1": finding["fingerprint"],
        },
        # By the standard all results of a run have this property, or none has.
        "suppressions": [],
        "properties": {
            "severity": finding["severity"],
            "security-severity": _SCORES[finding["severity"]],
            **{name: finding[name] for name in ("outcome", "basis", "inherent", "evidence", "remediation")},
            "reproduce": finding["reproduce"],
            "frameworks": finding["frameworks"],
        },
    }
    if kind(finding) == "waived":
        justification = waiver_words(finding["waiver"])
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": justification}]
    return result


def _location(container: Document | None, finding: Mapping[str, Any]) -> Document:
    evidence = next((one for one in finding["evidence"] if one["source"].startswith("/")), None)
    who = finding["subject"]["key"] if container else "host"
    path = _PROCESS.sub("/proc/PID", evidence["source"]) if evidence else ""
    if container and container["id"]:
        path = path.replace(container["id"], "ID")
    region: Document = {"startLine": 1}
    if evidence:
        region["snippet"] = {"text": evidence["observed"]}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _relative(f"containers/{who}{path}" if container else f"{who}{path}")},
            "region": region,
        },
        "logicalLocations": [
            {"name": who, "fullyQualifiedName": who, "kind": "container" if container else "host"}
        ],
    }


def _relative(path: str) -> str:
    """A path as a relative URI; no part of it leads upwards."""
    parts = [f"_{part}" if part.strip(".") == "" else part for part in visible(path).split("/") if part]
    return "/".join(map(quote, parts))
