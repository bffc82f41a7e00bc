"""Which mount one sees at a path, and where files of the kernel's stand open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.facts import KERNEL_FILES, MOUNTINFO

from isoaudit.facts.masks import (
    PROC,
    SYSFS,
    KernelFile,
    MountTree,
    below,
    masked_paths,
    places,
    read_only_paths,
)
from isoaudit.facts.mounts import Mount, parse_mountinfo

KEYS = KernelFile(PROC, "/keys")


def tree(*extra: str) -> MountTree:
    return MountTree(parse_mountinfo(MOUNTINFO + "".join(f"{line}\n" for line in extra).encode()))


def identifier(mount: Mount | None) -> int | None:
    return mount.id if mount else None


def test_at() -> None:
    table = tree()
    for path, expected in {
        "/": 100,
        "/etc": 100,
        "/etc/resolv.conf": 108,
        "/proc": 101,
        "/proc/1/status": 101,
        "/proc/sys/kernel/core_pattern": 112,
        "/proc/system": 101,
        "/proc/keys": 116,
        "/sys/fs/cgroup/memory/x": 106,
    }.items():
        assert identifier(table.at(path)) == expected, path


def test_a_mount_on_top_hides_what_lies_below_it() -> None:
    table = tree("130 101 0:51 / /proc rw - proc proc rw", "131 130 0:51 /sys /proc/sys ro - proc proc rw")
    assert identifier(table.at("/proc/keys")) == 130, "the mask is attached to the procfs underneath"
    assert identifier(table.at("/proc/sys/vm")) == 131


def test_mounts_stacked_on_the_root() -> None:
    table = MountTree(
        parse_mountinfo(
            b"1 1 0:1 / / rw - rootfs rootfs rw\n"
            b"20 1 0:2 / / rw - ext4 /dev/vda rw\n"
            b"21 1 0:3 / /proc rw - proc proc rw\n"
            b"22 20 0:4 / /proc rw - proc proc rw\n"
        )
    )
    assert identifier(table.at("/")) == 20
    assert identifier(table.at("/proc")) == 22


def test_tables_that_no_kernel_writes() -> None:
    assert MountTree(()).at("/proc") is None
    cut = MountTree(parse_mountinfo(b"22 20 0:4 / /proc rw - proc proc rw\n"))
    assert identifier(cut.at("/proc/keys")) == 22
    loop = MountTree(parse_mountinfo(b"1 2 0:1 / / rw - a a rw\n2 1 0:1 / / rw - a a rw\n"))
    assert loop.at("/x") is not None


def test_places() -> None:
    assert places(tree(), KEYS) == ()
    assert [place.path for place in places(tree(), KernelFile(PROC, "/uptime"))] == ["/proc/uptime"]
    second = tree("130 100 0:51 / /host/proc ro - proc proc rw", "131 100 0:51 /keys /k rw - proc proc rw")
    assert [place.path for place in places(second, KEYS)] == ["/host/proc/keys", "/k"]
    assert places(tree("130 100 0:51 / /p rw - proc proc rw,subset=pid"), KEYS) == ()
    assert [place.path for place in places(tree(), KernelFile(SYSFS, "/"))] == ["/sys"]


def test_below() -> None:
    found = below(tree(), KernelFile(PROC, "/"))
    assert [place.path for place in found] == [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    covered = tree("130 101 0:51 / /proc rw - proc proc rw")
    assert below(covered, KernelFile(PROC, "/")) == ()


def test_a_place_is_shown_as_mountinfo_shows_it() -> None:
    (place,) = places(tree("130 100 0:51 / /p rw,nosuid shared:7 master:3 - proc p\\040q rw"), KEYS)
    assert place.line == "130 100 0:51 / /p rw,nosuid shared:7 master:3 - proc p q rw"


def test_lists() -> None:
    masked = {entry.path: entry for entry in masked_paths()}
    assert masked["/proc/kcore"].engines == ("moby", "containerd", "podman")
    assert masked["/sys/firmware"].file == KernelFile(SYSFS, "/firmware")
    assert masked["/proc/keys"].file == KEYS
    for entry in (*masked_paths(), *read_only_paths()):
        assert entry.note
        assert entry.engines
        assert entry.path in KERNEL_FILES, "the tests' host has an answer for it"


NUMBER = st.integers(1, 8)
TARGET = st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/ab", "/proc"])


@given(st.lists(st.tuples(NUMBER, NUMBER, TARGET), max_size=12), TARGET)
def test_any_table_ends(rows: list[tuple[int, int, str]], path: str) -> None:
    raw = "".join(f"{ident} {parent} 0:1 / {target} rw - proc proc rw\n" for ident, parent, target in rows)
    table = MountTree(parse_mountinfo(raw.encode()))
    found = table.at(path)
    assert found is None or found.target in (path, "/") or path.startswith(found.target)
    places(table, KEYS)
    below(table, KernelFile(PROC, "/"))
