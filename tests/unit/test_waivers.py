"""Waivers: who answers for a gap, for how long, and what of it a report says."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from support.facts import make_container, make_host, make_identity

from isoaudit import frameworks
from isoaudit.errors import UsageError
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.gate import exit_code
from isoaudit.judgement import judge_snapshot
from isoaudit.model import Unknown
from isoaudit.policy import Policy, load
from isoaudit.registry import Catalogue
from isoaudit.registry import load as load_checks
from isoaudit.render.text import render as text
from isoaudit.report import Report
from isoaudit.resources import bundled, data
from isoaudit.waivers import Register, Waiver

DAY = "2026-06-15"
HOSTILE = "db-\x1b[31m\n\u202e[/bold]"
CLOCK = "time-clock-not-namespaced"  # fails on each container, inherently
GATE = '[gate]\nfail-on = "info"\ninherent = true\n'


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_checks(bundled("checks"))


def waiver(**changes: object) -> Waiver:
    fine = Waiver("time-clock-*", "db-*", "data team", "accepted", None)
    return fine._replace(**changes)  # type: ignore[arg-type]


def entry(check: str = CLOCK, target: str = "*", more: str = "") -> str:
    return f'[[waiver]]\ncheck = "{check}"\ntarget = "{target}"\nowner = "data team"\nreason = "accepted"\n{more}\n'


def policy_of(tmp_path: Path, content: str, name: str = "isoaudit.toml") -> Policy:
    path = tmp_path / name
    path.write_text(content)
    return load(str(path))


def judged(
    catalogue: Catalogue, policy: Policy, *, mode: str = "host", started: str = f"{DAY}T23:59:59+00:00"
) -> Report:
    scan = ScanFacts("0" * 16, started, 0.5, mode, ("isoaudit",), 0, "none", 10, 0, 0)
    containers = (make_container(), make_container(identity=make_identity(key=HOSTILE, name=HOSTILE)))
    return judge_snapshot(Snapshot(scan, make_host(), containers, ()), catalogue, policy, frameworks.load())


def waived(report: Report) -> list[str]:
    return [f["subject"]["key"] for f in report.findings() if f["waiver"] is not None]


def told(report: Report, words: str) -> list[str]:
    return [notice for notice in report.scan["notices"] if words in notice]


@pytest.mark.parametrize(
    ("target", "key", "name", "covered"),
    [
        ("db-*", "db-1", None, True),
        ("db-*", "0123abcd", "db-1", True),
        ("db-*", "web-db-1", "web", False),
        ("DB-*", "db-1", None, False),
        ("*", HOSTILE, None, True),
        ("host", "host", "host", False),
    ],
)
def test_target(target: str, key: str, name: str | None, *, covered: bool) -> None:
    assert waiver(target=target).covers({"key": key, "name": name}) is covered


@pytest.mark.parametrize(("target", "covered"), [("host", True), ("*", False), ("hos?", False)])
def test_the_host_is_named_in_full(target: str, *, covered: bool) -> None:
    assert waiver(target=target).covers(None) is covered


def test_check_is_an_id_or_a_beginning() -> None:
    assert waiver(check="time-clock").concerns("time-clock")
    assert not waiver(check="time-clock").concerns("time-clock-settable")
    assert waiver(check="time-clock*").concerns("time-clock-settable")
    assert not waiver(check="time-clock*").concerns("a-time-clock")


@pytest.mark.parametrize(
    ("started", "expired"),
    [("2026-06-14T00:00:00+00:00", 0), (f"{DAY}T23:59:59+00:00", 0), ("2026-06-16T00:00:00+00:00", 1)],
)
def test_stands_through_its_last_day(started: str, expired: int) -> None:
    register = Register([waiver(expires=date(2026, 6, 15))], started)
    assert len(register.expired) == expired
    assert len(register.covering({"key": "db-1", "name": None})) == 1 - expired


def test_a_scan_without_a_time_lets_no_waiver_stand() -> None:
    with pytest.raises(UsageError, match="no time"):
        Register([waiver(expires=date(2026, 6, 15))], "")


def test_a_waived_gap_stays_one_and_blocks_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    policy = policy_of(tmp_path, f'[checks]\nselect = ["{CLOCK}"]\n{GATE}{entry(target="db-*")}')
    report = judged(catalogue, policy)
    findings = {f["subject"]["key"]: f for f in report.findings()}
    assert {f["outcome"] for f in findings.values()} == {"fail"}
    assert waived(report) == [HOSTILE]
    assert findings[HOSTILE]["waiver"] == {
        "check": CLOCK,
        "target": "db-*",
        "owner": "data team",
        "reason": "accepted",
        "expires": None,
    }
    assert report.summary["waived"] == 1
    assert report.summary["gate"] == "failed"  # web-1 has it too
    both = policy_of(tmp_path, f'[checks]\nselect = ["{CLOCK}"]\n{GATE}{entry()}')
    passed = judged(catalogue, both)
    assert passed.summary["gate"] == "passed"
    assert sum(passed.summary["fail"].values()) == passed.summary["waived"] == 2
    assert exit_code(passed) == 0


def test_what_a_waived_report_says_is_by_the_schema_and_reads_back(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    content = "".join(
        (GATE, entry("time-*"), entry("capability-*", "host"), entry(more="expires = 2026-01-01"))
    )
    report = judged(catalogue, policy_of(tmp_path, content))
    written = "".join(report.to_json())
    document = json.loads(written)
    schema = json.loads(Path(data("report.schema.json")).read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [w["state"] for w in document["scan"]["policy"]["waivers"]] == ["used", "unused", "expired"]
    assert json.loads("".join(Report.from_json(written, "x").to_json())) == document
    broken = json.loads(written)
    next(f for f in broken["findings"] if f["waiver"])["waiver"].pop("owner")
    assert not jsonschema.Draft202012Validator(schema).is_valid(broken)


def test_an_expired_waiver_waives_nothing_and_is_told(catalogue: Catalogue, tmp_path: Path) -> None:
    expired = entry(more="expires = 2026-06-14")
    select = f'[checks]\nselect = ["{CLOCK}"]\n'
    report = judged(catalogue, policy_of(tmp_path, select + GATE + expired))
    assert waived(report) == []
    assert report.summary["gate"] == "failed"
    (notice,) = told(report, "expired on 2026-06-14")
    assert "data team" in notice
    assert "isoaudit.toml:6" in notice
    quiet = judged(catalogue, policy_of(tmp_path, select + expired))
    assert (quiet.summary["gate"], exit_code(quiet)) == ("none", 0)
    strict = judged(catalogue, policy_of(tmp_path, f'{select}[gate]\nexpired-waivers = "fail"\n{expired}'))
    assert (strict.summary["gate"], exit_code(strict)) == ("failed", 10)
    standing = entry(more="expires = 2026-06-15")
    fine = judged(catalogue, policy_of(tmp_path, f'{select}[gate]\nexpired-waivers = "fail"\n{standing}'))
    assert (fine.summary["gate"], exit_code(fine)) == ("passed", 0)


def test_an_unused_waiver_is_told_where_it_could_have_been_used(catalogue: Catalogue, tmp_path: Path) -> None:
    elsewhere, unasked = entry(target="gone-*"), entry("capability-*")
    policy = policy_of(tmp_path, f'[checks]\nselect = ["{CLOCK}"]\n{elsewhere}{unasked}{entry()}')
    (notice,) = told(judged(catalogue, policy), "accepts nothing")
    assert "gone-*" in notice
    assert told(judged(catalogue, policy, mode="container"), "accepts nothing") == []


def test_overlapping_waivers_are_all_of_use(catalogue: Catalogue, tmp_path: Path) -> None:
    report = judged(catalogue, policy_of(tmp_path, entry() + entry("time-*")))
    assert told(report, "accepts nothing") == []
    assert {f["waiver"]["check"] for f in report.findings() if f["check"] == CLOCK} == {CLOCK}


def test_an_open_question_can_be_waived_and_a_pass_cannot(catalogue: Catalogue, tmp_path: Path) -> None:
    check = "cgroup-memory-unlimited"
    policy = policy_of(
        tmp_path, f'[checks]\nselect = ["{check}"]\n[gate]\nrequire-complete = true\n{entry(check)}'
    )
    scan = ScanFacts("0" * 16, f"{DAY}T00:00:00+00:00", 0.5, "host", ("isoaudit",), 0, "none", 10, 0, 0)

    def outcome(**changes: object) -> tuple[str, bool, int]:
        snapshot = Snapshot(scan, make_host(), (make_container(**changes),), ())
        report = judge_snapshot(snapshot, catalogue, policy, frameworks.load())
        (found,) = report.findings()
        return found["outcome"], found["waiver"] is not None, exit_code(report)

    assert outcome(cgroup=Unknown("/proc/1/cgroup", "EACCES")) == ("unknown", True, 0)
    assert outcome() == ("pass", False, 0)


def test_the_terminal_counts_waived_gaps_apart_and_inert(catalogue: Catalogue, tmp_path: Path) -> None:
    policy = policy_of(tmp_path, GATE + entry("capability-*", "gone\\u001b[31m-*") + entry("time-*"))
    shown = text(judged(catalogue, policy), width=160, color=False)
    assert "waived" in shown
    assert "(no gap may be info or worse)" in shown
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("waiver = 3\n", "below a line [[waiver]]"),
        ('[waiver]\ncheck = "a-b"\n', "below a line [[waiver]]"),
        (f"\n{entry()}{entry(more='until = 2026-01-01')}", "isoaudit.toml:8: a waiver knows no 'until'"),
        (entry().replace('owner = "data team"\n', ""), "isoaudit.toml:1: a waiver needs owner"),
        (entry().replace('"accepted"', '" "'), "isoaudit.toml:1: a waiver needs reason"),
        (entry().replace('"accepted"', "3"), "isoaudit.toml:1: a waiver needs reason"),
        (entry("*"), "neither a check nor the beginning"),
        (entry("time-*-settable"), "neither a check nor the beginning"),
        (entry(more='expires = "2026-01-01"'), "isoaudit.toml:1: expires must be a date"),
        (entry(more="expires = 2026-01-01T00:00:00Z"), "expires must be a date"),
        (entry(more="expires = 2026-02-30"), "line 6"),
        ('waiver = [{check = "a-b"}]\n', "isoaudit.toml: waiver 1: a waiver needs target"),
        ('[gate]\nexpired-waivers = "ignore"\n', '"fail" or "notice"'),
    ],
)
def test_a_malformed_waiver(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        policy_of(tmp_path, content)
    assert says in str(raised.value)


def test_a_waiver_of_no_check(catalogue: Catalogue, tmp_path: Path) -> None:
    for check in ("time-clock-not-namespacd", "tyme-*"):
        with pytest.raises(UsageError, match=r"isoaudit\.toml:1: the waiver is of .* no check"):
            judged(catalogue, policy_of(tmp_path, entry(check)))
    with pytest.raises(UsageError, match=f"did you mean {CLOCK}"):
        judged(catalogue, policy_of(tmp_path, entry("time-clock-not-namespacd")))


def test_in_a_pyproject(tmp_path: Path) -> None:
    content = f"[tool.other]\n\n{entry().replace('[[waiver]]', '[[tool.isoaudit.waiver]]')}"
    (found,) = policy_of(tmp_path, content, "pyproject.toml").waivers
    assert found.place.endswith("pyproject.toml:3")
    with pytest.raises(UsageError, match="must be a table"):
        policy_of(tmp_path, "tool.isoaudit = 3\n", "pyproject.toml")
