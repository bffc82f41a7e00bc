"""CSV by RFC 4180, a row a finding, for spreadsheets.

Whatever a container names lands in a spreadsheet of the auditor's: no cell is a formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.render.shared import kind, subjects, waiver_words
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.registry import Catalogue
    from isoaudit.report import Document, Report

_COLUMNS = (
    *("host", "subject", "container", "pid", "container id", "name", "pod", "runtime", "image"),
    *("check", "title", "outcome", "kind", "severity", "basis", "message"),
    *("source", "observed", "expected", "remediation", "reproduce"),
    *("frameworks", "waiver", "fingerprint"),
)
# What spreadsheets begin a formula with, in ASCII and in the full width that some of them take alike.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BETWEEN = " ; "  # several pieces of evidence in one cell


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """The header, then the rows, a subject at a time."""
    titles = {check.id: check.page.title for check in catalogue.checks} if catalogue else {}
    host = report.host["hostname"] or ""
    yield _row(_COLUMNS)
    for container, findings in subjects(report):
        who = _who(host, container)
        yield "".join([_row([*who, *_what(finding, titles)]) for finding in findings])


def _who(host: str, container: Document | None) -> list[str]:
    if container is None:
        return [host, "host", *[""] * 7]
    names = ("key", "pid", "id", "name", "pod", "runtime", "image")
    return [host, "container", *("" if container[name] is None else str(container[name]) for name in names)]


def _what(finding: Document, titles: dict[str, str]) -> list[str]:
    evidence = finding["evidence"]
    controls = [f"{framework} {', '.join(numbers)}" for framework, numbers in finding["frameworks"].items()]
    return [
        finding["check"],
        titles.get(finding["check"], ""),
        finding["outcome"],
        kind(finding),
        finding["severity"],
        finding["basis"],
        finding["message"],
        *(_BETWEEN.join([one[part] for one in evidence]) for part in ("source", "observed", "expected")),
        finding["remediation"],
        finding["reproduce"],
        _BETWEEN.join(controls),
        waiver_words(finding["waiver"]) if finding["waiver"] is not None else "",
        finding["fingerprint"],
    ]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return ",".join([_cell(cell) for cell in cells]) + "\r\n"


def _cell(text: str) -> str:
    """A quoted cell: without line ends or tabs, and told to be text where it looks like a formula."""
    shown = visible(text)
    if shown.lstrip(" ").startswith(_FORMULA):
        shown = f"'{shown}"
    return '"' + shown.replace('"', '""') + '"'
