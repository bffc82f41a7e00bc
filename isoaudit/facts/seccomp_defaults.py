"""The engines' default seccomp profiles by version (data/seccomp_defaults.json), to compare filters with."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import calls
from isoaudit.kernel.capability import bit
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Mapping


class Default(NamedTuple):
    """A default profile as of some version, until the next one of its engine."""

    engine: str
    since: str
    allowed: frozenset[str]  # with the default capabilities, for some arguments at least


class Difference(NamedTuple):
    """How a filter differs from a default profile."""

    default: Default
    more: frozenset[str]  # what it lets through besides
    less: frozenset[str]

    def __str__(self) -> str:
        name = f"{self.default.engine} {self.default.since}'s default"
        parts = [
            f"{word} {_some(names)}" for word, names in (("and", self.more), ("without", self.less)) if names
        ]
        return f"{name} {' '.join(parts)}".rstrip()


@lru_cache(maxsize=1)
def _document() -> Mapping[str, object]:
    with open(data("seccomp_defaults.json"), encoding="utf-8") as file:
        document: dict[str, object] = json.load(file)
    return document


@lru_cache(maxsize=1)
def defaults() -> tuple[Default, ...]:
    """All of them, each engine's oldest first."""
    found: list[Default] = []
    allowed: frozenset[str] = frozenset()
    for entry in _document()["profiles"]:  # type: ignore[attr-defined]  # our own data, tested
        if "allowed" in entry:
            allowed = frozenset(entry["allowed"])
        else:
            allowed = (allowed | frozenset(entry["allowed_more"])) - frozenset(entry["allowed_less"])
        found.append(Default(entry["engine"], entry["since"], allowed | frozenset(entry["by_arguments"])))
    return tuple(found)


@lru_cache(maxsize=1)
def _with_capability() -> Mapping[str, tuple[tuple[int, frozenset[str]], ...]]:
    listed: Mapping[str, Mapping[str, list[str]]] = _document()["with_capability"]  # type: ignore[assignment]
    return {
        engine: tuple((bit(name), frozenset(names)) for name, names in by_capability.items())
        for engine, by_capability in listed.items()
    }


@lru_cache(maxsize=256)
def nearest_defaults(allowed: frozenset[str], architecture: str, capabilities: int) -> tuple[Difference, ...]:
    """For each engine the default profile that is most like a filter, the most like one first.

    Args:
        allowed: what the filter lets through, for some arguments at least.
        architecture: whose calls those are.
        capabilities: of the process, for which engines let through what they need.
    """
    table = calls.table(architecture).keys()
    best: dict[str, Difference] = {}
    for default in defaults():
        expected = default.allowed.union(
            *(names for mask, names in _with_capability()[default.engine] if capabilities & mask)
        )
        expected &= table
        found = Difference(default, allowed - expected, expected - allowed)
        before = best.get(default.engine)
        if before is None or _size(found) <= _size(before):
            best[default.engine] = found
    return tuple(sorted(best.values(), key=_size))


def _size(difference: Difference) -> int:
    return len(difference.more) + len(difference.less)


def _some(names: frozenset[str], shown: int = 8) -> str:
    listed = sorted(names)
    rest = len(listed) - shown
    return ", ".join(listed[:shown]) + (f" and {rest} more" if rest > 0 else "")
