"""Reports as text, a module a format. A renderer gets a report and returns parts of text; it prints nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.registry import Catalogue
    from isoaudit.report import Report

# What each format's file is called at its end.
ENDINGS: dict[str, str] = {
    "text": "txt",
    "json": "json",
    "html": "html",
    "sarif": "sarif",
    "junit": "junit.xml",
    "markdown": "md",
    "csv": "csv",
    "prometheus": "prom",
    "ocsf": "ocsf.jsonl",
    "oscal": "oscal.json",
}
FORMATS: tuple[str, ...] = tuple(ENDINGS)
# Formats that hold the pages or titles of the checks.
WITH_PAGES = frozenset({"html", "sarif", "markdown", "csv", "ocsf", "oscal"})
# Modules that are not called as their format is: they would hide one of the standard library.
_MODULES = {"csv": "csv_"}


def render(kind: str, report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """A report in one of `FORMATS` but "text", which is drawn for a terminal of some width.

    Args:
        kind: the format.
        report: what to draw.
        catalogue: for titles and pages of the checks; None leaves them out.
    """
    if kind == "json":
        return report.to_json()
    if kind not in ENDINGS or kind == "text":
        raise ValueError(kind)
    # A format's module is loaded when somebody asks for it.
    module = import_module(f"isoaudit.render.{_MODULES.get(kind, kind)}")
    parts: Iterator[str] = module.render(report, catalogue)
    return parts
