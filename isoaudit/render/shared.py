"""What the formats for machines agree on: how findings are told apart, named, dated and made inert."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.model import Verdict
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.registry import Catalogue, Check
    from isoaudit.report import Document, Report

_UNDECIDED = (Verdict.UNKNOWN, Verdict.ERROR)


def subjects(report: Report) -> Iterator[tuple[Document | None, list[Document]]]:
    """Each subject (None is the host) with its findings, one subject at a time in memory."""
    for section in report.sections:
        yield section.container, json.loads(f"[{section.findings}]")


def kind(finding: Mapping[str, Any]) -> str:
    """What a finding is to its reader: "gap", "inherent" or "waived", else its outcome."""
    outcome = str(finding["outcome"])
    if finding["waiver"] is not None and (outcome == Verdict.FAIL or outcome in _UNDECIDED):
        return "waived"
    if outcome == Verdict.FAIL:
        return "inherent" if finding["inherent"] else "gap"
    return outcome


def waiver_words(waiver: Mapping[str, Any]) -> str:
    """A waiver in words: why, who answers for it, until when."""
    reason = str(waiver.get("reason") or "no reason given")
    return "; ".join([reason, *(f"{name} {waiver[name]}" for name in ("owner", "expires") if waiver.get(name))])


def started(report: Report) -> datetime:
    """When the scan began.

    Raises:
        UsageError: the report holds no such time.
    """
    text = str(report.scan["started"])
    try:
        # Python 3.10 does not know Z.
        when = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
        return when.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"broken report: scan.started is no time: {text!r}") from error


def ended(report: Report) -> datetime:
    """When the scan was done.

    Raises:
        UsageError: the report holds no such time.
    """
    try:
        return started(report) + timedelta(seconds=float(report.scan["seconds"]))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"broken report: scan.seconds is {report.scan['seconds']!r}") from error


def stamp(when: datetime) -> str:
    """A time by RFC 3339, in UTC and milliseconds."""
    return f"{when.strftime('%Y-%m-%dT%H:%M:%S')}.{when.microsecond // 1000:03}Z"


def by_id(catalogue: Catalogue | None) -> dict[str, Check]:
    """The checks by id; none without a catalogue."""
    return {check.id: check for check in catalogue.checks} if catalogue else {}


_encode = json.JSONEncoder(separators=(",", ":")).encode
# How JSON in ASCII writes what `visible` spells out; a backslash of the text's own is a false alarm.
_ESCAPED = re.compile(r"\\[bfnrtu]|\x7f").search


def dump(value: Any) -> str:
    """A value as JSON in ASCII, with what acts or hides in its texts spelled out."""
    text = _encode(value)
    return _encode(_shown(value)) if _ESCAPED(text) else text


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(name): _shown(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(one) for one in value]
    return value


def page_text(text: str) -> str:
    """A page of a check, its lines kept."""
    return "\n".join(map(visible, text.split("\n")))
