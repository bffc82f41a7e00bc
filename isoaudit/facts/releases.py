"""What distribution releases, services and libraries are made for: versioned data (data/releases.json)."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from isoaudit.facts.kernel import parse_release
from isoaudit.resources import data

Series = tuple[int, int]


class Release(NamedTuple):
    """A distribution's release and the machine that it is made for."""

    id: str  # ID of os-release
    version: str  # VERSION_ID of os-release, or the beginning of it
    kernel: Series  # that it came with
    x86_level: int | None  # below which its packages do not run; None where that is 1 or not known
    provenance: str  # "verified", "read" or "recalled"


class Feature(NamedTuple):
    """A system call, or something as visible, and the first series that has it."""

    kernel: Series
    name: str


class _Table(NamedTuple):
    releases: dict[tuple[str, str], Release]
    features: tuple[Feature, ...]
    systemd: tuple[tuple[int, Series], ...]  # from that version on, no older kernel is supported


def series(text: str) -> Series:
    """A series such as "6.1" as two numbers that compare.

    Raises:
        ValueError: it is none.
    """
    return parse_release(text).series


@cache
def _table() -> _Table:
    with open(data("releases.json"), encoding="utf-8") as file:
        document = json.load(file)
    releases = {
        (row["id"], row["version"]): Release(
            row["id"], row["version"], series(row["kernel"]), row.get("x86_level"), row["provenance"]
        )
        for row in document["releases"]
    }
    return _Table(
        releases,
        tuple(Feature(series(row["kernel"]), row["name"]) for row in document["features"]),
        tuple((row["since"], series(row["kernel"])) for row in document["systemd"]),
    )


def find(distribution: str, version: str) -> Release | None:
    """The release of an os-release's ID and VERSION_ID; None for a rolling or unlisted one.

    Point releases belong to the release that they begin with: rhel 9.4 is rhel 9, alpine 3.19.1 is alpine 3.19.
    """
    while version:
        found = _table().releases.get((distribution, version))
        if found:
            return found
        version = version.rpartition(".")[0]
    return None


def features_between(older: Series, newer: Series) -> tuple[str, ...]:
    """What a kernel of the older series lacks and one of the newer series has, as upstream has it."""
    return tuple(feature.name for feature in _table().features if older < feature.kernel <= newer)


def systemd_floor(version: int) -> Series | None:
    """The oldest series that a version of systemd supports as a service manager; None where not known."""
    found = None
    for since, kernel in _table().systemd:
        if version >= since:
            found = kernel
    return found
