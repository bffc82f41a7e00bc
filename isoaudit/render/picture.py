"""The picture of which containers share what: where each label and line of it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.render.tones import tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WIDTH = 760  # of the drawing, in its own units
_ROW = 26
_TOP = 18
LEFT, RIGHT = 270, 490  # where the labels end, and where those on the other side begin
_MOST = 24  # labels on a side that an eye can still follow


class Node(NamedTuple):
    """A label: containers that share alike, or a thing that is shared."""

    y: int
    keys: tuple[str, ...]  # of containers; () on the right
    text: str  # on the right; "" on the left
    tone: str  # "ok", "weak", "open"


class Line(NamedTuple):
    """From containers to what they share."""

    start: int
    end: int
    tone: str


class Picture(NamedTuple):
    """Everything to draw."""

    height: int
    left: tuple[Node, ...]
    right: tuple[Node, ...]
    lines: tuple[Line, ...]


def things(sharing: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, Sequence[str]]]:
    """What is shared in words, how that stands, and the keys of who shares it."""
    found = []
    for one in sharing:
        kind = one["what"].removeprefix("namespace-")
        stands = tone(one["what"], "shared")
        whose = "the host's" if one["with_host"] else "one"
        found.append((f"{whose} {kind} namespace", stands, one["containers"]))
    return found


def picture(sharing: Sequence[Mapping[str, Any]]) -> Picture | None:
    """The drawing; None where nothing is shared, or too much to see anything in it."""
    shared = things(sharing)
    alike: dict[str, list[int]] = {}
    for number, (_, _, keys) in enumerate(shared):
        for key in keys:
            alike.setdefault(key, []).append(number)
    groups: dict[tuple[int, ...], list[str]] = {}
    for key, numbers in alike.items():
        groups.setdefault(tuple(numbers), []).append(key)
    if not groups or len(groups) > _MOST or len(shared) > _MOST:
        return None
    rows = max(len(groups), len(shared))
    left = tuple(
        Node(_place(row, len(groups), rows), tuple(keys), "", "ok") for row, keys in enumerate(groups.values())
    )
    right = tuple(
        Node(_place(row, len(shared), rows), (), text, stands) for row, (text, stands, _) in enumerate(shared)
    )
    lines = tuple(
        Line(left[row].y, right[number].y, right[number].tone)
        for row, numbers in enumerate(groups)
        for number in numbers
    )
    return Picture(2 * _TOP + (rows - 1) * _ROW, left, right, lines)


def _place(row: int, count: int, rows: int) -> int:
    """The height of a row; the shorter side is spread over the longer one's."""
    if count == 1:
        return _TOP + (rows - 1) * _ROW // 2
    return _TOP + row * (rows - 1) * _ROW // (count - 1)
