"""The report for a terminal: what matters first, one line a gap, then how to see more."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from isoaudit.facts.units import binary, count
from isoaudit.model import SEVERITIES, Verdict
from isoaudit.render.shared import kind as kind_of
from isoaudit.render.tones import tone
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.report import Report

_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
# How a verdict is known, as a mark before the gap; the legend spells it out.
_BASES = {"proven": ("●", "green"), "observed": ("○", ""), "inferred": ("◌", "dim")}
_MOST_NAMES = 3
_MOST_UNKNOWN = 12
_MOST_ROWS = 20
_LONGEST = 220  # characters of a message


class _Gap(NamedTuple):
    """Findings of one check that are alike but for names and numbers, and whose they are."""

    check: str
    severity: str
    basis: str
    messages: list[str]
    subjects: list[str]

    @property
    def message(self) -> str:
        """What the gap is; of many, the first says it for all."""
        more = len(set(self.messages)) - 1
        return f"{self.messages[0]} (others alike)" if more else self.messages[0]


def render(report: Report, *, width: int, color: bool, quiet: bool = False) -> str:
    """Draw a report.

    Args:
        report: what to draw.
        width: of the terminal, in columns.
        color: whether to use colours.
        quiet: leave out the containers, what is unknown and how to go on.
    """
    stream = StringIO()
    # No markup anywhere: a name that holds `[/]` is text like any other.
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    findings = list(report.findings())
    console.print(_heading(report))
    if not quiet and report.containers:
        console.print(_containers(report, findings))
        _walls(console, report)
        _sharing(console, report)
    _gaps(console, findings)
    _ways(console, report)
    if not quiet:
        _unknowns(console, findings)
    _footer(console, report, findings, quiet=quiet)
    # Tables pad their last column to the width of the terminal.
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))


def _heading(report: Report) -> Text:
    host = report.host
    parts = [
        visible(host.get("hostname") or "this host"),
        f"Linux {visible(host.get('kernel') or '?')}",
        f"cgroup {host.get('cgroup') or '?'}",
    ]
    if host.get("cpus"):
        parts.append(count(host["cpus"], "CPU"))
    if host.get("memory_bytes"):
        parts.append(binary(host["memory_bytes"]))
    seen = sum(1 for container in report.containers if not container.get("vanished"))
    parts += [count(seen, "container"), f"probes: {report.scan['probes']}", f"{report.scan['seconds']:.1f} s"]
    version = str(report.tool["version"])
    return Text.assemble(("isoaudit ", "bold"), version, "  ", " · ".join(parts), "\n")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(columns), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    return table


def _worst(findings: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The worst severity of each container's gaps, inherent and waived ones aside."""
    worst: dict[str, str] = {}
    order = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
    for finding in findings:
        if kind_of(finding) == "gap":
            key = finding["subject"]["key"]
            if key not in worst or order[finding["severity"]] < order[worst[key]]:
                worst[key] = finding["severity"]
    return worst


def _containers(report: Report, findings: list[dict[str, Any]]) -> Table:
    worst = _worst(f for f in findings if f["subject"]["kind"] == "container")
    table = _table("CONTAINER", "RUNTIME", "IMAGE", "PID", "PROCS", "WORST")
    order = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
    shown = sorted(report.containers, key=lambda c: order.get(worst.get(c["key"], ""), len(order)))
    for container in shown[:20]:
        severity = "vanished" if container.get("vanished") else worst.get(container["key"], "none")
        table.add_row(
            Text(visible(container["key"])),
            Text(visible(container["runtime"])),
            Text(visible(container["image"] or "-")),
            Text(str(container["pid"])),
            Text(str(container["processes"])),
            Text(severity, style=_STYLES.get(severity, "")),
        )
    if len(shown) > 20:
        table.add_row(Text(f"… and {len(shown) - 20} more", style="dim"))
    table.add_row("")
    return table


# A column of the matrix by its wall: three letters each, so that eighteen walls fit a line.
_LETTERS = {
    "namespace-mnt": "mnt",
    "namespace-pid": "pid",
    "namespace-net": "net",
    "namespace-ipc": "ipc",
    "namespace-uts": "uts",
    "namespace-cgroup": "cgr",
    "namespace-user": "usr",
    "namespace-time": "tim",
    "limit-memory": "MEM",
    "limit-cpu": "CPU",
    "limit-pids": "PID",
    "devices": "dev",
    "capabilities": "cap",
    "seccomp": "sec",
    "no-new-privileges": "nnp",
    "lsm": "lsm",
    "mounts": "fs",
    "network": "nw",
}
_MARKS = {"ok": ("■", "green"), "weak": ("◧", "yellow"), "open": ("□", "bold red"), "unseen": ("?", "magenta")}


def _walls(console: Console, report: Report) -> None:
    """The matrix of walls: a line a container, alike ones together."""
    rows: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for container in report.containers:
        if container["walls"]:
            rows.setdefault(tuple(container["walls"].items()), []).append(container["key"])
    if not rows:
        return
    known = {wall for row in rows for wall, _ in row}
    walls = [wall for wall in _LETTERS if wall in known]
    table = _table("WALLS", *(_LETTERS[wall] for wall in walls))
    for column in table.columns:
        column.header_style = "dim"
    table.padding = (0, 1, 0, 0)
    for row, keys in list(rows.items())[:_MOST_ROWS]:
        words = dict(row)
        marks = [_MARKS[tone(wall, words.get(wall, ""))] for wall in walls]
        table.add_row(Text(_names(keys)), *(Text(mark, style=style) for mark, style in marks))
    console.print(table)
    if len(rows) > _MOST_ROWS:
        _hint(console, f"… and {count(len(rows) - _MOST_ROWS, 'other combination')} of walls")
    _hint(console, "■ stands  ◧ open, usually of low weight  □ open  ? not seen")
    console.print()


def _sharing(console: Console, report: Report) -> None:
    """Which containers share a namespace with each other, or one of the grave ones with the host."""
    lines = []
    for one in report.host.get("sharing", ()):
        kind = one["what"].removeprefix("namespace-")
        if one["with_host"] and tone(one["what"], "shared") == "open":
            lines.append(f"{_names(one['containers'])} with the host: its {kind} namespace")
        elif not one["with_host"]:
            lines.append(f"{_names(one['containers'])} with each other: a {kind} namespace")
    if lines:
        console.print(Text("Shared", style="bold"))
        for line in lines[:_MOST_ROWS]:
            console.print(Text(f"  {line}"))
        console.print()


def _ways(console: Console, report: Report) -> None:
    """The ways out, step by step."""
    if not report.escape_paths:
        return
    console.print(Text("Ways to the host", style="bold"))
    ways: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for path in report.escape_paths:
        steps = tuple(step["text"] for step in path["steps"])
        ways.setdefault((path.get("title") or "", path["basis"], steps), []).append(path["subject"]["key"])
    table = _table()
    for column in ("basis", "who", "way"):
        table.add_column(column, no_wrap=column == "basis", overflow="fold")
    for (_, basis, steps), keys in list(ways.items())[:_MOST_ROWS]:
        mark, style = _BASES[basis]
        way = "; ".join(visible(step) for step in steps[:-1])
        table.add_row(Text(mark, style=style), Text(_names(keys)), Text(f"{way} → {visible(steps[-1])}"))
    console.print(table)
    if len(ways) > _MOST_ROWS:
        _hint(console, f"… and {count(len(ways) - _MOST_ROWS, 'other way')}")
    console.print()


def _group(findings: Iterable[dict[str, Any]]) -> list[_Gap]:
    groups: dict[tuple[str, str, str], _Gap] = {}
    for finding in findings:
        key = (finding["check"], finding["severity"], finding["basis"])
        gap = groups.setdefault(key, _Gap(*key, [], []))
        gap.messages.append(finding["message"])
        gap.subjects.append(finding["subject"]["key"])
    order = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
    return sorted(groups.values(), key=lambda gap: (order[gap.severity], gap.check, -len(gap.subjects)))


def _clip(message: str) -> str:
    """A message that keeps its gap a line or two; the whole stands in every other format."""
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"


def _names(subjects: list[str]) -> str:
    shown = ", ".join(visible(name) for name in subjects[:_MOST_NAMES])
    rest = len(subjects) - _MOST_NAMES
    return f"{shown} +{rest}" if rest > 0 else shown


def _gaps(console: Console, findings: list[dict[str, Any]]) -> None:
    open_gaps = [f for f in findings if kind_of(f) == "gap"]
    for title, kind in (("Containers", "container"), ("Host", "host")):
        gaps = _group(f for f in open_gaps if f["subject"]["kind"] == kind and f["severity"] != "info")
        if not gaps:
            continue
        console.print(Text(title, style="bold"))
        table = _table()
        for column in ("severity", "basis", "check", "who", "message"):
            table.add_column(column, no_wrap=column != "message", overflow="fold")
        for gap in gaps:
            mark, style = _BASES[gap.basis]
            who = [Text(_names(gap.subjects))] if kind == "container" else [Text("")]
            table.add_row(
                Text(gap.severity.upper(), style=_STYLES[gap.severity]),
                Text(mark, style=style),
                Text(gap.check),
                *who,
                Text(_clip(visible(gap.message))),
            )
        console.print(table)
        console.print()


def _unknowns(console: Console, findings: list[dict[str, Any]]) -> None:
    undecided = [f for f in findings if kind_of(f) in (Verdict.UNKNOWN, Verdict.ERROR)]
    if not undecided:
        return
    console.print(Text("Not decided", style="bold"))
    reasons: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for finding in undecided:
        reasons.setdefault((finding["outcome"], finding["message"]), []).append(finding)
    table = _table()
    for column in ("outcome", "what", "reason"):
        table.add_column(column, no_wrap=column == "outcome", overflow="fold")
    ranked = sorted(reasons.items(), key=lambda item: -len(item[1]))
    for (outcome, reason), group in ranked[:_MOST_UNKNOWN]:
        checks = sorted({finding["check"] for finding in group})
        subjects = sorted({finding["subject"]["key"] for finding in group})
        table.add_row(
            Text(outcome, style="red" if outcome == Verdict.ERROR else "magenta"),
            Text(f"{_names(checks)} on {_names(subjects)}"),
            Text(visible(reason)),
        )
    if len(ranked) > _MOST_UNKNOWN:
        table.add_row("", Text(f"… and {len(ranked) - _MOST_UNKNOWN} more reasons", style="dim"))
    console.print(table)
    console.print()


def _footer(console: Console, report: Report, findings: list[dict[str, Any]], *, quiet: bool) -> None:
    summary = report.summary
    kinds = Counter(map(kind_of, findings))
    gaps = Counter(f["severity"] for f in findings if kind_of(f) == "gap")
    counts = {severity.value: gaps[severity.value] for severity in SEVERITIES}
    line = Text("Gaps: ")
    worst_first = [f"{number} {severity}" for severity, number in counts.items() if number]
    line.append(", ".join(worst_first) or "none", "bold")
    line.append(
        f" · {kinds['unknown']} not decided · {summary['pass']} passed"
        f" · {kinds['inherent']} inherent (the kernel has no namespace for it)"
    )
    if kinds["waived"]:
        line.append(f" · {kinds['waived']} waived")
    if kinds["error"]:
        line.append(f" · {count(kinds['error'], 'check')} broke", "bold red")
    console.print(line)
    policy = report.scan.get("policy", {})
    if summary["gate"] != "none":
        fail_on = policy.get("fail_on")
        allowed = f" (no gap may be {visible(str(fail_on))} or worse)" if fail_on else ""
        style = "bold green" if summary["gate"] == "passed" else "bold red"
        console.print(Text.assemble("Gate: ", (summary["gate"], style), allowed))
    for notice in report.scan["notices"]:
        console.print(Text(f"Note: {visible(notice)}", style="yellow"))
    if quiet:
        return
    _hint(console, "● proven by a probe  ○ observed in kernel state  ◌ inferred from a version")
    worst = _group(f for f in findings if kind_of(f) == "gap")
    if worst:
        _hint(console, f"What a gap means and how to close it: isoaudit explain {worst[0].check}")
    _hint(console, "The whole report, passes and evidence included: -f html -o report.html (or -f json)")
    if not report.containers and report.scan["mode"] == "host":
        invitation = "No container is running. To see isoaudit at work on three of its own: isoaudit demo"
        console.print(Text(invitation, style="bold"))


def _hint(console: Console, text: str) -> None:
    console.print(Text(text, style="dim"))
