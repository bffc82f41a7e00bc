"""Reading inside a container's root filesystem, where everything may be hostile.

Nothing in there is executed, no link is followed out of it, and nothing that could block is opened: paths are
resolved by openat2 with the container's root as `/`, only regular files are read, and only their beginnings.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from isoaudit.facts.devices import BLOCK, CHARACTER, DeviceNode
from isoaudit.facts.mounts import mount_of, within
from isoaudit.facts.text import text
from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.facts.mounts import Mount

_INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
# A link inside could lead onto a FUSE mount, whose mere lookup may never answer: links may be followed on one
# filesystem (NO_XDEV), or mounts be crossed that the mount table shows to be safe, but never both.
_ON_ONE_MOUNT = _INSIDE | syscalls.RESOLVE_NO_XDEV
_WITHOUT_LINKS = _INSIDE | syscalls.RESOLVE_NO_SYMLINKS
# A real /dev of a privileged container has some 200 entries; a flood is cut, and said to be.
_MOST_NODES = 4096
_DEEPEST = 3  # /dev/snd/by-path, /dev/disk/by-id, /dev/bus/usb/001
_NO_NODES = frozenset({"shm", "mqueue", "fd", "pts"})
# Filesystems whose server may never answer: nothing on them is opened or examined.
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "lustre", "virtiofs"})


class HostilePathError(Exception):
    """A path inside is not what it must be to be read safely; the message says in what way."""


def may_block(fstype: str) -> bool:
    """Whether a filesystem answers only if some server or user process does."""
    return fstype in _REMOTE or fstype.startswith("fuse")


class RootDirectory:
    """An open root of a container.

    Args:
        path: /proc/PID/root.
        mounts: the container's mount table, to keep away from filesystems that may never answer.

    Raises:
        OSError: the kernel's answer.
        HostilePathError: the root itself lies on a filesystem that may never answer.
    """

    def __init__(self, path: str, mounts: Sequence[Mount]) -> None:
        self._mounts = mounts
        root = mount_of(mounts, "/")
        if root is not None and may_block(root.fstype):
            raise HostilePathError(f"its root is on {root.fstype}, which may never answer")
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """At most `limit` bytes of a regular file, from `offset` on.

        Raises:
            OSError: the kernel's answer.
            HostilePathError: it is no regular file, or lies where reading may block.
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
            HostilePathError: it is no regular file, or lies where reading may block.
        """
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        # First without opening: a device's open alone may act (a watchdog, a tape), a FIFO's may wait.
        try:
            handle = syscalls.openat2(self.fd, os.fsencode(path), os.O_PATH, _ON_ONE_MOUNT)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            handle = self.locate(path)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise HostilePathError("it is no regular file")
            # The very inode that was examined is opened, through our own descriptor table.
            return os.open(f"/proc/self/fd/{handle}", flags | os.O_CLOEXEC)
        finally:
            os.close(handle)

    def locate(self, path: str, flags: int = os.O_PATH) -> int:
        """A descriptor of a path across mounts, no part of which is a link.

        Raises:
            OSError: the kernel's answer; ELOOP where a part is a link.
            HostilePathError: it lies on, or behind, a filesystem that may never answer.
        """
        for mount in self._mounts:
            if may_block(mount.fstype) and within(path, mount.target):
                raise HostilePathError(f"it lies on {mount.fstype}, which may never answer")
        return syscalls.openat2(self.fd, os.fsencode(path), flags, _WITHOUT_LINKS)


def device_nodes(root: RootDirectory, mounts: Sequence[Mount]) -> tuple[DeviceNode, ...]:
    """The device nodes in a container's /dev, and every mount of a single device elsewhere.

    Raises:
        OSError: /dev cannot be read.
    """
    nodes: list[DeviceNode] = []
    try:
        _walk(root, "/dev", mounts, nodes, depth=0)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
    for mount in mounts:
        if mount.root != "/" and not within(mount.target, "/dev"):
            try:
                handle = root.locate(mount.target)
            except (OSError, HostilePathError):
                continue  # another mount covers it, so that nobody inside can reach it either
            try:
                _note(nodes, mount.target, os.fstat(handle), mounts)
            finally:
                os.close(handle)
    return tuple(nodes)


def _walk(
    root: RootDirectory, path: str, mounts: Sequence[Mount], nodes: list[DeviceNode], *, depth: int
) -> None:
    mount = mount_of(mounts, path)
    if mount is not None and mount.fstype in ("devpts", "mqueue"):
        return
    fd = root.locate(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
    try:
        for name in os.listdir(fd)[:_MOST_NODES]:
            below = f"{path}/{name}"
            if name in _NO_NODES or any(m.target == below and may_block(m.fstype) for m in mounts):
                continue
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode) and depth < _DEEPEST:
                    _walk(root, below, mounts, nodes, depth=depth + 1)
                else:
                    _note(nodes, below, info, mounts)
            except (OSError, HostilePathError):
                continue  # gone in the meantime, or changed under our eyes: the kernel let nobody through
            if len(nodes) >= _MOST_NODES:
                return
    finally:
        os.close(fd)


def _note(nodes: list[DeviceNode], path: str, info: os.stat_result, mounts: Sequence[Mount]) -> None:
    if not (stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode)):
        return
    mount = mount_of(mounts, path)
    nodes.append(
        DeviceNode(
            text(os.fsencode(path)),
            BLOCK if stat.S_ISBLK(info.st_mode) else CHARACTER,
            os.major(info.st_rdev),
            os.minor(info.st_rdev),
            stat.S_IMODE(info.st_mode),
            info.st_uid,
            info.st_gid,
            mount is not None and "nodev" in mount.options,
        )
    )
