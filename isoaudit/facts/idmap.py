"""User and group id maps of a user namespace (/proc/PID/uid_map; user_namespaces(7))."""

from __future__ import annotations

from typing import NamedTuple


class IdRange(NamedTuple):
    """`length` ids from `inside` on are the ids from `outside` on, as the reader's namespace sees them."""

    inside: int
    outside: int
    length: int


IDENTITY = (IdRange(0, 0, 4294967295),)


def parse_id_map(raw: bytes) -> tuple[IdRange, ...]:
    """Parse the file; an empty one means that nobody has written the map yet.

    Raises:
        ValueError: a line is not three numbers.
    """
    ranges = []
    for entry in raw.splitlines():
        inside, outside, length = map(int, entry.split())
        ranges.append(IdRange(inside, outside, length))
    return tuple(ranges)


def outside_of(ranges: tuple[IdRange, ...], inside: int) -> int | None:
    """The host's id for an id inside; None where it is not mapped."""
    for start, outside, length in ranges:
        if start <= inside < start + length:
            return outside + inside - start
    return None


def inside_of(ranges: tuple[IdRange, ...], outside: int) -> int | None:
    """An id inside for the host's; None where it is not mapped."""
    for start, first, length in ranges:
        if first <= outside < first + length:
            return start + outside - first
    return None
