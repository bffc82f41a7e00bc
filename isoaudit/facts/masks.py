"""What stands open of /proc and /sys inside a container, and who in there gets past the permissions.

What engines mask is data (data/masks.json); what is masked is what the mount table says. A file of the kernel's
can be reached through every mount of its filesystem, whatever its target: a second procfs undoes the masks of the
first. /proc/sys goes by the host's uid 0 and by no capability (kernel/sysctl, fs/proc/proc_sysctl.c, test_perm).
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host, host_root_processes
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.lsm import parse_label
from isoaudit.facts.mounts import mount_of, within
from isoaudit.kernel.capability import mask
from isoaudit.model import SEVERITIES, Evidence, FactMissing, Known, Severity, require
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.probe import ProbeAnswer

PROC, SYSFS, BINFMT = "proc", "sysfs", "binfmt_misc"
_COMPLAIN = frozenset({"complain", "unconfined", "prompt"})


class KernelFile(NamedTuple):
    """A file or folder that the kernel makes: its filesystem's type and its path from that filesystem's root."""

    fstype: str
    path: str


class MaskedPath(NamedTuple):
    """One path of engines' default lists."""

    path: str  # as the engines spell it
    severity: Severity  # of leaving it open
    note: str  # what is to be seen or done there
    engines: tuple[str, ...]  # whose newest default covers it

    @property
    def file(self) -> KernelFile:
        """Where it lies within its filesystem."""
        fstype, _, path = self.path[1:].partition("/")
        return KernelFile(PROC if fstype == "proc" else SYSFS, f"/{path}")


class _Lists(NamedTuple):
    masked: tuple[MaskedPath, ...]
    read_only: tuple[MaskedPath, ...]


@cache
def _lists() -> _Lists:
    with open(data("masks.json"), encoding="utf-8") as file:
        document = json.load(file)
    masked, read_only = (
        tuple(
            MaskedPath(row["path"], Severity(row["severity"]), row["note"], tuple(row["by"]))
            for row in document[kind]
        )
        for kind in ("masked", "read_only")
    )
    return _Lists(masked, read_only)


def masked_paths() -> tuple[MaskedPath, ...]:
    """The union of what engines hide by default."""
    return _lists().masked


def read_only_paths() -> tuple[MaskedPath, ...]:
    """The union of what engines make read-only by default."""
    return _lists().read_only


class MountTree:
    """A mount table by what each mount is attached to.

    Names alone do not tell what one sees: a procfs that is mounted over /proc hides the masks below the first one,
    which keep their targets in mountinfo.
    """

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self.mounts = mounts
        self._attached = {(mount.parent, mount.target): mount for mount in mounts}
        roots = [mount for mount in mounts if mount.target == "/"]
        ids = {mount.id for mount in roots}
        # Of the mounts at `/` the lowest is attached to something that this process cannot see.
        lowest = [mount for mount in roots if mount.parent not in ids or mount.parent == mount.id]
        self._root = lowest[0] if lowest else None

    def at(self, path: str) -> Mount | None:
        """The mount that a path lies on, as a process with this table sees it; None where the table is empty."""
        if self._root is None:
            return mount_of(self.mounts, path)  # of a forged or cut table, the names are all there is
        current = self._top(self._root, "/")
        end = path.find("/", 1)
        while path != "/":
            current = self._top(current, path if end < 0 else path[:end])
            if end < 0:
                break
            end = path.find("/", end + 1)
        return current

    def _top(self, mount: Mount, target: str) -> Mount:
        seen = {mount.id}
        while (above := self._attached.get((mount.id, target))) and above.id not in seen:
            seen.add(above.id)
            mount = above
        return mount


class Place(NamedTuple):
    """Where a process inside finds a file of the kernel's, and by what mount."""

    path: str
    mount: Mount

    @property
    def line(self) -> str:
        """Its mount, as mountinfo spells it."""
        fields = (
            self.mount.id,
            self.mount.parent,
            self.mount.device,
            self.mount.root,
            self.mount.target,
            ",".join(self.mount.options),
            *self.mount.propagation,
            "-",
            self.mount.fstype,
            self.mount.source,
            ",".join(self.mount.super_options),
        )
        return " ".join(map(str, fields))


def places(tree: MountTree, file: KernelFile) -> tuple[Place, ...]:
    """Every path at which a file of the kernel's is not covered."""
    found = []
    for mount in tree.mounts:
        # A procfs of processes only (subset=pid, Linux 5.8) has nothing else in it.
        if mount.fstype != file.fstype or not within(file.path, mount.root) or _only_processes(mount):
            continue
        rest = file.path[len(mount.root.rstrip("/")) :]
        path = f"{mount.target.rstrip('/')}{rest}" or "/"
        on = tree.at(path)
        if on is not None and on.id == mount.id:
            found.append(Place(path, mount))
    return tuple(found)


def _only_processes(mount: Mount) -> bool:
    return mount.fstype == PROC and "subset=pid" in mount.super_options


def below(tree: MountTree, file: KernelFile) -> tuple[Place, ...]:
    """Every mount that shows a part of a folder of the kernel's and not the folder itself, and is not covered."""
    return tuple(
        Place(mount.target, mount)
        for mount in tree.mounts
        if mount.fstype == file.fstype
        and mount.root != file.path
        and within(mount.root, file.path)
        and (on := tree.at(mount.target)) is not None
        and on.id == mount.id
    )


def writers(container: Container, *, sysctl: bool) -> tuple[Process, ...]:
    """The processes inside that may write a file of root's that the kernel makes.

    Args:
        container: the container.
        sysctl: it lies in /proc/sys, where CAP_DAC_OVERRIDE does not help.

    Raises:
        FactMissing: none is known to, and one could not be read.
    """
    try:
        roots = host_root_processes(container)
    except FactMissing:
        if isinstance(container.uid_map, Known) and not _maps_host_root(container.uid_map.value):
            return ()
        raise
    # CAP_SETUID over the host becomes uid 0 by one call.
    return roots or holds_over_host(
        container, mask("CAP_SETUID") if sysctl else mask("CAP_SETUID", "CAP_DAC_OVERRIDE")
    )


def _maps_host_root(ranges: tuple[IdRange, ...]) -> bool:
    return any(outside == 0 and length > 0 for _, outside, length in ranges)


class Opening(NamedTuple):
    """How a file of the kernel's can be written from inside."""

    places: tuple[Place, ...]  # where it stands on a writable mount
    mounting: Evidence | None  # the probe's proof that a fresh mount of its filesystem would show it writable
    writers: tuple[Process, ...]  # who would get past the permissions; empty where there is no way in

    @property
    def stands(self) -> bool:
        """Whether something inside can write it."""
        return bool(self.writers)

    @property
    def reachable(self) -> bool:
        """Whether a writable mount shows it, or could."""
        return bool(self.places or self.mounting)


def opening(container: Container, *files: KernelFile) -> Opening:
    """How any of some files of the kernel's can be written from inside.

    Raises:
        FactMissing: what was read does not decide.
    """
    tree = MountTree(require(container.mounts))
    writable = tuple(place for file in files for place in places(tree, file) if not place.mount.read_only)
    proof = mounting(container) if any(file.fstype != SYSFS for file in files) else None
    if not writable and proof is None:
        return Opening((), None, ())
    sysctl = all(file.fstype == PROC and within(file.path, "/sys") for file in files)
    return Opening(writable, proof, writers(container, sysctl=sysctl))


def mounting(container: Container) -> Evidence | None:
    """The proof that a container can mount a fresh procfs without masks: the probe did, over the host.

    sysfs is not undone that way: its superblock is one per network namespace and stays read-only.
    """
    probe = container.probe("mount")
    if not isinstance(probe, Known) or not probe.value.succeeded or not _sys_admin(container):
        return None
    answer: ProbeAnswer = probe.value
    return Evidence(probe.source, f"{answer.call} = {answer.answer}", "EPERM")


def may_mount(container: Container) -> bool:
    """Whether only the probe is missing to that proof: it has CAP_SYS_ADMIN over the host, and none ran."""
    return not isinstance(container.probe("mount"), Known) and _sys_admin(container)


def _sys_admin(container: Container) -> bool:
    try:
        return bool(holds_over_host(container, mask("CAP_SYS_ADMIN")))
    except FactMissing:
        return False  # it only adds to a verdict that stands on the mount table


def profile(container: Container) -> str:
    """The label under which an LSM confines it; "" where none does or it could not be read."""
    if not isinstance(container.lsm_label, Known):
        return ""
    label = parse_label(container.lsm_label.value)
    if label is None or label.unconfined or label.mode in _COMPLAIN:
        return ""
    return container.lsm_label.value


def behind_profile(severity: Severity | str, container: Container) -> Severity:
    """A gap's severity, one step less where an LSM's profile may still stand in the way: its rules are not read."""
    rank = SEVERITIES.index(Severity(severity))
    return SEVERITIES[min(rank + 1, len(SEVERITIES) - 1)] if profile(container) else SEVERITIES[rank]


def unless(container: Container) -> str:
    """The end of a message that names the LSM's profile, if any, as the last wall."""
    label = profile(container)
    return f", unless its profile {label} forbids it" if label else ""
