"""Resource limits of a process (/proc/PID/limits; getrlimit(2))."""

from __future__ import annotations

from typing import NamedTuple

from isoaudit.facts.text import text


class Rlimit(NamedTuple):
    """Soft and hard limit in the unit of the kernel's table; None is unlimited."""

    soft: int | None
    hard: int | None


def _amount(field: str) -> int | None:
    return None if field == "unlimited" else int(field)


def parse_limits(raw: bytes) -> dict[str, Rlimit]:
    """Parse the table; keys are the kernel's own ("Max open files").

    Raises:
        ValueError: there is no heading, or a row has no two limits.
    """
    heading, *rows = text(raw).split("\n")
    # Names and units hold blanks: the columns stand where the heading has them.
    soft_at, hard_at, unit_at = (heading.index(title) for title in ("Soft", "Hard", "Units"))
    return {
        row[:soft_at].rstrip(): Rlimit(
            _amount(row[soft_at:hard_at].strip()), _amount(row[hard_at:unit_at].strip())
        )
        for row in rows
        if row
    }
