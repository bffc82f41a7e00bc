from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from isoaudit.collect import cgroups
from isoaudit.collect.cgroups import CgroupReader, hierarchies
from isoaudit.collect.paths import Paths
from isoaudit.collect.tree import read_record
from isoaudit.facts.cgroup import Hierarchy, Membership, Owners, Place, parse_memberships
from isoaudit.facts.limits import memory_bytes, pids_count
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.model import Known, Unknown, require

if TYPE_CHECKING:
    from pathlib import Path

PIDS = Hierarchy(1, ("pids",), "", "/sys/fs/cgroup/pids")
UNIFIED = Hierarchy(2, ("memory", "cpuset"), "", "/sys/fs/cgroup")


def write(root: Path, path: str, **files: str) -> None:
    folder = root / f"sys/fs/cgroup/{path}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(value)


def reader(root: Path, *found: Hierarchy, sizes: tuple[str, ...] = ()) -> CgroupReader:
    host = (Membership(1, ("pids",), "/init.scope"), Membership(0, (), "/init.scope"))
    return CgroupReader(Paths("/proc", str(root / "sys"), str(root)), found, sizes, host)


def pids(path: str) -> tuple[Membership, ...]:
    return (Membership(8, ("pids",), path),)


def unified(path: str) -> tuple[Membership, ...]:
    return (Membership(0, (), path),)


def test_hierarchies_of_a_hybrid_host(tmp_path: Path) -> None:
    write(tmp_path, "unified", cgroup__controllers="hugetlb\n")
    mounts = parse_mountinfo(
        b"1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,seclabel,cpu,cpuacct\n"
        b"2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n"
        b"3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        b"4 0 0:3 / /mnt/again rw - cgroup2 cgroup2 rw,nsdelegate\n"
        b"5 0 0:4 /docker /mnt/part rw - cgroup cgroup rw,pids\n"
        b"6 0 0:5 / / rw - ext4 /dev/sda rw\n"
    )
    assert hierarchies(mounts[:3] + mounts[4:], Paths("/proc", str(tmp_path / "sys"), str(tmp_path))) == (
        Hierarchy(1, ("cpu", "cpuacct"), "", "/sys/fs/cgroup/cpu"),
        Hierarchy(1, (), "systemd", "/sys/fs/cgroup/systemd"),
        Hierarchy(2, ("hugetlb",), "", "/sys/fs/cgroup/unified"),
    )


def test_v1_from_the_leaf_to_the_root(tmp_path: Path) -> None:
    write(tmp_path, "pids")
    write(tmp_path, "pids/docker", pids__max="50\n")
    write(tmp_path, "pids/docker/0123", pids__max="max\n")
    found = reader(tmp_path, PIDS).read(pids("/docker/0123"))
    top = f"{tmp_path}/sys/fs/cgroup/pids/docker"
    assert found.readings("pids.max") == (
        Known("max", f"{top}/0123/pids.max"),
        Known("50", f"{top}/pids.max"),
    )
    assert require(pids_count(found)).amount == 50
    assert found.host_paths == {"pids": "/init.scope", "": "/init.scope"}


def test_ancestors_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docker", "docker/a", "docker/b"):
        write(tmp_path, f"pids/{name}", pids__max="max")
    opened: list[str] = []

    def counted(path: bytes | str, dir_fd: int | None = None) -> bytes:
        opened.append(os.readlink(f"/proc/self/fd/{dir_fd}").rpartition("/")[2])
        return read_record(path, dir_fd)

    monkeypatch.setattr(cgroups, "read_record", counted)
    one = reader(tmp_path, PIDS)
    one.read(pids("/docker/a"))
    one.read(pids("/docker/b"))
    assert sorted(opened) == ["a", "b", "docker", "pids"]


def test_v2_reads_only_what_its_controllers_have(tmp_path: Path) -> None:
    write(tmp_path, "", cgroup__controllers="memory cpuset\n", cpuset__cpus__effective="0-3\n")
    write(tmp_path, "m.slice", cgroup__controllers="memory cpuset", memory__max="1048576", pids__max="7")
    write(tmp_path, "m.slice/c", cgroup__controllers="memory", memory__max="max", memory__oom__group="1")
    found = reader(tmp_path, UNIFIED).read(unified("/m.slice/c"))
    assert require(memory_bytes(found)).amount == 1 << 20
    assert [require(reading) for reading in found.readings("cgroup.controllers")] == [
        "memory",
        "memory cpuset",
        "memory cpuset",
    ]
    assert found.leaf("cpuset.cpus.effective") == Known(
        "0-3", f"{tmp_path}/sys/fs/cgroup/cpuset.cpus.effective"
    )
    assert not found.readings("pids.max")


def test_v2_whose_controllers_are_hidden_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path, "c", pids__max="7", hugetlb__2MB__max="0")
    hidden = UNIFIED._replace(controllers=(), refused="EACCES: Permission denied")
    found = reader(tmp_path, hidden, sizes=("2MB",)).read(unified("/c"))
    assert require(pids_count(found)).amount == 7
    assert require(found.leaf("hugetlb.2MB.max")) == "0"


def test_hugetlb_on_v1(tmp_path: Path) -> None:
    write(tmp_path, "hugetlb/c", hugetlb__2MB__limit_in_bytes="0")
    hugetlb = Hierarchy(1, ("hugetlb",), "", "/sys/fs/cgroup/hugetlb")
    found = reader(tmp_path, hugetlb, sizes=("2MB",)).read((Membership(2, ("hugetlb",), "/c"),))
    assert require(found.leaf("hugetlb.2MB.limit_in_bytes")) == "0"


def test_what_a_kernel_lacks_is_not_asked_again(tmp_path: Path) -> None:
    write(tmp_path, "pids/a")
    write(tmp_path, "pids/b", pids__max="7")
    one = reader(tmp_path, PIDS)
    assert not one.read(pids("/a")).settings
    assert not one.read(pids("/b")).settings


def test_a_cgroup_that_is_removed_while_it_is_read_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "pids/gone", pids__max="7")
    write(tmp_path, "pids/stays", pids__max="8")
    gone = tmp_path / "sys/fs/cgroup/pids/gone"

    def removing(path: bytes | str, dir_fd: int | None = None) -> bytes:
        if gone.exists():
            (gone / "pids.max").unlink()
            gone.rmdir()
        return read_record(path, dir_fd)

    monkeypatch.setattr(cgroups, "read_record", removing)
    one = reader(tmp_path, PIDS)
    assert one.read(pids("/gone")).leaf("pids.max") == Unknown(str(gone), "ENOENT: the cgroup has been removed")
    assert require(pids_count(one.read(pids("/stays")))).amount == 8


def test_a_cgroup_that_is_gone_already(tmp_path: Path) -> None:
    write(tmp_path, "pids")
    reading = reader(tmp_path, PIDS).read(pids("/gone")).leaf("pids.max")
    assert isinstance(reading, Unknown)
    assert reading.reason.startswith("ENOENT")


@pytest.mark.parametrize("path", ["/..", "/../other"])
def test_outside_our_cgroup_namespace(tmp_path: Path, path: str) -> None:
    write(tmp_path, "pids", pids__max="7")
    reading = reader(tmp_path, PIDS).read(pids(path)).leaf("pids.max")
    assert isinstance(reading, Unknown)
    assert "namespace" in reading.reason


def test_a_name_of_dots_is_inside(tmp_path: Path) -> None:
    write(tmp_path, "pids/..c", pids__max="7")
    assert require(pids_count(reader(tmp_path, PIDS).read(pids("/..c")))).amount == 7


def test_hierarchies_that_are_not_mounted_here_are_unknown(tmp_path: Path) -> None:
    both = (Membership(4, ("pids",), "/c"), Membership(0, (), "/c"))
    found = reader(tmp_path).read(both)
    assert isinstance(pids_count(found), Unknown)
    assert isinstance(memory_bytes(found), Unknown)
    assert len(found.readings("pids.max")) == 1
    assert not reader(tmp_path).read(unified("/")).settings


def test_a_reading_that_fails_keeps_its_errno(tmp_path: Path) -> None:
    write(tmp_path, "pids/c")
    (tmp_path / "sys/fs/cgroup/pids/c/pids.max").mkdir()
    reading = reader(tmp_path, PIDS).read(pids("/c")).leaf("pids.max")
    assert reading == Unknown(f"{tmp_path}/sys/fs/cgroup/pids/c/pids.max", "EISDIR: Is a directory")


def test_a_v2_that_does_not_tell_its_controllers(tmp_path: Path) -> None:
    mounts = parse_mountinfo(b"3 0 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")
    (found,) = hierarchies(mounts, Paths("/proc", str(tmp_path / "sys"), str(tmp_path)))
    assert found.controllers == ()
    assert found.refused.startswith("ENOENT")


def test_what_only_counts_for_the_container_ends_where_its_cgroups_do(tmp_path: Path) -> None:
    for path, weight in (("s", "1"), ("s/docker-0123.scope", "50"), ("s/docker-0123.scope/init.scope", "100")):
        write(tmp_path, path, cpu__weight=weight, cpu__max="max 100000")
    cpu = UNIFIED._replace(controllers=("cpu",))
    leaf = unified("/s/docker-0123.scope/init.scope")
    found = reader(tmp_path, cpu).read(leaf, ("0123", ""))
    assert [require(one) for one in found.readings("cpu.weight")] == ["100", "50"]
    assert len(found.readings("cpu.max")) == 3
    # Without a name, systemd's own place tells of the one above.
    assert len(reader(tmp_path, cpu).read(leaf).readings("cpu.weight")) == 2


def test_a_threaded_cgroup_is_read_up_to_its_domain(tmp_path: Path) -> None:
    write(tmp_path, "s", cgroup__type="domain", memory__oom__group="1", memory__max="7")
    write(tmp_path, "s/d", cgroup__type="domain threaded", memory__oom__group="1", memory__max="9")
    write(tmp_path, "s/d/t", cgroup__type="threaded", cgroup__controllers="cpuset")
    found = reader(tmp_path, UNIFIED).read(unified("/s/d/t"))
    assert found.domain == 1
    assert [require(one) for one in found.readings("memory.oom.group")] == ["1"]
    assert [require(one) for one in found.readings("memory.max")] == ["9", "7"]


def test_what_only_the_root_has(tmp_path: Path) -> None:
    write(tmp_path, "", io__cost__qos="8:0 enable=1")
    write(tmp_path, "c", io__weight="default 50")
    found = reader(tmp_path, UNIFIED._replace(controllers=("io",))).read(unified("/c"))
    assert found.readings("io.cost.qos") == (Known("8:0 enable=1", f"{tmp_path}/sys/fs/cgroup/io.cost.qos"),)


def test_whose_a_cgroup_is(tmp_path: Path) -> None:
    write(tmp_path, "pids/c", pids__max="7")
    write(tmp_path, "c", memory__max="7")
    # Without files that limit, whoever has the folder has all.
    write(tmp_path, "empty")
    folder = tmp_path / "sys/fs/cgroup"
    if os.geteuid() == 0:
        for path, uid in ((folder / "c", 1000), (folder / "pids/c/pids.max", 1001), (folder / "empty", 1002)):
            os.chown(path, uid, 0)
    both = (*pids("/c"), *unified("/c"))
    expected = {"": Owners(1000, 0), "pids": Owners(0, 1001)} if os.geteuid() == 0 else {}
    found = reader(tmp_path, PIDS, UNIFIED).read(both)
    assert found.owners.keys() == {"", "pids"}
    assert {**found.owners, **expected} == found.owners
    assert len(set(reader(tmp_path, UNIFIED).read(unified("/empty")).owners[""])) == 1


@pytest.mark.parametrize("name", [b"odd \xff:x (deleted)", "größe".encode(), rb"machine-a\x2db.scope"])
def test_a_name_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path / "sys/fs/cgroup/pids") + b"/" + name
    os.makedirs(folder)
    with open(folder + b"/pids.max", "wb") as file:
        file.write(b"7\n")
    memberships = parse_memberships(b"8:pids:/" + name + b"\n")
    assert require(pids_count(reader(tmp_path, PIDS).read(memberships))).amount == 7


def test_what_containers_are_compared_by(tmp_path: Path) -> None:
    write(tmp_path, "", cgroup__controllers="memory cpuset")
    write(tmp_path, "s", cgroup__controllers="memory", memory__max="9")
    write(tmp_path, "s/c", cgroup__controllers="", cpuset__cpus="0")
    write(tmp_path, "pids/s", pids__max="9")
    one = reader(tmp_path, PIDS, UNIFIED)
    found = one.compared((*pids("/s"), *unified("/s/c")))
    assert set(found.settings) == {"cgroup.controllers", "memory.max"}
    assert require(memory_bytes(found)).amount == 9
    assert require(found.place("memory")) == Place(2, "/s", own=True)
    # Reading less of a common ancestor first takes nothing from what is read of it later.
    assert len(one.read(unified("/s/c")).readings("memory.max")) == 1
    assert one.read(pids("/s")).leaf("pids.max") == Known("9", f"{tmp_path}/sys/fs/cgroup/pids/s/pids.max")


def test_ancestors_alone_are_asked_whether_they_bind_those_below(tmp_path: Path) -> None:
    memory = Hierarchy(1, ("memory",), "", "/sys/fs/cgroup/memory")
    for path, limit in (("memory", "9"), ("memory/d", "7"), ("memory/d/c", "8")):
        write(tmp_path, path, memory__limit_in_bytes=limit, memory__use_hierarchy="0")
    found = reader(tmp_path, memory).read((Membership(2, ("memory",), "/d/c"),))
    assert len(found.readings("memory.use_hierarchy")) == 2
    assert require(memory_bytes(found)).amount == 8
    write(tmp_path, "memory/d", memory__use_hierarchy="1")
    found = reader(tmp_path, memory).read((Membership(2, ("memory",), "/d/c"),))
    assert require(memory_bytes(found)).amount == 7
