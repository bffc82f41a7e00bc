"""Memory that containers are promised, and what their limits allow them all together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.limits import Limit, memory_bytes, memory_limits
from isoaudit.model import Evidence, Known, require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.cgroup import Cgroup


class Promise(NamedTuple):
    """Memory that others are not to take from a container, in bytes, and what its ancestors leave of that."""

    file: str
    promised: float
    granted: float
    evidence: tuple[Evidence, ...]


def memory_promises(cgroup: Cgroup) -> tuple[Promise, ...]:
    """What v2's memory.min and memory.low promise: no more than each ancestor is promised itself.

    cgroup-v2.rst "Memory Interface Files"; mm/page_counter.c, effective_protection.

    Raises:
        FactMissing: a file could not be read.
    """
    promises = []
    for file in ("memory.min", "memory.low"):
        amounts = [
            (math.inf if value == "max" else int(value), Evidence(reading.source, value))
            for reading in cgroup.readings(file)
            for value in (require(reading),)
        ]
        if amounts and amounts[0][0]:
            least = min(amounts, key=lambda one: one[0])
            evidence = tuple(dict.fromkeys((amounts[0][1], least[1])))
            promises.append(Promise(file, amounts[0][0], least[0], evidence))
    return tuple(promises)


class Commitment(NamedTuple):
    """What the memory limits of several containers allow them together."""

    amount: float  # bytes; a limit that several share counts once, and no more than an ancestor allows
    limits: tuple[Limit, ...]  # the effective ones, each once


def committed(cgroups: Iterable[Cgroup]) -> Commitment:
    """The memory that containers may take together, all of which have a limit.

    Raises:
        FactMissing: a limit could not be read.
    """
    own: dict[str, float] = {}  # the limit that stands in a directory
    below: dict[str, set[str]] = {}
    leaves: set[str] = set()
    tops: set[str] = set()
    limits: dict[str, Limit] = {}
    for cgroup in cgroups:
        limit = require(memory_bytes(cgroup))
        limits[limit.source] = limit
        readings, parse = memory_limits(cgroup)
        folder = ""
        for reading in readings:
            parent = reading.source.rpartition("/")[0]
            amount = parse(reading.value) if isinstance(reading, Known) else None
            own[parent] = math.inf if amount is None else amount
            if folder:
                below.setdefault(parent, set()).add(folder)
            else:
                leaves.add(parent)
            folder = parent
        tops.add(folder)

    allowed: dict[str, float] = {}
    for place in sorted(own, key=len, reverse=True):  # from below upwards; a container may nest them deeply
        inside = math.inf if place in leaves else sum(allowed[one] for one in below[place])
        allowed[place] = min(own[place], inside)
    return Commitment(sum(allowed[top] for top in tops), tuple(limits.values()))
