from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cgroups import cgroup

from isoaudit.facts.cgroup import Cgroup, Membership
from isoaudit.facts.memory import committed, memory_promises
from isoaudit.model import FactMissing, Known, Unknown

REFUSED = Unknown("/cg/x", "EACCES: Permission denied")


def test_promises() -> None:
    assert memory_promises(cgroup()) == ()
    assert memory_promises(cgroup(memory__low=("0", "5"))) == ()
    (low,) = memory_promises(cgroup(memory__low=("50", "max", "20")))
    assert (low.file, low.promised, low.granted) == ("memory.low", 50, 20)
    assert [one.observed for one in low.evidence] == ["50", "20"]
    (least,) = memory_promises(cgroup(memory__min=("max",)))
    assert least.promised == least.granted == math.inf
    with pytest.raises(FactMissing):
        memory_promises(cgroup(memory__low=("50", REFUSED)))


def placed(path: str, limits: dict[str, int]) -> Cgroup:
    """A container on v2 at a path, with limits by path."""
    readings = []
    while path:
        value = str(limits[path]) if path in limits else "max"
        readings.append(Known(value, f"/cg{path}/memory.max"))
        path = path.rpartition("/")[0]
    return Cgroup((Membership(0, (), path),), {"memory.max": tuple(readings)}, {})


PATHS = ("/a", "/a/x", "/a/y", "/b", "/b/x", "/b/x/z")


@given(st.lists(st.sampled_from(PATHS), max_size=5), st.dictionaries(st.sampled_from(PATHS), st.integers(1, 9)))
def test_commitments_are_the_most_that_the_limits_allow(paths: list[str], limits: dict[str, int]) -> None:
    limited = [path for path in paths if any(path == one or path.startswith(f"{one}/") for one in limits)]

    def most(folder: str) -> float:
        """By the tree: what processes here and below may take together."""
        inside = math.inf if folder in limited else 0.0
        inside += sum(most(one) for one in PATHS if one.rpartition("/")[0] == folder)
        return min(limits.get(folder, math.inf), inside)

    found = committed(placed(path, limits) for path in limited)
    assert found.amount == sum(most(one) for one in ("/a", "/b"))
    assert len(found.limits) == len({limit.source for limit in found.limits})


def test_a_commitment_needs_every_limit() -> None:
    with pytest.raises(FactMissing):
        committed([cgroup(memory__max=(REFUSED,))])
