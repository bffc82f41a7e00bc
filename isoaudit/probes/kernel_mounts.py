"""The mounts of the kernel's own filesystems that a twin gets: its container's, from the mount table. Pure.

That is every procfs, sysfs and cgroup hierarchy wherever it is mounted, and all that lies on a procfs or a
sysfs: parts of it that are read-only, and what hides other parts of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.hostpaths import host_mounts
from isoaudit.facts.mounts import reachable, within
from isoaudit.kernel import mounting
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from isoaudit.facts.cgroup import Cgroup, Hierarchy
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.mounts import HostMounts, Mount

# How a mount is made.
FRESH = "fresh"  # a new instance of the filesystem `source`
PART = "part"  # `source`, a path in the twin, once more
HOST = "host"  # `source`, a path of the host's
CGROUP = "cgroup"  # the twin's own cgroup in the hierarchy of the controller `source`
HOLDER = "holder"  # an empty folder that other mounts lie in
COVER = "cover"  # nothing, in the place of what would be seen

_PROC, _SYSFS = "proc", "sysfs"
_CGROUPS = frozenset({"cgroup", "cgroup2"})
# Of these the whole system has one instance each: what a container sees is the host's.
_SINGLE = frozenset(
    {
        "binfmt_misc",
        "bpf",
        "configfs",
        "debugfs",
        "efivarfs",
        "fusectl",
        "pstore",
        "resctrl",
        "securityfs",
        "selinuxfs",
        "smackfs",
        "tracefs",
    }
)
_FLAGS = {
    "ro": mounting.MS_RDONLY,
    "nosuid": mounting.MS_NOSUID,
    "nodev": mounting.MS_NODEV,
    "noexec": mounting.MS_NOEXEC,
}
# Which options of a procfs say what it shows (filesystems/proc.rst, chapter 4).
_PROC_OPTIONS = ("hidepid=", "gid=", "subset=")
# A privileged container that has the host's tree besides its own has some sixty.
_MOST = 160


class KernelMount(NamedTuple):
    """One mount to make."""

    kind: str
    target: str  # from the twin's root, without a slash before it
    source: str
    flags: int  # MS_RDONLY and so on, of the mount
    fixed: bool = False  # its filesystem is read-only as a whole
    data: str = ""  # options of its filesystem


class Unlike(NamedTuple):
    """A place in the container of which the twin has nothing, or something else."""

    path: str
    why: str


class KernelMounts(NamedTuple):
    """All of a twin's."""

    mounts: tuple[KernelMount, ...]  # in the order in which they are to be made
    unlike: tuple[Unlike, ...]
    notes: tuple[str, ...]  # differences that take away no wall


# What a twin has where nothing is known: a procfs, as every engine mounts one.
PLAIN = KernelMount(FRESH, "proc", _PROC, mounting.MS_NOSUID | mounting.MS_NODEV | mounting.MS_NOEXEC)


def kernel_mounts(host: Host, container: Container, new: frozenset[str]) -> KernelMounts:
    """The mounts that a container's twin gets.

    Args:
        host: its mounts and hierarchies, to find what is the host's.
        container: whose mount table to follow.
        new: the kinds of namespaces that the twin has of its own.
    """
    if isinstance(container.mounts, Unknown):
        return _nothing(new, f"the container's mounts could not be read: {container.mounts.reason}")
    if isinstance(host.mounts, Unknown):
        return _nothing(new, f"the host's mounts could not be read: {host.mounts.reason}")
    seen = [mount for mount in reachable(container.mounts.value) if mount.target != "/"]
    kernels = [mount for mount in seen if mount.fstype in (_PROC, _SYSFS)]
    areas = _outermost(mount.target for mount in kernels)
    chosen = [
        mount for mount in seen if mount.fstype in _CGROUPS or any(within(mount.target, area) for area in areas)
    ]
    if len(chosen) > _MOST:
        return _nothing(new, f"it has {len(chosen)} mounts of the kernel's filesystems")
    cgroup = container.cgroup.value if isinstance(container.cgroup, Known) else None
    hierarchies = host.hierarchies.value if isinstance(host.hierarchies, Known) else ()
    return _Table(host_mounts(host), host.mounts.value, hierarchies, cgroup, new).made(chosen)


def _nothing(new: frozenset[str], why: str) -> KernelMounts:
    plain = (PLAIN,) if _mountable(_PROC, new) else ()
    return KernelMounts(plain, (Unlike("/proc", why), Unlike("/sys", why)), ())


def _outermost(targets: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for target in sorted(targets):
        if not any(within(target, one) for one in found):
            found.append(target)
    return tuple(found)


def _mountable(fstype: str, new: frozenset[str]) -> bool:
    """Whether a twin may mount it: in a user namespace only what shows a namespace of its own."""
    return "user" not in new or ("pid" if fstype == _PROC else "net") in new


def _flags(options: Sequence[str]) -> int:
    flags = 0
    for option in options:
        flags |= _FLAGS.get(option, 0)
    return flags


class _Table:
    """One container's mounts on the way to its twin's."""

    def __init__(
        self,
        index: HostMounts,
        host: Sequence[Mount],
        hierarchies: Sequence[Hierarchy],
        cgroup: Cgroup | None,
        new: frozenset[str],
    ) -> None:
        self._host = index
        self._host_table = host
        self._hierarchies = hierarchies
        self._cgroup = cgroup
        self._new = new
        self._first: dict[str, Mount] = {}  # by device: the whole of it, from which parts are taken
        self._notes: list[str] = []

    def made(self, chosen: Sequence[Mount]) -> KernelMounts:
        """The mounts, parents before children; what covers comes last, as parts may lie beneath it."""
        ordered = sorted(chosen, key=lambda mount: (mount.target.count("/"), mount.target))
        for mount in ordered:
            if mount.fstype in (_PROC, _SYSFS) and mount.root == "/":
                self._first.setdefault(mount.device, mount)
        inhabited = {mount.parent for mount in chosen}
        mounts, unlike = [], []
        for mount in ordered:
            one = self._one(mount, inhabited=mount.id in inhabited)
            if isinstance(one, Unlike):
                unlike.append(one)
            else:
                mounts.append(one)
        mounts.sort(key=lambda one: one.kind == COVER)
        return KernelMounts(tuple(mounts), tuple(unlike), tuple(self._notes))

    def _one(self, mount: Mount, *, inhabited: bool) -> KernelMount | Unlike:
        if mount.fstype in (_PROC, _SYSFS):
            return self._kernel(mount)
        if mount.fstype in _CGROUPS:
            return self._hierarchy(mount)
        if mount.fstype in _SINGLE:
            return self._from_host(mount)
        if mount.fstype == "autofs":
            # Whoever looks into it may have something mounted on the host.
            return Unlike(mount.target, "it is an automounter's")
        kind = HOLDER if inhabited and mount.fstype == "tmpfs" else COVER
        if kind == COVER and mount.fstype not in ("tmpfs", "devtmpfs"):
            self._notes.append(f"{mount.target}: {mount.fstype} lies over it, in the twin what is empty")
        return self._mount(mount, kind, "")

    def _kernel(self, mount: Mount) -> KernelMount | Unlike:
        """A procfs or sysfs, whole or in part."""
        if self._host.path(mount) is not None:
            return self._from_host(mount)
        first = self._first.get(mount.device)
        if first is None:
            return Unlike(mount.target, f"its {mount.fstype} is not to be seen as a whole")
        if not _mountable(mount.fstype, self._new):
            why = f"no user namespace may mount a {mount.fstype} that does not show its own namespaces"
            return Unlike(mount.target, why)
        if first.id != mount.id:
            return self._mount(mount, PART, f"{first.target}{mount.root}".strip("/"))
        options = [one for one in mount.super_options if one.startswith(_PROC_OPTIONS)]
        if options and "pid" not in self._new:
            # Before Linux 5.8 they would be those of every procfs of the PID namespace.
            return Unlike(mount.target, f"its {','.join(options)} is not for a procfs of the host's processes")
        return self._mount(mount, FRESH, mount.fstype, ",".join(options))

    def _from_host(self, mount: Mount) -> KernelMount | Unlike:
        """What the host has mounted too, bound from there."""
        path = self._host.path(mount)
        if path is None:
            return Unlike(mount.target, f"the host has no {mount.fstype} mounted that holds it")
        for one in self._host_table:
            if one.fstype == "autofs" and within(path, one.target):
                return Unlike(mount.target, "on the host it lies in an automounter's folder")
            # What mounts hide from a user namespace stays hidden (has_locked_children in fs/namespace.c).
            if "user" in self._new and one.target != path and within(one.target, path):
                return Unlike(
                    mount.target, f"a user namespace is not given the host's {path} without its mounts"
                )
        return self._mount(mount, HOST, path)

    def _hierarchy(self, mount: Mount) -> KernelMount | Unlike:
        """A cgroup hierarchy; where the container sees its own cgroup, the twin sees its own."""
        hierarchy = self._hierarchy_of(mount)
        if hierarchy is None:
            return Unlike(mount.target, "the host has no such cgroup hierarchy mounted")
        if mount.root == "/":
            return self._mount(mount, HOST, hierarchy.mount_point)
        key = hierarchy.controllers[0] if hierarchy.version == 1 and hierarchy.controllers else hierarchy.name
        named = f"name={key}" if hierarchy.version == 1 and not hierarchy.controllers else key
        own = self._cgroup.path(named) if self._cgroup else None
        if own is None or not (within(mount.root, own) or within(own, mount.root)):
            return Unlike(mount.target, "the cgroup that it shows is not the container's own")
        if mount.root != own:
            self._notes.append(f"{mount.target}: it shows other cgroups besides the container's own")
        return self._mount(mount, CGROUP, key)

    def _hierarchy_of(self, mount: Mount) -> Hierarchy | None:
        options = frozenset(mount.super_options)
        for hierarchy in self._hierarchies:
            wanted = hierarchy.controllers or (f"name={hierarchy.name}",)
            if mount.fstype == "cgroup2" if hierarchy.version == 2 else options.issuperset(wanted):
                return hierarchy
        return None

    def _mount(self, mount: Mount, kind: str, source: str, data: str = "") -> KernelMount:
        return KernelMount(
            kind, mount.target[1:], source, _flags(mount.options), "ro" in mount.super_options, data
        )
