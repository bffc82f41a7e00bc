"""Reports as text, a module a format. A renderer gets a report and returns parts of text; it prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.registry import Catalogue
    from isoaudit.report import Report

# What each format's file is called at its end.
ENDINGS: dict[str, str] = {"text": "txt", "json": "json", "html": "html"}
FORMATS: tuple[str, ...] = tuple(ENDINGS)


def render(kind: str, report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """A report in one of `FORMATS` but "text", which is drawn for a terminal of some width.

    Args:
        kind: the format.
        report: what to draw.
        catalogue: for titles and pages of the checks; None leaves them out.
    """
    if kind == "json":
        return report.to_json()
    if kind == "html":
        from isoaudit.render.html import render as html

        return html(report, catalogue)
    raise ValueError(kind)
