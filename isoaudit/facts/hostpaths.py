"""What of the host's directory tree a container has mounted, and what the host keeps there.

By identity: filesystem and path within it, whatever the container calls the place. What engines put into every
container from their own state directories is the container's own, as is its root filesystem.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import maps_host_root, presumed
from isoaudit.facts.latest import latest, latest_of
from isoaudit.facts.mount_shapes import KERNEL
from isoaudit.facts.mounts import HostMounts, Mount, mount_at, path_below, reachable, within
from isoaudit.facts.opening import remounting
from isoaudit.model import SEVERITIES, Evidence, Known, Severity, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from isoaudit.facts.container import Container
    from isoaudit.facts.host import EngineSocket, Host


class Part(NamedTuple):
    """A mount of a container's that shows a part of the host's tree."""

    mount: Mount
    path: str  # on the host
    inside: tuple[str, ...]  # the host's own mount points of directories further down in the same filesystem
    lower: bool = False  # it is the lower layer of an overlay: what is written goes elsewhere
    remountable: bool = False  # the container can make its mount writable, if it is not

    @property
    def read_only(self) -> bool:
        """Whether the host's file there stays as it is, whatever is written."""
        return self.lower or (self.mount.read_only and not self.remountable)

    @property
    def access(self) -> str:
        """In a word or a few, for messages."""
        if self.read_only:
            return "read-only"
        return "read-only, but it can remount it writable" if self.mount.read_only else "writable"


class Tree(NamedTuple):
    """A directory of the host's, and what it is worth to get at it."""

    path: str
    holds: str
    read: Severity  # of a read-only mount
    written: Severity = Severity.HIGH
    whole: bool = False  # only the directory itself matters, not one file or folder in it


_OTHERS = "other containers' files"
_LOW, _MEDIUM, _HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
# Where a read-only mount is worth as much, it holds what acts when it is only opened (sockets, devices: EROFS
# does not hold for them), or secrets of others.
TREES: tuple[Tree, ...] = (
    Tree("/bin", "programs that root runs", _LOW),
    Tree("/boot", "the kernel and what is loaded before it", _LOW),
    Tree("/dev", "the host's devices", _HIGH),
    Tree("/etc", "accounts, password hashes, keys, and what the host starts", _MEDIUM),
    Tree("/home", "users' files and keys", _MEDIUM, whole=True),
    Tree("/lib", "libraries and kernel modules that root loads", _LOW),
    Tree("/lib64", "libraries that root loads", _LOW),
    Tree("/proc", "the host's kernel settings", _HIGH),
    Tree("/root", "root's files and keys", _MEDIUM),
    Tree("/run", "sockets of the host's services", _HIGH),
    Tree("/run/systemd/journal", "the journal's sockets", _LOW, _LOW),
    Tree("/run/systemd/notify", "the service manager's notification socket", _LOW, _LOW),
    Tree("/run/user", "sockets of a user's session", _MEDIUM, _MEDIUM),
    Tree("/sbin", "programs that root runs", _LOW),
    Tree("/sys", "the host's kernel objects", _MEDIUM),
    Tree("/usr", "programs and libraries that root runs", _LOW),
    Tree("/usr/local", "programs that root may run", _LOW),
    Tree("/var/lib/containerd", _OTHERS, _HIGH),
    Tree("/var/lib/containers", _OTHERS, _HIGH),
    Tree("/var/lib/docker", _OTHERS, _HIGH),
    Tree("/var/lib/incus", _OTHERS, _HIGH),
    Tree("/var/lib/kubelet", "other pods' volumes and tokens", _HIGH),
    Tree("/var/lib/lxc", _OTHERS, _HIGH),
    Tree("/var/lib/lxd", _OTHERS, _HIGH),
    Tree("/var/lib/machines", _OTHERS, _HIGH),
    Tree("/var/lib/rancher", "a cluster's keys and other pods' files", _HIGH),
    Tree("/var/lib/systemd", "state that the service manager trusts", _LOW),
    Tree("/var/log", "the host's logs, which the kubelet serves through links", _MEDIUM, whole=True),
    Tree("/var/run", "sockets of the host's services", _HIGH),
    Tree("/var/snap/lxd", _OTHERS, _HIGH),
    Tree("/var/spool/cron", "commands that cron runs as their owner", _LOW),
)
_SECRETS = Tree("", "keys and tokens", Severity.HIGH)
# Folders and files of a home directory that hold nothing but credentials.
_SECRET_NAMES = frozenset(
    {
        ".aws",
        ".azure",
        ".docker",
        ".git-credentials",
        ".gnupg",
        ".kube",
        ".netrc",
        ".password-store",
        ".ssh",
        ".vault-token",
        "gcloud",
        "keyrings",
    }
)
# World-readable files and folders that images commonly take from the host: nothing to learn, if read-only.
_HARMLESS = (
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/timezone",
    "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
    "/usr/bin/catatonit",  # this and the like: what --init of Docker and Podman mounts for a first process
    "/usr/bin/docker-init",
    "/usr/bin/tini",
    "/usr/bin/tini-static",
    "/usr/lib/locale",
    "/usr/lib/os-release",
    "/usr/libexec/docker/docker-init",
    "/usr/libexec/podman/catatonit",
    "/usr/share/ca-certificates",
    "/usr/share/fonts",
    "/usr/share/zoneinfo",
)
# In no tree above, though they lie in one: shared memory (mount-host-writable) and the terminal that a
# container was started from, bound onto its console.
_APART = re.compile(r"/dev/(shm(/|$)|pts/\d+$|console$|tty$)")
# What an engine makes for one container and mounts into it: name files, shared memory, secrets, volumes.
_ENGINES_OWN = re.compile(
    r"""
      /(containers|overlay-containers|sandboxes)/[0-9a-f]+/(.*/)?
      (resolv\.conf|hostname|hosts|shm|secrets?|passwd|group|\.containerenv|run)(/|$)
    | /buildkit/executor/(resolv\.conf|hostname|hosts)
    | /volumes/[^/]+/_data(/|$)                            # docker's and podman's named volumes
    | /pods/[0-9a-f-]{32,36}/(etc-hosts$|volumes/|volume-subpaths/|containers/)   # the kubelet's
    | /(shmounts|devlxd|guestapi)(/|$)                     # LXD, Incus
    | ^/run/(systemd/nspawn|host)/                         # systemd-nspawn
    """,
    re.VERBOSE,
)
# Their sources are no harm to read, and podman's null masks come from there.
_PLAIN_NODES = frozenset({"full", "null", "random", "tty", "urandom", "zero"})


class View:
    """The part of a container's mount table that shows the host's tree.

    Args:
        host: the host's mount table.
        mounts: the container's.
        ident: the container's id, "" where it is not known.
        remountable: whether the container can make its read-only mounts writable.
    """

    def __init__(
        self, host: HostMounts, mounts: Sequence[Mount], ident: str = "", *, remountable: bool = False
    ) -> None:
        self.mounts = reachable(mounts)
        root = mount_at(mounts, "/")
        self.root_parts = tuple(
            mount for mount in self.mounts if mount.fstype not in KERNEL and _covers(mount, host.root)
        )
        on_host = root is not None and root in self.root_parts
        parts = []
        for mount in self.mounts:
            if mount.fstype in KERNEL or mount in self.root_parts:
                continue
            if root is not None and not on_host and mount is not root and _part_of(mount, root):
                continue
            path = host.path(mount)
            if path is not None and not _is_own(path, ident):
                parts.append(Part(mount, path, host.inside(mount), remountable=remountable))
        layers = [part for mount in self.mounts for part in _layers(mount, ident)]
        self.root_layers = tuple(part.mount for part in layers if part.path == "/")
        parts += [part for part in layers if part.path != "/" and part.mount is not root]
        self.parts = tuple(part for part in parts if part.mount is not root)
        # A root filesystem is the container's own unless it contains what the host keeps there for itself.
        self.root_part = next((part for part in parts if part.mount is root), None)

    def sockets(self, sockets: Iterable[EngineSocket]) -> tuple[tuple[Mount, EngineSocket, str], ...]:
        """The engine sockets that can be reached, each with the mount it lies on and its path inside."""
        found = []
        targets = {mount.target for mount in self.mounts}
        for mount in self.mounts:
            for socket in sockets:
                if mount.device == socket.device and within(socket.path_on_device, mount.root):
                    path = path_below(mount, socket.path_on_device)
                    if not _covered(path, mount, targets):
                        found.append((mount, socket, path))
        return tuple(found)


def _covers(mount: Mount, root: Mount | None) -> bool:
    return root is not None and mount.device == root.device and within(root.root, mount.root)


def _layers(mount: Mount, ident: str) -> Iterator[Part]:
    """The directories of the host's below an overlay that an engine made over them, as podman's `-v /etc:/x:O`.

    A container can mount overlays itself, over paths of its own. An engine's keeps what is written in the
    container's directory, or is the root.
    """
    if mount.fstype != "overlay":
        return
    options = dict(option.partition("=")[::2] for option in mount.super_options)
    upper = options.get("upperdir", "")
    if mount.target != "/" and (len(ident) < 12 or f"/{ident}/" not in upper):
        return
    for path in options.get("lowerdir", "").split(":"):
        tree = tree_of(path, read_only=True) if path.startswith("/") else None
        # Layers of images lie in engines' stores, and nowhere else that matters.
        if path == "/" or (tree is not None and tree.holds != _OTHERS and within(path, tree.path)):
            yield Part(mount, path, (), lower=True)


def _part_of(mount: Mount, root: Mount) -> bool:
    return mount.device == root.device and within(mount.root, root.root)


def _is_own(path: str, ident: str) -> bool:
    return bool(_ENGINES_OWN.search(path)) or (len(ident) >= 12 and f"/{ident}/" in f"{path}/")


def _covered(path: str, mount: Mount, targets: set[str]) -> bool:
    """Whether another mount lies between a mount's own target and a path on it."""
    while path != mount.target and len(path) > 1:
        if path in targets:
            return True
        path = path.rpartition("/")[0] or "/"
    return False


@latest
def _index(table: tuple[Mount, ...]) -> HostMounts:
    return HostMounts(table)


def host_mounts(host: Host) -> HostMounts:
    """The index of the host's mounts.

    Raises:
        FactMissing: they are not known.
    """
    return _index(require(host.mounts))


@latest_of(2)
def view(host: Host, container: Container) -> View:
    """What a container has mounted of the host's tree.

    Raises:
        FactMissing: either mount table is not known.
    """
    remountable = remounting(container) is not None
    return View(host_mounts(host), require(container.mounts), container.identity.id, remountable=remountable)


@lru_cache(maxsize=1024)
def tree_of(path: str, *, read_only: bool) -> Tree | None:
    """The most telling of the host's trees that a path lies in or contains; None where it is in none.

    Args:
        path: on the host.
        read_only: whether it is mounted so: then some files are known to be harmless.
    """
    if _APART.match(path) or (read_only and any(within(path, harmless) for harmless in _HARMLESS)):
        return None
    if not _SECRET_NAMES.isdisjoint(path.split("/")):
        return _SECRETS._replace(path=path)
    inside = [tree for tree in TREES if within(path, tree.path) and _matters(path, tree)]
    if inside:
        return max(inside, key=lambda tree: len(tree.path))
    contained = [tree for tree in TREES if within(tree.path, path)]
    return min(contained, key=lambda tree: SEVERITIES.index(tree.read)) if contained else None


def _matters(path: str, tree: Tree) -> bool:
    # /home and each home directory; /var/log itself.
    depth = path.count("/") - tree.path.count("/")
    return not tree.whole or depth <= (tree.path == "/home")


def is_judged_elsewhere(part: Part, host: Host, container: Container) -> bool:
    """Whether a part is just an engine's socket or just a device node: checks of their own judge those."""
    mount = part.mount
    if isinstance(host.engine_sockets, Known):
        for socket in host.engine_sockets.value:
            if (socket.device, socket.path_on_device) == (mount.device, mount.root):
                return True
    if isinstance(container.devices, Known):
        return any(node.path == mount.target for node in container.devices.value)
    return part.path.startswith("/dev/") and part.path[5:] in _PLAIN_NODES


class Sensitive(NamedTuple):
    """A part that lies in one of the host's sensitive trees, or contains one."""

    part: Part
    tree: Tree
    severity: Severity


@latest_of(2)
def sensitive(host: Host, container: Container) -> tuple[Sensitive, ...]:
    """The parts of the host's sensitive trees that a container has, the worst first.

    Engine sockets that are mounted by themselves and device nodes are left to checks of their own.

    Raises:
        FactMissing: either mount table is not known.
    """
    seen = view(host, container)
    found = []
    for part in seen.parts:
        if is_judged_elsewhere(part, host, container):
            continue
        trees = (tree_of(path, read_only=part.read_only) for path in (part.path, *part.inside))
        found += [_rated(part, tree, container) for tree in trees if tree is not None]
    if seen.root_part is not None:
        root = seen.root_part
        found += [
            _rated(root, tree, container)
            for tree in TREES
            if any(within(tree.path, path) for path in (root.path, *root.inside))
        ]
    found.sort(key=lambda item: SEVERITIES.index(item.severity))
    return tuple(found)


def _rated(part: Part, tree: Tree, container: Container) -> Sensitive:
    return Sensitive(part, tree, for_user(tree.read if part.read_only else tree.written, container))


def for_user(severity: Severity, container: Container) -> Severity:
    """A step less where the host's root does not exist inside: its files' modes still hold."""
    if presumed(maps_host_root, container):
        return severity
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, SEVERITIES.index(Severity.LOW))]


_MOST_SHOWN = 10


def mount_evidence(container: Container, mounts: Iterable[Mount], expected: str) -> list[Evidence]:
    """Lines of a container's mountinfo, the first ten of them."""
    return [Evidence(container.mounts.source, mount.line, expected) for mount in islice(mounts, _MOST_SHOWN)]
