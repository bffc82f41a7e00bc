"""How long kernel series and distribution releases are maintained: data/lifecycles.json.

Dates are ISO 8601 and compare as text.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.kernel import parse_release
from isoaudit.model import Known
from isoaudit.resources import data

if TYPE_CHECKING:
    from isoaudit.facts.host import Host

STALE_DAYS = 180


class SeriesLife(NamedTuple):
    """A series of the kernel's."""

    end: str | None  # None: none is announced
    longterm: bool


class ReleaseLife(NamedTuple):
    """A release of a distribution's."""

    id: str
    version: str
    end: str  # of general security support
    extended: str  # of support that is limited or paid for; "" where there is none

    @property
    def name(self) -> str:
        """As os-release spells it: "debian 12"."""
        return f"{self.id} {self.version}"


class _Document(NamedTuple):
    date: str
    kernel: dict[tuple[int, int], SeriesLife]
    releases: dict[tuple[str, str], ReleaseLife]


@cache
def _document() -> _Document:
    with open(data("lifecycles.json"), encoding="utf-8") as file:
        document = json.load(file)
    return _Document(
        document["date"],
        {
            parse_release(row["series"]).series: SeriesLife(row["end"], row.get("longterm", False))
            for row in document["kernel"]
        },
        {
            (row["id"], row["version"]): ReleaseLife(
                row["id"], row["version"], row["end"], row.get("extended", "")
            )
            for row in document["releases"]
        },
    )


def data_date() -> str:
    """The day that the data is of."""
    return _document().date


def series_life(series: tuple[int, int]) -> SeriesLife | None:
    """What is known of a series.

    Returns:
        None for one that is newer than the data. One that the data leaves out is not a longterm series and has
        ended long before: upstream maintains others for about three months.
    """
    known = _document().kernel
    if series in known:
        return known[series]
    return None if series > max(known) else SeriesLife("", longterm=False)


def release_life(distribution: str, version: str) -> ReleaseLife | None:
    """What is known of a release, by ID and VERSION_ID of os-release; point releases belong to theirs."""
    while version:
        found = _document().releases.get((distribution, version))
        if found:
            return found
        version = version.rpartition(".")[0]
    return None


def today(host: Host) -> str:
    """The day to judge by: the host's, or the data's where that is later or the host's is not known."""
    there = host.date.value if isinstance(host.date, Known) else ""
    return max(there, data_date())


def stale(host: Host, of: str) -> str:
    """The end of a message about data that is too old on the day of the scan; "" where it is not.

    Args:
        host: the host, which carries the day.
        of: the day of the data.
    """
    if not isinstance(host.date, Known):
        return ""
    try:
        age = (date.fromisoformat(host.date.value) - date.fromisoformat(of)).days
    except ValueError:
        return ""
    return f" (the data is {age} days old: a newer isoaudit has newer)" if age > STALE_DAYS else ""
