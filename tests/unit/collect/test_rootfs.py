from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isoaudit.collect import rootfs
from isoaudit.collect.rootfs import HostilePathError, RootDirectory, device_nodes
from isoaudit.facts.mounts import Mount, parse_mountinfo

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts and device nodes")


def mount_id(path: str | Path) -> int:
    fd = os.open(path, os.O_PATH)
    try:
        return rootfs._mount_id(fd)
    finally:
        os.close(fd)


def table(path: Path, fstype: str = "tmpfs", *extra: bytes) -> tuple[Mount, ...]:
    """A mount table in which a directory is a root filesystem."""
    device = os.stat(path).st_dev
    line = f"{mount_id(path)} 1 {os.major(device)}:{os.minor(device)} / / rw - {fstype} x rw\n".encode()
    return parse_mountinfo(line + b"".join(one + b"\n" for one in extra))


@contextmanager
def opened(path: str | Path, mounts: tuple[Mount, ...]) -> Iterator[RootDirectory]:
    before = sorted(os.listdir("/proc/self/fd"))
    root = RootDirectory(str(path), mounts)
    try:
        yield root
    finally:
        root.close()
        assert sorted(os.listdir("/proc/self/fd")) == before, "a descriptor leaked"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "dev").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=inside\n")
    (tmp_path / "etc/other").write_text("ID=other\n")
    return tmp_path


def test_reads_the_beginning_of_a_regular_file(tree: Path) -> None:
    with opened(tree, table(tree)) as root:
        assert root.read("/etc/os-release", 3) == b"ID="
        assert root.read("/etc/os-release", 100, 3) == b"inside\n"


def test_an_absolute_link_stays_inside(tree: Path) -> None:
    (tree / "etc/link").symlink_to("/etc/os-release")
    (tree / "etc/out").symlink_to("../../../../../../../../etc/passwd")
    (tree / "etc/proc").symlink_to("/proc/self/root/etc/passwd")
    with opened(tree, table(tree)) as root:
        assert root.read("/etc/link", 100) == b"ID=inside\n"
        for name in ("out", "proc"):
            with pytest.raises(FileNotFoundError):
                root.read(f"/etc/{name}", 100)


def test_a_link_to_itself_ends(tree: Path) -> None:
    (tree / "etc/loop").symlink_to("loop")
    with opened(tree, table(tree)) as root, pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        root.read("/etc/loop", 1)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("make", [_fifo, _socket, _folder])
def test_only_regular_files_are_read(
    tree: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree / "etc")
    make(Path("odd"))
    with opened(tree, table(tree)) as root, pytest.raises(HostilePathError, match="no regular file"):
        root.read("/etc/odd", 10)


def test_a_huge_sparse_file_costs_nothing(tree: Path) -> None:
    with open(tree / "etc/huge", "wb") as file:
        file.truncate(1 << 40)
    with opened(tree, table(tree)) as root:
        assert root.read("/etc/huge", 64) == bytes(64)


@pytest.mark.parametrize("fstype", ["fuse", "fuse.sshfs", "nfs4", "cifs", "9p"])
def test_a_root_that_may_never_answer_is_refused(tree: Path, fstype: str) -> None:
    with pytest.raises(HostilePathError, match="may never answer"):
        RootDirectory(str(tree), table(tree, fstype))


@pytest.mark.parametrize("fstype", ["proc", "sysfs", "tracefs"])
def test_nothing_is_read_where_a_read_may_act(tree: Path, fstype: str) -> None:
    mounts = tuple(one._replace(device="0:5") for one in table(tree, fstype))
    with opened(tree, mounts) as root, pytest.raises(HostilePathError, match="may act"):
        root.read("/etc/os-release", 10)


def test_a_root_that_its_table_does_not_show_is_looked_up_in_ours(tree: Path) -> None:
    with opened(tree, ()) as root:
        assert root.read("/etc/os-release", 3) == b"ID="


def test_a_root_that_no_table_shows_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_mount_id", lambda _: -7)
    with pytest.raises(HostilePathError, match="does not show"):
        RootDirectory(str(tree), ())


def test_an_overlay_of_the_containers_own_may_hide_a_fuse_mount(tree: Path) -> None:
    here = mount_id(tree)
    overlay = f"{here + 1000} {here} 0:999999 / /d rw - overlay x rw"
    with opened(tree, table(tree, "overlay", overlay.encode())) as root:
        ours, inner = root.mounts
        assert not root.may_block(ours)
        assert root.may_block(inner)
        assert not root.may_block(inner._replace(device=ours.device)), "the host has it mounted too"


def test_without_dev_there_are_no_nodes(tree: Path) -> None:
    (tree / "dev").rmdir()
    with opened(tree, table(tree)) as root:
        assert device_nodes(root) == ()


def test_a_dev_that_is_a_link_is_refused(tree: Path) -> None:
    (tree / "dev").rmdir()
    (tree / "dev").symlink_to("etc")
    with opened(tree, table(tree)) as root:
        # The link itself is reached, is no directory, and is not followed.
        assert device_nodes(root) == ()


@needs_root
def test_nodes_are_found_and_never_opened(tree: Path) -> None:
    os.mknod(tree / "dev/disk", stat.S_IFBLK | 0o640, os.makedev(7, 250))
    (tree / "dev/net").mkdir()
    os.mknod(tree / "dev/net/tun", stat.S_IFCHR | 0o600, os.makedev(10, 200))
    os.mknod(tree / "dev/watchdog", stat.S_IFCHR | 0o600, os.makedev(10, 130))
    os.mkfifo(tree / "dev/fifo")
    (tree / "dev/fd").symlink_to("/proc/self/fd")
    (tree / "dev/file").write_text("")
    with opened(tree, table(tree)) as root:
        found = {node.path: (node.number, node.mode) for node in device_nodes(root)}
    assert found == {
        "/dev/disk": ("b 7:250", 0o640),
        "/dev/net/tun": ("c 10:200", 0o600),
        "/dev/watchdog": ("c 10:130", 0o600),
    }


@needs_root
def test_a_node_is_not_read(tree: Path) -> None:
    os.mknod(tree / "etc/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with opened(tree, table(tree)) as root, pytest.raises(HostilePathError, match="no regular file"):
        root.read("/etc/zero", 10)


@needs_root
def test_a_name_that_is_no_text_is_shown(tree: Path) -> None:
    os.mknod(os.fsencode(tree / "dev") + b"/\xff\n", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with opened(tree, table(tree)) as root:
        assert [node.path for node in device_nodes(root)] == ["/dev/\\xff\n"]


def test_a_flood_of_entries_is_said_to_be_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_MOST_ENTRIES", 50)
    for number in range(60):
        (tree / f"dev/{number}").write_text("")
    with opened(tree, table(tree)) as root, pytest.raises(HostilePathError, match="more than 50 entries"):
        device_nodes(root)


def test_a_flood_of_entries_costs_little(tree: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tree / f"dev/{number}", os.O_CREAT))
    with opened(tree, table(tree)) as root:
        started = time.process_time()
        assert device_nodes(root) == ()
        assert time.process_time() - started < 2


def test_endless_depth_is_said_to_be_one(tree: Path) -> None:
    (tree / "dev" / "/".join("d" * 20)).mkdir(parents=True)
    with opened(tree, table(tree)) as root, pytest.raises(HostilePathError, match="deeper"):
        device_nodes(root)


def test_a_flood_of_mounts_is_said_to_be_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_MOST_MOUNTS", 5)
    here = mount_id(tree)
    extra = [f"{here + 1000 + n} {here} 0:99 /f{n} /m{n} rw - tmpfs x rw".encode() for n in range(6)]
    with opened(tree, table(tree, "tmpfs", *extra)) as root, pytest.raises(HostilePathError, match="5 mounts"):
        device_nodes(root)


# Real containers: a process in a mount namespace of its own, whose root is a directory that the test has made.
_INSIDE = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(source, target, fstype, flags=0, data=None):
    data = None if data is None else data.encode()
    arguments = (os.fsencode(source), os.fsencode(target), fstype.encode(), flags, data)
    if libc.mount(*arguments):
        raise OSError(ctypes.get_errno(), target)
BIND, REMOUNT, NODEV = 4096, 32, 4
def hang(target, fd):
    mount("hang", target, "fuse", 0, f"fd={fd},rootmode=40000,user_id=0,group_id=0")
os.chdir(sys.argv[1])
mount("none", "/", "none", 0x4000 | 0x40000)
mount(".", ".", "none", BIND)
os.chdir(sys.argv[1])
"""
_ENTER = """
os.chroot(".")
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Inside:
    """A running container."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.root = f"/proc/{process.pid}/root"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        with open(f"/proc/{self._process.pid}/mountinfo", "rb") as file:
            return parse_mountinfo(file.read())

    def do(self, line: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def container(tree: Path, setup: str) -> Iterator[Inside]:
    code = _INSIDE + setup + _ENTER
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-I", "-c", code, str(tree)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            pytest.skip("this root may not make mounts here")
        yield Inside(process)
    finally:
        process.kill()
        process.communicate()


@needs_root
def test_live_single_devices_are_found_wherever_they_are_mounted(tree: Path) -> None:
    for name in ("plain", "hidden", "cover", "file"):
        (tree / f"etc/{name}").write_text("")
    (tree / "srv/x").mkdir(parents=True)
    (tree / "srv/x/covered").write_text("")
    setup = """
mount("tmpfs", "dev", "tmpfs")
os.mknod("dev/null", 0o20666, os.makedev(1, 3))
mount("/dev/zero", "etc/plain", "none", BIND)
mount("dev/null", "etc/cover", "none", BIND)
mount("/dev/full", "etc/hidden", "none", BIND)
mount("none", "etc/hidden", "none", BIND | REMOUNT | NODEV)
mount("/dev/kmsg", "srv/x/covered", "none", BIND)
mount("tmpfs", "srv/x", "tmpfs")
mount("etc/os-release", "etc/file", "none", BIND)
open("dev/late", "w").close()
mount("/dev/random", "dev/late", "none", BIND)
os.mkdir("dev/folder")
mount("tmpfs", "dev/folder", "tmpfs")
os.mknod("dev/folder/tun", 0o20600, os.makedev(10, 200))
"""
    with container(tree, setup) as inside, opened(inside.root, inside.mounts) as root:
        found = {node.path: node.number for node in device_nodes(root)}
        assert root.read("/etc/file", 10) == b"ID=inside\n"
        assert root.read("/etc/os-release", 10) == b"ID=inside\n"
        with pytest.raises(HostilePathError):
            root.read("/etc/plain", 1)
    assert found == {
        "/dev/null": "c 1:3",
        "/dev/late": "c 1:8",
        "/dev/folder/tun": "c 10:200",
        "/etc/plain": "c 1:5",
        "/etc/cover": "c 1:3",
    }


@needs_root
def test_live_the_hosts_own_dev_is_searched_wherever_it_is_mounted(tree: Path) -> None:
    for path in ("srv/of/the/host/here/dev", "srv/part", "srv/nodev"):
        (tree / path).mkdir(parents=True)
    setup = """
mount("devtmpfs", "srv/of/the/host/here/dev", "devtmpfs")
if not os.path.isdir("srv/of/the/host/here/dev/net"): sys.exit()
mount("srv/of/the/host/here/dev/net", "srv/part", "none", BIND)
mount("srv/of/the/host/here/dev", "srv/nodev", "none", BIND)
mount("none", "srv/nodev", "none", BIND | REMOUNT | NODEV)
"""
    with container(tree, setup) as inside, opened(inside.root, inside.mounts) as root:
        found = {node.path: node.number for node in device_nodes(root)}
    assert found["/srv/of/the/host/here/dev/null"] == "c 1:3"
    assert found["/srv/part/tun"] == "c 10:200"
    assert not any(path.startswith("/srv/nodev") for path in found)


@needs_root
def test_live_a_file_of_the_kernels_is_not_read_wherever_it_is_bound(tree: Path) -> None:
    setup = 'mount("/proc/version", "etc/os-release", "none", BIND)\n'
    with (
        container(tree, setup) as inside,
        opened(inside.root, inside.mounts) as root,
        pytest.raises(HostilePathError, match="may act"),
    ):
        root.read("/etc/os-release", 10)


needs_fuse = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
_FUSE = """
os.makedirs("dev/d")
first, second = (os.open("/dev/fuse", os.O_RDWR) for _ in range(2))
"""


@needs_root
@needs_fuse
@pytest.mark.timeout(30)
def test_live_a_fuse_mount_that_never_answers_hangs_nothing(tree: Path) -> None:
    (tree / "data").mkdir()
    with container(tree, f'{_FUSE}hang("data", first)\n') as inside:
        with opened(inside.root, inside.mounts) as root:
            assert device_nodes(root) == ()
            assert root.read("/etc/os-release", 3) == b"ID="
            with pytest.raises(HostilePathError):
                root.read("/data/file", 1)
            with pytest.raises(HostilePathError):
                root.locate("/data", os.O_RDONLY | os.O_DIRECTORY)
        inside.do('hang("/dev/d", second)')
        with opened(inside.root, inside.mounts) as root, pytest.raises(HostilePathError, match="never answer"):
            device_nodes(root)


def _read(root: RootDirectory) -> object:
    return root.read("/etc/os-release", 10)


@needs_root
@needs_fuse
@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("spot", "look"),
    [("/dev/d", device_nodes), ("/dev", device_nodes), ("/etc", _read), ("/etc/os-release", _read)],
)
def test_live_a_mount_made_while_we_look_is_noticed(
    tree: Path, spot: str, look: Callable[[RootDirectory], object]
) -> None:
    with (
        container(tree, f'mount("tmpfs", "dev", "tmpfs")\n{_FUSE}') as inside,
        opened(inside.root, inside.mounts) as root,
    ):
        if spot == "/etc/os-release":
            inside.do(f'mount("/etc/other", "{spot}", "none", BIND)')
        else:
            inside.do(f'hang("{spot}", first)')
        with pytest.raises(HostilePathError, match="while it was read"):
            look(root)


@needs_root
def test_live_a_device_at_a_name_that_is_no_text_is_not_passed_over(tree: Path) -> None:
    (tree / "srv").mkdir()
    setup = """
open(b"srv/\\xff", "w").close()
mount("/dev/zero", b"srv/\\xff", "none", BIND)
"""
    with (
        container(tree, setup) as inside,
        opened(inside.root, inside.mounts) as root,
        pytest.raises(HostilePathError, match="cannot be reached"),
    ):
        device_nodes(root)
