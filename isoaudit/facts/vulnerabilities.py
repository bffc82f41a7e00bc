"""Known vulnerabilities of the kernel and of runtimes that lead out of containers: data/vulnerabilities.json.

A version range is judged branch by branch: fixes are ported back, and so are flaws. A branch that the data does
not name has no known fix; that is another answer than "not affected".
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.facts.kernel import KernelRelease, parse_release
from isoaudit.facts.lifecycle import series_life
from isoaudit.facts.upstream import CANDIDATE, UBUNTU
from isoaudit.model import Unknown
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.facts.kernel_build import KernelBuild
    from isoaudit.facts.upstream import Upstream
    from isoaudit.model import Reading

Series = tuple[int, int]


class Branch(NamedTuple):
    """What is known of one stable branch: the patch numbers that brought the flaw and the fix."""

    introduced: int | None  # None: from its beginning, or not known
    fixed: int | None  # None: not fixed in it


class KernelFlaw(NamedTuple):
    """One vulnerability of the kernel."""

    id: str
    aliases: tuple[str, ...]
    name: str
    component: str
    severity: str
    shared_cache: bool  # it writes to the page cache: to files that are read-only here and are others' too
    needs: tuple[tuple[str, ...], ...]  # any one of them, all of its words (facts/prerequisites.py)
    introduced: Series | None  # None: not known, or before git
    fixed: Series | None  # mainline; None: a vendor's own flaw
    branches: dict[Series, Branch]
    others_unknown: bool  # nothing is known of branches that are not named
    vendor: str  # "ubuntu": of its kernels only
    confidence: str

    @property
    def called(self) -> str:
        """Its id and its name."""
        return f"{self.id} ({self.name})"


class Range(NamedTuple):
    """From one version (None: any) to before another."""

    introduced: str | None
    before: str
    fixed: bool  # whether that other one has the fix, or is only the end of what is affected


class RuntimeFlaw(NamedTuple):
    """One vulnerability of a runtime."""

    id: str
    name: str
    component: str
    severity: str
    ranges: tuple[Range, ...]
    confidence: str


class Match(NamedTuple):
    """A vulnerability of the kernel whose range a release lies in."""

    flaw: KernelFlaw
    fix: str  # the release that has the fix; "" where none of this branch is known to


class Assessment(NamedTuple):
    """The data against one kernel."""

    matches: tuple[Match, ...]
    undecided: tuple[KernelFlaw, ...]  # of which the data does not say
    absent: tuple[KernelFlaw, ...]  # in range, but not built into this kernel


class _Document(NamedTuple):
    date: str
    kernel: tuple[KernelFlaw, ...]
    runtime: tuple[RuntimeFlaw, ...]
    modules: dict[str, str]  # the configuration option of each module that prerequisites name
    oldest: Series  # below it, fixes of branches are not in the data


def _series(text: str | None) -> Series | None:
    return parse_release(text).series if text else None


def _patch(text: str | None) -> int | None:
    return parse_release(text).patch if text else None


def _kernel(row: dict[str, Any]) -> KernelFlaw:
    return KernelFlaw(
        row["id"],
        tuple(row.get("aliases", ())),
        row["name"],
        row["component"],
        row["severity"],
        row.get("effect") == "page-cache",
        tuple(tuple(words) for words in row["needs"]),
        _series(row["introduced"]),
        _series(row["fixed"]),
        {
            parse_release(one["branch"]).series: Branch(_patch(one.get("introduced")), _patch(one.get("fixed")))
            for one in row["branches"]
        },
        row.get("others") == "unknown",
        row.get("vendor", ""),
        row["confidence"],
    )


def _runtime(row: dict[str, Any]) -> RuntimeFlaw:
    ranges = tuple(
        Range(one.get("introduced"), one.get("fixed") or one["before"], "fixed" in one) for one in row["ranges"]
    )
    return RuntimeFlaw(row["id"], row["name"], row["component"], row["severity"], ranges, row["confidence"])


@cache
def _document() -> _Document:
    with open(data("vulnerabilities.json"), encoding="utf-8") as file:
        document = json.load(file)
    return _Document(
        document["date"],
        tuple(map(_kernel, document["kernel"])),
        tuple(map(_runtime, document["runtime"])),
        document["modules"],
        parse_release(document["oldest_branch"]).series,
    )


def data_date() -> str:
    """The day that the data is of."""
    return _document().date


def kernel_flaws() -> tuple[KernelFlaw, ...]:
    """All vulnerabilities of the kernel that the data has."""
    return _document().kernel


def runtime_flaws() -> tuple[RuntimeFlaw, ...]:
    """All vulnerabilities of runtimes that the data has."""
    return _document().runtime


def module_option(module: str) -> str:
    """The configuration option by which a module is built, without CONFIG_."""
    return _document().modules[module]


@cache
def options() -> frozenset[str]:
    """The configuration options that prerequisites ask for."""
    words = {word for flaw in kernel_flaws() for words in flaw.needs for word in words}
    asked = {word.removeprefix("config:").removeprefix("!") for word in words if word.startswith("config:")}
    return frozenset(asked | set(_document().modules.values()))


def in_range(flaw: KernelFlaw, release: KernelRelease, *, candidate: bool = False) -> Match | bool | None:
    """Whether a release of upstream's has a flaw.

    Returns:
        The match; False where it has not; None where the data does not say.
    """
    if flaw.fixed is None:
        return False
    branch = flaw.branches.get(release.series)
    if branch is not None and not candidate:
        if branch.introduced is not None and release.patch < branch.introduced:
            return False
        if branch.fixed is None:
            return Match(flaw, "")
        if release.patch >= branch.fixed:
            return False
        return Match(flaw, f"{release.major}.{release.minor}.{branch.fixed}")
    if release.series > flaw.fixed or (release.series == flaw.fixed and not candidate):
        return False
    if flaw.introduced is not None and release.series < flaw.introduced:
        return False
    edges = (flaw.fixed, flaw.introduced)
    if flaw.others_unknown or release.series < _document().oldest or (candidate and release.series in edges):
        return None
    return Match(flaw, "")


def assess(kernel: Upstream, build: Reading[KernelBuild]) -> Assessment:
    """The data against a kernel; what it is not built with, it does not have.

    Args:
        kernel: the release to compare with.
        build: its configuration; where that is not known, it has all.
    """
    return _assessed(kernel.release, kernel.grade, None if isinstance(build, Unknown) else build.value)


@lru_cache(maxsize=4)
def _assessed(release: KernelRelease, grade: str, build: KernelBuild | None) -> Assessment:
    matches, undecided, absent = [], [], []
    for flaw in kernel_flaws():
        if flaw.vendor:
            if grade == UBUNTU:
                undecided.append(flaw)
            continue
        found = in_range(flaw, release, candidate=grade == CANDIDATE)
        if found is None:
            undecided.append(flaw)
        elif isinstance(found, Match):
            if build is None or _built(flaw, build):
                matches.append(found)
            else:
                absent.append(flaw)
    return Assessment(tuple(matches), tuple(undecided), tuple(absent))


def _built(flaw: KernelFlaw, build: KernelBuild) -> bool:
    """Whether a kernel is built so that one way to a flaw is there at all."""
    return any(all(_possible(word, build) for word in words) for words in flaw.needs)


def _possible(word: str, build: KernelBuild) -> bool:
    kind, _, rest = word.partition(":")
    if kind == "module":
        return build.option(module_option(rest)) != ""
    if kind == "config":
        return (build.option(rest.removeprefix("!")) == "") is rest.startswith("!")
    return True


def matching(component: str, version: str) -> tuple[tuple[RuntimeFlaw, Range], ...]:
    """The vulnerabilities of a runtime in whose range a version lies, and the range.

    Args:
        component: as the data spells it.
        version: in PEP 440's form (facts/software.py).

    Raises:
        ValueError: it is not in that form.
    """
    from packaging.version import Version

    ours = Version(version)
    found = []
    for flaw in runtime_flaws():
        if flaw.component != component:
            continue
        for one in flaw.ranges:
            begun = one.introduced is None or ours >= Version(one.introduced)
            if begun and ours < Version(one.before):
                found.append((flaw, one))
                break
    return tuple(found)


def severity_of(match: Match, kernel: Upstream) -> str:
    """What a match is worth: less where the number says little, or where the data may have missed a fix."""
    if not kernel.trusted:
        return "medium"
    if not match.fix:
        life = series_life(kernel.release.series)
        if life is None or life.longterm:
            return "medium"
    return match.flaw.severity


def worst(severities: Sequence[str]) -> str:
    """The worst of some severities."""
    order = ("critical", "high", "medium", "low", "info")
    return min(severities, key=order.index)
