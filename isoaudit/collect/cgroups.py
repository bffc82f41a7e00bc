"""Reading cgroup files of a container's cgroup and of all its ancestors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_record, refused
from isoaudit.facts.cgroup import Cgroup, Hierarchy, Membership
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
        "memory.oom_control",
        "memory.kmem.usage_in_bytes",
        "freezer.state",
        "blkio.weight",
        "blkio.bfq.weight",
        "net_cls.classid",
        "net_prio.ifpriomap",
        "cgroup.controllers",
        "cgroup.type",
        "cpu.weight",
        "cpu.idle",
        "cpuset.cpus.effective",
        "cpuset.mems.effective",
        "memory.oom.group",
        "io.weight",
        "cgroup.freeze",
    }
)


def hierarchies(mounts: Iterable[Mount], paths: Paths) -> tuple[Hierarchy, ...]:
    """The mounted cgroup hierarchies, from a mount table."""
    found: dict[tuple[int, tuple[str, ...], str], Hierarchy] = {}
    for mount in mounts:
        if mount.fstype == "cgroup":
            names = [option for option in mount.super_options if option.startswith("name=")]
            flags = {"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"}
            controllers = tuple(
                option
                for option in mount.super_options
                if option not in flags and not option.startswith(("name=", "release_agent="))
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
        sizes = tuple(hugepage_sizes)
        self._files: list[tuple[Hierarchy, str, tuple[str, ...]]] = []
        for hierarchy in hierarchies:
            if hierarchy.version == 1:
                wanted = [file for name in hierarchy.controllers for file in _V1_FILES.get(name, ())]
                if "hugetlb" in hierarchy.controllers:
                    wanted += [f"hugetlb.{size}.limit_in_bytes" for size in sizes]
            else:
                wanted = [*_V2_FILES, *(f"hugetlb.{size}.max" for size in sizes)]
            if wanted:
                self._files.append((hierarchy, paths.cgroup(hierarchy.mount_point), tuple(wanted)))
        self._host_paths = {
            name: membership.path
            for membership in host_memberships
            for name in (membership.controllers or ("",))
        }
        self._ancestors: dict[str, dict[str, Reading[str]]] = {}
        self._lacking: set[tuple[str, str]] = set()  # (hierarchy, file) that this kernel does not have

    def read(self, memberships: tuple[Membership, ...]) -> Cgroup:
        """Read all files of one container's cgroups."""
        settings: dict[str, tuple[Reading[str], ...]] = {}
        for hierarchy, top, files in self._files:
            path = _path_in(hierarchy, memberships)
            if path is None:
                continue
            if path.startswith("/.."):
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

    def _directory(
        self, top: str, hierarchy: Hierarchy, path: str, files: tuple[str, ...], *, leaf: bool
    ) -> dict[str, Reading[str]]:
        directory = top + path if path != "/" else top
        readings: dict[str, Reading[str]] = {}
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
                        # v1 has the same files in every cgroup but the root; v2 only where a controller is on.
                        if hierarchy.version == 1 and path != "/":
                            self._lacking.add((top, file))
                    elif error.errno == errno.ENODEV:
                        readings[file] = Unknown(source, "ENODEV: the cgroup has been removed")
                    else:
                        readings[file] = refused(error, source)
                else:
                    readings[file] = Known(text(raw.rstrip(b"\n")), source)
        finally:
            os.close(fd)
        return readings


def _path_in(hierarchy: Hierarchy, memberships: tuple[Membership, ...]) -> str | None:
    for membership in memberships:
        if hierarchy.version == 2:
            if membership.hierarchy == 0:
                return membership.path
        elif set(membership.controllers) & set(hierarchy.controllers):
            return membership.path
    return None
