"""How what mounts keep from a container opens all the same: a read-only one is remounted, a mask taken away.

It takes CAP_SYS_ADMIN over the host and a seccomp filter that lets one of the calls for it through. A fresh
procfs has no masks. sysfs has one superblock a network namespace, which stays read-only in a fresh mount, but
not when it is remounted writable itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.calls import I386, Call, Way, ways
from isoaudit.facts.confinement import holds_over_host
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.latest import latest
from isoaudit.facts.masks import PROC, SYSFS, places, profile, tree_of, unless, writers
from isoaudit.facts.mounts import within
from isoaudit.facts.processes import Reach
from isoaudit.kernel.capability import bit
from isoaudit.model import Basis, Evidence, FactMissing, Known, require

if TYPE_CHECKING:
    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.masks import KernelFile, Place

_ADMIN = bit("CAP_SYS_ADMIN")


def _all(*names: str) -> tuple[Way, ...]:
    """Calls that are needed together, by the kernel's own entry and by the 32-bit one."""
    way = tuple(Call(name) for name in names)
    return way, tuple(call._replace(architecture=I386) for call in way)


# A filesystem that is mounted nowhere is used through its descriptor.
MOUNT: tuple[Way, ...] = (*ways("mount"), *_all("fsopen", "fsconfig", "fsmount"))
# A mount that is read-only, or whose filesystem is.
REMOUNT: tuple[Way, ...] = (*ways("mount"), *_all("fspick", "fsconfig"))
# A mask: by a fresh procfs, or without what lies over the old one.
UNCOVER: tuple[Way, ...] = (*MOUNT, *ways("mount_setattr", "umount2"))


class Undoing(NamedTuple):
    """How it is known that a container can undo what its mounts forbid."""

    evidence: tuple[Evidence, ...]
    basis: Basis


@latest
def undoing(container: Container, open_ways: tuple[Way, ...]) -> Undoing | None:
    """Whether a container can undo what its mounts forbid: the probe `mount` did, or kernel state says so.

    Where an LSM's profile confines it, whose rules are not read, kernel state does not (`hint` does).

    Raises:
        FactMissing: it may have CAP_SYS_ADMIN, and what decides could not be read.
    """
    probe, judged = container.probe("mount"), container
    if isinstance(probe, Known):
        answer = probe.value
        if answer.succeeded:
            evidence = Evidence(probe.source, f"{answer.call} = {answer.answer}", "EPERM")
            return Undoing((evidence,), Basis.PROVEN) if _holds_admin(container) else None
        # The twin is the first process's: of a less confined neighbour it tells nothing.
        judged = container._replace(processes=container.processes[1:])
    if profile(container) or not judged.processes:
        return None
    grant = granted(judged, _ADMIN, open_ways)
    if not isinstance(grant, Grant) or grant.holders.reach is not Reach.HELD:
        return None
    return Undoing(grant.evidence, grant.basis)


def hint(container: Container, open_ways: tuple[Way, ...]) -> str:
    """The end of a message where only an LSM's profile may stand in the way; "" otherwise."""
    if not profile(container) or isinstance(container.probe("mount"), Known):
        return ""
    try:
        grant = granted(container, _ADMIN, open_ways, presume=True)
    except FactMissing:
        return ""
    if not isinstance(grant, Grant) or grant.holders.reach is not Reach.HELD:
        return ""
    return f"; its CAP_SYS_ADMIN undoes that{unless(container)}"


def _holds_admin(container: Container) -> bool:
    try:
        return bool(holds_over_host(container, _ADMIN))
    except FactMissing:
        return False  # it only adds to a verdict that stands on the mount table


def remounting(container: Container) -> Undoing | None:
    """How a container makes a read-only mount writable; None where it cannot, or that is not known."""
    try:
        return undoing(container, REMOUNT)
    except FactMissing:
        return None


class Opening(NamedTuple):
    """How a file of the kernel's can be written from inside."""

    places: tuple[Place, ...]  # where it stands on a writable mount
    undoing: Undoing | None  # how else one comes to a writable mount of it
    writers: tuple[Process, ...]  # who would get past the permissions; empty where there is no way in

    @property
    def reachable(self) -> bool:
        """Whether a writable mount shows it, or could."""
        return bool(self.places or self.undoing)


def opening(container: Container, *files: KernelFile) -> Opening:
    """How any of some files of the kernel's can be written from inside.

    Raises:
        FactMissing: what was read does not decide.
    """
    tree = tree_of(require(container.mounts))
    writable = tuple(place for file in files for place in places(tree, file) if not place.mount.read_only)
    way = None if writable else undoing(container, ways_to(*files))
    if not writable and way is None:
        return Opening((), None, ())
    sysctl = all(file.fstype == PROC and within(file.path, "/sys") for file in files)
    return Opening(writable, way, writers(container, sysctl=sysctl))


def ways_to(*files: KernelFile) -> tuple[Way, ...]:
    """The calls by which some files of the kernel's become writable."""
    return REMOUNT if all(file.fstype == SYSFS for file in files) else UNCOVER
