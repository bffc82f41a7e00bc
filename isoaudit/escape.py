"""Ways out: the gaps of one container that together lead to the host.

Which gaps do is data (data/escape_paths.json). A way is claimed only where everything that it needs was seen,
and is known as well as the weakest of its parts. Where a part could not be decided and nothing else stands in
the way, the way is in doubt, which is no pass.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.facts.lsm import parse_label
from isoaudit.facts.mounts import reachable
from isoaudit.facts.seccomp import lets
from isoaudit.model import Basis, FactMissing, Known, Verdict, at_least, require
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isoaudit.audit import Finding
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host

_STRENGTH = {basis: rank for rank, basis in enumerate(Basis)}


class Need(NamedTuple):
    """One precondition: a check that failed as badly as that, or a condition on the container's facts."""

    check: str  # "": `condition` decides
    severity: str
    condition: str  # "call", "unconfined", "host_mount"; "": `check` decides
    value: str  # the system call
    step: str  # what this part of the way is


class Rule(NamedTuple):
    """A way out as documented."""

    id: str
    title: str
    needs: tuple[Need, ...]
    end: str


class Step(NamedTuple):
    """A part of a way: `finding` is its fingerprint, "" where a fact alone stands behind it."""

    finding: str
    text: str


class Route(NamedTuple):
    """A way of which every part was seen."""

    rule: str
    title: str
    steps: tuple[Step, ...]
    basis: Basis
    seen: tuple[Finding, ...]


class Doubt(NamedTuple):
    """A way of which nothing is known to be missing, but not everything was seen."""

    title: str
    source: str
    reason: str


class Routes(NamedTuple):
    """What is known of a container's ways out."""

    open: tuple[Route, ...]
    doubts: tuple[Doubt, ...]
    rules: int  # how many ways were looked at


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All documented ways."""
    with open(data("escape_paths.json"), encoding="utf-8") as file:
        document = json.load(file)
    return tuple(
        Rule(
            path["id"],
            path["title"],
            tuple(_need(need) for need in path["needs"]),
            path["end"],
        )
        for path in document["paths"]
    )


def _need(need: Mapping[str, Any]) -> Need:
    if "check" in need:
        return Need(need["check"], need["severity"], "", "", need["step"])
    (condition,) = set(need) - {"step"}
    value = need[condition]
    return Need("", "", condition, value if isinstance(value, str) else "", need["step"])


@lru_cache(maxsize=1)
def needed() -> frozenset[str]:
    """The ids of all checks that ways rest on."""
    return frozenset(need.check for rule in rules() for need in rule.needs if need.check)


def routes(host: Host, container: Container, findings: Mapping[str, Finding]) -> Routes:
    """The ways out of a container.

    Args:
        host: the host's facts.
        container: the container's facts.
        findings: what the checks that `needed` names said of it, by id.
    """
    found: list[Route] = []
    doubts: list[Doubt] = []
    for rule in rules():
        outcome = _follow(rule, host, container, findings)
        if isinstance(outcome, Route):
            found.append(outcome)
        elif outcome is not None:
            doubts.append(outcome)
    return Routes(tuple(found), tuple(doubts), len(rules()))


def _follow(
    rule: Rule, host: Host, container: Container, findings: Mapping[str, Finding]
) -> Route | Doubt | None:
    """A way if it is open, a doubt if it may be, None if a part is known to be missing."""
    seen: list[Finding] = []
    doubt: Doubt | None = None
    basis = Basis.PROVEN
    # Findings are at hand; what asks facts comes after them, for the few ways that get so far.
    for need in sorted(rule.needs, key=lambda need: not need.check):
        if need.check:
            finding = findings.get(need.check)
            if finding is None:
                doubt = doubt or Doubt(rule.title, need.check, f"the catalogue lacks {need.check}")
                continue
            if finding.outcome in (Verdict.UNKNOWN, Verdict.ERROR):
                source = finding.evidence[0].source if finding.evidence else need.check
                doubt = doubt or Doubt(rule.title, source, f"{need.check}: {finding.message}")
                continue
            if finding.outcome is not Verdict.FAIL or not at_least(finding.weight, need.severity):
                return None
            seen.append(finding)
            basis = max(basis, finding.basis, key=_STRENGTH.__getitem__)
        else:
            try:
                part = _CONDITIONS[need.condition](host, container, need.value)
            except FactMissing as error:
                doubt = doubt or Doubt(rule.title, error.source, error.reason)
                continue
            if part is None:
                return None
            basis = max(basis, part, key=_STRENGTH.__getitem__)
    if doubt:
        return doubt
    by_check = {finding.check: finding for finding in seen}
    steps = [Step(by_check[need.check].fingerprint if need.check else "", need.step) for need in rule.needs]
    return Route(rule.id, rule.title, (*steps, Step("", rule.end)), basis, tuple(seen))


def _call(_host: Host, container: Container, name: str) -> Basis | None:
    """Whether a process's filter lets a call through."""
    if not lets(container, container.processes, name):
        return None
    filters = container.filters
    inferred = isinstance(filters, Known) and any(stack.inferred for stack in filters.value)
    return Basis.INFERRED if inferred else Basis.OBSERVED


def _unconfined(_host: Host, container: Container, _value: str) -> Basis | None:
    """Whether no LSM profile that forbids anything is on the first process; what one says is not read.

    Raises:
        FactMissing: one is, or it could not be seen.
    """
    label = parse_label(require(container.lsm_label))
    if label is not None and label.strength > 1:
        reason = f"its {label.module} profile {label.name} may forbid it, whose rules are not read"
        raise FactMissing(container.lsm_label.source, reason)
    return Basis.OBSERVED


def _host_mount(host: Host, container: Container, _value: str) -> Basis | None:
    """Whether a filesystem that the host has on a block device is mounted inside.

    Raises:
        FactMissing: a mount table could not be read.
    """
    ours = {mount.device for mount in require(host.mounts) if mount.source.startswith("/dev/")}
    shared = any(mount.device in ours for mount in reachable(require(container.mounts)))
    return Basis.OBSERVED if shared else None


_CONDITIONS: Mapping[str, Callable[[Host, Container, str], Basis | None]] = {
    "call": _call,
    "unconfined": _unconfined,
    "host_mount": _host_mount,
}
