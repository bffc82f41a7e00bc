"""Which runtime made a container, from its cgroup path and from the command line of its monitor.

Only names come from here, never verdicts: everything below can be absent or, in a nested container, forged.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "unknown"


class Made(NamedTuple):
    """What a cgroup path or a monitor tells; "" is "not told"."""

    runtime: str = UNKNOWN
    id: str = ""
    name: str = ""
    pod: str = ""  # "NAMESPACE/NAME" once a file told it, a Kubernetes UID until then; Podman's by its short id
    bundle: str = ""  # the OCI bundle's folder on the host, as a monitor that runs as root tells


_ID = r"(?P<id>[0-9a-f]{64})"
# Of several that fit one path the deepest counts: a nested container's path goes on from its host's. Sources:
# 151 recorded processes, and the engines' own naming (moby daemon/…cgroup, libpod, cri-o, nerdctl, lxc
# src/lxc/cgroups, systemd machined, libvirt vircgroup). Ends are looked at, not taken: two matches may touch.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("cri-o", rf"[/:]crio[-:]{_ID}(\.scope)?(?=/|\Z)"),
    ("containerd", rf"[/:]cri-containerd[-:]{_ID}(\.scope)?(?=/|\Z)"),
    ("containerd", rf"[/:]nerdctl[-:]{_ID}(\.scope)?(?=/|\Z)"),
    ("podman", rf"/libpod-(payload-)?{_ID}(\.scope)?(?=/|\Z)"),
    ("buildkit", r"/buildkit/(?P<id>[0-9a-z]+)(?=/|\Z)"),
    ("docker", rf"/docker-{_ID}\.scope(?=/|\Z)"),
    ("docker", rf"/docker/{_ID}(?=/|\Z)"),
    ("lxc", r"/lxc\.payload[./](?P<name>[^/]+)"),
    ("lxc", r"^/lxc/(?P<name>[^/]+)"),
    ("flatpak", r"/app-flatpak-(?P<name>[^/]+?)-\d+\.scope(?=/|\Z)"),
    ("snap", r"/snap\.(?P<name>[^/]+?)(-[0-9a-f-]{36})?\.(scope|service)(?=/|\Z)"),
    ("libvirt-lxc", r"/machine-lxc\\x2d\d+\\x2d(?P<name>[^/]+)\.scope(?=/|\Z)"),
    # QEMU gets a machine's scope and private mounts, and is a process of the host's all the same.
    ("systemd-nspawn", r"/machine-(?!(qemu|lxc)\\x2d)(?P<name>[^/]+)\.scope(?=/|\Z)"),
    ("systemd-nspawn", r"/systemd-nspawn@(?P<name>[^/]+)\.service(?=/|\Z)"),
    ("isoaudit", r"/isoaudit-\d+-\d+-[0-9a-f]{8}/(?P<name>[^/]+)"),  # its own test containers
    (UNKNOWN, rf"/{_ID}(?=/|\Z)"),  # under a parent of one's own the id is all that is left
)
_POD = re.compile(r"[/-]pod([0-9a-f_-]{32,36})(?:\.slice)?[/:]")
_PODMAN_POD = re.compile(r"(?:/libpod_parent/|[/-]libpod_pod_)([0-9a-f]{64})(?:\.slice)?/libpod-")
_UNIT_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def from_cgroup(paths: Iterable[str]) -> Made:
    """What the cgroup paths of a process tell; a path with an id wins over one without, in any hierarchy."""
    lone = Made()
    for path in dict.fromkeys(paths):  # v1 says the same for most hierarchies
        made = _deepest(path)._replace(pod=_pod(path))
        if made.runtime != UNKNOWN:
            return made
        if (made.id or made.pod) and not lone.id:
            lone = made
    return lone


def _pod(path: str) -> str:
    if "kubepods" in path:
        pods = _POD.findall(path)
        return pods[-1].replace("_", "-") if pods else ""
    pods = _PODMAN_POD.findall(path) if "libpod" in path else []
    return pods[-1][:12] if pods else ""


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    # Not at import: a host without containers needs none of them.
    return tuple((runtime, re.compile(pattern)) for runtime, pattern in _PATTERNS)


def _deepest(path: str) -> Made:
    """The container named furthest down a path."""
    end, made = -1, Made()
    for runtime, pattern in _compiled():
        for match in pattern.finditer(path):
            told = "id" if "id" in pattern.groupindex else "name"
            if match.end(told) > end:
                end = match.end(told)
                made = Made(runtime, match[told]) if told == "id" else Made(runtime, "", _name(match[told]))
    return made


def _name(component: str) -> str:
    r"""A name as it was before systemd made a unit's of it: `\x2d` is a hyphen."""
    return text(
        _UNIT_ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), component.encode("utf-8", "backslashreplace"))
    )


def in_service(paths: Iterable[str]) -> bool:
    """Whether a cgroup path is of a systemd service of the host's, whose private mounts make no container."""
    return any(
        component.endswith(".service") and not component.startswith(("systemd-nspawn@", "user@", "snap."))
        for path in paths
        for component in path.split("/")
    )


def _option(arguments: Sequence[str], *names: str) -> str:
    for index, argument in enumerate(arguments):
        if argument in names and index + 1 < len(arguments):
            return arguments[index + 1]
        for name in names:
            if argument.startswith(f"{name}="):
                return argument.removeprefix(f"{name}=")
    return ""


def from_monitor(comm: str, arguments: Sequence[str], folder: str = "") -> Made | None:
    """What the command of a process above a container tells; None where it is no monitor that we know.

    Args:
        comm: its name, at most 15 characters as the kernel keeps it.
        arguments: its command line.
        folder: its working directory. containerd starts a shim in the bundle of its first container.
    """
    if comm.startswith("containerd-shim"):
        namespace = _option(arguments, "-namespace", "--namespace")
        runtime = "docker" if namespace == "moby" else "containerd"
        # A shim of Kubernetes' serves a whole pod: its -id is the pod's sandbox.
        ident = "" if namespace == "k8s.io" else _option(arguments, "-id", "--id")
        return Made(runtime, ident, "" if runtime == "docker" else ident, bundle=folder)
    if comm == "conmon":
        ident = _option(arguments, "-c", "--cid")
        runtime = "cri-o" if "/crio" in _option(arguments, "--exit-dir") else "podman"
        name = _option(arguments, "-n", "--name") if runtime == "podman" else ""
        return Made(runtime, ident, name, bundle=_option(arguments, "-b", "--bundle"))
    if comm == "lxc-start" or (arguments and arguments[0].startswith("[lxc monitor]")):
        title = " ".join(arguments)
        name = (
            title.rsplit(" ", 1)[-1]
            if title.startswith("[lxc monitor]")
            else _option(arguments, "-n", "--name")
        )
        return Made("lxc", "", name)
    if comm == "systemd-nspawn":
        directory = _option(arguments, "-D", "--directory").rstrip("/")
        name = _option(arguments, "-M", "--machine") or directory.rpartition("/")[2]
        return Made("systemd-nspawn", "", name)
    for prefix, runtime in _SIMPLE_MONITORS:
        if comm.startswith(prefix):
            return Made(runtime)
    return None


_SIMPLE_MONITORS: tuple[tuple[str, str], ...] = (
    ("bwrap", "bubblewrap"),
    ("firejail", "firejail"),
    ("unshare", "unshare"),
    ("starter", "apptainer"),
    ("slirp4netns", "slirp4netns"),
    ("pasta", "pasta"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("isoaudit", "isoaudit"),
)
