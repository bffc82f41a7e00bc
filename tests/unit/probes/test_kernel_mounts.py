from __future__ import annotations

from typing import Any

import pytest
from support import facts
from support.facts import make_container, make_host, make_mounts

from isoaudit.facts.cgroup import Hierarchy
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.kernel.mounting import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from isoaudit.model import Known
from isoaudit.probes.kernel_mounts import CGROUP, COVER, FRESH, HOLDER, HOST, PART, PLAIN, KernelMounts
from isoaudit.probes.kernel_mounts import kernel_mounts as mounts_of

STRICT = MS_NOSUID | MS_NODEV | MS_NOEXEC
OWN = frozenset({"mnt", "pid", "net"})
HOST_FACTS = make_host()


def kernel_mounts(*extra: bytes, new: frozenset[str] = OWN, **changes: Any) -> KernelMounts:
    container = make_container(mounts=make_mounts(*extra), **changes)
    return mounts_of(HOST_FACTS, container, new)


def test_a_default_container() -> None:
    found = kernel_mounts()
    by_target = {one.target: one for one in found.mounts}
    assert by_target["proc"][:4] == (FRESH, "proc", "proc", STRICT)
    assert by_target["sys"] == (FRESH, "sys", "sysfs", STRICT | MS_RDONLY, True, "")
    assert by_target["proc/sys"][:4] == (PART, "proc/sys", "proc/sys", STRICT | MS_RDONLY)
    assert by_target["proc/acpi"] == (COVER, "proc/acpi", "", MS_RDONLY, True, "")
    assert by_target["proc/kcore"][:4] == (COVER, "proc/kcore", "", MS_NOSUID)
    assert by_target["sys/fs/cgroup"].kind == HOLDER
    assert by_target["sys/fs/cgroup/memory"][:4] == (
        CGROUP,
        "sys/fs/cgroup/memory",
        "memory",
        STRICT | MS_RDONLY,
    )
    assert not {"", "dev", "etc/resolv.conf"} & {*by_target}
    assert (found.unlike, found.notes) == ((), ())


def test_parents_come_first_and_covers_last() -> None:
    found = kernel_mounts().mounts
    places = [one.target for one in found]
    assert places.index("sys") < places.index("sys/fs/cgroup") < places.index("sys/fs/cgroup/memory")
    covers = [one.kind == COVER for one in found]
    assert covers == sorted(covers)


def test_what_another_mount_covers_is_left_out() -> None:
    found = kernel_mounts(b"200 101 0:99 / /proc rw - proc proc rw")
    assert [one.target for one in found.mounts if one.target.startswith("proc")] == ["proc"]


def test_the_hosts_trees_come_from_the_host() -> None:
    found = kernel_mounts(
        b"200 100 0:21 / /host/proc rw - proc proc rw",
        b"201 100 0:22 /kernel /host/kernel ro - sysfs sysfs rw",
    )
    by_target = {one.target: one for one in found.mounts}
    assert by_target["host/proc"][:4] == (HOST, "host/proc", "/proc", 0)
    assert by_target["host/kernel"][:4] == (HOST, "host/kernel", "/sys/kernel", MS_RDONLY)


def test_a_hierarchy_as_a_whole_is_the_hosts() -> None:
    found = kernel_mounts(b"200 100 0:30 / /cg rw - cgroup cgroup rw,memory")
    assert (HOST, "cg", "/sys/fs/cgroup/memory", 0) in [one[:4] for one in found.mounts]


@pytest.mark.parametrize(
    ("line", "place", "why"),
    [
        (b"200 100 0:30 /other /cg rw - cgroup cgroup rw,memory", "/cg", "not the container's own"),
        (b"200 100 0:30 / /cg rw - cgroup cgroup rw,unheard", "/cg", "no such cgroup hierarchy"),
        (b"200 101 0:40 / /proc/x rw - autofs systemd-1 rw", "/proc/x", "automounter"),
        (b"200 104 0:41 / /sys/kernel/debug rw - debugfs debugfs rw", "/sys/kernel/debug", "the host has no"),
        (b"200 100 0:77 /sys /p rw - proc proc rw", "/p", "as a whole"),
    ],
)
def test_what_cannot_be_had_is_said(line: bytes, place: str, why: str) -> None:
    found = kernel_mounts(line)
    ((path, reason),) = found.unlike
    assert path == place
    assert why in reason
    assert place[1:] not in {one.target for one in found.mounts}


def test_a_cgroup_around_its_own_is_noted() -> None:
    found = kernel_mounts(b"200 100 0:30 /docker /cg rw - cgroup cgroup rw,memory")
    assert found.notes == ("/cg: it shows other cgroups besides the container's own",)


def test_a_foreign_file_over_one_of_the_kernels_is_noted() -> None:
    found = kernel_mounts(b"200 101 0:60 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw")
    assert "fuse.lxcfs" in found.notes[0]
    assert found.mounts[-1].kind == COVER


@pytest.mark.parametrize(
    ("kinds", "lacking"),
    [({"pid"}, {"/sys"}), ({"net"}, {"/proc"}), ({"pid", "net"}, set()), (set(), {"/proc", "/sys"})],
)
def test_a_user_namespace_mounts_what_shows_its_own(kinds: set[str], lacking: set[str]) -> None:
    found = kernel_mounts(new=frozenset({"mnt", "user", *kinds}))
    assert {path for path, _ in found.unlike if path.count("/") == 1} == lacking


def test_a_user_namespace_gets_none_of_the_hosts_trees_with_mounts_in_them() -> None:
    host = make_host(mounts=Known(parse_mountinfo(facts.HOST_MOUNTINFO + SECURITY), "m"))
    container = make_container(mounts=make_mounts(b"200 100 0:22 / /host/sys rw - sysfs sysfs rw"))
    (found,) = mounts_of(host, container, OWN | {"user"}).unlike
    assert found.path == "/host/sys"
    assert mounts_of(host, container, OWN).unlike == ()


SECURITY = b"40 23 0:7 / /sys/kernel/security rw - securityfs securityfs rw\n"


def test_options_of_a_procfs() -> None:
    line = b"101 100 0:51 / /proc rw - proc proc rw,hidepid=invisible,gid=5"
    base = facts.MOUNTINFO.splitlines()[0] + b"\n"
    container = make_container(mounts=make_mounts(line, base=base))
    (mount,) = mounts_of(HOST_FACTS, container, OWN).mounts
    assert mount.data == "hidepid=invisible,gid=5"
    (unlike,) = mounts_of(HOST_FACTS, container, OWN - {"pid"}).unlike
    assert "hidepid" in unlike.why


def test_without_a_mount_table_only_a_plain_procfs_is_mounted() -> None:
    found = mounts_of(HOST_FACTS, make_container(mounts=facts.denied()), OWN)
    assert found.mounts == (PLAIN,)
    assert {path for path, _ in found.unlike} == {"/proc", "/sys"}
    blind = mounts_of(make_host(mounts=facts.denied()), make_container(), OWN | {"user"} - {"pid"})
    assert blind.mounts == ((PLAIN,))


def test_a_table_that_has_no_end_is_not_followed() -> None:
    found = kernel_mounts(*(b"%d 101 0:51 /x /proc/%d rw - proc proc rw" % (n, n) for n in range(200, 500)))
    assert found.mounts == (PLAIN,)
    assert "mounts of the kernel's filesystems" in found.unlike[0].why


def test_named_hierarchies_and_v2() -> None:
    named = kernel_mounts(b"200 100 0:31 /docker/0123 /systemd rw - cgroup cgroup rw,name=systemd")
    assert [one.source for one in named.mounts if one.target == "systemd"] == ["systemd"]
    host = make_host(hierarchies=Known((Hierarchy(2, ("memory",), "", "/sys/fs/cgroup"),), "m"))
    line = b"200 100 0:31 %s /v2 rw - cgroup2 cgroup rw" % facts.V2_PATH.encode()
    container = make_container(mounts=make_mounts(line), cgroup=facts.cgroup_v2())
    assert (CGROUP, "v2", "") in [one[:3] for one in mounts_of(host, container, OWN).mounts]
