"""Metrics for the textfile collector of Prometheus' node exporter.

Series are as many as containers, times the few severities and bases that each has gaps of; beyond a bound of
containers the rest is one series.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.render.shared import kind, started, subjects
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.registry import Catalogue
    from isoaudit.report import Report

_MOST_CONTAINERS = 1000
_LONGEST = 128  # characters of a label's value
_OTHERS = "(others)"
_GATES = ("passed", "failed", "none")
Labels = tuple[tuple[str, str], ...]


class _Family(NamedTuple):
    name: str
    help: str
    samples: Mapping[Labels, float]


def render(report: Report, _catalogue: Catalogue | None) -> Iterator[str]:
    """One metric after the other, each with its HELP and TYPE."""
    for name, text, samples in _families(report):
        yield f"# HELP isoaudit_{name} {text}\n# TYPE isoaudit_{name} gauge\n"
        for labels, value in samples.items():
            inside = ",".join(f'{label}="{_escaped(word)}"' for label, word in labels)
            series = f"{{{inside}}}" if inside else ""
            yield f"isoaudit_{name}{series} {float(value):.15g}\n"


def _families(report: Report) -> Iterator[_Family]:
    version = (("version", str(report.tool["version"])), ("catalogue", str(report.tool["catalogue"])))
    yield _Family("info", "What scanned: always 1.", {version: 1})
    verdict: dict[Labels, float] = {(("verdict", gate),): report.summary["gate"] == gate for gate in _GATES}
    yield _Family("gate", "1 at the verdict of the gate.", verdict)
    gaps: Counter[Labels] = Counter()
    unknown: Counter[Labels] = Counter()
    others: dict[str, Counter[Labels]] = {"inherent": Counter(), "waived": Counter(), "error": Counter()}
    for number, (container, findings) in enumerate(subjects(report)):
        # The host has no name among containers; its series are those without one.
        who: Labels = (("container", _name(container["key"], number) if container else ""),)
        unknown[who] += 0
        for finding in findings:
            what = kind(finding)
            if what == "gap":
                series = (*who, ("severity", finding["severity"]), ("basis", finding["basis"]))
                gaps[series] += 1
            elif what == "unknown":
                unknown[who] += 1
            elif what in others:
                others[what][who] += 1
    yield _Family("gaps", "Gaps that a setting can close, and that nobody waived.", gaps)
    yield _Family("unknown", "Checks that could not be decided.", unknown)
    yield _Family("errors", "Checks that broke.", others["error"])
    yield _Family("inherent_gaps", "Gaps that no setting can close.", others["inherent"])
    yield _Family("waived", "Gaps and open questions that the policy accepts.", others["waived"])
    ways: Counter[Labels] = Counter()
    for path in report.escape_paths:
        ways[(("basis", path["basis"]),)] += 1
    yield _Family("escape_paths", "Ways from a container to the host.", ways)
    seen = sum(not container.get("vanished") for container in report.containers)
    for name, text, value in (
        ("containers", "Containers that were audited.", seen),
        ("passed", "Checks that found their wall standing.", report.summary["pass"]),
        ("scan_complete", "1 if nothing was left undecided or unseen.", int(report.scan["complete"])),
        ("scan_seconds", "How long the scan took.", report.scan["seconds"]),
        ("scan_timestamp_seconds", "When the scan began, since the epoch.", started(report).timestamp()),
    ):
        yield _Family(name, text, {(): value})


def _name(key: str, number: int) -> str:
    if number > _MOST_CONTAINERS:
        return _OTHERS
    shown = visible(key)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _escaped(text: str) -> str:
    """A label's value by the exposition format; what acts or hides is spelled out before."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
