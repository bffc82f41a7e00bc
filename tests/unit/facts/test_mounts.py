from __future__ import annotations

import os
import time

import pytest

from isoaudit.facts.mounts import (
    HostMounts,
    Mount,
    mount_at,
    mount_of,
    parse_mountinfo,
    path_below,
    path_on,
    reachable,
    within,
    writable,
)


def mount(ident: int, parent: int, target: str, **changes: str) -> Mount:
    fields = {"device": f"0:{ident}", "root": "/", "fstype": "tmpfs", "options": "rw", **changes}
    line = f"{ident} {parent} {fields['device']} {fields['root']} {target} {fields['options']} - {fields['fstype']} x rw\n"
    (parsed,) = parse_mountinfo(line.encode())
    return parsed


def seen(*mounts: Mount) -> list[int]:
    return [one.id for one in reachable(mounts)]


def test_parse_takes_optional_fields_and_escapes() -> None:
    (parsed,) = parse_mountinfo(
        rb"36 35 98:0 /mnt1 /a\040b\134c rw,noatime shared:1 master:2 - ext3 /dev/r\011t rw,errors=x" + b"\n"
    )
    assert parsed.target == "/a b\\c"
    assert parsed.source == "/dev/r\tt"
    assert parsed.propagation == ("shared:1", "master:2")
    assert parsed.peer_groups == ("shared:1",)
    assert parsed.super_options == ("rw", "errors=x")
    assert not parsed.read_only


def test_parse_shows_bytes_that_are_no_text() -> None:
    (parsed,) = parse_mountinfo(b"1 0 0:1 / /\xff rw - tmpfs x rw\n")
    assert parsed.target == "/\\xff"


def test_a_line_is_given_back_as_the_kernel_wrote_it() -> None:
    raw = "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 - ext3 /dev/root rw"
    (parsed,) = parse_mountinfo(raw.encode())
    assert parsed.line == raw


def test_parse_refuses_what_is_no_mountinfo() -> None:
    with pytest.raises(ValueError, match="separator"):
        parse_mountinfo(b"36 35 98:0 / / rw\n")


def test_parses_the_running_kernels() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        table = parse_mountinfo(file.read())
    assert mount_at(table, "/") is not None
    ours = mount_of(table, "/proc")
    assert ours is not None
    assert ours.fstype == "proc"


def test_read_only_by_mount_or_filesystem() -> None:
    assert mount(1, 0, "/", options="ro").read_only
    (by_filesystem,) = parse_mountinfo(b"1 0 0:1 / / rw - sysfs sysfs ro\n")
    assert by_filesystem.read_only


def test_within_needs_a_whole_component() -> None:
    assert within("/a/b", "/a")
    assert within("/a", "/a")
    assert within("/a", "/")
    assert not within("/ab", "/a")


def test_paths_on_a_filesystem_and_back() -> None:
    one = mount(1, 0, "/x", root="/srv")
    assert path_on(one, "/x/y/z") == "/srv/y/z"
    assert path_below(one, "/srv/y/z") == "/x/y/z"
    assert path_below(one, "/srv") == "/x"
    root = mount(1, 0, "/")
    assert path_on(root, "/a") == "/a"
    assert path_below(root, "/a") == "/a"
    assert path_below(root, "/") == "/"


def test_reachable_leaves_out_what_is_stacked_upon() -> None:
    assert seen(mount(1, 0, "/"), mount(2, 1, "/dev"), mount(3, 2, "/dev")) == [1, 3]


def test_reachable_leaves_out_what_lies_below_a_stacked_one() -> None:
    assert seen(mount(1, 0, "/"), mount(2, 1, "/d"), mount(3, 2, "/d/x"), mount(4, 2, "/d")) == [1, 4]


def test_reachable_leaves_out_what_a_sibling_above_covers() -> None:
    assert seen(mount(1, 0, "/"), mount(2, 1, "/a/b"), mount(3, 2, "/a/b/c"), mount(4, 1, "/a")) == [1, 4]


def test_reachable_keeps_what_is_mounted_on_the_cover() -> None:
    assert seen(mount(1, 0, "/"), mount(4, 1, "/a"), mount(2, 4, "/a/b")) == [1, 4, 2]


def test_reachable_never_hides_a_root() -> None:
    assert seen(mount(1, 0, "/"), mount(2, 1, "/"), mount(3, 2, "/x"), mount(4, 1, "/y")) == [1, 2, 3, 4]


def test_reachable_takes_a_table_in_any_order() -> None:
    assert seen(mount(3, 2, "/d/x"), mount(2, 1, "/d"), mount(1, 0, "/")) == [3, 2, 1]
    assert seen(mount(3, 2, "/d/x"), mount(4, 2, "/d"), mount(2, 1, "/d"), mount(1, 0, "/")) == [4, 1]


def test_reachable_ends_on_a_forged_cycle() -> None:
    assert len(seen(mount(1, 2, "/a/b"), mount(2, 1, "/a/b/c"))) <= 2


def test_reachable_agrees_with_the_kernel() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        table = parse_mountinfo(file.read())
    for one in reachable(table):
        try:
            fd = os.open(one.target, os.O_PATH)
        except OSError:
            continue
        with open(f"/proc/self/fdinfo/{fd}") as info:
            ident = next(int(line.split()[1]) for line in info if line.startswith("mnt_id"))
        os.close(fd)
        assert ident == one.id or one.target == "/", one.line


def test_reachable_of_a_flood_is_linear() -> None:
    stack = [mount(1, 0, "/"), *(mount(n, n - 1, "/s") for n in range(2, 20_002))]
    deep = [mount(1, 0, "/"), *(mount(n, n - 1, f"/{'d/' * 3}{n}") for n in range(2, 20_002))]
    started = time.process_time()
    assert seen(*stack) == [1, 20_001]
    reachable(deep[::-1])
    assert time.process_time() - started < 5


def test_the_hosts_path_goes_by_filesystem_and_path_within_it() -> None:
    host = HostMounts(
        (
            mount(27, 0, "/", device="254:0", fstype="ext4"),
            mount(28, 27, "/run", device="0:24"),
            mount(29, 27, "/srv/again", device="254:0", root="/home/me", fstype="ext4"),
            mount(30, 27, "/data", device="8:1", root="/sub", fstype="ext4"),
        )
    )
    assert host.path(mount(9, 1, "/x", device="0:24")) == "/run"
    assert host.path(mount(9, 1, "/x", device="0:24", root="/docker.sock")) == "/run/docker.sock"
    assert host.path(mount(9, 1, "/x", device="254:0", root="/home/me/a")) == "/home/me/a"
    assert host.path(mount(9, 1, "/x", device="8:1", root="/sub/b")) == "/data/b"
    assert host.path(mount(9, 1, "/x", device="8:1", root="/other")) is None
    assert host.path(mount(9, 1, "/x", device="0:99")) is None
    assert host.inside(mount(9, 1, "/x", device="8:1")) == ("/data",)
    assert host.inside(mount(9, 1, "/x", device="254:0")) == ("/srv/again",)
    assert host.disks == ((254, 0), (8, 1))


def test_a_hosts_mount_that_is_covered_shows_nothing() -> None:
    host = HostMounts((mount(1, 0, "/"), mount(2, 1, "/a", device="0:7"), mount(3, 2, "/a", device="0:8")))
    assert host.path(mount(9, 1, "/x", device="0:7")) is None
    assert host.path(mount(9, 1, "/x", device="0:8")) == "/a"


def test_writable_counts_what_can_be_reached() -> None:
    root = mount(1, 0, "/")
    ours = mount(2, 1, "/sys", fstype="sysfs")
    assert writable((root, ours), "sysfs") == (ours,)
    assert writable((root, ours, mount(3, 2, "/sys", fstype="tmpfs")), "sysfs") == ()
    assert writable((root, mount(2, 1, "/sys", fstype="sysfs", options="ro")), "sysfs") == ()
