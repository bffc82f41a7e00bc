"""The judge of the live scenarios, and its table."""

from __future__ import annotations

from fnmatch import filter as matching

import pytest
from support.scenarios import SCENARIOS, TWINS, Scenario, judge, summary

from isoaudit.registry import load
from isoaudit.resources import bundled

FINE = {"outcome": "pass", "severity": "high"}
ABSENT = {"outcome": "not-applicable", "severity": "high"}
HIGH = {"outcome": "fail", "severity": "high"}
LOW = {"outcome": "fail", "severity": "low"}
UNKNOWN = {"outcome": "unknown", "severity": "high"}


@pytest.mark.parametrize(
    ("twin", "flagged", "missed", "alarms"),
    [
        (FINE, HIGH, (), 0),
        (LOW, HIGH, (), 0),
        (ABSENT, FINE, ("gap",), 0),
        (HIGH, HIGH, ("gap",), 0),
        (HIGH, LOW, ("gap",), 0),
        (FINE, UNKNOWN, ("gap",), 0),
    ],
)
def test_what_must_appear(
    twin: dict[str, str], flagged: dict[str, str], missed: tuple[str, ...], alarms: int
) -> None:
    judged = judge(Scenario("docker", "x", opens=("gap",)), {"gap": twin}, {"gap": flagged})
    assert (judged.missed, len(judged.unexpected)) == (missed, alarms)


@pytest.mark.parametrize(
    ("twin", "flagged", "alarms"),
    [(FINE, HIGH, 1), (FINE, UNKNOWN, 1), (LOW, HIGH, 1), (HIGH, FINE, 1), (ABSENT, FINE, 0), (HIGH, HIGH, 0)],
)
def test_what_must_not_change(twin: dict[str, str], flagged: dict[str, str], alarms: int) -> None:
    found = {"area-gap": twin}, {"area-gap": flagged}
    assert len(judge(Scenario("docker", "x"), *found).unexpected) == alarms
    assert not judge(Scenario("docker", "x", follows=("area-*",)), *found).unexpected
    assert not judge(Scenario("docker", "x"), *found, apart={"area-gap"}).unexpected


def test_what_must_be_closed() -> None:
    scenario = Scenario("docker", "x", closes=("gap",))
    assert not judge(scenario, {"gap": HIGH}, {"gap": FINE}).missed
    assert judge(scenario, {"gap": HIGH}, {"gap": LOW}).missed == ("gap",)


def test_the_summary_counts() -> None:
    scenario = Scenario("docker", "x", ("--x",), opens=("a", "b"), bench="PASS 5.1")
    judged = judge(scenario, {"a": FINE, "b": FINE, "c": FINE}, {"a": HIGH, "b": FINE, "c": LOW})
    lines = summary([judged])
    assert lines[0] == "1 one-flag containers of 1 runtimes: 1/2 gaps found, 1 false alarms"
    assert "  missed       docker x: b" in lines
    assert "  false alarm  docker x: c: fine → low" in lines
    assert lines[-1].split() == ["--x", "PASS", "5.1", "a"]


def test_the_table() -> None:
    known = {check.id for check in load(bundled("checks")).checks}
    keys = [one.key for one in SCENARIOS]
    assert len(keys) == len(set(keys)) >= 60
    assert {one.runtime for one in SCENARIOS} == set(TWINS)
    assert sum(bool(one.bench) for one in SCENARIOS) == 10
    for one in SCENARIOS:
        for pattern in (*one.opens, *one.closes, *one.follows):
            assert matching(known, pattern), f"{one.key} names {pattern}, which no check is called"
        assert one.twin == "twin" or (one.runtime, one.twin) in keys
        for flag in one.without:
            assert any(given.startswith(flag) for given in TWINS[one.runtime]), (
                f"{one.key}: its twin has no {flag}"
            )
