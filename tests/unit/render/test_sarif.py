"""SARIF: the structure that the standard and code-scanning hosts demand.

The schema of OASIS is not ours to ship: the structure stands here again, for the parts that we write, and strictly.
Where ISOAUDIT_SARIF_SCHEMA names a copy of the official one, that is held against our logs too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import jsonschema
import pytest
from support.reports import AGENT, DB, WEB, container, document, evidence, finding, hostile, large, sample

from isoaudit.registry import load
from isoaudit.render.sarif import render
from isoaudit.report import Report

TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}},
}
BAG = {"type": "object"}


def strict(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


def array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


STRING = {"type": "string"}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
STAMP = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
RULE = strict(
    "id shortDescription properties",
    id=STRING,
    shortDescription=TEXT,
    fullDescription=TEXT,
    help=strict("text markdown", text=STRING, markdown=STRING),
    defaultConfiguration=strict("level", level=LEVEL),
    properties={
        "type": "object",
        "required": ["tags", "security-severity"],
        "properties": {
            "tags": array(STRING, maxItems=20, uniqueItems=True, contains={"const": "security"}),
            "security-severity": {"type": "string", "pattern": r"^\d\.\d$"},
        },
    },
)
LOCATION = strict(
    "physicalLocation logicalLocations",
    physicalLocation=strict(
        "artifactLocation region",
        artifactLocation=strict(
            "uri", uri={"type": "string", "pattern": r"^(?![/.]|[^/]*:)(?!.*/\.\.?(/|$))[\x21-\x7e]+$"}
        ),
        region=strict(
            "startLine", startLine={"type": "integer", "minimum": 1}, snippet=strict("text", text=STRING)
        ),
    ),
    logicalLocations=array(
        strict("name fullyQualifiedName kind", name=STRING, fullyQualifiedName=STRING, kind=STRING)
    ),
)
RESULT = strict(
    "ruleId ruleIndex kind level message locations partialFingerprints suppressions",
    ruleId=STRING,
    ruleIndex={"type": "integer", "minimum": 0},
    kind={"enum": ["fail", "open"]},
    level=LEVEL,
    message=TEXT,
    locations=array(LOCATION, minItems=1, maxItems=1),
    partialFingerprints={
        "type": "object",
        "required": ["primaryLocationLineHash"],
        "additionalProperties": STRING,
    },
    suppressions=array(
        strict(
            "kind status justification",
            kind={"enum": ["external"]},
            status={"enum": ["accepted"]},
            justification=STRING,
        )
    ),
    properties=BAG,
)
NOTIFICATION = strict("level message", level=LEVEL, message=TEXT, associatedRule=strict("id", id=STRING))
INVOCATION = strict(
    "executionSuccessful exitCode commandLine startTimeUtc endTimeUtc toolExecutionNotifications",
    executionSuccessful={"type": "boolean"},
    exitCode={"type": "integer"},
    commandLine=STRING,
    arguments=array(STRING),
    startTimeUtc=STAMP,
    endTimeUtc=STAMP,
    machine=STRING,
    toolExecutionNotifications=array(NOTIFICATION),
    properties=BAG,
)
DRIVER = strict(
    "name semanticVersion rules", name=STRING, semanticVersion=STRING, rules=array(RULE), properties=BAG
)
RUN = strict(
    "tool invocations results",
    tool=strict("driver", driver=DRIVER),
    invocations=array(INVOCATION, minItems=1),
    automationDetails=strict("id", id=STRING),
    properties=BAG,
    results=array(RESULT),
)
LOG = strict("$schema version runs", version={"const": "2.1.0"}, runs=array(RUN), **{"$schema": STRING})

CATALOGUE = load(str(Path(__file__).resolve().parents[3] / "checks"))
REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "sample": sample,
    "hostile": lambda: hostile("../../etc"),
    "empty": lambda: document([], []),
    "large": lambda: large(20, 30),
}


def draw(report: dict[str, Any], *, pages: bool = True) -> dict[str, Any]:
    log: dict[str, Any] = json.loads("".join(render(Report.from_dict(report), CATALOGUE if pages else None)))
    return log


def results(report: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = draw(report)["runs"][0]["results"]
    return found


@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.parametrize("name", REPORTS)
def test_structure(name: str, *, pages: bool) -> None:
    log = draw(REPORTS[name](), pages=pages)
    jsonschema.validate(log, LOG)
    official = os.environ.get("ISOAUDIT_SARIF_SCHEMA")
    if official:
        jsonschema.Draft4Validator(json.loads(Path(official).read_text())).validate(log)


def test_the_structure_refuses() -> None:
    log = draw(sample())
    for uri in ("/proc/1", "../x", "a/../b", "file:///x", "a b", "x/.."):
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = uri
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(log, LOG)


def test_a_result_for_every_gap_and_every_open_question() -> None:
    report = sample()
    shown = [one for one in report["findings"] if one["outcome"] in ("fail", "unknown", "error")]
    found = results(report)
    assert [one["ruleId"] for one in found] == [one["check"] for one in shown]
    for result, one in zip(found, shown, strict=True):
        failed = one["outcome"] == "fail"
        assert result["kind"] == ("fail" if failed else "open")
        levels = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
        assert result["level"] == (levels[one["severity"]] if failed else "none")
        assert result["partialFingerprints"]["isoaudit/v1"] == one["fingerprint"]
        observed = [item["observed"].replace("\n", "\\n") for item in one["evidence"]]
        assert [item["observed"] for item in result["properties"]["evidence"]] == observed
        assert one["message"] in result["message"]["text"]


def test_rules_are_indexed_and_as_bad_as_their_worst_gap() -> None:
    (run,) = draw(sample())["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    assert {rule["id"] for rule in rules} == {one["ruleId"] for one in run["results"]}
    by_id = {rule["id"]: rule for rule in rules}
    assert by_id["cgroup-devices-unrestricted"]["properties"]["security-severity"] == "9.5"
    assert by_id["kernel-dmesg-unrestricted"]["properties"]["security-severity"] == "3.0"
    mixed = document(
        [container(key, number) for number, key in enumerate("ab", 1)],
        [finding("a-b", "a", severity="low"), finding("a-b", "b", severity="critical")],
    )
    assert draw(mixed)["runs"][0]["tool"]["driver"]["rules"][0]["properties"]["security-severity"] == "9.5"


def test_waived_is_suppressed_and_nothing_else() -> None:
    suppressed = [one for one in results(sample()) if one["suppressions"]]
    assert [one["ruleId"] for one in suppressed] == ["kernel-dmesg-unrestricted"]
    assert suppressed[0]["suppressions"][0]["justification"] == (
        "developers read it on build hosts; owner platform team; expires 2026-12-31"
    )


def test_broken_checks_and_notices_are_told() -> None:
    (invocation,) = draw(sample())["runs"][0]["invocations"]
    broke, notice = invocation["toolExecutionNotifications"]
    assert (broke["level"], broke["associatedRule"]) == ("error", {"id": "time-host-unsynchronised"})
    assert "ZeroDivisionError" in broke["message"]["text"]
    assert notice["level"] == "warning"
    assert not invocation["executionSuccessful"]
    assert invocation["startTimeUtc"] == "2026-03-14T09:26:53.000Z"
    assert invocation["endTimeUtc"] == "2026-03-14T09:26:54.840Z"


@pytest.mark.parametrize(
    ("gate", "complete", "demanded", "code"),
    [
        ("failed", False, True, 10),
        ("passed", True, True, 0),
        ("passed", False, True, 4),
        ("none", False, False, 0),
    ],
)
def test_exit_code(gate: str, code: int, *, complete: bool, demanded: bool) -> None:
    report = document([], [], gate, complete=complete)
    report["scan"]["policy"]["require_complete"] = demanded
    assert draw(report)["runs"][0]["invocations"][0]["exitCode"] == code


def test_places_stay_the_same_when_a_container_is_restarted() -> None:
    def uri(pid: int, ident: str) -> str:
        source = f"/proc/{pid}/root/run/{ident}/x y"
        report = document(
            [container("web", pid, id=ident)], [finding("a-b", "web", evidence=[evidence(source, "0")])]
        )
        return str(results(report)[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])

    assert uri(7, "abc123") == uri(812, "def456") == "containers/web/proc/PID/root/run/ID/x%20y"


@pytest.mark.parametrize(
    "key", ["..", ".", "../../../etc", "/abs", "a b", "%2e%2e", "c:\\x", "javascript:alert(1)", "#?x"]
)
def test_hostile_names_lead_nowhere(key: str) -> None:
    report = document([container(key, 1)], [finding("a-b", key, evidence=[evidence("/a/../../../b", "x")])])
    jsonschema.validate(draw(report), LOG)
    uri = results(report)[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    base = "https://host.example/repository/"
    assert urljoin(base, uri).startswith(f"{base}containers/")
    assert ".." not in unquote(uri).split("/")


def test_alike_containers_are_alerts_of_their_own() -> None:
    report = document(
        [container(key, number) for number, key in enumerate(("a", "b"), 1)],
        [{**finding("a-b", key), "fingerprint": "f00d"} for key in ("a", "b")],
    )
    hashes = [one["partialFingerprints"]["primaryLocationLineHash"] for one in results(report)]
    assert hashes == ["f00d:1", "f00d:2"]


def test_messages_hold_no_link_and_no_placeholder() -> None:
    report = document(
        [container("c", 1)], [finding("a-b", "c", message="[x](https://attacker.invalid) {0} pid:[42]")]
    )
    (result,) = results(report)
    assert result["message"]["text"] == r"c: [x\](https://attacker.invalid) {{0}} pid:[42]"


def test_help_has_no_html() -> None:
    rules = draw(large(1, 1))["runs"][0]["tool"]["driver"]["rules"]
    assert rules, "a check that no catalogue has is a rule all the same"
    every = [finding(check.id) for check in CATALOGUE.checks]
    for rule in draw(document([], every))["runs"][0]["tool"]["driver"]["rules"]:
        outside = "".join(rule["help"]["markdown"].split("`")[::2])
        assert "<" not in outside, rule["id"]
        assert len(rule["fullDescription"]["text"]) <= 1024


def test_containers_are_logical_locations() -> None:
    names = {one["locations"][0]["logicalLocations"][0]["name"] for one in results(sample())}
    assert names == {"host", WEB, DB, AGENT}


def test_each_host_is_a_category_of_its_own() -> None:
    report = sample()
    report["host"]["hostname"] = "a/b c"
    assert draw(report)["runs"][0]["automationDetails"]["id"] == "isoaudit/a%2Fb%20c/0f6e1c3a9b2d4c58"
