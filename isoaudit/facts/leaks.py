"""What the kernel shows to every container alike, and who in one of them can read it.

The files are data (data/leaks.json). Whether one can be seen is what the mount table says; whether this kernel
has it, the host's own look at it: nothing is opened inside.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host, host_root_processes
from isoaudit.facts.latest import latest
from isoaudit.facts.masks import Place, kernel_file, masked_paths, standing_at
from isoaudit.facts.mount_shapes import of_shape
from isoaudit.kernel.capability import mask
from isoaudit.model import Evidence, FactMissing, Known, Unknown, require
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.mounts import Mount

_SHOWN, _LINES = 6, 8


class Leak(NamedTuple):
    """A file or folder of the kernel's that has no namespace."""

    path: str
    root_only: bool  # its mode is 0400, or its folder holds nothing but such files
    tells: str


class Twin(NamedTuple):
    """A second place where the kernel shows what engines mask."""

    masked: str
    path: str
    tells: str


class _Lists(NamedTuple):
    activity: tuple[Leak, ...]
    identity: tuple[Leak, ...]
    pages: tuple[Leak, ...]
    twins: tuple[Twin, ...]


@cache
def _lists() -> _Lists:
    with open(data("leaks.json"), encoding="utf-8") as file:
        document = json.load(file)
    activity, identity, pages = (
        tuple(Leak(row["path"], row["who"] == "root", row["tells"]) for row in document[kind])
        for kind in ("activity", "identity", "pages")
    )
    doubles = tuple(Twin(row["masked"], row["path"], row["tells"]) for row in document["twins"])
    return _Lists(activity, identity, pages, doubles)


def activity() -> tuple[Leak, ...]:
    """Counters that move with what other containers do."""
    return _lists().activity


def identity() -> tuple[Leak, ...]:
    """What names the host."""
    return _lists().identity


def pages() -> tuple[Leak, ...]:
    """Whose each page of the machine's memory is."""
    return _lists().pages


def twins() -> tuple[Twin, ...]:
    """Where what engines mask stands once more."""
    return _lists().twins


@cache
def paths() -> frozenset[str]:
    """Every path of these lists, for whoever looks which of them this kernel has."""
    lists = _lists()
    return frozenset(row.path for rows in lists for row in rows)


class Standing(NamedTuple):
    """Which files of these lists, and of those that engines mask, stand uncovered in a mount table.

    Each is given by the host's path; where it stands by the path inside and which of the mounts it lies on.
    """

    first: Mapping[str, tuple[str, int]]  # the shortest path inside
    masked: Mapping[str, tuple[tuple[str, int], ...]]  # all, of paths that a mount covers somewhere


@of_shape
def standing(mounts: Sequence[Mount]) -> Standing:
    """What stands uncovered in a mount table."""
    found = {}
    for path in paths() | {listed.path for listed in masked_paths()}:
        found[path] = tuple(
            sorted(standing_at(mounts, kernel_file(path)), key=lambda place: (len(place[0]), place[0]))
        )
    return Standing(
        {path: there[0] for path, there in found.items() if there},
        {
            listed.path: found[listed.path]
            for listed in masked_paths()
            if any(_covers(mount.target, listed.path) for mount in mounts)
        },
    )


def _covers(target: str, path: str) -> bool:
    """Whether a mount is made over a path, or over a folder of it that is not the whole tree."""
    return path == target or (path.startswith(f"{target}/") and target not in ("/", "/proc", "/sys"))


class Seen(NamedTuple):
    """A leak that can be read, and where."""

    leak: Leak
    place: Place


class Visible(NamedTuple):
    """Which of a list of leaks a container can read, and the first of which that could not be said."""

    seen: tuple[Seen, ...]
    undecided: Unknown | None


def visible(host: Host, container: Container, leaks: Iterable[Leak]) -> Visible:
    """The leaks that stand uncovered inside, that this kernel has, and that some process may read.

    Raises:
        FactMissing: the container's mounts are not known.
    """
    mounts = require(container.mounts)
    uncovered = standing(mounts).first
    seen: list[Seen] = []
    undecided: Unknown | None = None
    root: bool | None = None
    for leak in leaks:
        where = uncovered.get(leak.path)
        if where is None:
            continue
        there = host.has(leak.path)
        if isinstance(there, Known) and not there.value:
            continue
        if leak.root_only and root is None:
            try:
                root = reads_root_files(container)
            except FactMissing as error:
                undecided = undecided or Unknown(error.source, error.reason)
                root = False
        if leak.root_only and not root:
            continue
        if isinstance(there, Unknown):
            undecided = undecided or there
        else:
            seen.append(Seen(leak, Place(where[0], mounts[where[1]])))
    return Visible(tuple(seen), undecided)


@latest
def reads_root_files(container: Container) -> bool:
    """Whether a process inside may read the kernel's files of mode 0400.

    It is the host's uid 0, or has a capability over the host that overrides the mode, or makes one uid 0.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    try:
        if host_root_processes(container):
            return True
    except FactMissing:
        if holds_over_host(container, _OVERRIDING):
            return True
        raise
    return bool(holds_over_host(container, _OVERRIDING))


_OVERRIDING = mask("CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SETUID")


def shown(seen: Sequence[Seen]) -> str:
    """The first few of them in one line, with how many more there are."""
    first = ", ".join(one.place.path for one in seen[:_SHOWN])
    rest = len(seen) - _SHOWN
    return f"{first} and {rest} more" if rest > 0 else first


def evidence(container: Container, seen: Sequence[Seen]) -> list[Evidence]:
    """The mounts by which they are seen, each with what it shows."""
    by_mount: dict[int, list[Seen]] = {}
    for one in seen:
        by_mount.setdefault(one.place.mount.id, []).append(one)
    return [
        Evidence(
            container.mounts.source,
            those[0].place.line,
            f"{_first(those)} covered: {those[0].leak.tells}",
        )
        for those in list(by_mount.values())[:_LINES]
    ]


def _first(seen: Sequence[Seen]) -> str:
    more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
    return f"{seen[0].place.path}{more}"
