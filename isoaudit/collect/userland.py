"""What a container's image was made for, read from a few files of its root filesystem."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from isoaudit.facts.userland import ElfNotes, Userland, parse_os_release
from isoaudit.kernel.elf import read_notes

if TYPE_CHECKING:
    from isoaudit.collect.rootfs import RootDirectory

# Where os-release(5) puts it; the first is usually a link to the second.
_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_MOST_OS_RELEASE = 64 << 10
_GLIBC_FOLDERS = (
    "/lib/{machine}-linux-gnu",
    "/usr/lib/{machine}-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/lib",
)
_MUSL = "/lib/ld-musl-{machine}.so.1"
_SYSTEMD_FOLDERS = ("/usr/lib/systemd", "/lib/systemd", "/usr/lib/{machine}-linux-gnu/systemd")
_SYSTEMD = re.compile(r"libsystemd-shared-(\d+[^/]*?)(\.fc\d+|\.el\d+)?\.so")
_GLIBC_VERSION = re.compile(rb"GNU C Library [^\n]{0,80}?release version (\d+\.\d+)")
# musl keeps its version as a string of its own, between two NULs.
_MUSL_VERSION = re.compile(rb"\0(1\.\d+\.\d+)\0")
_MOST_LIBC = 8 << 20

# A link that leads across mounts (ELOOP) leads nowhere that can be read safely: another candidate may.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

# Containers of one image have one libc, down to its inode: what was found in it is kept for the others.
_Key = tuple[int, int, int, int]
_seen: dict[_Key, tuple[str, ElfNotes]] = {}


def read_userland(root: RootDirectory, machine: str) -> Userland:
    """Read what the image says of itself.

    Raises:
        OSError: what there is refuses to be read.
        HostilePathError: what there is cannot be read safely.
    """
    release = parse_os_release(_first(root, _OS_RELEASE, _MOST_OS_RELEASE))
    libc, version, notes = _libc(root, machine)
    return Userland(
        distribution=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        pretty_name=release.get("PRETTY_NAME", ""),
        libc=libc,
        libc_version=version,
        systemd_version=_systemd(root, machine),
        elf=(notes,) if notes else (),
    )


def _first(root: RootDirectory, candidates: tuple[str, ...], limit: int) -> bytes:
    for path in candidates:
        try:
            return root.read(path, limit)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
    return b""


def _libc(root: RootDirectory, machine: str) -> tuple[str, str, ElfNotes | None]:
    for folder in _GLIBC_FOLDERS:
        path = f"{folder.format(machine=machine)}/libc.so.6"
        found = _examine(root, path, _GLIBC_VERSION)
        if found is not None:
            return "glibc", *found
    found = _examine(root, _MUSL.format(machine=machine), _MUSL_VERSION)
    return ("musl", *found) if found is not None else ("", "", None)


def _examine(root: RootDirectory, path: str, version: re.Pattern[bytes]) -> tuple[str, ElfNotes] | None:
    """The version string and the notes of a C library; None where there is none, or it is no ELF file.

    Raises:
        OSError: it is there, but refuses to be read.
        HostilePathError: it is there, but not to be read safely.
    """
    try:
        fd = root.open(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    try:
        info = os.fstat(fd)
        key = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if key not in _seen:
            try:
                notes = read_notes(lambda offset, size: os.pread(fd, size, offset))
            except ValueError:
                return None
            match = version.search(os.pread(fd, _MOST_LIBC, 0))
            text = match[1].decode() if match and match[1] else ""
            _seen[key] = (text, ElfNotes(path, notes.abi_kernel, notes.x86_level))
        return _seen[key]
    finally:
        os.close(fd)


def _systemd(root: RootDirectory, machine: str) -> str:
    """The version of the image's systemd, from the name of its private library; "" where it has none."""
    for folder in _SYSTEMD_FOLDERS:
        try:
            fd = root.locate(folder.format(machine=machine), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _NOT_THERE:
                continue
            raise
        try:
            for name in os.listdir(fd):
                match = _SYSTEMD.fullmatch(name)
                if match:
                    return match[1]
        finally:
            os.close(fd)
    return ""
