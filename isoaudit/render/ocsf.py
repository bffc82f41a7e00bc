"""OCSF Compliance Findings (class 2003), an event a line, for SIEMs and data lakes.

Fields and numbers are those of the schema's release 1.6.0. What it has no field for stands under `unmapped`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isoaudit.model import Verdict
from isoaudit.render.shared import by_id, dump, kind, started, subjects
from isoaudit.render.uuids import ident

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.registry import Catalogue, Check
    from isoaudit.report import Document, Report

_VERSION = "1.6.0"
_CATEGORY, _CLASS, _CREATE = 2, 2003, 1
_SEVERITIES = {
    "info": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
# "Warning" is OCSF's word for a check that "did not yield a result due to missing information".
_STATUS = {
    Verdict.PASS: (1, "Pass"),
    Verdict.UNKNOWN: (2, "Warning"),
    Verdict.FAIL: (3, "Fail"),
    Verdict.NOT_APPLICABLE: (99, "Not applicable"),
    Verdict.ERROR: (99, "Error"),
}
_NEW, _SUPPRESSED = (1, "New"), (3, "Suppressed")
_LINUX = 200  # os.type_id
_URL = re.compile(r"https?://[^\s,;`<>\"')]+")


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """The events, the host's first."""
    checks = by_id(catalogue)
    common = _common(report)
    for container, findings in subjects(report):
        resource = _resource(report, container)
        for finding in findings:
            check = checks.get(finding["check"])
            yield dump({**common, **_event(report, finding, check), "resources": [resource]}) + "\n"


def _common(report: Report) -> Document:
    common: Document = {
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Compliance Finding",
        "activity_id": _CREATE,
        "activity_name": "Create",
        "type_uid": _CLASS * 100 + _CREATE,
        "type_name": "Compliance Finding: Create",
        "time": int(started(report).timestamp() * 1000),
        "timezone_offset": 0,
    }
    if report.host["hostname"]:
        system: Document = {
            "name": report.host.get("distribution") or "Linux",
            "type_id": _LINUX,
            "type": "Linux",
        }
        if report.host["kernel"]:
            system["kernel_release"] = report.host["kernel"]
        common["device"] = {
            "hostname": report.host["hostname"],
            "type_id": 0,
            "type": "Unknown",
            "os": system,
        }
    return common


def _resource(report: Report, container: Document | None) -> Document:
    if container is None:
        name = report.host["hostname"] or "host"
        return {"uid": name, "name": name, "type": "host"}
    details = {key: container[key] for key in ("pid", "runtime", "image", "pod") if container[key] is not None}
    return {
        "uid": container["id"] or container["key"],
        "name": container["key"],
        "type": "container",
        "data": details,
    }


def _event(report: Report, finding: Document, check: Check | None) -> Document:
    outcome = Verdict(finding["outcome"])
    host, subject = report.host["hostname"] or "", finding["subject"]
    # Whatever is not a gap says nothing alarming; a question that stays open may hide its gap.
    alarming = outcome not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    severity_id, severity = _SEVERITIES[finding["severity"] if alarming else "info"]
    event: Document = {
        "severity_id": severity_id,
        "severity": severity,
        "message": f"{subject['key']}: {finding['message']}",
        "metadata": {
            "version": _VERSION,
            "product": {
                "name": "isoaudit",
                "vendor_name": "isoaudit",
                "version": str(report.tool["version"]),
            },
            "uid": ident("event", str(report.scan["id"]), subject["kind"], subject["key"], finding["check"]),
            "correlation_uid": str(report.scan["id"]),
        },
        "finding_info": {
            "uid": ident("finding", host, subject["key"], finding["fingerprint"]),
            "title": check.page.title if check else finding["check"],
            "desc": finding["message"],
            "data_sources": list(dict.fromkeys(one["source"] for one in finding["evidence"])),
        },
        "compliance": _compliance(finding, outcome),
        "unmapped": {
            name: finding[name]
            for name in ("check", "outcome", "basis", "inherent", "reproduce", "fingerprint", "waiver")
        },
    }
    if alarming:
        event["status_id"], event["status"] = _SUPPRESSED if kind(finding) == "waived" else _NEW
    if finding["evidence"]:
        event["evidences"] = [{"data": one} for one in finding["evidence"]]
    if finding["remediation"]:
        event["remediation"] = {"desc": finding["remediation"]}
        urls = _URL.findall(check.page.sections.get("References", "")) if check else []
        if urls:
            event["remediation"]["references"] = urls
    return event


def _compliance(finding: Document, outcome: Verdict) -> Document:
    status_id, status = _STATUS[outcome]
    compliance: Document = {
        "control": finding["check"],
        "status_id": status_id,
        "status": status,
        "status_details": [finding["message"]],
    }
    controls = [(framework, one) for framework, numbers in finding["frameworks"].items() for one in numbers]
    if controls:
        compliance["standards"] = list(finding["frameworks"])
        compliance["requirements"] = [f"{framework} {number}" for framework, number in controls]
    return compliance
