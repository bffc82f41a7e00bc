"""The report: what goes into it comes out again, whatever a container has put into its names."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support.facts import HOST_INODES, make_container, make_host, make_identity, make_status, namespaces

from isoaudit import frameworks
from isoaudit.audit import Finding, Judge, fingerprint, peers_of, reproduce
from isoaudit.errors import UsageError
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.judgement import judge_snapshot
from isoaudit.kernel.capability import mask
from isoaudit.model import Basis, Evidence, Severity, Subject, Verdict, fail
from isoaudit.policy import Policy
from isoaudit.registry import Catalogue, Check, Page, load
from isoaudit.report import Report
from isoaudit.resources import bundled, data

HOSTILE = "a\x1b[31m\n<script>\u202e\ud800[/bold]"
NO_POLICY = Policy()
SCAN = ScanFacts("0" * 16, "2026-01-01T00:00:00+00:00", 0.5, "host", ("isoaudit",), 0, "none", 10, 0, 0)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(bundled("checks"))


def report_of(catalogue: Catalogue, policy: Policy = NO_POLICY, **changes: object) -> Report:
    containers = (
        make_container(),
        make_container(
            identity=make_identity(key=HOSTILE, name=HOSTILE),
            status=make_status(cap_effective=mask("CAP_SYS_ADMIN"), cap_permitted=mask("CAP_SYS_ADMIN")),
        ),
    )
    vanished = (make_identity(key="gone", name="gone", pid=6),)
    snapshot = Snapshot(SCAN, make_host(), containers, vanished)._replace(**changes)  # type: ignore[arg-type]
    return judge_snapshot(snapshot, catalogue, policy, frameworks.load())


def test_a_snapshot_of_one_container_knows_its_neighbours(catalogue: Catalogue) -> None:
    alone = (make_container(),)
    neighbour = make_container(identity=make_identity(key="db", name="db", pid=5))
    others = peers_of([neighbour]).all

    def peer_shared(report: Report) -> tuple[str, str]:
        (finding,) = (f for f in report.findings() if f["check"] == "namespace-peer-shared")
        return finding["outcome"], finding["message"]

    outcome, message = peer_shared(report_of(catalogue, containers=alone, vanished=(), others=others))
    assert outcome == "fail"
    assert "db" in message
    assert peer_shared(report_of(catalogue, containers=alone, vanished=()))[0] == "pass"


def test_is_by_the_schema_and_reads_back(catalogue: Catalogue) -> None:
    report = report_of(catalogue)
    text = "".join(report.to_json())
    text.encode("ascii")
    document = json.loads(text)
    schema = json.loads(Path(data("report.schema.json")).read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    again = Report.from_json(text, "x")
    assert json.loads("".join(again.to_json())) == document
    assert {c["key"] for c in document["containers"]} == {"web-1", HOSTILE, "gone"}


def test_a_vanished_container_has_no_findings(catalogue: Catalogue) -> None:
    report = report_of(catalogue)
    (gone,) = [c for c in report.containers if c["key"] == "gone"]
    assert gone["vanished"] is True
    assert not [f for f in report.findings() if f["subject"]["key"] == "gone"]
    assert any("ended while being read" in notice for notice in report.scan["notices"])


def test_a_host_that_is_a_container_is_called_one(catalogue: Catalogue) -> None:
    inside = make_host(namespaces=namespaces(1, **{**HOST_INODES, "pid": 4026532999}))
    report = report_of(catalogue, host=inside)
    assert any("a container itself" in notice for notice in report.scan["notices"])
    assert report.scan["complete"] is False
    assert not any("a container itself" in notice for notice in report_of(catalogue).scan["notices"])


def test_summary_counts_every_finding(catalogue: Catalogue) -> None:
    report = report_of(catalogue)
    findings = list(report.findings())
    summary = report.summary
    counted = sum(summary["fail"].values()) + sum(
        summary[name] for name in ("unknown", "error", "pass", "not-applicable")
    )
    assert counted == len(findings)
    assert summary["error"] == 0


@pytest.mark.parametrize(("fail_on", "gate"), [(None, "none"), (Severity.CRITICAL, "failed")])
def test_gate(catalogue: Catalogue, fail_on: Severity | None, gate: str) -> None:
    assert report_of(catalogue, Policy(fail_on=fail_on)).summary["gate"] == gate


def finding(**changes: object) -> Finding:
    fine = Finding(
        "a-b",
        Subject("container", "c"),
        Verdict.FAIL,
        Severity.HIGH,
        Basis.OBSERVED,
        inherent=False,
        message="",
        evidence=(),
        remediation="",
        reproduce="",
        fingerprint="00",
        weight=Severity.HIGH,
    )
    return fine._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "policy", "blocks"),
    [
        ({}, Policy(fail_on=Severity.HIGH), True),
        ({}, Policy(fail_on=Severity.CRITICAL), False),
        ({}, Policy(), False),
        ({"inherent": True}, Policy(fail_on=Severity.HIGH), False),
        ({"inherent": True}, Policy(fail_on=Severity.HIGH, inherent=True), True),
        ({"outcome": Verdict.ERROR}, Policy(fail_on=Severity.HIGH), True),
        ({"outcome": Verdict.UNKNOWN}, Policy(fail_on=Severity.HIGH), False),
        ({"outcome": Verdict.PASS}, Policy(fail_on=Severity.INFO), False),
    ],
)
def test_what_blocks(changes: dict[str, object], policy: Policy, *, blocks: bool) -> None:
    assert policy.blocks(finding(**changes)) is blocks


def test_a_check_that_breaks_is_an_error_finding() -> None:
    def broken(host: object) -> None:
        raise ZeroDivisionError("by design")

    check = Check("a-broken", "host", Severity.LOW, broken, ("host",), Page("T\n"), "")  # type: ignore[arg-type]
    (found,) = Judge(Catalogue((check,), ""), make_host(), peers_of([])).host()
    assert found.outcome is Verdict.ERROR
    assert "ZeroDivisionError: by design" in found.message


def test_a_policy_changes_the_severity(catalogue: Catalogue) -> None:
    policy = Policy(
        select=("time-clock-not-namespaced",), severities={"time-clock-not-namespaced": Severity.LOW}
    )
    severities = {f["severity"] for f in report_of(catalogue, policy).findings()}
    assert severities == {"low"}


def test_fingerprint_survives_a_restart_and_tells_gaps_apart() -> None:
    before = make_identity(pid=10, id="a" * 64)
    after = make_identity(pid=99, id="b" * 64)

    def seen(identity: object, source: str) -> str:
        return fingerprint("x-y", identity, [Evidence(source, "0")])  # type: ignore[arg-type]

    old = seen(before, f"/proc/10/root/{'a' * 64}")
    assert old == seen(after, f"/proc/99/root/{'b' * 64}")
    assert old != seen(after, "/proc/99/other")
    assert old != fingerprint("x-z", after, [Evidence(f"/proc/99/root/{'b' * 64}", "0")])
    assert old != seen(make_identity(name="other"), f"/proc/10/root/{'a' * 64}")


def test_reproduce_quotes_what_a_container_names() -> None:
    command = reproduce(
        [Evidence("/proc/1/ns/pid", "x"), Evidence("/sys/fs/cgroup/a;rm -rf b/pids.max", "max")]
    )
    assert command == "readlink /proc/1/ns/pid; cat '/sys/fs/cgroup/a;rm -rf b/pids.max'"


def test_fail_takes_a_word_for_a_severity() -> None:
    assert fail("x", severity="high").severity is Severity.HIGH
    with pytest.raises(ValueError, match="terrible"):
        fail("x", severity="terrible")


@pytest.mark.parametrize("text", ["", "{}", '{"schema":"isoaudit/report/1","tool":3}'])
def test_what_is_no_report(text: str) -> None:
    with pytest.raises(UsageError):
        Report.from_json(text, "x")
