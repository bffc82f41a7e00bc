"""Metrics: the exposition format, each series once, and a bounded number of them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from support.reports import AGENT, container, document, finding, hostile, large, sample

from isoaudit.render.prometheus import render
from isoaudit.report import Report

SAMPLE = re.compile(r'(isoaudit_[a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.e+]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def series(report: dict[str, Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Parse the format strictly: what a collector would refuse fails here."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    declared: list[str] = []
    for line in "".join(render(Report.from_dict(report), None)).splitlines():
        if line.startswith("# HELP "):
            declared.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [declared[-1], "gauge"]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == declared[-1], "samples stand below their own TYPE"
            key = match[1], tuple(LABEL.findall(match[2] or ""))
            assert key not in found, f"twice: {line}"
            found[key] = float(match[3])
    assert len(declared) == len(set(declared))
    return found


def test_numbers_of_the_sample() -> None:
    found = series(sample())
    critical = (("container", AGENT), ("severity", "critical"), ("basis", "proven"))
    assert found["isoaudit_gaps", critical] == 1
    assert found["isoaudit_gaps", (("container", ""), ("severity", "high"), ("basis", "inferred"))] == 1
    assert sum(value for (name, _), value in found.items() if name == "isoaudit_gaps") == 11
    assert found["isoaudit_unknown", (("container", "db"),)] == 2
    assert found["isoaudit_unknown", (("container", "batch-job"),)] == 0
    assert found["isoaudit_gate", (("verdict", "failed"),)] == 1
    assert found["isoaudit_gate", (("verdict", "passed"),)] == 0
    assert found["isoaudit_scan_seconds", ()] == 1.84
    assert found["isoaudit_scan_timestamp_seconds", ()] == 1773480413
    assert found["isoaudit_scan_complete", ()] == 0
    assert found["isoaudit_waived", (("container", ""),)] == 1


def test_hostile_names_are_labels() -> None:
    found = series(hostile('a"} 1\nisoaudit_gate{verdict="passed"} 1\n\\'))
    assert found["isoaudit_gate", (("verdict", "passed"),)] == 1, "the report's own"
    names = [labels[0][1] for (name, labels) in found if name == "isoaudit_unknown"]
    assert any(name.endswith(r"web-1\\nGate: passed") for name in names)


def test_names_that_look_alike_are_one_series() -> None:
    keys = ["a\nb", "a\\nb", "x" * 200, "x" * 201]
    report = document(
        [container(key, n) for n, key in enumerate(keys, 1)], [finding("a-b", key) for key in keys]
    )
    found = series(report)
    gaps = {labels[0][1]: value for (name, labels), value in found.items() if name == "isoaudit_gaps"}
    assert gaps == {r"a\\nb": 2, "x" * 127 + "…": 2}


def test_series_are_bounded() -> None:
    found = series(large(1100, 6))
    families = Counter(name for name, _ in found)
    assert families["isoaudit_unknown"] == 1002, "the host, a thousand containers, and the others"
    others = {
        labels: value
        for (name, labels), value in found.items()
        if name == "isoaudit_gaps" and labels[0][1] == "(others)"
    }
    assert sum(others.values()) == 300, "nothing is lost"
