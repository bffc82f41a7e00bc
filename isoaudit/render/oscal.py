"""OSCAL assessment results (JSON), for governance tools.

One result: what was seen of each subject by each check is an observation, what is judged from it a finding on
the check as objective, and each gap an open risk. OSCAL knows "satisfied" and "not-satisfied" and nothing
between: what could not be decided is not satisfied, for the reason "other". UUIDs name the same thing in every
report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isoaudit.model import Verdict
from isoaudit.render.markdown import code, inert
from isoaudit.render.shared import by_id, dump, ended, kind, stamp, started, subjects, waiver_words
from isoaudit.render.uuids import ident
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.registry import Catalogue, Check
    from isoaudit.report import Document, Report

_VERSION = "1.1.2"  # every field here is in it, and in 1.2.1
_NAMES = "urn:isoaudit:oscal"  # of properties that are ours
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]")
_PROSE = "Observed by isoaudit from kernel state; there is no assessment plan in OSCAL."


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """The document: observations, then risks, then findings, each a subject at a time."""
    return _Results(report, by_id(catalogue)).render()


class _Results:
    def __init__(self, report: Report, checks: Mapping[str, Check]) -> None:
        self._report = report
        self._checks = checks
        self._host = report.host["hostname"] or "host"
        self._scan = str(report.scan["id"])
        self._collected = stamp(started(report))
        self._tool = ident("tool", str(report.tool["version"]), str(report.tool["catalogue"]))

    def render(self) -> Iterator[str]:
        plan = ident("plan")
        head = dump({"uuid": ident("report", self._host, self._scan), "metadata": self._metadata()})
        yield f'{{"assessment-results":{head[:-1]},\n"import-ap":{dump({"href": f"#{plan}"})},\n"results":[\n'
        yield dump(self._result())[:-1]
        for name, make in (
            ("observations", self._observation),
            ("risks", self._risk),
            ("findings", self._finding),
        ):
            # An array of OSCAL may be absent and may not be empty.
            separator = f',\n"{name}":[\n'
            for container, findings in subjects(self._report):
                where = self._subject(container["key"] if container else "", container is None)
                for finding in findings:
                    made = make(finding, where)
                    if made is not None:
                        yield separator + dump(made)
                        separator = ",\n"
            if separator == ",\n":
                yield "\n]"
        resource = {"uuid": plan, "title": "No assessment plan", "description": _PROSE}
        yield f'}}\n],\n"back-matter":{dump({"resources": [resource]})}}}}}\n'

    def _metadata(self) -> Document:
        return {
            "title": "Container isolation, audited by isoaudit",
            "last-modified": stamp(ended(self._report)),
            "version": _word(self._report.scan["id"]),
            "oscal-version": _VERSION,
        }

    def _result(self) -> Document:
        report = self._report
        tool = {
            "uuid": self._tool,
            "type": "software",
            "title": "isoaudit",
            "description": "Audits container isolation from the host.",
            "props": _props({"version": report.tool["version"], "catalogue": report.tool["catalogue"]}),
            "status": {"state": "operational"},
        }
        platform = {"uuid": ident("platform", self._host), "uses-components": [{"component-uuid": self._tool}]}
        selection = {"description": "The checks of isoaudit's catalogue.", "include-all": {}}
        return {
            "uuid": ident("result", self._host, self._scan),
            "title": f"Container isolation on {code(self._host)}",
            "description": self._scope(),
            "start": self._collected,
            "end": stamp(ended(report)),
            "props": _props(
                {
                    "complete": str(bool(report.scan["complete"])).lower(),
                    "gate": report.summary["gate"],
                    "probes": report.scan["probes"],
                    "policy-digest": report.scan.get("policy", {}).get("digest"),
                }
            ),
            "local-definitions": {
                "inventory-items": [self._item(None), *map(self._item, report.containers)],
                "assessment-assets": {"components": [tool], "assessment-platforms": [platform]},
            },
            "reviewed-controls": {"control-selections": [selection]},
        }

    def _scope(self) -> str:
        scope = "The host and its containers." if self._report.scan["mode"] == "host" else "One container."
        return " ".join([scope, *(f"Note: {inert(notice)}." for notice in self._report.scan["notices"])])

    def _subject(self, key: str, host: bool) -> str:  # noqa: FBT001
        return ident("host", self._host) if host else ident("container", self._host, key)

    def _item(self, container: Document | None) -> Document:
        if container is None:
            host = self._report.host
            values = {name: host.get(name) for name in ("hostname", "kernel", "distribution", "machine")}
            return self._inventory(self._subject("", host=True), f"Host {code(self._host)}", values)
        uuid = self._subject(container["key"], host=False)
        values = {name: container[name] for name in ("key", "pid", "id", "name", "runtime", "image", "pod")}
        return self._inventory(uuid, f"Container {code(container['key'])}", values)

    @staticmethod
    def _inventory(uuid: str, description: str, values: Document) -> Document:
        item: Document = {"uuid": uuid, "description": description}
        props = _props(values)
        return {**item, "props": props} if props else item

    def _title(self, finding: Document) -> str:
        check = self._checks.get(finding["check"])
        return inert(check.page.title) if check else code(finding["check"])

    def _id(self, what: str, finding: Document) -> str:
        subject = finding["subject"]
        scan = self._scan if what == "observation" else ""
        return ident(what, scan, self._host, subject["kind"], subject["key"], finding["check"])

    def _observation(self, finding: Document, where: str) -> Document:
        made: Document = {
            "uuid": self._id("observation", finding),
            "title": self._title(finding),
            "description": inert(finding["message"]) or "Nothing was said.",
            "props": _props({name: finding[name] for name in ("check", "outcome", "basis", "fingerprint")}),
            "methods": ["TEST" if finding["basis"] == "proven" else "EXAMINE"],
            "types": ["control-objective"],
            "origins": [{"actors": [{"type": "tool", "actor-uuid": self._tool}]}],
            "subjects": [{"subject-uuid": where, "type": "inventory-item"}],
            "collected": self._collected,
        }
        evidence = [
            {
                "description": code(one["source"]) or "Evidence",
                "props": props,
            }
            for one in finding["evidence"]
            if (props := _props({name: one[name] for name in ("source", "observed", "expected")}))
        ]
        if evidence:
            made["relevant-evidence"] = evidence
        if finding["reproduce"]:
            made["remarks"] = f"Shown by: {code(finding['reproduce'])}"
        return made

    def _risk(self, finding: Document, _where: str) -> Document | None:
        if finding["outcome"] != Verdict.FAIL:
            return None
        waived = kind(finding) == "waived"
        made: Document = {
            "uuid": self._id("risk", finding),
            "title": self._title(finding),
            "description": inert(finding["message"]) or "A gap.",
            "statement": self._statement(finding),
            "props": _props(
                {
                    "severity": finding["severity"],
                    "inherent": str(finding["inherent"]).lower(),
                    "waiver": waiver_words(finding["waiver"]) if waived else None,
                }
            ),
            "status": "deviation-approved" if waived else "open",
            "related-observations": [{"observation-uuid": self._id("observation", finding)}],
        }
        if finding["remediation"]:
            made["remediations"] = [
                {
                    "uuid": self._id("remediation", finding),
                    "lifecycle": "recommendation",
                    "title": "Close the gap",
                    "description": inert(finding["remediation"]),
                }
            ]
        return made

    def _statement(self, finding: Document) -> str:
        check = self._checks.get(finding["check"])
        why = " ".join(check.page.sections.get("Why it matters", "").split()) if check else ""
        return inert(why) or inert(finding["message"]) or "A gap."

    def _finding(self, finding: Document, _where: str) -> Document | None:
        outcome = finding["outcome"]
        if outcome == Verdict.NOT_APPLICABLE:
            return None
        reason = outcome if outcome in (Verdict.PASS, Verdict.FAIL) else "other"
        status = {"state": "satisfied" if outcome == Verdict.PASS else "not-satisfied", "reason": reason}
        if reason == "other":
            status["remarks"] = f"Not decided: {inert(finding['message'])}"
        made: Document = {
            "uuid": self._id("finding", finding),
            "title": self._title(finding),
            "description": inert(finding["message"]) or "Nothing was said.",
            "target": {"type": "objective-id", "target-id": _token(finding["check"]), "status": status},
            "related-observations": [{"observation-uuid": self._id("observation", finding)}],
        }
        controls = [
            _prop("control", number, _token(framework))
            for framework, numbers in finding["frameworks"].items()
            for number in numbers
            if _word(number)
        ]
        if controls:
            made["props"] = controls
        if outcome == Verdict.FAIL:
            made["related-risks"] = [{"risk-uuid": self._id("risk", finding)}]
        return made


def _props(values: Mapping[str, object]) -> list[Document]:
    return [_prop(name, value) for name, value in values.items() if value is not None and _word(value)]


def _prop(name: str, value: object, group: str = "") -> Document:
    prop = {"name": name, "ns": _NAMES, "value": _word(value)}
    return {**prop, "group": group} if group else prop


def _word(value: object) -> str:
    """A value as OSCAL's string: on one line, without blanks around it."""
    return visible(str(value)).strip()


def _token(text: str) -> str:
    """An id as OSCAL's token: a letter, then letters, digits, dots, hyphens and underscores."""
    token = _NO_TOKEN.sub("_", text)
    return token if token[:1].isalpha() else f"_{token}"
