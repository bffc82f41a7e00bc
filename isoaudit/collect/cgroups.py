"""Reading cgroup files of a container's cgroup and of all its ancestors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_record, refused
from isoaudit.facts.cgroup import V2_NAMES, Cgroup, Hierarchy, Membership
from isoaudit.facts.text import line, text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.mounts import Mount
    from isoaudit.model import Reading

# The files that checks judge, by controller. What a kernel does not have is found out once and not asked again.
_V1_FILES: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "cpu.rt_runtime_us"),
    "cpuset": ("cpuset.cpus", "cpuset.mems", "cpuset.effective_cpus", "cpuset.effective_mems"),
    "memory": (
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.swappiness",
        "memory.oom_control",
        "memory.kmem.usage_in_bytes",
    ),
    "devices": ("devices.list",),
    "freezer": ("freezer.state",),
    "blkio": (
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device",
        "blkio.throttle.write_iops_device",
        "blkio.weight",
        "blkio.bfq.weight",
    ),
    "pids": ("pids.max",),
    "net_cls": ("net_cls.classid",),
    "net_prio": ("net_prio.ifpriomap",),
    "rdma": ("rdma.max",),
    "misc": ("misc.max",),
}
_V2_FILES: tuple[str, ...] = (
    "cgroup.controllers",
    "cgroup.type",
    "cpu.max",
    "cpu.weight",
    "cpu.idle",
    "cpuset.cpus",
    "cpuset.cpus.effective",
    "cpuset.mems.effective",
    "memory.max",
    "memory.high",
    "memory.swap.max",
    "memory.oom.group",
    "io.max",
    "io.weight",
    "io.bfq.weight",
    "pids.max",
    "cgroup.freeze",
    "rdma.max",
    "misc.max",
)
# Files whose value on the container's own cgroup alone decides; reading them on every ancestor would be waste.
_LEAF_ONLY = frozenset(
    {
        "cpu.shares",
        "cpuset.cpus",
        "cpuset.mems",
        "cpuset.effective_cpus",
        "cpuset.effective_mems",
        "memory.swappiness",
        "memory.kmem.usage_in_bytes",
        "freezer.state",
        "blkio.weight",
        "blkio.bfq.weight",
        "net_cls.classid",
        "net_prio.ifpriomap",
        "cgroup.type",
        "cpu.weight",
        "cpu.idle",
        "memory.oom.group",
        "io.weight",
        "io.bfq.weight",
        "cgroup.freeze",
    }
)


_V1_NAMES = {v2: v1 for v1, v2 in V2_NAMES.items()}
_NOT_MOUNTED = "the hierarchy is not mounted on the host, so that it cannot be read"
# Options of a v1 mount that name no controller (cgroup1_show_options, and SELinux's own).
_V1_FLAGS = frozenset(
    {"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "seclabel"}
)


def hierarchies(mounts: Iterable[Mount], paths: Paths) -> tuple[Hierarchy, ...]:
    """The mounted cgroup hierarchies, from a mount table."""
    found: dict[tuple[int, tuple[str, ...], str], Hierarchy] = {}
    for mount in mounts:
        if mount.fstype == "cgroup":
            names = [option for option in mount.super_options if option.startswith("name=")]
            controllers = tuple(
                option for option in mount.super_options if option not in _V1_FLAGS and "=" not in option
            )
            hierarchy = Hierarchy(1, controllers, names[0][5:] if names else "", mount.target)
        elif mount.fstype == "cgroup2":
            try:
                listed = line(read_record(f"{paths.cgroup(mount.target)}/cgroup.controllers"))
            except OSError:
                listed = ""
            hierarchy = Hierarchy(2, tuple(listed.split()), "", mount.target)
        else:
            continue
        # A bind of a subtree is no place to look a whole path up in.
        if mount.root == "/":
            found.setdefault((hierarchy.version, hierarchy.controllers, hierarchy.name), hierarchy)
    return tuple(found.values())


class CgroupReader:
    """Reads the cgroups of many containers; what their common ancestors say is read once.

    Args:
        paths: the trees to read.
        hierarchies: the host's.
        hugepage_sizes: for which sizes hugetlb files are read.
        host_memberships: PID 1's.
    """

    def __init__(
        self,
        paths: Paths,
        hierarchies: Iterable[Hierarchy],
        hugepage_sizes: Iterable[str],
        host_memberships: Iterable[Membership],
    ) -> None:
        self._sizes = tuple(hugepage_sizes)
        self._files: list[tuple[Hierarchy, str, tuple[str, ...]]] = []
        for hierarchy in hierarchies:
            top = paths.cgroup(hierarchy.mount_point)
            wanted = self._v1_files(hierarchy.controllers) if hierarchy.version == 1 else self._v2_files(top)
            if wanted:
                self._files.append((hierarchy, top, wanted))
        self._mounted = {name for hierarchy, _, _ in self._files for name in hierarchy.controllers}
        self._unified = any(hierarchy.version == 2 for hierarchy, _, _ in self._files)
        self._host_paths = {
            name: membership.path
            for membership in host_memberships
            for name in (membership.controllers or ("",))
        }
        self._ancestors: dict[str, dict[str, Reading[str]]] = {}
        self._lacking: set[tuple[str, str]] = set()  # (hierarchy, file) that this kernel does not have

    def _v1_files(self, controllers: Iterable[str]) -> tuple[str, ...]:
        wanted = [file for name in controllers for file in _V1_FILES.get(name, ())]
        if "hugetlb" in controllers:
            wanted += [f"hugetlb.{size}.limit_in_bytes" for size in self._sizes]
        return tuple(wanted)

    def _v2_files(self, top: str) -> tuple[str, ...]:
        """The files of the controllers that v2 has, as a hybrid host has most of them on v1."""
        files = (*_V2_FILES, *(f"hugetlb.{size}.max" for size in self._sizes))
        try:
            enabled = line(read_record(f"{top}/cgroup.controllers")).split()
        except OSError:
            return files  # reading them will say what is wrong here
        return tuple(file for file in files if file.partition(".")[0] in ("cgroup", *enabled))

    def read(self, memberships: tuple[Membership, ...]) -> Cgroup:
        """Read all files of one container's cgroups."""
        settings = self._unmounted(memberships)
        for hierarchy, top, files in self._files:
            path = _path_in(hierarchy, memberships)
            if path is None:
                continue
            if path == "/.." or path.startswith("/../"):
                # A cgroup namespace of our own that does not cover the container's cgroup.
                reading = Unknown(top + path, "it lies outside our own cgroup namespace")
                settings.update(dict.fromkeys(files, (reading,)))
                continue
            chain = [self._directory(top, hierarchy, path, files, leaf=True)]
            while path not in ("/", ""):
                path = path.rpartition("/")[0] or "/"
                directory = top + path if path != "/" else top
                if directory not in self._ancestors:
                    self._ancestors[directory] = self._directory(top, hierarchy, path, files, leaf=False)
                chain.append(self._ancestors[directory])
            for file in files:
                readings = tuple(level[file] for level in chain if file in level)
                if readings and (file in chain[0] or file not in _LEAF_ONLY):
                    settings[file] = readings
        return Cgroup(memberships, settings, self._host_paths)

    def _unmounted(self, memberships: tuple[Membership, ...]) -> dict[str, tuple[Reading[str], ...]]:
        """Refusals for hierarchies that the process is in, but that are mounted nowhere we can look."""
        settings: dict[str, tuple[Reading[str], ...]] = {}
        for membership in memberships:
            files: tuple[str, ...]
            if membership.hierarchy:
                files = self._v1_files([name for name in membership.controllers if name not in self._mounted])
            elif membership.path == "/" or self._unified:
                continue  # nothing limits in the root
            else:
                v1 = {name for one in memberships for name in one.controllers}
                files = tuple(
                    file
                    for file in (*_V2_FILES, *(f"hugetlb.{size}.max" for size in self._sizes))
                    if _V1_NAMES.get(stem := file.partition(".")[0], stem) not in v1
                )
            for file in files:
                settings[file] = (Unknown(f"{membership.path}/{file}", _NOT_MOUNTED),)
        return settings

    def _directory(
        self, top: str, hierarchy: Hierarchy, path: str, files: tuple[str, ...], *, leaf: bool
    ) -> dict[str, Reading[str]]:
        directory = top + path if path != "/" else top
        readings: dict[str, Reading[str]] = {}
        absent: list[str] = []
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            refusal = refused(error, directory)
            return dict.fromkeys(files, refusal)
        try:
            for file in files:
                if (not leaf and file in _LEAF_ONLY) or (top, file) in self._lacking:
                    continue
                source = f"{directory}/{file}"
                try:
                    raw = read_record(file, fd)
                except OSError as error:
                    if error.errno == errno.ENOENT:
                        absent.append(file)
                    elif error.errno == errno.ENODEV:
                        readings[file] = Unknown(source, "ENODEV: the cgroup has been removed")
                    else:
                        readings[file] = refused(error, source)
                else:
                    readings[file] = Known(text(raw.rstrip(b"\n")), source)
            if absent and not _stands(directory, fd):
                # A removed directory has lost its files: that says nothing about what they held.
                removed = Unknown(directory, "ENOENT: the cgroup has been removed")
                return dict.fromkeys(files, removed)
        finally:
            os.close(fd)
        # v1 has the same files in every cgroup but the root; v2 only where a controller is enabled.
        if hierarchy.version == 1 and path != "/":
            self._lacking.update((top, file) for file in absent)
        return readings


def _stands(directory: str, fd: int) -> bool:
    """Whether a directory that was opened is still the one at its path."""
    try:
        return os.stat(directory).st_ino == os.fstat(fd).st_ino
    except OSError:
        return False


def _path_in(hierarchy: Hierarchy, memberships: tuple[Membership, ...]) -> str | None:
    for membership in memberships:
        if hierarchy.version == 2:
            if membership.hierarchy == 0:
                return membership.path
        elif set(membership.controllers) & set(hierarchy.controllers):
            return membership.path
    return None
