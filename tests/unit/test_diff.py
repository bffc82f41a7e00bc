"""Two reports held against each other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.reports import HOSTILE, Document, container, finding
from support.reports import document as report_document

from isoaudit.diff import Change, Comparison, Kind, compare, document
from isoaudit.errors import UsageError
from isoaudit.model import Severity
from isoaudit.render.changes import render
from isoaudit.report import Report

if TYPE_CHECKING:
    from pathlib import Path

WAIVER = {"check": "a-*", "target": "*", "owner": "o", "reason": "r", "expires": None}


def report(*findings: Document, extra: tuple[str, ...] = (), **scan: Any) -> Report:
    keys = [f["subject"]["key"] for f in findings if f["subject"]["kind"] == "container"]
    containers = [container(key, pid) for pid, key in enumerate(dict.fromkeys((*keys, *extra)), 1)]
    return Report.from_dict(report_document(containers, list(findings), **scan))


def only(old: Report, new: Report) -> Change:
    (change,) = compare(old, new).changes
    return change


def gap(key: str = "web", **changes: Any) -> Document:
    return finding("a-b", key, **changes)


def passed(key: str = "web") -> Document:
    return finding("a-b", key, "pass")


def undecided(key: str = "web") -> Document:
    return finding("a-b", key, "unknown")


@pytest.mark.parametrize(
    ("old", "new", "kind", "reason"),
    [
        (report(passed()), report(gap()), Kind.NEW, ""),
        (report(gap()), report(passed()), Kind.FIXED, ""),
        (report(gap()), report(finding("a-b", "web", "not-applicable")), Kind.FIXED, ""),
        (report(gap()), report(gap()), Kind.UNCHANGED, ""),
        (report(gap()), report(undecided()), Kind.INCOMPARABLE, "not decided in the new report"),
        (
            report(gap()),
            report(finding("a-b", "web", "error")),
            Kind.INCOMPARABLE,
            "not decided in the new report",
        ),
        (report(undecided()), report(gap()), Kind.INCOMPARABLE, "not decided in the old report"),
        (report(gap()), report(passed("db")), Kind.INCOMPARABLE, "not in the new report"),
        (report(passed("db")), report(gap()), Kind.INCOMPARABLE, "not in the old report"),
        (
            report(gap()),
            report(finding("c-d", "web", "pass")),
            Kind.INCOMPARABLE,
            "not asked in the new report",
        ),
        (
            report(finding("c-d", "web", "pass")),
            report(gap()),
            Kind.INCOMPARABLE,
            "not asked in the old report",
        ),
        (report(gap("host")), report(passed()), Kind.INCOMPARABLE, "not in the new report"),
        (report(gap("host")), report(passed("host")), Kind.FIXED, ""),
        # A container that ended while being read fixed nothing.
        (report(gap()), report(extra=("web",)), Kind.INCOMPARABLE, "not in the new report"),
    ],
)
def test_what_became_of_a_gap(old: Report, new: Report, kind: Kind, reason: str) -> None:
    change = only(old, new)
    assert (change.kind, change.reason) == (kind, reason)
    assert change.open is any(f["outcome"] == "fail" for f in new.findings())


def test_a_container_called_host_is_not_the_host() -> None:
    inside = {**gap(), "subject": {"kind": "container", "key": "host"}}
    before = Report.from_dict(report_document([container("host", 1)], [inside]))
    assert only(before, report(passed("host"))).kind is Kind.INCOMPARABLE


def test_identity_survives_a_restart_under_another_key() -> None:
    def nameless(key: str, one: Document) -> Report:
        return Report.from_dict(report_document([container(key, 3, name=None)], [one]))

    old = nameless("0123", gap("0123", fingerprint="aa"))
    assert only(old, nameless("4567", gap("4567", fingerprint="aa"))).kind is Kind.UNCHANGED
    assert only(old, nameless("4567", passed("4567"))).kind is Kind.FIXED


def test_alike_containers_are_one_gap_as_bad_as_the_worst() -> None:
    findings = [
        gap("a", fingerprint="aa", severity="low"),
        gap("b", fingerprint="aa", severity="high", waiver=WAIVER),
    ]
    change = only(report(passed("a"), passed("b")), report(*findings))
    assert change.gap.severity is Severity.HIGH
    assert change.gap.subjects == ("a", "b")
    assert not change.gap.waived


@pytest.mark.parametrize(
    ("old", "new", "threshold", "worsened"),
    [
        (report(passed()), report(gap(severity="high")), Severity.HIGH, True),
        (report(passed()), report(gap(severity="medium")), Severity.HIGH, False),
        (report(passed("db")), report(gap(severity="critical")), Severity.HIGH, True),
        (report(undecided()), report(gap(severity="critical")), Severity.HIGH, True),
        (report(gap(severity="low")), report(gap(severity="high")), Severity.HIGH, False),
        (report(gap(severity="high")), report(passed()), Severity.INFO, False),
        (report(gap(severity="high")), report(passed("db")), Severity.INFO, False),
        (report(passed()), report(gap(severity="high", waiver=WAIVER)), Severity.INFO, False),
        (report(passed()), report(gap(severity="high", inherent=True)), Severity.INFO, False),
    ],
)
def test_worsened(old: Report, new: Report, threshold: Severity, *, worsened: bool) -> None:
    assert compare(old, new).worsened(threshold) is worsened


def test_other_terms_are_told() -> None:
    told = compare(report(passed()), report(passed(), mode="container")).notices
    assert len(told) == 1
    assert "scope" in told[0]


def test_hostile_names_are_inert() -> None:
    for name in HOSTILE:
        old = report(passed(name))
        new = report(gap(name, message=name, severity="high"))
        shown = "".join(render(compare(old, new)))
        assert not set(shown) & set("\x1b\u202e\u200b\u2066\ud800")
        assert "\nGate" not in shown
        json.dumps(document(compare(old, new))).encode("ascii")


def test_alike_gaps_share_a_line() -> None:
    keys = [f"web-{number}" for number in range(9)]
    found: Comparison = compare(report(*map(passed, keys)), report(*map(gap, keys)))
    lines = "".join(render(found)).splitlines()
    assert [line for line in lines if "web-" in line] == [
        "  MEDIUM    a-b  web-0, web-1, web-2 +6: it is as it should be"
    ]
    assert lines[-1] == "9 new, 0 fixed, 0 unchanged, 0 incomparable"


def run(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "isoaudit", "diff", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_command(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("".join(report(passed(), gap("db")).to_json()))
    new.write_text("".join(report(gap(severity="high"), passed("db")).to_json()))
    code, out, err = run(str(old), str(new))
    assert (code, err) == (0, "")
    assert out.endswith("1 new, 1 fixed, 0 unchanged, 0 incomparable\n")
    code, out, _ = run(str(old), str(new), "-f", "json", "--fail-on", "high")
    assert code == 10
    assert json.loads(out)["summary"] == {"new": 1, "fixed": 1, "unchanged": 0, "incomparable": 0}
    assert [one["check"] for one in json.loads(out)["changes"]] == ["a-b", "a-b"]
    assert run(str(old), str(new), "--fail-on", "critical")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-", "-"), "standard input"),
        (("OLD", "/nonexistent"), "cannot read /nonexistent"),
        (("OLD", "OLD", "-f", "html"), "there is no 'html'"),
        (("OLD", "OLD", "--fail-on", "bad"), "no severity"),
        (("OLD", "BROKEN"), "broken report"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    made = report_document([container("web", 1)], [gap()])
    (tmp_path / "OLD").write_text(json.dumps(made))
    made["findings"][0].pop("message")
    (tmp_path / "BROKEN").write_text(json.dumps(made))
    code, out, err = run(*(str(tmp_path / word) if word.isupper() else word for word in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("isoaudit: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_broken_report_is_named() -> None:
    broken = report(gap())
    broken.scan.pop("mode")
    with pytest.raises(UsageError, match="NEW: broken report"):
        compare(report(gap()), broken)
