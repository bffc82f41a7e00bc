r"""Mounts of a mount namespace (/proc/PID/mountinfo; proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.latest import latest
from isoaudit.facts.mount_shapes import of_shape
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

    @property
    def peer_groups(self) -> tuple[str, ...]:
        """The groups to whose other members what is mounted here propagates ("shared:7"): none, or one."""
        return tuple(field for field in self.propagation if field.startswith("shared:"))

    @property
    def line(self) -> str:
        """As mountinfo has it."""
        return " ".join(
            (
                str(self.id),
                str(self.parent),
                self.device,
                self.root,
                self.target,
                ",".join(self.options),
                *self.propagation,
                "-",
                self.fstype,
                self.source,
                ",".join(self.super_options),
            )
        )


def _unescape(field: str) -> str:
    # The kernel writes blank, tab, newline and backslash as three octal digits (seq_path, mangle).
    if "\\" not in field:
        return field
    return text(_ESCAPE.sub(lambda match: bytes([int(match.group(1), 8) & 255]), field.encode()))


def parse_mountinfo(raw: bytes) -> tuple[Mount, ...]:
    """Parse the whole file, in the kernel's order: a later mount on one target covers the earlier ones.

    Raises:
        ValueError: a line lacks a field.
    """
    # Option lists repeat over and over in one table; splitting each but once is a fifth of the whole cost.
    seen: dict[str, tuple[str, ...]] = {}
    mounts = []
    # Decoded at once: an escape of the kernel's is no escape of ours (`\ooo`, `\xNN`), nor a part of one.
    for entry in text(raw).split("\n"):
        if not entry:
            continue
        # Optional fields end at " - "; paths cannot hold a blank, so the first one is the separator.
        head, separator, tail = entry.partition(" - ")
        if not separator:
            raise ValueError(f"no separator in {entry[:200]!r}")
        fields = head.split(" ")
        kinds = tail.split(" ")
        ident, parent, device, root, target, options = fields[:6]
        for field in (options, kinds[-1]):
            if field not in seen:
                seen[field] = tuple(field.split(","))
        mounts.append(
            Mount(
                int(ident),
                int(parent),
                device,
                _unescape(root),
                _unescape(target),
                seen[options],
                tuple(fields[6:]),
                kinds[0],
                _unescape(kinds[1]) if len(kinds) > 2 else "",
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


@latest
def reachable(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """The mounts of which something can be seen: what others cover whole is left out.

    A mount is covered by one on its own root, or by a sibling (a mount on the same mount) on a directory
    above it; then so is everything mounted further down in it. Nothing covers "/": a process's root stays
    what it is when something is mounted over it.
    """
    return tuple([mounts[at] for at in _reachable(mounts)])


@of_shape
def _reachable(mounts: Sequence[Mount]) -> tuple[int, ...]:
    by_id = {mount.id: mount for mount in mounts}
    targets: dict[int, set[str]] = defaultdict(set)  # of the mounts on each mount
    for mount in mounts:
        targets[mount.parent].add(mount.target)
    covered = {
        ident
        for ident, on_it in targets.items()
        if ident in by_id and (target := by_id[ident].target) != "/" and target in on_it
    }

    def cut_off(mount: Mount, parent: Mount) -> bool:
        """Whether the way from the parent's root to the mount leads into another mount first."""
        if mount.target == parent.target:
            return False
        if parent.id in covered:
            return True
        siblings = targets[mount.parent]
        if len(siblings) > 1:
            above = mount.target
            while above := above.rpartition("/")[0]:
                if above in siblings:
                    return True
        return False

    arrived: dict[int, bool] = {}  # whether the way to a mount's root is open
    for mount in mounts:
        # Parents mostly come first. A loop and no recursion: a hostile table may be thousands of mounts deep.
        chain: list[int] = []
        link = mount
        while link.id not in arrived:
            parent = by_id.get(link.parent)
            if link.target == "/" or parent is None or parent.id == link.id or len(chain) > len(mounts):
                arrived[link.id] = True
            elif cut_off(link, parent):
                arrived[link.id] = False
            elif parent.id in arrived:
                arrived[link.id] = arrived[parent.id]
            else:
                chain.append(link.id)
                link = parent
        for ident in chain:
            arrived[ident] = arrived[link.id]
    return tuple([at for at, mount in enumerate(mounts) if arrived[mount.id] and mount.id not in covered])


class HostMounts:
    """The host's mounts by filesystem, to find where the host has what a container has mounted.

    Args:
        mounts: the host's mount table.
    """

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self.root = mount_at(mounts, "/")
        self.procfs = frozenset(mount.device for mount in mounts if mount.fstype == "proc")
        self.peer_groups = frozenset(group for mount in mounts for group in mount.peer_groups)
        # Numbers of the block devices that are mounted; a filesystem without one has major number 0.
        self.disks = tuple(
            (int(major), int(minor))
            for major, _, minor in sorted({tuple(mount.device.partition(":")) for mount in mounts})
            if major != "0"
        )
        self._on: dict[str, list[Mount]] = {}
        for mount in reachable(mounts):
            self._on.setdefault(mount.device, []).append(mount)

    def path(self, mount: Mount) -> str | None:
        """Where the host has what is mounted: by device and root, whatever the paths are called.

        Returns:
            The shortest of the host's paths; None where the host has it mounted nowhere (an image layer, a
            tmpfs of the container's own).
        """
        best = None
        for ours in self._on.get(mount.device, ()):
            if within(mount.root, ours.root):
                found = path_below(ours, mount.root)
                if best is None or len(found) < len(best):
                    best = found
        return best

    def inside(self, mount: Mount) -> tuple[str, ...]:
        """Where the host has parts of what is mounted: its own mounts of directories further down in it."""
        return tuple(
            ours.target
            for ours in self._on.get(mount.device, ())
            if ours.root != mount.root and within(ours.root, mount.root)
        )


def path_below(mount: Mount, path_on_device: str) -> str:
    """Where a path within a mount's filesystem is seen; the path must lie within the mount's root."""
    rest = path_on_device[len(mount.root) :].lstrip("/") if mount.root != "/" else path_on_device.lstrip("/")
    return f"{mount.target.rstrip('/')}/{rest}" if rest else mount.target


def writable(mounts: Sequence[Mount], *fstypes: str) -> tuple[Mount, ...]:
    """The mounts of some filesystem types that can be reached and written."""
    found = [mount for mount in mounts if mount.fstype in fstypes and not mount.read_only]
    if not found:
        return ()
    seen = {mount.id for mount in reachable(mounts)}
    return tuple(mount for mount in found if mount.id in seen)
