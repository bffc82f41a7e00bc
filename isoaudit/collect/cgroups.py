"""Reading cgroup files of a container's cgroup and of all its ancestors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.cgroupfiles import (
    ABOVE_ONLY,
    COMPARED,
    OWN_ONLY,
    ROOT_ONLY,
    V1_FILES,
    V2_FILES,
    open_cgroup,
)
from isoaudit.collect.devices import ProgramReader
from isoaudit.collect.tree import read_record, refused
from isoaudit.facts.cgroup import V2_NAMES, Cgroup, Hierarchy, Membership, Owners, own_levels
from isoaudit.facts.text import line, text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.mounts import Mount
    from isoaudit.model import Reading

_V1_NAMES = {v2: v1 for v1, v2 in V2_NAMES.items()}
_OUTSIDE = (
    "it lies outside our own cgroup namespace: run isoaudit in the host's (nsenter --cgroup --target 1, "
    "docker run --cgroupns host)"
)
_COMPARED_ON_V2 = frozenset({"cpu", "io", "memory", "pids"})
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
            listed = _listed(paths.cgroup(mount.target))
            names = listed.value.split() if isinstance(listed, Known) else []
            why = listed.reason if isinstance(listed, Unknown) else ""
            hierarchy = Hierarchy(2, tuple(names), "", mount.target, why)
        else:
            continue
        # A bind of a subtree is no place to look a whole path up in.
        if mount.root == "/":
            found.setdefault((hierarchy.version, hierarchy.controllers, hierarchy.name), hierarchy)
    return tuple(found.values())


def _listed(top: str) -> Reading[str]:
    """The controllers that v2 has."""
    source = f"{top}/cgroup.controllers"
    try:
        return Known(line(read_record(source)), source)
    except OSError as error:
        return refused(error, source)


class _Plan(NamedTuple):
    """What to read of one hierarchy."""

    hierarchy: Hierarchy
    top: str
    key: str  # one of its controllers, by which /proc/PID/cgroup tells the path in it; "" for v2
    files: tuple[str, ...]
    own: tuple[str, ...]  # those on the cgroups that are the container's alone
    above: tuple[str, ...]  # on those above
    seen: dict[str, dict[str, Reading[str]]]  # what those above said already, by directory


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
        self._plans: list[_Plan] = []
        self._compared: list[_Plan] = []
        for hierarchy in hierarchies:
            top = paths.cgroup(hierarchy.mount_point)
            wanted = (
                self._v1_files(hierarchy.controllers) if hierarchy.version == 1 else self._v2_files(hierarchy)
            )
            if wanted:
                self._plans.append(_plan(hierarchy, top, wanted))
                compared = tuple(file for file in wanted if file in COMPARED)
                # Without a controller that matters, nobody asks in which cgroup of it a container is.
                if (
                    hierarchy.version == 1
                    or hierarchy.refused
                    or _COMPARED_ON_V2.intersection(hierarchy.controllers)
                ):
                    self._compared.append(_plan(hierarchy, top, compared))
        self._mounted = {name for plan in self._plans for name in plan.hierarchy.controllers}
        self._unified = any(plan.hierarchy.version == 2 for plan in self._plans)
        self._host_paths = _by_controller(host_memberships)
        self._lacking: set[tuple[str, str]] = set()  # (hierarchy, file) that this kernel does not have
        unified = (plan.top for plan in self._plans if plan.hierarchy.version == 2)
        self._device_programs = ProgramReader(next(unified, None))

    def _v1_files(self, controllers: Iterable[str]) -> tuple[str, ...]:
        wanted = [file for name in controllers for file in V1_FILES.get(name, ())]
        if "hugetlb" in controllers:
            wanted += [f"hugetlb.{size}.limit_in_bytes" for size in self._sizes]
        return tuple(wanted)

    def _v2_files(self, hierarchy: Hierarchy) -> tuple[str, ...]:
        """The files of the controllers that v2 has, as a hybrid host has most of them on v1."""
        files = (*V2_FILES, *(f"hugetlb.{size}.max" for size in self._sizes))
        if hierarchy.refused:
            return files  # reading them will say what is wrong here
        return tuple(file for file in files if file.partition(".")[0] in ("cgroup", *hierarchy.controllers))

    def read(
        self, memberships: tuple[Membership, ...], names: Collection[str] = (), *, owned: bool = True
    ) -> Cgroup:
        """Read all files of one container's cgroups.

        Args:
            memberships: its first process's.
            names: its id and name, by which the topmost cgroup that is its own is told.
            owned: whether to ask whose its cgroups are.
        """
        settings = self._unmounted(memberships)
        owners: dict[str, Owners] = {}
        paths = _by_controller(memberships)
        own = {path: own_levels(path, names) for path in set(paths.values())}
        for plan in self._plans:
            path = paths.get(plan.key)
            if path is not None:
                self._climb(plan, path, own[path], settings, owners if owned else None)
        programs = self._device_programs.read(paths.get(""))
        return Cgroup(memberships, settings, self._host_paths, owners, device_programs=programs)

    def compared(self, memberships: tuple[Membership, ...]) -> Cgroup:
        """Read what a container's neighbours are compared with: where it is, and what limits its memory."""
        settings: dict[str, tuple[Reading[str], ...]] = {}
        paths = _by_controller(memberships)
        for plan in self._compared:
            path = paths.get(plan.key)
            if path is not None and plan.own:
                self._climb(plan, path, 1, settings, None)
        return Cgroup(memberships, settings, self._host_paths)

    def _climb(
        self,
        plan: _Plan,
        path: str,
        own: int,
        settings: dict[str, tuple[Reading[str], ...]],
        owners: dict[str, Owners] | None,
    ) -> None:
        """Read one hierarchy from a cgroup up to the root."""
        if path == "/.." or path.startswith("/../"):
            reading = Unknown(plan.top + path, _OUTSIDE)
            settings.update(dict.fromkeys(plan.own, (reading,)))
            return
        levels: list[dict[str, Reading[str]]] = []
        threaded = False
        while True:
            if threaded or len(levels) < own:
                levels.append(self._directory(plan, path, plan.own, None if levels else owners))
                kind = levels[-1].get("cgroup.type")
                # The resource domain of a threaded cgroup is one of those above, with files of its own.
                threaded = isinstance(kind, Known) and kind.value == "threaded"
                own = max(own, len(levels) + threaded)
            else:
                if path not in plan.seen:
                    plan.seen[path] = self._directory(plan, path, plan.above, None)
                levels.append(plan.seen[path])
            if path in ("/", ""):
                break
            path = path.rpartition("/")[0] or "/"
        for file in plan.files:
            counted = levels[:own] if file in OWN_ONLY else levels
            readings = tuple(level[file] for level in counted if file in level)
            if readings:
                settings[file] = readings

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
                    for file in (*V2_FILES, *(f"hugetlb.{size}.max" for size in self._sizes))
                    if _V1_NAMES.get(stem := file.partition(".")[0], stem) not in v1
                )
            for file in files:
                settings[file] = (Unknown(f"{membership.path}/{file}", _NOT_MOUNTED),)
        return settings

    def _directory(
        self, plan: _Plan, path: str, files: tuple[str, ...], owners: dict[str, Owners] | None
    ) -> dict[str, Reading[str]]:
        """What files of one cgroup say; whose it is goes into `owners`."""
        v1, root = plan.hierarchy.version == 1, path in ("/", "")
        directory = plan.top if root else plan.top + path
        if root and not v1:
            files += ROOT_ONLY
        readings: dict[str, Reading[str]] = {}
        absent: list[str] = []
        try:
            fd = open_cgroup(directory)
        except OSError as error:
            refusal = refused(error, directory)
            return dict.fromkeys(files, refusal)
        try:
            for file in files:
                if (plan.top, file) in self._lacking:
                    continue
                reading = _read(fd, directory, file)
                if reading is None:
                    absent.append(file)
                else:
                    readings[file] = reading
            if absent and not _stands(directory, fd):
                # A removed directory has lost its files: that says nothing about what they held.
                removed = Unknown(directory, "ENOENT: the cgroup has been removed")
                return dict.fromkeys(files, removed)
            if owners is not None:
                whose = _owners(fd, readings)
                owners.update(dict.fromkeys(plan.hierarchy.controllers if v1 else ("",), whose))
        finally:
            os.close(fd)
        # v1 has the same files in every cgroup but the root; v2 only where a controller is enabled.
        if v1 and not root:
            self._lacking.update((plan.top, file) for file in absent)
        return readings


def _read(fd: int, directory: str, file: str) -> Reading[str] | None:
    """What a file of a cgroup says; None where it has no such file."""
    source = f"{directory}/{file}"
    try:
        return Known(text(read_record(file, fd).rstrip(b"\n")), source)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno == errno.ENODEV:
            return Unknown(source, "ENODEV: the cgroup has been removed")
        return refused(error, source)


def _plan(hierarchy: Hierarchy, top: str, files: tuple[str, ...]) -> _Plan:
    v1 = hierarchy.version == 1
    own = tuple(file for file in files if file not in ABOVE_ONLY)
    above = tuple(file for file in files if file not in OWN_ONLY)
    key = hierarchy.controllers[0] if v1 else ""
    return _Plan(hierarchy, top, key, files if v1 else files + ROOT_ONLY, own, above, {})


def _by_controller(memberships: Iterable[Membership]) -> dict[str, str]:
    """The path in each hierarchy by each of its controllers; "" is v2's."""
    return {name: one.path for one in memberships for name in (one.controllers or ("",))}


def _owners(fd: int, readings: Mapping[str, Reading[str]]) -> Owners:
    """Whose a cgroup and its limits are: engines that give one away keep the files that limit it.

    Raises:
        OSError: never of a cgroup that stands.
    """
    directory = os.fstat(fd).st_uid
    limits = (file for file, reading in readings.items() if isinstance(reading, Known))
    file = next((file for file in limits if not file.startswith("cgroup.")), None)
    return Owners(directory, directory if file is None else os.stat(file, dir_fd=fd).st_uid)


def _stands(directory: str, fd: int) -> bool:
    """Whether a directory that was opened is still the one at its path."""
    try:
        again = open_cgroup(directory)
    except OSError:
        return False
    try:
        return os.fstat(again).st_ino == os.fstat(fd).st_ino
    finally:
        os.close(again)
