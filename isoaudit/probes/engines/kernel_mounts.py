"""Making a twin's mounts of the kernel's filesystems, in its own mount namespace, before its root changes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from isoaudit.kernel import mounting
from isoaudit.probes.kernel_mounts import CGROUP, COVER, FRESH, HOLDER, HOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.probes.kernel_mounts import KernelMount

_EMPTY = "size=64k,nr_inodes=64,mode=755"


def make(mounts: Iterable[KernelMount], cgroups: Mapping[str, str], *, keep: bool) -> dict[str, str]:
    """Make mounts below the working directory.

    Args:
        mounts: parents first.
        cgroups: directories of the twin's own cgroups, by controller.
        keep: the flags of what is bound stay: this is a user namespace.

    Returns:
        The places where that was refused, and why.
    """
    refused: dict[str, str] = {}
    made = []
    for mount in mounts:
        try:
            if _make(mount, cgroups):
                made.append(mount)
        except OSError as error:
            refused[f"/{mount.target}"] = f"{error.strerror}"
    # Only now: nothing could be put into a folder that is read-only already.
    for mount in made:
        try:
            mounting.set_flags(mount.target, mount.flags, keep=keep)
        except OSError as error:
            refused[f"/{mount.target}"] = f"{error.strerror}"
    return refused


def _make(mount: KernelMount, cgroups: Mapping[str, str]) -> bool:
    """Make one mount; whether its flags are still to be set."""
    fixed = mounting.MS_RDONLY if mount.fixed else 0
    flags = mount.flags & ~mounting.MS_RDONLY | fixed
    if mount.kind in (FRESH, HOLDER):
        os.makedirs(mount.target, exist_ok=True)
        fstype = mount.source or "tmpfs"
        data = mount.data or (_EMPTY if mount.kind == HOLDER else None)
        if mount.kind == HOLDER:
            flags &= ~mounting.MS_RDONLY
        mounting.mount(fstype, mount.target, fstype, flags, data)
        return flags != mount.flags
    if mount.kind == COVER:
        if stat.S_ISDIR(os.lstat(mount.target).st_mode):
            mounting.mount("tmpfs", mount.target, "tmpfs", mount.flags | fixed, _EMPTY)
            return False
        source = "/dev/null"
    elif mount.kind == CGROUP:
        if mount.source not in cgroups:
            raise OSError(errno.ENODEV, "it has no cgroup of its own there")
        source = cgroups[mount.source]
    elif mount.kind == HOST:
        source = mount.source
    else:
        source = mount.source or "."
    _place(mount.target, source)
    mounting.mount(source, mount.target, None, mounting.MS_BIND)
    return True


def _place(target: str, source: str) -> None:
    """Something to mount on; on a filesystem of the kernel's it is there already."""
    if os.path.lexists(target):
        return
    folder = target if os.path.isdir(source) else os.path.dirname(target)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with contextlib.suppress(IsADirectoryError):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
