"""Reading inside a container's root filesystem, where everything may be hostile.

Nothing in there is executed, no link is followed out of it, and nothing that could block or act is opened. A
container may mount what it likes at any moment, so its mount table is not believed but checked at each step:
openat2 goes no further than one mount at a time, and the id of the mount it then stands on says which one it
is. Standing on the root of a FUSE mount asks nobody; only looking further would.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_file
from isoaudit.facts.devices import BLOCK, CHARACTER, DeviceNode
from isoaudit.facts.mounts import parse_mountinfo, path_on, reachable
from isoaudit.facts.text import text
from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoaudit.facts.mounts import Mount

_INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
# Links may be followed on one mount, or mounts be crossed where the table shows them, but never both.
_ON_ONE_MOUNT = _INSIDE | syscalls.RESOLVE_NO_XDEV
_STRAIGHT = _ON_ONE_MOUNT | syscalls.RESOLVE_NO_SYMLINKS
_CROSSING = _INSIDE | syscalls.RESOLVE_NO_SYMLINKS
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
# A real /dev has some 200 entries, thousands with as many disks. Whoever makes more wants us to stay.
_MOST_ENTRIES = 65536
_MOST_NODES = 8192
_MOST_MOUNTS = 4096
_DEEPEST = 8  # /dev/snd/by-path, /dev/disk/by-id, /dev/bus/usb/001
# What only answers if some server or user process does. FUSE and autofs anybody inside may have set up.
_REMOTE = frozenset(
    {
        "9p",
        "afs",
        "autofs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)
# Filesystems without a block device (their major number is 0) whose regular files are plain content. On the
# kernel's own (proc, sysfs, tracefs, …) a read may act or wait, and a container can bind such a file anywhere.
_CONTENT = frozenset({"aufs", "bcachefs", "btrfs", "overlay", "ramfs", "rootfs", "tmpfs", "ubifs", "zfs"})
# Filesystems on which nobody can have a device node but the one that the kernel put there.
_WITHOUT_NODES = frozenset({"cgroup", "cgroup2", "devpts", "mqueue", "nsfs", "proc", "sysfs"})


class HostilePathError(Exception):
    """A path inside is not what it must be to be read safely; the message says in what way."""


def may_block(mount: Mount) -> bool:
    """Whether a filesystem answers only if some server or user process does."""
    return mount.fstype in _REMOTE or mount.fstype.startswith("fuse")


class RootDirectory:
    """An open root of a container.

    Args:
        path: /proc/PID/root.
        mounts: the container's mount table.

    Raises:
        OSError: the kernel's answer.
        HostilePathError: the root itself lies on a filesystem that may never answer.
    """

    def __init__(self, path: str, mounts: Sequence[Mount]) -> None:
        self._by_id = {mount.id: mount for mount in mounts}
        self.mounts = reachable(mounts)
        self.at = {mount.target: mount for mount in self.mounts if mount.target != "/"}
        self._trusted = _host_devices() if any(map(_may_hide_another, self.mounts)) else frozenset()
        # Several can be mounted on "/"; the process stands on one of them.
        for mount in mounts:
            if mount.target == "/" and may_block(mount):
                raise HostilePathError(f"its root is on {mount.fstype}, which may never answer")
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._mount = self._root_mount()
        except BaseException:
            os.close(self.fd)
            raise

    def _root_mount(self) -> Mount:
        """The mount that the root lies on. In a chroot its own table may not show it, but ours does."""
        ident = _mount_id(self.fd)
        found = self._by_id.get(ident) or next((ours for ours in _our_mounts() if ours.id == ident), None)
        if found is not None and not self.may_block(found):
            return found
        raise HostilePathError("its root is on a mount that its mount table does not show")

    def may_block(self, mount: Mount) -> bool:
        """Whether looking around on a mount may never end.

        An overlay that a container made itself may have a FUSE mount below it, which no table needs to show
        any more. Its root's is an engine's, and so are those that the host has mounted too.
        """
        return may_block(mount) or (_may_hide_another(mount) and mount.device not in self._trusted)

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """At most `limit` bytes of a regular file, from `offset` on.

        Raises:
            OSError: the kernel's answer.
            HostilePathError: it is no regular file, or lies where reading may block or act.
        """
        fd = self.open(path)
        try:
            return os.pread(fd, limit, offset)
        finally:
            os.close(fd)

    def open(self, path: str) -> int:
        """A descriptor of a regular file, for reading.

        Raises:
            OSError: the kernel's answer.
            HostilePathError: it is no regular file, or lies where reading may block or act.
        """
        # First without opening: a device's open alone may act (a watchdog, a tape), a FIFO's may wait.
        try:
            handle, mount = syscalls.openat2(self.fd, os.fsencode(path), os.O_PATH, _ON_ONE_MOUNT), self._mount
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            handle, mount = self.reach(path)
        try:
            if not self._holds_content(mount):
                raise HostilePathError(f"it lies on {mount.fstype}, where a read may act or wait")
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise HostilePathError("it is no regular file")
            # The very inode that was examined is opened, through our own descriptor table.
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        finally:
            os.close(handle)

    def locate(self, path: str, flags: int = os.O_PATH) -> int:
        """A descriptor of a path across mounts, no part of which is a link.

        Args:
            path: from the container's root.
            flags: of open(2); anything but O_PATH is for directories.

        Raises:
            OSError: the kernel's answer; ELOOP where a part is a link.
            HostilePathError: it lies on, or behind, a filesystem that may never answer, or on a mount that
                was made while we looked.
        """
        handle, mount = self.reach(path)
        if flags == os.O_PATH:
            return handle
        try:
            return self.open_directory(handle, mount, flags)
        finally:
            os.close(handle)

    def reach(self, path: str, flags: int = 0) -> tuple[int, Mount]:
        """An O_PATH descriptor of a path, and the mount that it lies on, which may be one that never answers.

        Args:
            path: from the container's root, none of whose parts is a link.
            flags: for the last part, such as O_DIRECTORY.

        Raises:
            OSError: the kernel's answer.
            HostilePathError: it lies behind a filesystem that may never answer, or on a mount that was made
                while we looked.
        """
        handle, mount, here = os.dup(self.fd), self._mount, ""
        try:
            for target in self._mount_points(path):
                parent, _, name = target.rpartition("/")
                if parent != here:
                    handle = self._step(handle, mount, parent[len(here) + 1 :])
                handle = self._step(handle, mount, name, flags if target == path else 0, _CROSSING)
                ident = _mount_id(handle)
                if ident not in self._by_id:
                    raise HostilePathError(f"what is mounted at {target} was changed while it was read")  # noqa: TRY301  closes the descriptor as for all errors
                mount, here = self._by_id[ident], target
            if path != here:
                handle = self._step(handle, mount, path[len(here) + 1 :], flags)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError) and error.errno == errno.EXDEV:
                raise HostilePathError(
                    f"something was mounted on the way to {path} while it was read"
                ) from error
            raise
        return handle, mount

    def folder(self, path: str) -> tuple[int, Mount]:
        """As `reach` of a folder; half as dear for the common one that lies on the root's own mount.

        Raises:
            OSError: as `reach`; ENOTDIR or ELOOP where it is no folder.
            HostilePathError: as `reach`.
        """
        try:
            return syscalls.openat2(self.fd, os.fsencode(path), _FOLDER, _STRAIGHT), self._mount
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        return self.reach(path, os.O_DIRECTORY)

    def _mount_points(self, path: str) -> Iterator[str]:
        """The mount points on the way to a path, itself among them, from the root on."""
        end = 0
        while end != -1:
            end = path.find("/", end + 1)
            prefix = path if end == -1 else path[:end]
            if prefix in self.at:
                yield prefix

    def _step(self, handle: int, mount: Mount, path: str, flags: int = 0, resolve: int = _STRAIGHT) -> int:
        """Go on from a directory; its descriptor is closed if that worked, and only then."""
        if self.may_block(mount):
            raise HostilePathError(f"it lies behind {mount.fstype}, which may never answer")
        reached = syscalls.openat2(handle, os.fsencode(path), os.O_PATH | os.O_NOFOLLOW | flags, resolve)
        os.close(handle)
        return reached

    def open_directory(self, handle: int, mount: Mount, flags: int = os.O_RDONLY) -> int:
        """Open the directory that an O_PATH descriptor stands on.

        Raises:
            OSError: the kernel's answer.
            HostilePathError: it lies on a filesystem that may never answer.
        """
        if self.may_block(mount):
            raise HostilePathError(f"it lies on {mount.fstype}, which may never answer")
        return syscalls.openat2(handle, b".", flags | os.O_DIRECTORY | os.O_NONBLOCK, _STRAIGHT)

    def _holds_content(self, mount: Mount) -> bool:
        plain = mount.fstype in _CONTENT or not mount.device.startswith("0:")
        return plain and not self.may_block(mount)


def _may_hide_another(mount: Mount) -> bool:
    return mount.fstype == "overlay" and mount.target != "/"


def _our_mounts() -> tuple[Mount, ...]:
    return parse_mountinfo(read_file("/proc/self/mountinfo"))


def _host_devices() -> frozenset[str]:
    return frozenset(mount.device for mount in _our_mounts())


def _mount_id(fd: int) -> int:
    """The mount that a descriptor stands on. No filesystem is asked: the kernel keeps it beside the inode."""
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        raw = os.read(info, 4096)
    finally:
        os.close(info)
    found = raw.find(b"mnt_id:")
    if found < 0:
        raise OSError(errno.ENOSYS, "fdinfo has no mnt_id, which needs Linux 3.15 or newer")
    return int(raw[found + 7 :].split(None, 1)[0])


def device_nodes(root: RootDirectory) -> tuple[DeviceNode, ...]:
    """The device nodes in a container's /dev and in any devtmpfs, and every mount of a single device elsewhere.

    What lies on a mount with nodev is left out: nobody can open a device there.

    Raises:
        OSError: /dev, or something in it, cannot be examined.
        HostilePathError: it cannot be examined safely, or there is more of it than any machine has.
    """
    return _Search(root).nodes()


def _may_hold_nodes(mount: Mount) -> bool:
    return "nodev" not in mount.options and mount.fstype not in _WITHOUT_NODES


def _holds_many(mount: Mount) -> bool:
    """Whether a whole directory may be full of nodes, rather than be one; /dev itself comes first of all."""
    return mount.target.startswith("/dev/") or (mount.fstype == "devtmpfs" and mount.target != "/dev")


class _Search:
    """One search for device nodes, with its budget."""

    def __init__(self, root: RootDirectory) -> None:
        self._root = root
        self._found: list[DeviceNode] = []
        # By filesystem and path within it: masks are binds of nodes that /dev has shown already.
        self._seen: dict[tuple[str, str], os.stat_result] = {}
        self._entries = 0

    def nodes(self) -> tuple[DeviceNode, ...]:
        """All that there are."""
        inside, elsewhere = [], []
        for mount in self._root.mounts:
            if _may_hold_nodes(mount):
                if _holds_many(mount):
                    inside.append(mount)
                elif mount.root != "/" and mount.target not in ("/", "/dev"):
                    elsewhere.append(mount)
        if len(inside) + len(elsewhere) > _MOST_MOUNTS:
            raise HostilePathError(f"more than {_MOST_MOUNTS} mounts may hold device nodes")
        self._dev()
        for mount in (*inside, *elsewhere):
            self._mounted(mount)
        return tuple(self._found)

    def _dev(self) -> None:
        try:
            handle, mount = self._root.reach("/dev")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        try:
            if _may_hold_nodes(mount) and (
                self._root.may_block(mount) or stat.S_ISDIR(os.fstat(handle).st_mode)
            ):
                self._walk(handle, "/dev", mount, depth=0)
        finally:
            os.close(handle)

    def _mounted(self, mount: Mount) -> None:
        """Whatever is mounted at one spot: a node, or a directory with nodes."""
        target = mount.target
        seen = self._seen.get((mount.device, mount.root))
        if seen is not None:
            self._note(target, seen)
            return
        # Of what may never answer one can still ask if it is a directory, and outside of /dev need no more.
        remote = self._root.may_block(mount)
        try:
            handle, mount = self._root.reach(target, os.O_DIRECTORY if remote else 0)
        except OSError as error:
            if error.errno == errno.ENOTDIR and remote:
                raise HostilePathError(
                    f"the file at {target} lies on {mount.fstype}, which may never say if it is a device"
                ) from error
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise HostilePathError(f"what is mounted at {target} cannot be reached by this name") from error
            raise
        try:
            inside = _holds_many(mount)
            if self._root.may_block(mount) and not inside:
                return
            # Walking says for itself that it does not go where nobody may answer.
            if self._root.may_block(mount) or stat.S_ISDIR(os.fstat(handle).st_mode):
                if inside:
                    depth = target.count("/") - 1 if target.startswith("/dev/") else 0
                    self._walk(handle, target, mount, depth=depth)
            else:
                self._note(target, os.fstat(handle))
        finally:
            os.close(handle)

    def _walk(self, handle: int, path: str, mount: Mount, *, depth: int) -> None:
        if depth > _DEEPEST:
            raise HostilePathError(f"{path} is deeper than any device node lies")
        fd = self._root.open_directory(handle, mount)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > _MOST_ENTRIES:
                        raise HostilePathError(f"/dev has more than {_MOST_ENTRIES} entries")
                    # Mount points come by themselves; the directory says what is a link or a file.
                    below = f"{path}/{entry.name}"
                    if below in self._root.at or entry.is_symlink() or entry.is_file(follow_symlinks=False):
                        continue
                    self._entry(fd, entry.name, below, mount, depth=depth)
        finally:
            os.close(fd)

    def _entry(self, folder: int, name: str, path: str, mount: Mount, *, depth: int) -> None:
        try:
            handle = syscalls.openat2(folder, os.fsencode(name), os.O_PATH | os.O_NOFOLLOW, _STRAIGHT)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return  # it has been removed since
            if error.errno == errno.EXDEV:
                raise HostilePathError(f"something was mounted at {path} while it was read") from error
            raise
        try:
            info = os.fstat(handle)
            if stat.S_ISDIR(info.st_mode):
                self._walk(handle, path, mount, depth=depth + 1)
            else:
                self._note(path, info)
                if mount.target != "/":  # a chroot's root is not its mount's
                    self._seen[mount.device, path_on(mount, path)] = info
        finally:
            os.close(handle)

    def _note(self, path: str, info: os.stat_result) -> None:
        if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
            if len(self._found) >= _MOST_NODES:
                raise HostilePathError(f"it has more than {_MOST_NODES} device nodes")
            self._found.append(
                DeviceNode(
                    text(os.fsencode(path)),
                    BLOCK if stat.S_ISBLK(info.st_mode) else CHARACTER,
                    os.major(info.st_rdev),
                    os.minor(info.st_rdev),
                    stat.S_IMODE(info.st_mode),
                    info.st_uid,
                    info.st_gid,
                    nodev=False,
                )
            )
