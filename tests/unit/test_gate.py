"""What a policy demands of a whole scan: exit codes, coverage, containers, and a baseline whose gaps are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.facts import make_container, make_host, make_identity
from support.reports import container, document, finding

from isoaudit import frameworks
from isoaudit.baseline import baseline_of
from isoaudit.errors import UsageError
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.gate import Reach, exit_code, reach
from isoaudit.judgement import judge_snapshot
from isoaudit.model import Severity
from isoaudit.policy import Policy, load
from isoaudit.registry import Catalogue
from isoaudit.registry import load as load_checks
from isoaudit.report import Report
from isoaudit.resources import bundled

CLOCK = "time-clock-not-namespaced"  # fails on each container, inherently
SCAN = ScanFacts("0" * 16, "2026-06-15T12:00:00+00:00", 0.5, "host", ("isoaudit",), 0, "none", 10, 0, 0)
STRICT = Policy(select=(CLOCK,), fail_on=Severity.INFO, inherent=True)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_checks(bundled("checks"))


def judged(catalogue: Catalogue, policy: Policy, *names: str, mode: str = "host", pid: int = 4242) -> Report:
    containers = tuple(
        make_container(identity=make_identity(key=name, name=name, pid=pid, id=str(pid) * 16)) for name in names
    )
    scan = SCAN._replace(mode=mode)
    return judge_snapshot(Snapshot(scan, make_host(), containers, ()), catalogue, policy, frameworks.load())


def told(report: Report, words: str) -> list[str]:
    return [notice for notice in report.scan["notices"] if words in notice]


@pytest.mark.parametrize(
    ("decided", "verdicts", "percent", "covered"),
    [
        (19, 20, 95, True),
        (949, 1000, 95, False),
        (0, 0, 1, False),
        (0, 0, 0, True),
        (0, 9, 0, True),
        (9, 9, 100, True),
        (99_999, 100_000, 100, False),
    ],
)
def test_coverage(decided: int, verdicts: int, percent: float, *, covered: bool) -> None:
    assert Reach(1, 0, decided, verdicts).covers(percent) is covered


def saved(outcomes: str, *, gate: str = "none", complete: bool = True, **policy: Any) -> Report:
    words = {"p": "pass", "f": "fail", "n": "not-applicable", "u": "unknown", "e": "error"}
    findings = [finding(f"a-{number}", "c", words[letter]) for number, letter in enumerate(outcomes)]
    made = document([container("c", 7)], findings, gate)
    made["scan"]["complete"] = complete
    made["scan"]["policy"] = policy
    return Report.from_dict(made)


def test_decided_are_passes_gaps_and_what_does_not_apply() -> None:
    assert reach(saved("pfnue").sections) == Reach(1, 3, 3, 5)


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (saved("pf"), 0),
        (saved("pf", gate="failed"), 10),
        (saved("pf", gate="failed", require_complete=True, complete=False), 10),
        (saved("pu", require_complete=True, complete=False), 4),
        (saved("pu", complete=False), 0),
        (saved("pu", min_coverage=50), 0),
        (saved("pu", min_coverage=50.1), 4),
        (saved("uu", gate="failed", require_containers=True), 4),
        (saved("pu", gate="passed", require_containers=True), 0),
        (saved("pu", min_coverage="high"), 0),
    ],
)
def test_exit_code(report: Report, code: int) -> None:
    assert exit_code(report) == code


def test_low_coverage_is_told_and_never_rounded_up(catalogue: Catalogue) -> None:
    report = judged(catalogue, Policy(min_coverage=100), "web-1")
    got = reach(report.sections)
    assert 0 < got.decided < got.verdicts
    (notice,) = told(report, "verdicts are decided")
    assert "demands 100 %" in notice
    assert not notice.startswith("100 %")
    assert exit_code(report) == 4
    assert told(judged(catalogue, Policy(min_coverage=1), "web-1"), "verdicts are decided") == []


def test_no_container_is_no_success(catalogue: Catalogue) -> None:
    report = judged(catalogue, Policy(require_containers=True))
    assert report.summary["gate"] == "failed"
    assert exit_code(report) == 3
    assert told(report, "no container was found")
    assert exit_code(judged(catalogue, Policy())) == 0
    some = judged(catalogue, Policy(require_containers=True), "web-1")
    assert (some.summary["gate"], exit_code(some)) == ("passed", 0)


def test_no_check_of_a_container_is_no_success(catalogue: Catalogue) -> None:
    on_host = next(check.id for check in catalogue.checks if check.subject == "host")
    report = judged(catalogue, Policy(require_containers=True, select=(on_host,)), "web-1")
    assert report.summary["gate"] == "failed"
    assert exit_code(report) == 4
    assert told(report, "no check of a container was decided")


def test_a_container_that_vanished_is_none(catalogue: Catalogue) -> None:
    snapshot = Snapshot(SCAN, make_host(), (), (make_identity(),))
    report = judge_snapshot(snapshot, catalogue, Policy(require_containers=True), frameworks.load())
    assert exit_code(report) == 3


def test_only_what_the_baseline_does_not_know_counts(catalogue: Catalogue) -> None:
    before = judged(catalogue, STRICT, "web-1")
    assert exit_code(before) == 10
    policy = STRICT._replace(baseline=baseline_of(before, "old.json"))
    again = judged(catalogue, policy, "web-1", pid=77)  # restarted since
    assert (again.summary["gate"], exit_code(again)) == ("passed", 0)
    assert told(again, "1 gap known from old.json")
    assert not told(again, "incomparable")
    assert again.scan["policy"]["baseline"] == "old.json"
    assert [f["outcome"] for f in again.findings()] == ["fail"]
    more = judged(catalogue, policy, "web-1", "db")
    assert exit_code(more) == 10


def test_what_the_baseline_had_waived_is_not_known(catalogue: Catalogue) -> None:
    before = json.loads("".join(judged(catalogue, STRICT, "web-1").to_json()))
    for one in before["findings"]:
        one["waiver"] = {"check": CLOCK, "target": "*", "owner": "o", "reason": "r", "expires": "2026-01-01"}
    baseline = baseline_of(Report.from_dict(before), "old.json")
    assert baseline.known == frozenset()
    assert exit_code(judged(catalogue, STRICT._replace(baseline=baseline), "web-1")) == 10


def test_another_scope_is_incomparable(catalogue: Catalogue) -> None:
    before = judged(catalogue, STRICT, "web-1")
    policy = STRICT._replace(baseline=baseline_of(before, "old.json"))
    (notice,) = told(judged(catalogue, policy, "web-1", mode="container"), "incomparable")
    assert "scope" in notice
    assert "selection" not in notice
    (notice,) = told(judged(catalogue, policy._replace(select=(CLOCK, "cgroup")), "web-1"), "incomparable")
    assert "selection" in notice
    (notice,) = told(judged(catalogue._replace(digest="other"), policy, "web-1"), "incomparable")
    assert "catalogue" in notice


def test_a_broken_baseline() -> None:
    made = document([], [finding("a-b")])
    del made["findings"][0]["fingerprint"]
    with pytest.raises(UsageError, match=r"old\.json: broken report"):
        baseline_of(Report.from_dict(made), "old.json")


def test_a_policy_file_demands(tmp_path: Path) -> None:
    path = tmp_path / "isoaudit.toml"
    path.write_text("[gate]\nrequire-containers = true\nmin-coverage = 95.5\n")
    policy = load(str(path))
    assert (policy.require_containers, policy.min_coverage) == (True, 95.5)
    assert Policy(fail_on=Severity.LOW).document()["min_coverage"] == 0


@pytest.mark.parametrize("value", ["101", "-1", "nan", "true", '"95"'])
def test_a_coverage_is_a_percentage(value: str, tmp_path: Path) -> None:
    path = tmp_path / "isoaudit.toml"
    path.write_text(f"[gate]\nmin-coverage = {value}\n")
    with pytest.raises(UsageError, match="from 0 to 100"):
        load(str(path))
