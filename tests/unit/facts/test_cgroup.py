from __future__ import annotations

import pytest
from support.cgroups import cgroup, v1, v2

from isoaudit.facts.cgroup import (
    Cgroup,
    Membership,
    Owners,
    Place,
    called_after,
    own_levels,
    parse_controllers,
    parse_cpu_list,
    parse_memberships,
)
from isoaudit.model import Known, Unknown, require

REFUSED = Unknown("/cg/x", "EACCES: Permission denied")


def test_memberships_of_a_hybrid_host() -> None:
    raw = b"12:cpu,cpuacct:/docker/0:1\n1:name=systemd:/a\n0::/b (deleted)\n"
    assert parse_memberships(raw) == (
        Membership(12, ("cpu", "cpuacct"), "/docker/0:1"),
        Membership(1, ("name=systemd",), "/a"),
        Membership(0, (), "/b (deleted)"),
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


@pytest.mark.parametrize(
    ("path", "levels"),
    [
        ("/docker/0123", 1),
        ("/docker/0123/init.scope", 2),
        ("/machine.slice/libpod-0123.scope/container", 2),
        ("/machine.slice/machine-web\\x2d1.scope/payload/init.scope", 3),
        ("/system.slice/crio-0123.scope", 1),
        ("/system.slice:docker:0123/a/b", 3),
        ("/lxc.payload.web-1/system.slice/ssh.service", 3),
        ("/made/c1", 1),
        ("/made/c1/init.scope", 2),
        ("/init.scope", 1),
        ("/", 1),
    ],
)
def test_how_many_levels_are_its_own(path: str, levels: int) -> None:
    assert own_levels(path, ("0123", "web-1")) == levels
    assert called_after(path, ("0123", "web-1")) is ("0123" in path or "web" in path)


def test_without_a_name_one_level_is_its_own() -> None:
    assert own_levels("/docker/0123/x", ("", "")) == 1
    assert not called_after("/docker/0123", ("",))


def test_the_resource_domain_of_a_threaded_cgroup() -> None:
    assert cgroup(v2("/d/t/u"), cgroup__type=("threaded", "threaded", "domain threaded", "domain")).domain == 2
    assert cgroup(v2("/d"), cgroup__type=("domain",)).domain == 0
    assert cgroup(v2("/d")).domain == 0
    assert cgroup(v2("/t"), cgroup__type=("threaded",)).domain == 0


def test_what_a_threaded_cgroup_can_be_limited_by() -> None:
    threaded = cgroup(
        v2("/d/t"),
        cgroup__type=("threaded", "domain threaded"),
        cgroup__controllers=("pids", "cpu memory pids", "cpu io memory pids"),
    )
    assert threaded.obstacle("memory") == ""
    assert threaded.obstacle("pids") == ""
    assert "not enabled" in threaded.obstacle("cpu")
    assert "not enabled" in threaded.obstacle("blkio")
    assert require(threaded.place("memory")) == Place(2, "/d", own=True)


def test_owners_are_not_known_unless_seen() -> None:
    assert cgroup(v2("/d")).owners == {}
    assert Cgroup((), {}, {}, {"": Owners(0, 0)}).owners[""] == (0, 0)
