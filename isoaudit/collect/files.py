"""Looking for credentials and privileged programs inside a container: names and metadata, never contents.

Only the usual folders are looked into, each to a bounded number of entries. What a folder holds is kept by the
folder's inode, size and times: containers of one image have the same one until they change it, and its change
time nobody can set back.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, TypeVar

from isoaudit.collect.rootfs import HostilePathError
from isoaudit.facts.files import SET_GID, SET_UID, PrivilegedFile, Secret, parse_file_capabilities
from isoaudit.facts.text import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isoaudit.collect.rootfs import RootDirectory

T = TypeVar("T")

# /bin and its like are links into /usr on most images, and then not looked into twice.
_PROGRAMS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin")
# Looked into where those hold nothing: one such program is enough to know.
_HELPERS = ("/usr/local/sbin", "/usr/libexec", "/usr/lib/openssh", "/usr/lib/dbus-1.0", "/usr/lib/polkit-1")
# The largest /usr/bin of a distribution has some 4,000.
_MOST_PROGRAMS = 8192
_MOST_NAMES = 1024
_MOST_HOMES = 64
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_CAPABILITIES = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT})

# In a home directory: kind, and for a folder the names in it that are credentials.
_HOME: dict[str, tuple[str, re.Pattern[str] | None]] = {
    ".aws": ("cloud", re.compile(r"credentials|sso|cli")),
    ".azure": (
        "cloud",
        re.compile(r"accessTokens\.json|msal_token_cache\.\w+|service_principal_entries\.\w+"),
    ),
    ".config": ("cloud", re.compile(r"gcloud|doctl|gh|hcloud")),
    ".docker": ("registry", re.compile(r"config\.json")),
    ".git-credentials": ("git", None),
    ".gnupg": ("openpgp", re.compile(r"private-keys-v1\.d|secring\.gpg")),
    ".kube": ("kubernetes", re.compile(r"config")),
    ".netrc": ("password", None),
    ".npmrc": ("registry", None),
    ".pypirc": ("registry", None),
    ".ssh": ("ssh", re.compile(r"(id_|identity)(?!.*\.pub$).*|.*\.pem|agent.*")),
    ".vault-token": ("vault", None),
}
# What engines and Red Hat's images put beside secrets and is none.
_SECRETS = ("/run/secrets", "/var/run/secrets")
_NO_SECRETS = frozenset({"etc-pki-entitlement", "kubernetes.io", "redhat.repo", "rhsm"})


# What tells one state of a folder from every other: its filesystem ("" for overlays, which have a number each
# over the same layers), inode, size, links, time of modification and of change.
_Key = tuple[str, int, int, int, int, int]
_names: dict[_Key, tuple[str, ...]] = {}
_programs: dict[_Key, tuple[PrivilegedFile, ...]] = {}
_MOST_KEPT = 4096


def read_secrets(root: RootDirectory) -> tuple[Secret, ...]:
    """The credentials in the usual places.

    Raises:
        OSError: none was found, and one of the places refuses to be looked at.
        HostilePathError: none was found, and one of the places cannot be looked at safely.
    """
    found: list[Secret] = []
    first: OSError | HostilePathError | None = None
    for look in (_in_homes, _given):
        try:
            found.extend(look(root))
        except (OSError, HostilePathError) as error:
            first = first or error
    if first is not None and not found:
        raise first
    return tuple(found)


def _in_homes(root: RootDirectory) -> Iterator[Secret]:
    homes = ["/root"]
    homes += [f"/home/{name}" for name in (_listing(root, "/home") or ())[:_MOST_HOMES]]
    for home in homes:
        for name in _listing(root, home) or ():
            kind, inside = _HOME.get(name, ("", None))
            if not kind:
                continue
            if inside is None:
                yield Secret(f"{home}/{name}", kind)
            else:
                yield from _matching(root, f"{home}/{name}", kind, inside)


def _given(root: RootDirectory) -> Iterator[Secret]:
    """What an engine gave it in a folder of secrets, which is always a mount of its own."""
    for folder in _SECRETS:
        if folder in root.at:
            for name in _listing(root, folder) or ():
                if name not in _NO_SECRETS:
                    yield Secret(f"{folder}/{name}", "secret")


def _matching(root: RootDirectory, folder: str, kind: str, names: re.Pattern[str]) -> Iterator[Secret]:
    for name in _listing(root, folder) or ():
        if names.fullmatch(name):
            yield Secret(f"{folder}/{name}", kind)


def _listing(root: RootDirectory, path: str) -> tuple[str, ...] | None:
    """The names in a folder, sorted; None where there is no such folder, or a link in its place.

    Raises:
        OSError: it refuses to be looked at.
        HostilePathError: it cannot be looked at safely, or holds more than a folder of credentials does.
    """
    return _look(root, path, _names, _list)


def _list(fd: int, path: str) -> tuple[str, ...]:
    names: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if len(names) >= _MOST_NAMES:
                raise HostilePathError(f"{path} has more than {_MOST_NAMES} entries")
            names.append(text(os.fsencode(entry.name)))
    return tuple(sorted(names))


def _look(
    root: RootDirectory,
    path: str,
    kept: dict[_Key, tuple[T, ...]],
    examine: Callable[[int, str], tuple[T, ...]],
    but: str = "",
) -> tuple[T, ...] | None:
    """What is found in a folder, or was found in the same one; None where there is none, or a link.

    Args:
        root: the container's root.
        path: of the folder, inside.
        kept: what was found so far.
        examine: looks into it, given a descriptor of it and its path.
        but: a mount option with which there is nothing to find.

    Raises:
        OSError: it refuses to be looked at.
        HostilePathError: it cannot be looked at safely.
    """
    try:
        handle, mount = root.folder(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        if root.may_block(mount):
            raise HostilePathError(f"{path} lies on {mount.fstype}, which may never answer")
        if but and but in mount.options:
            return ()
        info = os.fstat(handle)
        device = "" if mount.fstype == "overlay" else mount.device
        key = (device, info.st_ino, info.st_size, info.st_nlink, info.st_mtime_ns, info.st_ctime_ns)
        known = kept.get(key)
        if known is None:
            fd = root.open_directory(handle, mount)
            try:
                known = examine(fd, path)
            finally:
                os.close(fd)
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[key] = known
        return known
    finally:
        os.close(handle)


def read_privileged(root: RootDirectory) -> tuple[PrivilegedFile, ...]:
    """The programs in the usual folders that raise privileges; what lies on mounts with nosuid is left out.

    Raises:
        OSError: none was found, and one of the folders refuses to be looked at.
        HostilePathError: none was found, and one of the folders cannot be looked at safely.
    """
    found: list[PrivilegedFile] = []
    first: OSError | HostilePathError | None = None
    for folder in (*_PROGRAMS, *_HELPERS):
        if found and folder in _HELPERS:
            break
        try:
            found += _look(root, folder, _programs, _examine, but="nosuid") or ()
        except (OSError, HostilePathError) as error:
            first = first or error
    if first is not None and not found:
        raise first
    return tuple(found)


def _examine(fd: int, folder: str) -> tuple[PrivilegedFile, ...]:
    found = []
    count = 0
    with os.scandir(fd) as entries:
        for entry in entries:
            count += 1
            if count > _MOST_PROGRAMS:
                raise HostilePathError(f"{folder} has more than {_MOST_PROGRAMS} entries")
            if not entry.is_file(follow_symlinks=False):
                continue
            info = entry.stat(follow_symlinks=False)
            path = f"{folder}/{text(os.fsencode(entry.name))}"
            found += [PrivilegedFile(path, gives, ident) for gives, ident in _gives(fd, entry.name, info)]
    return tuple(sorted(found))


def _gives(fd: int, name: str, info: os.stat_result) -> Iterator[tuple[str, int]]:
    if not info.st_mode & 0o111:
        return
    if info.st_mode & stat.S_ISUID:
        yield SET_UID, info.st_uid
    # Without the group's right to execute it, the bit once meant mandatory locks.
    if info.st_mode & stat.S_ISGID and info.st_mode & stat.S_IXGRP:
        yield SET_GID, info.st_gid
    try:
        raw = os.getxattr(f"/proc/self/fd/{fd}/{name}", "security.capability", follow_symlinks=False)
        yield parse_file_capabilities(raw)
    except OSError as error:
        if error.errno not in _NO_CAPABILITIES:
            raise
    except ValueError:
        return  # the kernel does not honour it either
