r"""Mounts of a mount namespace (/proc/PID/mountinfo; proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of mountinfo. `root` is the path within the filesystem that is mounted at `target`."""

    id: int
    parent: int
    device: str  # "major:minor" of st_dev: with `root`, what is mounted, whatever it is called here
    root: str
    target: str
    options: tuple[str, ...]  # of this mount
    propagation: tuple[str, ...]  # "shared:7", "master:3", "propagate_from:2", "unbindable"
    fstype: str
    source: str
    super_options: tuple[str, ...]  # of the filesystem; a read-only one cannot be undone by another mount

    @property
    def read_only(self) -> bool:
        """Whether writes through this mount fail with EROFS."""
        return "ro" in self.options or "ro" in self.super_options


def _unescape(raw: bytes) -> bytes:
    # The kernel writes blank, tab, newline and backslash as three octal digits (seq_path, mangle).
    if b"\\" not in raw:
        return raw
    return _ESCAPE.sub(lambda match: bytes([int(match.group(1), 8) & 255]), raw)


def _options(raw: bytes) -> tuple[str, ...]:
    return tuple(text(raw).split(","))


def parse_mountinfo(raw: bytes) -> tuple[Mount, ...]:
    """Parse the whole file, in the kernel's order: a later mount on one target covers the earlier ones.

    Raises:
        ValueError: a line lacks a field.
    """
    # Option lists repeat over and over in one table; splitting each but once is a fifth of the whole cost.
    seen: dict[bytes, tuple[str, ...]] = {}
    mounts = []
    for entry in raw.split(b"\n"):
        if not entry:
            continue
        # Optional fields end at " - "; paths cannot hold a blank, so the first one is the separator.
        head, separator, tail = entry.partition(b" - ")
        if not separator:
            raise ValueError(f"no separator in {entry[:200]!r}")
        fields = head.split(b" ")
        kinds = tail.split(b" ")
        ident, parent, device, root, target, options = fields[:6]
        for field in (options, kinds[-1]):
            if field not in seen:
                seen[field] = _options(field)
        mounts.append(
            Mount(
                int(ident),
                int(parent),
                device.decode("ascii"),
                text(_unescape(root)),
                text(_unescape(target)),
                seen[options],
                tuple(text(field) for field in fields[6:]) if len(fields) > 6 else (),
                text(kinds[0]),
                text(_unescape(kinds[1])) if len(kinds) > 2 else "",
                seen[kinds[-1]],
            )
        )
    return tuple(mounts)


def within(path: str, parent: str) -> bool:
    """Whether a path is a parent or lies below it."""
    return parent in ("/", path) or path.startswith(f"{parent}/")


def mount_at(mounts: Iterable[Mount], target: str) -> Mount | None:
    """The mount that one sees at exactly that target: the last one made on it."""
    found = None
    for mount in mounts:
        if mount.target == target:
            found = mount
    return found


def mount_of(mounts: Iterable[Mount], path: str) -> Mount | None:
    """The mount that a path lies on: the last of those with the longest target."""
    found, length = None, -1
    for mount in mounts:
        if len(mount.target) >= length and within(path, mount.target):
            found, length = mount, len(mount.target)
    return found


def path_on(mount: Mount, path: str) -> str:
    """Where a path of a mount namespace lies within its mount's filesystem."""
    rest = path[len(mount.target) :].lstrip("/") if mount.target != "/" else path.lstrip("/")
    return f"{mount.root.rstrip('/')}/{rest}" if rest else mount.root


def host_path(mount: Mount, host_mounts: Sequence[Mount]) -> str | None:
    """Where the host has what a container has mounted: by device and root, whatever the paths are called.

    Returns:
        The host's path; None where the host has it mounted nowhere (an image layer, a tmpfs of its own).
    """
    best = None
    for ours in host_mounts:
        if ours.device == mount.device and within(mount.root, ours.root):
            rest = mount.root[len(ours.root) :].lstrip("/") if ours.root != "/" else mount.root.lstrip("/")
            candidate = (f"{ours.target.rstrip('/')}/{rest}" if rest else ours.target) or "/"
            if best is None or len(candidate) < len(best):
                best = candidate
    return best
