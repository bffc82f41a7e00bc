"""Names and images of containers, from the engines' own files on the host. Never asked of a daemon.

Every file here is optional, and nothing that it says decides a verdict.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from typing import TYPE_CHECKING, Any

from isoaudit.collect.kubelet import PAUSE, Kubelet
from isoaudit.collect.tree import read_file, read_regular, read_regular_fd
from isoaudit.facts.mounts import HostMounts, parse_mountinfo
from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.runtimes import Made

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]*")
_DOCKER_ROOTS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")
_PODMAN_STORAGES = ("/var/lib/containers/storage",)
_ROOTLESS_STORAGE = ".local/share/containers/storage"
_STORAGE_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
_SHIM_STATE = "/run/containerd/io.containerd.runtime.v2.task"
_OCI_STATES = (("runc", "/run/runc", "state.json"), ("crun", "/run/crun", "status"))
_PODMAN_BUNDLE = re.compile(r"(/.+/[a-z]+-containers)/[0-9a-f]{64}/userdata")
_DOCKER_STATE = re.compile(r"(/.+)/containers/[0-9a-f]{64}/hostname")
# A list of 5,000 containers; what JSON of this size can grow to in memory is bearable.
_MOST = 4 << 20
# Of Kubernetes' CRI runtimes, as annotations of the bundle: container, pod and namespace names, the image.
_CRI = {
    "name": ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
    "pod": ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    "namespace": ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
    "image": ("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"),
    "type": ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"),
}


class Names:
    """Looks containers up in the engines' state; files that list many are read once."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._docker_roots: tuple[str, ...] | None = None
        self._podman: dict[str, tuple[str, str]] | None = None
        self._podman_lists: set[str] = set()
        self._kubelet = Kubelet(paths)
        self._oci: dict[int, tuple[str, str, int]] | None = None

    def complete(self, made: Made, pid: int, start_time: int) -> tuple[Made, str]:
        """What the engine's files add: the container with its name, and its image ("" if not told)."""
        image = ""
        if made.id and not _ID.fullmatch(made.id):
            return made, image
        if made.runtime == "docker" and made.id:
            name, image = self._from_docker(made.id, pid)
            made = made._replace(name=name or made.name)
        elif made.runtime == "podman" and made.id:
            name, image = self._from_podman(made)
            made = made._replace(name=name or made.name)
        elif made.runtime in ("containerd", "cri-o") and made.id:
            made, image = self._from_bundle(made)
        elif not made.name and not made.id:
            made = self._from_oci(made, pid, start_time)
        if made.pod and made.runtime != "podman":
            made = self._kubelet.complete(made, pid)
        return made, image

    def _json(self, path: str, below: str = "") -> Any:
        """A state file, or None: engines come and go, and a name is never worth failing for.

        Args:
            path: of the file on the host.
            below: a folder whose owner may have put links and mounts inside; none is followed.
        """
        try:
            if below:
                return json.loads(_read_beneath(self._paths.host(below), path, _MOST))
            return json.loads(read_regular(self._paths.host(path), _MOST))
        except (OSError, ValueError, RecursionError):
            return None

    def _from_docker(self, ident: str, pid: int) -> tuple[str, str]:
        if self._docker_roots is None:
            configured = self._json("/etc/docker/daemon.json")
            own = configured.get("data-root") if isinstance(configured, dict) else None
            self._docker_roots = ((own,) if isinstance(own, str) else ()) + _DOCKER_ROOTS
        for root in itertools.chain(self._docker_roots, self._docker_root_of(pid)):
            config = self._json(f"{root}/containers/{ident}/config.v2.json")
            if isinstance(config, dict):
                if root not in self._docker_roots:
                    self._docker_roots += (root,)
                inner = config.get("Config")
                image = inner.get("Image") if isinstance(inner, dict) else None
                return _string(config.get("Name")).lstrip("/"), _string(image)
        return "", ""

    def _docker_root_of(self, pid: int) -> Iterator[str]:
        """Where a daemon with another --data-root keeps a container: it mounts files of its state inside.

        With `--network container:X` they are X's, but of the same daemon.
        """
        try:
            inside = parse_mountinfo(read_file(f"{self._paths.proc}/{pid}/mountinfo"))
            ours = parse_mountinfo(read_file(f"{self._paths.proc}/self/mountinfo"))
        except (OSError, ValueError):
            return
        host = HostMounts(ours)
        for mount in inside:
            if mount.target == "/etc/hostname":
                match = _DOCKER_STATE.fullmatch(host.path(mount) or "")
                if match:
                    yield match[1]

    def _from_podman(self, made: Made) -> tuple[str, str]:
        if self._podman is None:
            self._podman = dict(self._podman_containers())
        elsewhere = _PODMAN_BUNDLE.fullmatch(made.bundle)
        if made.id not in self._podman and elsewhere and elsewhere[1] not in self._podman_lists:
            self._podman_lists.add(elsewhere[1])
            self._podman.update(self._podman_list(f"{elsewhere[1]}/containers.json"))
        return self._podman.get(made.id, ("", ""))

    def _podman_containers(self) -> Iterator[tuple[str, tuple[str, str]]]:
        storages = [("", storage) for storage in (*_PODMAN_STORAGES, f"/root/{_ROOTLESS_STORAGE}")]
        try:
            homes = sorted(os.listdir(self._paths.host("/home")))
        except OSError:
            homes = []
        storages += [(f"/home/{home}", _ROOTLESS_STORAGE) for home in homes]
        for home, storage in storages:
            for driver in _STORAGE_DRIVERS:
                yield from self._podman_list(f"{storage}/{driver}-containers/containers.json", home)

    def _podman_list(self, path: str, home: str = "") -> Iterator[tuple[str, tuple[str, str]]]:
        listed = self._json(path, home)
        for entry in listed if isinstance(listed, list) else ():
            if not isinstance(entry, dict):
                continue
            names = entry.get("names")
            try:
                metadata = json.loads(_string(entry.get("metadata")) or "{}")
            except (ValueError, RecursionError):
                metadata = {}
            image = metadata.get("image-name") if isinstance(metadata, dict) else ""
            first = names[0] if isinstance(names, list) and names else ""
            yield _string(entry.get("id")), (_string(first), _string(image))

    def _from_bundle(self, made: Made) -> tuple[Made, str]:
        if made.runtime == "cri-o":
            folders = [f"/run/containers/storage/overlay-containers/{made.id}/userdata"]
        else:
            try:
                namespaces = sorted(os.listdir(self._paths.host(_SHIM_STATE)))
            except OSError:
                namespaces = []
            folders = [f"{_SHIM_STATE}/{namespace}/{made.id}" for namespace in namespaces]
            if made.bundle:  # of the shim's first container; the others' lie beside it
                folders.insert(0, f"{os.path.dirname(made.bundle)}/{made.id}")
        for folder in folders:
            config = self._json(f"{folder}/config.json")
            annotations = config.get("annotations") if isinstance(config, dict) else None
            if isinstance(annotations, dict):
                told = {
                    what: next((_string(annotations[key]) for key in keys if annotations.get(key)), "")
                    for what, keys in _CRI.items()
                }
                pod = f"{told['namespace']}/{told['pod']}" if told["pod"] else made.pod
                name = PAUSE if told["type"] == "sandbox" else told["name"] or made.name
                return made._replace(name=name, pod=pod), told["image"]
        return made, ""

    def _from_oci(self, made: Made, pid: int, start_time: int) -> Made:
        """A bare runc or crun container, by the pid and start time in the runtime's state directory."""
        if self._oci is None:
            self._oci = dict(self._oci_containers())
        found = self._oci.get(pid)
        # The start time tells a container's first process from another one that got its pid later.
        if found is not None and found[2] in (0, start_time):
            return made._replace(runtime=found[0], id=found[1], name=found[1])
        return made

    def _oci_containers(self) -> Iterator[tuple[int, tuple[str, str, int]]]:
        for runtime, folder, file in _OCI_STATES:
            try:
                idents = os.listdir(self._paths.host(folder))
            except OSError:
                continue
            for ident in idents:
                state = self._json(f"{folder}/{ident}/{file}")
                if isinstance(state, dict):
                    pid = state.get("init_process_pid", state.get("pid"))
                    started = state.get("init_process_start", state.get("process-start-time", 0))
                    if isinstance(pid, int) and isinstance(started, int):
                        yield pid, (runtime, ident, started)


def _string(value: object) -> str:
    # JSON may hold lone surrogates, which no output could encode.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def _read_beneath(folder: str, path: str, limit: int) -> bytes:
    """Read a regular file of a user's folder, past no link and into no other mount, which could hang.

    Raises:
        OSError: the kernel's answer; ENOSYS before Linux 5.6.
    """
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV
        fd = syscalls.openat2(root, os.fsencode(path), flags, resolve)
    finally:
        os.close(root)
    return read_regular_fd(fd, limit)
