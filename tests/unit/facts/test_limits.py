from __future__ import annotations

from typing import Any

import pytest
from support.cgroups import cgroup, chain

from isoaudit.facts.cgroup import Cgroup
from isoaudit.facts.limits import (
    NO_CONTROLLER,
    Limit,
    bound,
    cpu_count,
    hugetlb_bytes,
    idle_io_weight,
    in_cpus,
    io_bound,
    memory_and_swap_bytes,
    memory_bytes,
    memory_high_bytes,
    pids_count,
    pool_limits,
    swap_bytes,
    tightest,
)
from isoaudit.facts.probe import ProbeAnswer
from isoaudit.model import Basis, FactMissing, Known, Reading, Unknown, require

REFUSED = Unknown("/cg/x", "EACCES: Permission denied")


def number(value: str) -> float | None:
    return None if value == "max" else int(value)


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (("max", "max"), Limit(None, "level 0", "max")),
        (("50", "max"), Limit(50, "level 0", "50")),
        (("max", "70", "50"), Limit(50, "level 2", "50")),
        (("33", "50"), Limit(33, "level 0", "33")),
        (("0", "50"), Limit(0, "level 0", "0")),
        ((REFUSED, "50"), Limit(50, "level 1", "50")),
        (("junk", "50"), Limit(50, "level 1", "50")),
    ],
)
def test_the_tightest_limit_of_a_chain(values: tuple[str | Unknown, ...], limit: Limit) -> None:
    assert require(tightest(chain(*values), number, "x")) == limit


def test_what_was_refused_could_limit() -> None:
    assert tightest(chain("max", REFUSED), number, "x") == REFUSED
    assert tightest(chain("max", "junk"), number, "x") == Unknown("level 1", "not a limit: 'junk'")


def test_no_files_are_no_limit() -> None:
    assert require(tightest((), number, "pids.max")) == Limit(None, "pids.max", NO_CONTROLLER)


@pytest.mark.parametrize(
    ("value", "amount"),
    [("9223372036854771712", None), ("9223372036854710272", None), ("1073741824", 1 << 30)],
    ids=["4 KiB pages", "64 KiB pages", "limited"],
)
def test_v1_memory(value: str, amount: int | None) -> None:
    assert require(memory_bytes(cgroup(memory__limit_in_bytes=value))).amount == amount
    assert require(memory_and_swap_bytes(cgroup(memory__memsw__limit_in_bytes=value))).amount == amount


def test_v2_memory_and_swap() -> None:
    both = cgroup(memory__max=("max", "4096"), memory__swap__max="0")
    assert require(memory_bytes(both)).amount == 4096
    assert require(swap_bytes(both)).amount == 0


@pytest.mark.parametrize(("size", "value"), [("2MB", "9223372036852678656"), ("1GB", "9223372035781033984")])
def test_v1_rounds_unlimited_down_to_the_huge_page(size: str, value: str) -> None:
    file = f"hugetlb.{size}.limit_in_bytes"
    assert require(hugetlb_bytes(Cgroup((), {file: chain(value)}, {}), size)).amount is None
    assert require(hugetlb_bytes(Cgroup((), {f"hugetlb.{size}.max": chain("0")}, {}), size)).amount == 0


def test_pids() -> None:
    assert require(pids_count(cgroup(pids__max=("max", "20")))).amount == 20


def test_cpu_quota_on_both_versions() -> None:
    files = cgroup(cpu__cfs_quota_us=("-1", "150000"), cpu__cfs_period_us=("100000", "100000"))
    assert require(cpu_count(files)) == Limit(1.5, "level 1", "150000 100000")
    assert require(cpu_count(cgroup(cpu__max=("max 100000", "20000 100000")))).amount == 0.2
    assert require(cpu_count(cgroup(cpu__max="max 100000"))).amount is None


def test_a_quota_without_its_period_is_unknown() -> None:
    assert cpu_count(cgroup(cpu__cfs_quota_us="50000", cpu__cfs_period_us=REFUSED)) == REFUSED
    assert cpu_count(cgroup(cpu__cfs_quota_us=REFUSED, cpu__cfs_period_us="1")) == REFUSED


@pytest.mark.parametrize(("amount", "words"), [(1, "1 CPU"), (0.5, "0.5 CPUs"), (8, "8 CPUs")])
def test_cpus_in_words(amount: float, words: str) -> None:
    assert in_cpus(amount) == words


SET, OPEN = Known(Limit(5, "pids.max", "5"), "pids.max"), Known(Limit(None, "pids.max", "max"), "pids.max")


STOPPED = Known(ProbeAnswer(succeeded=False, call="fork()", answer="EAGAIN"), "probe")


WENT_ON = Known(ProbeAnswer(succeeded=True, call="fork()", answer="0"), "probe")


NO_PROBE = Unknown("probe", "not run")


@pytest.mark.parametrize(
    ("limit", "probe", "bounded", "basis"),
    [
        (SET, NO_PROBE, True, Basis.OBSERVED),
        (OPEN, NO_PROBE, False, Basis.OBSERVED),
        (SET, STOPPED, True, Basis.PROVEN),
        (OPEN, STOPPED, True, Basis.PROVEN),
        (REFUSED, STOPPED, True, Basis.PROVEN),
        (SET, WENT_ON, True, Basis.OBSERVED),
        (OPEN, WENT_ON, False, Basis.PROVEN),
        (REFUSED, WENT_ON, False, Basis.PROVEN),
    ],
)
def test_files_and_probe_together(
    limit: Reading[Limit],
    probe: Reading[ProbeAnswer],
    bounded: bool,  # noqa: FBT001
    basis: Basis,
) -> None:
    found = bound(limit, probe, "a number")
    assert (found.bounded, found.basis) == (bounded, basis)
    assert len(found.evidence) == isinstance(limit, Known) + isinstance(probe, Known)


def test_neither_files_nor_probe() -> None:
    with pytest.raises(FactMissing):
        bound(REFUSED, NO_PROBE, "a number")


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, ""),
        ({"io__max": ("", "")}, ""),
        ({"io__max": "8:0 rbps=max wbps=max riops=max wiops=max"}, ""),
        (
            {"io__max": ("", "8:0 rbps=max wbps=1048576 riops=max wiops=max")},
            "8:0 rbps=max wbps=1048576 riops=max wiops=max",
        ),
        ({"blkio__throttle__write_iops_device": "8:0 100"}, "8:0 100"),
        ({"io__weight": "default 100"}, ""),
        ({"io__weight": "default 50"}, "default 50"),
        ({"blkio__weight": "500", "blkio__bfq__weight": "100"}, ""),
        ({"blkio__bfq__weight": "10"}, "10"),
        ({"io__max": REFUSED, "io__weight": "default 50"}, "default 50"),
    ],
)
def test_what_bounds_block_io(files: dict[str, Any], line: str) -> None:
    assert require(io_bound(cgroup(**files))) == line


def test_block_io_that_could_not_be_read() -> None:
    assert io_bound(cgroup(io__max=REFUSED, io__weight="default 100")) == REFUSED
    assert io_bound(cgroup(io__weight=REFUSED)) == REFUSED


def test_pools_over_all_levels() -> None:
    rdma = chain("mlx5_0 hca_handle=max hca_object=max", "mlx5_0 hca_handle=2 hca_object=max")
    assert require(pool_limits(rdma)) == {"mlx5_0 hca_handle": True, "mlx5_0 hca_object": False}
    assert require(pool_limits(chain("sev 4\nsev_es max"))) == {"sev": True, "sev_es": False}
    assert require(pool_limits(chain(""))) == {}
    assert pool_limits(chain("sev max", REFUSED)) == REFUSED
    assert pool_limits(chain(REFUSED)) == REFUSED
    assert require(pool_limits(chain(REFUSED, "sev 4"))) == {"sev": True}


def test_v1_may_forget_its_ancestors() -> None:
    files: dict[str, Any] = {
        "memory__limit_in_bytes": ("9000", "100"),
        "memory__memsw__limit_in_bytes": ("9000", "100"),
    }
    one = cgroup(**files)
    assert require(memory_bytes(one)).amount == 100
    for told, amount in {"1": 100, "0": 9000}.items():
        # The flag of the parent decides whether those below it are charged to it.
        settings = {**one.settings, "memory.use_hierarchy": (Known(told, "level 1/memory.use_hierarchy"),)}
        settings |= {
            file: tuple(Known(require(r), f"{r.source}/{file}") for r in one.settings[file])
            for file in one.settings
        }
        assert require(memory_bytes(one._replace(settings=settings))).amount == amount
        assert require(memory_and_swap_bytes(one._replace(settings=settings))).amount == amount


def test_memory_high_is_the_tightest_of_all_levels() -> None:
    assert require(memory_high_bytes(cgroup(memory__high=("max", "70", "90")))).amount == 70


def test_v1_throttles_bind_one_cgroup_only() -> None:
    assert require(io_bound(cgroup(blkio__throttle__read_bps_device=("", "8:0 1")))) == ""
    assert require(io_bound(cgroup(io__max=("", "8:0 rbps=1 wbps=max")))) == "8:0 rbps=1 wbps=max"


@pytest.mark.parametrize(
    ("files", "idle"),
    [
        ({"io__weight": "default 50"}, False),
        ({"io__weight": "default 50", "io__cost__qos": ""}, True),
        ({"io__weight": "default 50", "io__cost__qos": "8:0 enable=0 ctrl=auto"}, True),
        ({"io__weight": "default 50", "io__cost__qos": "8:0 enable=0\n8:16 enable=1 ctrl=auto"}, False),
        ({"io__weight": "default 50", "io__cost__qos": REFUSED}, False),
        ({"io__weight": "default 100", "io__cost__qos": ""}, False),
        ({"io__weight": REFUSED, "io__cost__qos": ""}, False),
    ],
)
def test_weights_that_nothing_enforces(files: dict[str, Any], idle: bool) -> None:  # noqa: FBT001
    assert (idle_io_weight(cgroup(**files)) is not None) is idle
