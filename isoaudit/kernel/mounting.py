"""Mounts: mount(2), pivot_root(2), and mounts that are attached nowhere (fsopen(2), fsmount(2))."""

from __future__ import annotations

import os

from isoaudit.kernel import syscalls

# include/uapi/linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
RESTRICTIONS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
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
        os.fsencode(source),
        os.fsencode(target),
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


def cover_root(options: str) -> None:
    """Mount a new tmpfs over this process's root, and make it the working directory.

    All paths from "/" lead into the old root still, whole: nothing of it is covered.

    Raises:
        OSError: what the kernel answered.
    """
    mount("tmpfs", "/", "tmpfs", MS_NOSUID, options)
    # ".." of the root is the root, and what is mounted on it is followed (follow_dotdot in fs/namei.c).
    os.chdir("/..")


def set_flags(target: str, flags: int, *, keep: bool) -> None:
    """Change what a mount forbids, and nothing of its filesystem.

    Args:
        target: where it is.
        flags: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC.
        keep: whatever it forbids already; in a user namespace the kernel lets nobody take that away.

    Raises:
        OSError: what the kernel answered.
    """
    if keep:
        # ST_RDONLY and so on of statvfs(3) have the values of the MS_ flags.
        flags |= os.statvfs(target).f_flag & RESTRICTIONS
    mount("none", target, None, MS_BIND | MS_REMOUNT | flags)


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
