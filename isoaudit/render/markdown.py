"""A summary in GitHub-flavoured Markdown, for a CI job's page, an issue or a chat.

Only plain words of a container's text stand as text. Everything else (a path, a link, an at sign, a backtick, a
tag) goes into a code span, in which no renderer sees markup, a link, a mention or an issue.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.facts.units import count
from isoaudit.model import SEVERITIES
from isoaudit.render.shared import by_id, kind, waiver_words
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from isoaudit.registry import Catalogue
    from isoaudit.report import Report

LIMIT = 900_000  # bytes: GitHub takes a summary of 1 MiB a step, and drops a longer one whole
_MOST_ROWS = 500  # of a table but that of gaps
_MOST_NAMES = 3
_LONGEST = 400  # characters of a text
_RANK = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
# Letters, or few digits: no renderer makes a link, a mention, a list or a commit of it.
_PLAIN = re.compile(r"(?!\(?[0-9a-f]{7})\(?[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\)?[.,;:]?|\d{1,6}[,;:]?").fullmatch
_TICKS = re.compile(r"`+")
_CUT = "\n*Cut here, to stay below what a job summary may hold: the HTML and JSON reports are whole.*\n"


def code(text: str) -> str:
    """Text as a code span that holds in a table too; empty if there is none."""
    # Renderers disagree on how a bar in a table's code is told from the next cell.
    shown = visible(text).replace("|", r"\x7c").strip()
    if not shown:
        return ""
    ticks = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _code_in_prose(text: str) -> str:
    """A code span, with the punctuation of the sentence behind it."""
    inside = text.rstrip(".,;:")
    if not inside or len(text) - len(inside) != 1:
        return code(text)
    return code(inside) + text[-1]


@lru_cache(maxsize=4096)  # a thousand containers say the same few things
def inert(text: str) -> str:
    """Text in which plain words are text and all else is code: in Markdown nothing of it acts."""
    words = visible(text).split(" ")
    pieces = (
        " ".join(group) if plain else _code_in_prose(" ".join(group))
        for plain, group in groupby(words, key=lambda word: bool(_PLAIN(word)) or not word)
    )
    return " ".join(filter(None, pieces)).strip()


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """The summary, line by line, cut where it grows beyond `LIMIT`."""
    left = LIMIT - len(_CUT)
    for line in _lines(report, {ident: check.page.title for ident, check in by_id(catalogue).items()}):
        left -= len(line.encode()) + 1
        if left < 0:
            yield _CUT
            return
        yield f"{line}\n"


class _Group(NamedTuple):
    """Findings that are alike but for names and numbers."""

    first: dict[str, Any]
    names: list[str]  # the first few
    counts: list[int]  # how many there are, and how many say something else than the first

    @property
    def who(self) -> str:
        """Whose they are."""
        rest = self.counts[0] - len(self.names)
        return ", ".join(self.names) + (f" and {rest} more" if rest else "")

    @property
    def message(self) -> str:
        """What they say."""
        return _clip(self.first["message"]) + (" (others alike)" if self.counts[1] else "")

    def add(self, finding: dict[str, Any]) -> None:
        """One more of them."""
        self.counts[0] += 1
        self.counts[1] += finding["message"] != self.first["message"]
        if len(self.names) < _MOST_NAMES:
            host = finding["subject"]["kind"] == "host"
            self.names.append("the host" if host else code(_short(finding["subject"]["key"])))


class _Groups:
    """The findings that a summary shows, grouped; memory is bounded by the number of groups."""

    def __init__(self, report: Report) -> None:
        self.gaps: dict[Any, _Group] = {}
        self.undecided: dict[Any, _Group] = {}
        self.waived: dict[Any, _Group] = {}
        self.more = {"undecided": 0, "waived": 0}
        self.inherent = 0
        for finding in report.findings():
            what, check = kind(finding), finding["check"]
            if what == "gap":
                self._add(self.gaps, (check, finding["severity"], finding["basis"]), finding)
            elif what == "inherent":
                self.inherent += 1
            elif what == "waived":
                self._add(self.waived, (check, str(finding["waiver"])), finding, "waived")
            elif what in ("unknown", "error"):
                self._add(self.undecided, (what, check, finding["message"]), finding, "undecided")

    def _add(self, groups: dict[Any, _Group], key: object, finding: dict[str, Any], table: str = "") -> None:
        if table and key not in groups and len(groups) >= _MOST_ROWS:
            self.more[table] += 1
            return
        groups.setdefault(key, _Group(finding, [], [0, 0])).add(finding)


def _lines(report: Report, titles: dict[str, str]) -> Iterator[str]:
    groups = _Groups(report)
    summary, policy = report.summary, report.scan.get("policy", {})
    gate = {"passed": "the gate passed", "failed": "the gate failed"}.get(
        summary["gate"], "no gate was asked for"
    )
    yield f"# isoaudit: {gate}"
    if summary["gate"] != "none" and policy.get("fail_on"):
        yield ""
        yield f"No gap may be {inert(str(policy.get('fail_on')))} or worse."
    yield ""
    host = report.host
    seen = sum(not container.get("vanished") for container in report.containers)
    name, kernel = code(host["hostname"] or "this host"), code(host["kernel"] or "?")
    seconds = f"{float(report.scan['seconds']):.1f} s"
    probes = f"probes {inert(report.scan['probes'])}"
    yield f"{name}, Linux {kernel}: {count(seen, 'container')}, {probes}, {seconds}."
    if not report.scan["complete"]:
        yield ""
        yield "**Incomplete**: not all could be seen or decided."
    yield ""
    yield from _counts(groups, report)
    yield from _gaps(groups, titles)
    yield from _ways(report)
    yield from _tables(groups)
    if report.scan["notices"]:
        yield from ("", "## Notes", "")
        for notice in report.scan["notices"]:
            yield f"- {inert(_clip(notice))}"


def _counts(groups: _Groups, report: Report) -> Iterator[str]:
    severities = dict.fromkeys(_RANK, 0)
    for group in groups.gaps.values():
        severities[group.first["severity"]] += group.counts[0]
    summary = report.summary
    cells = {
        **severities,
        "not decided": summary["unknown"],
        "broke": summary["error"],
        "passed": summary["pass"],
        "inherent": groups.inherent,
        "waived": sum(group.counts[0] for group in groups.waived.values()) + groups.more["waived"],
    }
    yield _row(cells)
    yield _row("---:" for _ in cells)
    yield _row(str(number) for number in cells.values())


def _gaps(groups: _Groups, titles: dict[str, str]) -> Iterator[str]:
    yield from ("", "## Gaps", "")
    if not groups.gaps:
        yield "None that a setting can close."
        return
    yield _row(("Severity", "Gap", "Where", "What was found", "Known", "How to close it"))
    yield _row("---" for _ in range(6))
    for group in sorted(groups.gaps.values(), key=lambda g: (_RANK[g.first["severity"]], -g.counts[0])):
        first = group.first
        title = titles.get(first["check"])
        name = code(first["check"]) + (f" {inert(title)}" if title else "")
        remedy = inert(_clip(first["remediation"]))
        yield _row((first["severity"], name, group.who, inert(group.message), first["basis"], remedy))
    yield ""
    yield "What a gap means, and the setting of each engine: `isoaudit explain` and its name."


def _ways(report: Report) -> Iterator[str]:
    ways: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for path in report.escape_paths:
        steps = tuple(step["text"] for step in path["steps"])
        ways.setdefault((path.get("title") or "", path["basis"], steps), []).append(path["subject"]["key"])
    if ways:
        yield from ("", "## Ways to the host", "")
    for (title, basis, steps), keys in list(ways.items())[:_MOST_ROWS]:
        who = ", ".join(code(_short(key)) for key in keys[:_MOST_NAMES])
        rest = f" and {len(keys) - _MOST_NAMES} more" if len(keys) > _MOST_NAMES else ""
        yield f"- {who}{rest}: {inert(_clip(title)) or 'a way out'} ({inert(basis)})"
        for number, step in enumerate(steps, 1):
            yield f"  {number}. {inert(_clip(step))}"
    if len(ways) > _MOST_ROWS:
        yield from ("", f"and {count(len(ways) - _MOST_ROWS, 'other way')}")


def _tables(groups: _Groups) -> Iterator[str]:
    if groups.undecided:
        yield from ("", "## Not decided", "")
        yield _row(("Outcome", "Check", "Where", "Why"))
        yield _row("---" for _ in range(4))
        for group in sorted(groups.undecided.values(), key=lambda g: (g.first["outcome"], -g.counts[0])):
            first = group.first
            yield _row((first["outcome"], code(first["check"]), group.who, inert(group.message)))
        if groups.more["undecided"]:
            yield from ("", f"and {groups.more['undecided']} more")
    if groups.waived:
        yield from ("", "## Waived", "")
        yield _row(("Severity", "Check", "Where", "What was found", "Waiver"))
        yield _row("---" for _ in range(5))
        for group in groups.waived.values():
            first = group.first
            waiver = inert(_clip(waiver_words(first["waiver"])))
            yield _row((first["severity"], code(first["check"]), group.who, inert(group.message), waiver))
        if groups.more["waived"]:
            yield from ("", f"and {groups.more['waived']} more")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _short(key: str) -> str:
    return key if len(key) <= 80 else f"{key[:79]}…"
