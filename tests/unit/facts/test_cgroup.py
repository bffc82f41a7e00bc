from __future__ import annotations

from typing import Any

import pytest

from isoaudit.facts.cgroup import (
    NO_CONTROLLER,
    Cgroup,
    Limit,
    Membership,
    Place,
    bound,
    cpu_count,
    hugetlb_bytes,
    in_cpus,
    io_bound,
    memory_and_swap_bytes,
    memory_bytes,
    parse_controllers,
    parse_cpu_list,
    parse_memberships,
    pids_count,
    pool_limits,
    swap_bytes,
    tightest,
)
from isoaudit.facts.probe import ProbeAnswer
from isoaudit.model import Basis, FactMissing, Known, Reading, Unknown, require

REFUSED = Unknown("/cg/x", "EACCES: Permission denied")


def chain(*values: str | Unknown) -> tuple[Reading[str], ...]:
    return tuple(
        value if isinstance(value, Unknown) else Known(value, f"level {depth}")
        for depth, value in enumerate(values)
    )


def cgroup(*memberships: Membership, host: dict[str, str] | None = None, **files: object) -> Cgroup:
    settings = {
        name.replace("__", "."): chain(*(value if isinstance(value, tuple) else (value,)))
        for name, value in files.items()
    }
    return Cgroup(memberships, settings, host or {})


def v1(controller: str, path: str) -> Membership:
    return Membership(4, (controller,), path)


def v2(path: str) -> Membership:
    return Membership(0, (), path)


def test_memberships_of_a_hybrid_host() -> None:
    raw = b"12:cpu,cpuacct:/docker/0:1\n1:name=systemd:/a\n0::/b (deleted)\n"
    assert parse_memberships(raw) == (
        Membership(12, ("cpu", "cpuacct"), "/docker/0:1"),
        Membership(1, ("name=systemd",), "/a"),
        Membership(0, (), "/b"),
    )


@pytest.mark.parametrize("raw", [b"nonsense\n", b"x:cpu:/\n"])
def test_memberships_that_are_none(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_memberships(raw)


def test_controllers_of_the_kernel() -> None:
    raw = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t0\t1\t0\n"
    assert parse_controllers(raw) == {"cpu": True, "memory": False}


@pytest.mark.parametrize(
    ("value", "numbers"), [("", set()), ("0", {0}), ("0-2,8", {0, 1, 2, 8}), ("1,3-4", {1, 3, 4})]
)
def test_cpu_lists(value: str, numbers: set[int]) -> None:
    assert parse_cpu_list(value) == numbers


def test_a_cpu_list_that_is_none() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_cpu_list("all")


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


def test_paths_and_leaves() -> None:
    both = cgroup(v1("cpu", "/a"), v2("/b"), pids__max=("1", "2"))
    assert (both.path("cpu"), both.path(""), both.path("memory")) == ("/a", "/b", None)
    assert both.leaf("rdma.max", "pids.max") == Known("1", "level 0")
    assert both.leaf("rdma.max", "misc.max").source == "rdma.max or misc.max"
    assert both.readings("rdma.max") == ()


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/", False),
        ("/init.scope", False),
        ("/system.slice", False),
        ("/user.slice/user-0.slice/session-c1.scope", False),
        ("/docker/0123", True),
        ("/system.slice/docker-0123.scope", True),
    ],
)
def test_whose_cgroup_it_is(path: str, own: bool) -> None:  # noqa: FBT001
    place = Place(1, path, own=own)
    assert require(cgroup(v1("pids", path), host={"pids": "/init.scope"}).place("pids")) == place


def test_v2_holds_where_the_controller_is_enabled() -> None:
    one = cgroup(v2("/m.slice/c"), cgroup__controllers=("", "memory io", "cpu memory io"))
    assert require(one.place("memory")) == Place(2, "/m.slice", own=False)
    assert require(one.place("blkio")) == Place(2, "/m.slice", own=False)
    assert require(one.place("cpu")) == Place(2, "/", own=False)
    assert require(one.place("freezer")) == Place(2, "/m.slice/c", own=True)
    assert require(one.place("net_cls")) is None
    assert require(cgroup().place("freezer")) is None
    assert cgroup(v2("/c"), cgroup__controllers=REFUSED).place("memory") == REFUSED


@pytest.mark.parametrize(
    ("where", "obstacle"),
    [
        (cgroup(v1("memory", "/c")), ""),
        (cgroup(v1("memory", "/")), "it is in the root cgroup, which cannot be limited"),
        (cgroup(v2("/c"), cgroup__controllers=("memory", "memory")), ""),
        (cgroup(v2("/"), cgroup__controllers="memory"), "it is in the root cgroup, which cannot be limited"),
        (
            cgroup(v2("/c"), cgroup__controllers=("", "memory")),
            "the memory controller is not enabled down to its cgroup",
        ),
        (
            cgroup(v2("/c"), cgroup__controllers=("", "")),
            "no cgroup hierarchy of the host has the memory controller",
        ),
        (cgroup(), "no cgroup hierarchy of the host has the memory controller"),
    ],
)
def test_why_nothing_could_limit(where: Cgroup, obstacle: str) -> None:
    assert where.obstacle("memory") == obstacle


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
