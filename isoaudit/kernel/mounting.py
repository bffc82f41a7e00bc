"""Mounts: mount(2), pivot_root(2), and mounts that are attached nowhere (fsopen(2), fsmount(2))."""

from __future__ import annotations

import os

from isoaudit.kernel import syscalls

# include/uapi/linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6


def mount(source: str, target: str, fstype: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount a filesystem, or change a mount (mount(2)).

    Raises:
        OSError: what the kernel answered.
    """
    syscalls.call(
        "mount",
        source.encode(),
        target.encode(),
        fstype.encode() if fstype else None,
        flags,
        data.encode() if data else None,
    )


def make_private() -> None:
    """Cut this mount namespace off from all others, so that no mount made here shows elsewhere.

    Raises:
        OSError: what the kernel answered.
    """
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def pivot_here() -> None:
    """Make the working directory, which must be a mount, the root, and let go of the old one.

    Raises:
        OSError: what the kernel answered; EINVAL where the root is the initial RAM filesystem.
    """
    # With both arguments alike the old root ends up on top of the new one (pivot_root(2), NOTES).
    syscalls.call("pivot_root", b".", b".")
    syscalls.call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def detached_tmpfs(mode: str = "755") -> int:
    """A descriptor of the root of a new tmpfs that is mounted nowhere and ends with its last descriptor.

    Raises:
        OSError: what the kernel answered; ENOSYS before Linux 5.2.
    """
    context = syscalls.call("fsopen", b"tmpfs", 1)  # FSOPEN_CLOEXEC
    try:
        syscalls.call("fsconfig", context, _FSCONFIG_SET_STRING, b"mode", mode.encode(), 0)
        syscalls.call("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscalls.call("fsmount", context, 1, 0)  # FSMOUNT_CLOEXEC
    finally:
        os.close(context)
