"""Containers side by side: a line a gap, a column a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.model import SEVERITIES, Verdict
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from isoaudit.report import Report

_BASES = {"proven": "●", "observed": "○", "inferred": "◌"}
_CLOSED, _UNDECIDED, _ELSEWHERE = "·", "?", " "
_LEGEND = "● proven  ○ observed  ◌ inferred  · closed  ? not decided"


def comparison(report: Report) -> str:
    """The gaps that at least one container has, the worst first, and which has them."""
    keys = [container["key"] for container in report.containers]
    marks: dict[str, dict[str, str]] = {}
    severities: dict[str, str] = {}
    for finding in report.findings():
        check, key = finding["check"], finding["subject"]["key"]
        row = marks.setdefault(check, {})
        if finding["outcome"] == Verdict.FAIL:
            row[key] = _BASES[finding["basis"]]
            severities.setdefault(check, finding["severity"])
        elif finding["outcome"] in (Verdict.UNKNOWN, Verdict.ERROR):
            row.setdefault(key, _UNDECIDED)
        elif finding["outcome"] == Verdict.PASS:
            row.setdefault(key, _CLOSED)
    order = [severity.value for severity in SEVERITIES]
    checks = sorted(severities, key=lambda check: (order.index(severities[check]), check))
    names = [visible(key.removeprefix("probe-")) for key in keys]
    widths = [max(len(name), 1) for name in names]
    first = max((len(check) for check in checks), default=0)
    lines = ["  ".join(["GAP".ljust(first), "SEVERITY", *names])]
    for check in checks:
        row = marks[check]
        cells = [row.get(key, _ELSEWHERE).ljust(width) for key, width in zip(keys, widths, strict=True)]
        lines.append("  ".join([check.ljust(first), severities[check].ljust(8), *cells]).rstrip())
    return "\n".join([*lines, _LEGEND, ""])
