"""OCSF and OSCAL: the fields that their schemas demand, none that they do not know, references that resolve.

The structures here are read off the published schemas (OCSF 1.6.0; OSCAL 1.1.2, whose fields 1.2.1 still has), for
the parts that we write.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from support.reports import AGENT, container, document, finding, hostile, sample

from isoaudit.render import ocsf, oscal
from isoaudit.report import Report

UUID = {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"}
STAMP = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
STRING = {"type": "string", "pattern": r"^\S(.*\S)?$"}
TOKEN = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9._-]*$"}
TEXT = {"type": "string", "minLength": 1}
LINE = {"type": "string", "pattern": r"^[^\n]+$"}
INTEGER = {"type": "integer"}


def strict(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


# OCSF
OS = strict("name type_id", name=TEXT, type_id={"const": 200}, type={"const": "Linux"}, kernel_release=TEXT)
PRODUCT = strict("name vendor_name", name={"const": "isoaudit"}, vendor_name=TEXT, version=TEXT)
EVENT = strict(
    "activity_id category_uid class_uid type_uid time severity_id metadata finding_info compliance resources",
    activity_id={"const": 1},
    activity_name={"const": "Create"},
    category_uid={"const": 2},
    category_name={"const": "Findings"},
    class_uid={"const": 2003},
    class_name={"const": "Compliance Finding"},
    type_uid={"const": 200301},
    type_name=TEXT,
    time=INTEGER,
    timezone_offset={"const": 0},
    severity_id={"enum": [1, 2, 3, 4, 5]},
    severity={"enum": ["Informational", "Low", "Medium", "High", "Critical"]},
    status_id={"enum": [1, 3]},
    status={"enum": ["New", "Suppressed"]},
    message=TEXT,
    metadata=strict(
        "version product", version={"const": "1.6.0"}, product=PRODUCT, uid=UUID, correlation_uid=TEXT
    ),
    finding_info=strict(
        "uid title", uid=UUID, title=TEXT, desc={"type": "string"}, data_sources={"type": "array"}
    ),
    compliance=strict(
        "control status_id status",
        control=TEXT,
        status_id={"enum": [1, 2, 3, 99]},
        status=TEXT,
        status_details=some({"type": "string"}),
        standards=some(TEXT),
        requirements=some(TEXT),
    ),
    device=strict("type_id hostname", hostname=TEXT, type_id={"const": 0}, type={"const": "Unknown"}, os=OS),
    resources=some(
        strict(
            "uid name type",
            uid=TEXT,
            name=TEXT,
            type={"enum": ["host", "container"]},
            data={"type": "object"},
        )
    ),
    evidences=some(strict("data", data={"type": "object"})),
    remediation=strict("desc", desc=TEXT, references=some({"type": "string", "pattern": "^https?://"})),
    unmapped={"type": "object"},
)

# OSCAL
PROPS = some(
    strict("name value", name=TOKEN, value=STRING, ns={"type": "string", "format": "uri"}, group=TOKEN)
)
RELATED = some(strict("observation-uuid", **{"observation-uuid": UUID}))
OBSERVATION = strict(
    "uuid description methods collected",
    uuid=UUID,
    title=LINE,
    description=LINE,
    props=PROPS,
    methods=some({"enum": ["EXAMINE", "TEST"]}),
    types=some({"const": "control-objective"}),
    origins=some(
        strict("actors", actors=some(strict("type actor-uuid", type={"const": "tool"}, **{"actor-uuid": UUID})))
    ),
    subjects=some(strict("subject-uuid type", type={"const": "inventory-item"}, **{"subject-uuid": UUID})),
    collected=STAMP,
    remarks=LINE,
    **{"relevant-evidence": some(strict("description", description=LINE, props=PROPS))},
)
RISK = strict(
    "uuid title description statement status",
    uuid=UUID,
    title=LINE,
    description=LINE,
    statement=LINE,
    props=PROPS,
    status={"enum": ["open", "deviation-approved"]},
    remediations=some(
        strict(
            "uuid lifecycle title description",
            uuid=UUID,
            lifecycle={"const": "recommendation"},
            title=LINE,
            description=LINE,
        )
    ),
    **{"related-observations": RELATED},
)
STATUS = strict(
    "state",
    state={"enum": ["satisfied", "not-satisfied"]},
    reason={"enum": ["pass", "fail", "other"]},
    remarks=LINE,
)
FINDING = strict(
    "uuid title description target",
    uuid=UUID,
    title=LINE,
    description=LINE,
    props=PROPS,
    target=strict(
        "type target-id status", type={"const": "objective-id"}, status=STATUS, **{"target-id": TOKEN}
    ),
    **{"related-observations": RELATED, "related-risks": some(strict("risk-uuid", **{"risk-uuid": UUID}))},
)
ASSETS = strict(
    "assessment-platforms",
    components=some(
        strict(
            "uuid type title description status",
            uuid=UUID,
            type={"const": "software"},
            title=LINE,
            description=LINE,
            props=PROPS,
            status=strict("state", state={"const": "operational"}),
        )
    ),
    **{
        "assessment-platforms": some(
            strict(
                "uuid",
                uuid=UUID,
                **{"uses-components": some(strict("component-uuid", **{"component-uuid": UUID}))},
            )
        )
    },
)
RESULT = strict(
    "uuid title description start reviewed-controls",
    uuid=UUID,
    title=LINE,
    description=LINE,
    start=STAMP,
    end=STAMP,
    props=PROPS,
    observations=some(OBSERVATION),
    risks=some(RISK),
    findings=some(FINDING),
    **{
        "local-definitions": strict(
            "",
            **{
                "inventory-items": some(strict("uuid description", uuid=UUID, description=LINE, props=PROPS)),
                "assessment-assets": ASSETS,
            },
        ),
        "reviewed-controls": strict(
            "control-selections",
            **{
                "control-selections": some(
                    strict(
                        "include-all",
                        description=LINE,
                        **{"include-all": {"type": "object", "maxProperties": 0}},
                    )
                )
            },
        ),
    },
)
METADATA = strict(
    "title last-modified version oscal-version",
    title=LINE,
    version=STRING,
    **{"last-modified": STAMP, "oscal-version": {"const": "1.1.2"}},
)
RESULTS = strict(
    "uuid metadata import-ap results",
    uuid=UUID,
    metadata=METADATA,
    results=some(RESULT),
    **{
        "import-ap": strict("href", href={"type": "string", "pattern": "^#"}),
        "back-matter": strict("", resources=some(strict("uuid", uuid=UUID, title=LINE, description=LINE))),
    },
)
REPORTS = {"sample": sample(), "hostile": hostile(" \n"), "empty": document([], [])}


def events(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in "".join(ocsf.render(Report.from_dict(report), None)).splitlines()]


def assessment(report: dict[str, Any]) -> dict[str, Any]:
    text = "".join(oscal.render(Report.from_dict(report), None))
    found: dict[str, Any] = json.loads(text)["assessment-results"]
    return found


@pytest.mark.parametrize("name", REPORTS)
def test_ocsf_structure(name: str) -> None:
    found = events(REPORTS[name])
    assert len(found) == len(REPORTS[name]["findings"])
    for event in found:
        jsonschema.validate(event, EVENT)
    subjects = {
        (e["resources"][0]["name"], e["resources"][0]["type"], e["compliance"]["control"]) for e in found
    }
    assert len({event["metadata"]["uid"] for event in found}) == len(subjects)


def test_ocsf_statuses() -> None:
    found = {(e["resources"][0]["name"], e["compliance"]["control"]): e for e in events(sample())}
    host = "build-07.example.org"
    for key, status, severity, lifecycle in (
        ((AGENT, "cgroup-devices-unrestricted"), (3, "Fail"), 5, 1),
        ((host, "kernel-dmesg-unrestricted"), (3, "Fail"), 2, 3),
        ((host, "kernel-lockdown-off"), (1, "Pass"), 1, None),
        (("db", "seccomp-permissive"), (2, "Warning"), 3, 1),
        ((host, "time-host-unsynchronised"), (99, "Error"), 2, 1),
        (("web-1", "lsm-complain"), (99, "Not applicable"), 1, None),
    ):
        event = found[key]
        assert (event["compliance"]["status_id"], event["compliance"]["status"]) == status
        assert (event["severity_id"], event.get("status_id")) == (severity, lifecycle)
    device = found[AGENT, "cgroup-devices-unrestricted"]
    assert device["compliance"]["requirements"] == [
        "cis-docker-1.6.0 5.5",
        "cis-docker-1.6.0 5.18",
        "mitre-attack T1611",
    ]
    assert device["resources"][0]["data"]["runtime"] == "containerd"
    assert device["unmapped"]["basis"] == "proven"


def test_ocsf_names_a_finding_alike_in_every_scan() -> None:
    later = sample()
    later["scan"]["id"] = "another"
    first, second = events(sample()), events(later)
    assert [e["finding_info"]["uid"] for e in first] == [e["finding_info"]["uid"] for e in second]
    assert not {e["metadata"]["uid"] for e in first} & {e["metadata"]["uid"] for e in second}


@pytest.mark.parametrize("name", REPORTS)
def test_oscal_structure(name: str) -> None:
    jsonschema.validate(assessment(REPORTS[name]), RESULTS)


@pytest.mark.parametrize("name", REPORTS)
def test_oscal_references_resolve(name: str) -> None:
    found = assessment(REPORTS[name])
    (result,) = found["results"]
    observed = {one["uuid"] for one in result.get("observations", ())}
    risks = {one["uuid"] for one in result.get("risks", ())}
    items = {one["uuid"] for one in result["local-definitions"]["inventory-items"]}
    tools = {one["uuid"] for one in result["local-definitions"]["assessment-assets"]["components"]}
    assert len(items) == len(REPORTS[name]["containers"]) + 1
    for one in (*result.get("findings", ()), *result.get("risks", ())):
        assert {related["observation-uuid"] for related in one["related-observations"]} <= observed
        assert {related["risk-uuid"] for related in one.get("related-risks", ())} <= risks
    for one in result.get("observations", ()):
        assert {subject["subject-uuid"] for subject in one["subjects"]} <= items
        assert {actor["actor-uuid"] for origin in one["origins"] for actor in origin["actors"]} <= tools
    assert found["import-ap"]["href"][1:] in {one["uuid"] for one in found["back-matter"]["resources"]}


def test_oscal_is_satisfied_by_a_pass_alone() -> None:
    report = sample()
    (result,) = assessment(report)["results"]
    assert len(result["observations"]) == len(report["findings"])
    judged = [one for one in report["findings"] if one["outcome"] != "not-applicable"]
    for one, source in zip(result["findings"], judged, strict=True):
        status = one["target"]["status"]
        assert one["target"]["target-id"] == source["check"]
        assert (status["state"] == "satisfied") == (source["outcome"] == "pass")
        assert status["reason"] == {"pass": "pass", "fail": "fail"}.get(source["outcome"], "other")
        assert ("related-risks" in one) == (source["outcome"] == "fail")
    waived = [one for one in result["risks"] if one["status"] == "deviation-approved"]
    assert len(waived) == 1
    assert any("developers read it" in prop["value"] for prop in waived[0]["props"])
    tested = [one for one in result["observations"] if one["methods"] == ["TEST"]]
    assert len(tested) == sum(one["basis"] == "proven" for one in report["findings"])


def test_oscal_is_the_same_for_the_same_report() -> None:
    assert assessment(sample()) == assessment(sample())
    later = sample()
    later["scan"]["id"] = "another"
    first, second = assessment(sample()), assessment(later)
    assert first["uuid"] != second["uuid"]
    assert [f["uuid"] for f in first["results"][0]["findings"]] == [
        f["uuid"] for f in second["results"][0]["findings"]
    ]


def test_oscal_prose_is_markdown_without_markup() -> None:
    text = "[x](https://attacker.invalid) <b>x</b>"
    report = document(
        [container(text, 1)], [finding("a-b", text, message=text, remediation=text, reproduce=text)]
    )
    (result,) = assessment(report)["results"]
    for prose in (
        result["observations"][0]["description"],
        result["observations"][0]["remarks"],
        result["risks"][0]["statement"],
        result["risks"][0]["remediations"][0]["description"],
        result["local-definitions"]["inventory-items"][1]["description"],
    ):
        assert not re.search(r"[\[\]<>]|https?:", re.sub(r"`[^`]*`", "", prose)), prose
