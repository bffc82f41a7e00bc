"""The comparison of two reports for a terminal: a line a gap, those that are alike together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.diff import Kind
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from isoaudit.diff import Change, Comparison

_MOST_NAMES = 3
_LONGEST = 220  # characters of a message
_TITLES = {Kind.NEW: "New", Kind.FIXED: "Fixed", Kind.INCOMPARABLE: "Incomparable"}


def render(comparison: Comparison) -> Iterator[str]:
    """The lines of a comparison; what is unchanged is only counted."""
    yield f"old: {_scan(comparison.old)}\nnew: {_scan(comparison.new)}\n"
    for notice in comparison.notices:
        yield f"Note: {visible(notice)}\n"
    by_kind: dict[Kind, list[Change]] = {kind: [] for kind in Kind}
    for change in comparison.changes:
        by_kind[change.kind].append(change)
    for kind, title in _TITLES.items():
        if by_kind[kind]:
            yield f"\n{title}\n"
            yield from _rows(by_kind[kind])
    yield f"\n{', '.join(f'{len(changes)} {kind.value}' for kind, changes in by_kind.items())}\n"


def _scan(scan: Mapping[str, str]) -> str:
    return f"{visible(scan['hostname'] or 'a host without a name')}, {visible(scan['started'])}"


def _rows(changes: Iterable[Change]) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.gap.severity.value, change.gap.check, _remark(change)), []).append(change)
    first = max(len(visible(check)) for _, check, _ in groups)
    for (severity, check, remark), alike in groups.items():
        message = visible(alike[0].gap.message)
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST - 1]}…"
        who = _names([key for change in alike for key in change.gap.subjects])
        end = f" ({visible(remark)})" if remark else ""
        yield f"  {severity.upper():8}  {visible(check).ljust(first)}  {who}: {message}{end}\n"


def _remark(change: Change) -> str:
    state = "open now" if change.open else "open before"
    words = {
        f"{state}; {change.reason}": bool(change.reason),
        "inherent": change.gap.inherent,
        "waived": change.gap.waived,
    }
    return ", ".join(word for word, said in words.items() if said)


def _names(keys: list[str]) -> str:
    shown = ", ".join(map(visible, keys[:_MOST_NAMES]))
    rest = len(keys) - _MOST_NAMES
    return f"{shown} +{rest}" if rest > 0 else shown
