"""What stands open of /proc and /sys inside a container, and who in there gets past the permissions.

What engines mask is data (data/masks.json); what is masked is what the mount table says. A file of the
kernel's can be reached through every mount of its filesystem, whatever its target: a second procfs undoes the
masks of the first. /proc/sys goes by the host's uid 0 and by no capability (fs/proc/proc_sysctl.c, test_perm).
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host, host_root_processes, maps_host_root
from isoaudit.facts.latest import latest
from isoaudit.facts.lsm import parse_label
from isoaudit.facts.mount_shapes import of_shape
from isoaudit.facts.mounts import mount_of, within
from isoaudit.facts.namespaces import same
from isoaudit.facts.processes import listed, set_evidence
from isoaudit.kernel.capability import mask
from isoaudit.model import SEVERITIES, Evidence, FactMissing, Known, Severity
from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.host import Host
    from isoaudit.facts.mounts import Mount

PROC, SYSFS, BINFMT = "proc", "sysfs", "binfmt_misc"
_SHOWN, _LINES = 2, 8
_COMPLAIN = frozenset({"complain", "unconfined", "prompt"})


class KernelFile(NamedTuple):
    """A file or folder that the kernel makes: its filesystem's type and its path from that one's root."""

    fstype: str
    path: str


class MaskedPath(NamedTuple):
    """One path of engines' default lists."""

    path: str  # as the engines spell it
    severity: Severity  # of leaving it open
    note: str  # what is to be seen or done there
    engines: tuple[str, ...]  # whose newest default covers it
    file: KernelFile  # where it lies within its filesystem


def kernel_file(path: str) -> KernelFile:
    """Where a path of the host's /proc or /sys lies within its filesystem."""
    tree, _, rest = path[1:].partition("/")
    return KernelFile(PROC if tree == "proc" else SYSFS, f"/{rest}")


class _Lists(NamedTuple):
    masked: tuple[MaskedPath, ...]
    read_only: tuple[MaskedPath, ...]


@cache
def _lists() -> _Lists:
    with open(data("masks.json"), encoding="utf-8") as file:
        document = json.load(file)
    masked, read_only = (
        tuple(
            MaskedPath(
                row["path"],
                Severity(row["severity"]),
                row["note"],
                tuple(row["by"]),
                kernel_file(row["path"]),
            )
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

    Names alone do not tell what one sees: a procfs that is mounted over /proc hides the masks below the first
    one, which keep their targets in mountinfo.
    """

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self.mounts = mounts
        self._attached = {(mount.parent, mount.target): mount for mount in mounts}
        self._of_type: dict[str, list[Mount]] = {}
        for mount in mounts:
            self._of_type.setdefault(mount.fstype, []).append(mount)
        self._known: dict[str, Mount] = {}
        roots = [mount for mount in mounts if mount.target == "/"]
        ids = {mount.id for mount in roots}
        # Of the mounts at `/` the lowest is attached to something that this process cannot see.
        for mount in roots:
            if mount.parent not in ids or mount.parent == mount.id:
                self._known["/"] = self._top(mount, "/")
                break

    def of_type(self, fstype: str) -> Sequence[Mount]:
        """The mounts of a filesystem's type, covered or not."""
        return self._of_type.get(fstype, ())

    def at(self, path: str) -> Mount | None:
        """The mount that a path lies on, as a process with this table sees it; None where there is none."""
        if "/" not in self._known:
            return mount_of(self.mounts, path)  # of a forged or cut table, the names are all there is
        return self._at(path)

    def _at(self, path: str) -> Mount:
        known = self._known.get(path)
        if known is None:
            known = self._top(self._at(path.rpartition("/")[0] or "/"), path)
            self._known[path] = known
        return known

    def _top(self, mount: Mount, target: str) -> Mount:
        above = self._attached.get((mount.id, target))
        seen = {mount.id} if above else ()
        while above and above.id not in seen:
            seen = {*seen, above.id}
            mount = above
            above = self._attached.get((mount.id, target))
        return mount


@latest
def tree_of(mounts: Sequence[Mount]) -> MountTree:
    """The tree of a mount table."""
    return MountTree(mounts)


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
    mounts = tree.mounts
    return tuple([Place(path, mounts[at]) for path, at in standing_at(mounts, file)])


@of_shape
def standing_at(mounts: Sequence[Mount], file: KernelFile) -> tuple[tuple[str, int], ...]:
    """Every path at which a file of a filesystem in `ROOTED` is not covered, and the position of its mount."""
    tree = tree_of(mounts)
    found = []
    for at, mount in enumerate(mounts):
        if mount.fstype != file.fstype:
            continue
        # A procfs of processes only (subset=pid, Linux 5.8) has nothing else in it.
        if not within(file.path, mount.root) or _only_processes(mount):
            continue
        rest = file.path[len(mount.root.rstrip("/")) :].rstrip("/")
        path = f"{mount.target.rstrip('/')}{rest}" or "/"
        on = tree.at(path)
        if on is not None and on.id == mount.id:
            found.append((path, at))
    return tuple(found)


def shown(standing: Sequence[Place]) -> str:
    """Places in one line, the shortest paths first; a container that sees the host's tree has dozens."""
    paths = sorted({place.path for place in standing}, key=lambda path: (len(path), path))
    return listed(paths[:_SHOWN], len(paths))


def mount_evidence(container: Container, standing: Sequence[Place], expected: str) -> list[Evidence]:
    """The lines of mountinfo by which places are seen, the shortest paths first, as many as help."""
    ordered = sorted(standing, key=lambda place: (len(place.path), place.path))
    lines = dict.fromkeys(place.line for place in ordered)
    return [Evidence(container.mounts.source, line, expected) for line in list(lines)[:_LINES]]


def _only_processes(mount: Mount) -> bool:
    return mount.fstype == PROC and "subset=pid" in mount.super_options


def below(tree: MountTree, file: KernelFile) -> tuple[Place, ...]:
    """Every uncovered mount that shows a part of a folder of the kernel's and not the folder itself."""
    return tuple(
        Place(mount.target, mount)
        for mount in tree.of_type(file.fstype)
        if mount.root != file.path
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
        if isinstance(container.uid_map, Known) and not maps_host_root(container):
            return ()
        raise
    # CAP_SETUID over the host becomes uid 0 by one call.
    return roots or holds_over_host(
        container, mask("CAP_SETUID") if sysctl else mask("CAP_SETUID", "CAP_DAC_OVERRIDE")
    )


def around(host: Host, container: Container) -> Evidence | None:
    """The proof that /proc/1/root leads a process inside to the host's own /proc, past every mask.

    It takes the host's PID namespace and CAP_SYS_PTRACE over the host (proc_pid_root(5)).
    """
    if not same(host.namespaces.pid, container.namespaces.pid) or not isinstance(container.mounts, Known):
        return None
    if not any(mount.root == "/" for mount in tree_of(container.mounts.value).of_type(PROC)):
        return None
    try:
        tracers = holds_over_host(container, mask("CAP_SYS_PTRACE"))
    except FactMissing:
        return None  # it only adds to a verdict that stands on the mount table
    return set_evidence(tracers[0], mask("CAP_SYS_PTRACE"), "without CAP_SYS_PTRACE") if tracers else None


def profile(container: Container) -> str:
    """The label under which an LSM confines it; "" where none does or it could not be read."""
    if not isinstance(container.lsm_label, Known):
        return ""
    label = parse_label(container.lsm_label.value)
    if label is None or label.unconfined or label.mode in _COMPLAIN:
        return ""
    return container.lsm_label.value


def behind_profile(severity: Severity | str, container: Container) -> Severity:
    """A gap's severity; a step less where an LSM's profile, whose rules are not read, may stand in the way."""
    rank = SEVERITIES.index(Severity(severity))
    return SEVERITIES[min(rank + 1, len(SEVERITIES) - 1)] if profile(container) else SEVERITIES[rank]


def unless(container: Container) -> str:
    """The end of a message that names the LSM's profile, if any, as the last wall."""
    label = profile(container)
    return f", unless its profile {label} forbids it" if label else ""
