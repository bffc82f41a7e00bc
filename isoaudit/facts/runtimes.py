"""Which runtime made a container, from its cgroup path and from the command line of its monitor.

Only names come from here, never verdicts: everything below can be absent or, in a nested container, forged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "unknown"


class Made(NamedTuple):
    """What a cgroup path or a monitor tells; "" is "not told"."""

    runtime: str = UNKNOWN
    id: str = ""
    name: str = ""
    pod: str = ""


_ID = r"(?P<id>[0-9a-f]{64})"
# Ordered: a path that fits two patterns belongs to the first. Sources: facts of 151 recorded processes, and the
# engines' own naming (moby daemon/…cgroup, libpod, cri-o, lxc src/lxc/cgroups, systemd machined).
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (runtime, re.compile(pattern))
    for runtime, pattern in (
        ("cri-o", rf"/crio-{_ID}(\.scope)?(/|$)"),
        ("containerd", rf"[/:]cri-containerd[-:]{_ID}(\.scope)?(/|$)"),
        ("podman", rf"/libpod-(payload-)?{_ID}(\.scope)?(/|$)"),
        ("buildkit", r"/buildkit/(?P<id>[0-9a-z]+)(/|$)"),
        ("docker", rf"/docker-{_ID}\.scope(/|$)"),
        ("docker", rf"/docker/{_ID}(/|$)"),
        ("lxc", r"/lxc\.payload\.(?P<name>[^/]+)"),
        ("lxc", r"^/lxc/(?P<name>[^/]+)"),
        ("flatpak", r"/app-flatpak-(?P<name>.+?)-\d+\.scope"),
        ("snap", r"/snap\.(?P<name>[^/]+?)(-[0-9a-f-]{36})?\.(scope|service)"),
        ("systemd-nspawn", r"/machine-(?P<name>[^/]+)\.scope"),
        ("systemd-nspawn", r"/systemd-nspawn@(?P<name>[^/]+)\.service"),
    )
)
_KUBERNETES = re.compile(rf"/kubepods.*?[/-]pod(?P<pod>[0-9a-f_-]{{32,36}})(\.slice)?/({_ID})?")
_LONE_ID = re.compile(rf"/{_ID}(/|$)")
_UNIT_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def from_cgroup(paths: Iterable[str]) -> Made:
    """What the cgroup paths of a process tell; a path with an id wins over one without, in any hierarchy."""
    lone = Made()
    for path in paths:
        kubernetes = _KUBERNETES.search(path)
        pod = kubernetes["pod"].replace("_", "-") if kubernetes else ""
        for runtime, pattern in _PATTERNS:
            match = pattern.search(path)
            if match:
                found = match.groupdict()
                name = _UNIT_ESCAPE.sub(lambda m: chr(int(m[1], 16)), found.get("name") or "")
                return Made(runtime, found.get("id") or "", name, pod)
        last = _LONE_ID.search(path)
        if (last or pod) and not lone.id:
            lone = Made(UNKNOWN, last["id"] if last else "", "", pod)
    return lone


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


def from_monitor(comm: str, arguments: Sequence[str]) -> Made | None:
    """What the command of a process above a container tells; None where it is no monitor that we know.

    Args:
        comm: its name, at most 15 characters as the kernel keeps it.
        arguments: its command line.
    """
    if comm.startswith("containerd-shim"):
        namespace = _option(arguments, "-namespace", "--namespace")
        runtime = "docker" if namespace == "moby" else "containerd"
        # A shim of Kubernetes' serves a whole pod: its -id is the pod's sandbox.
        ident = "" if namespace == "k8s.io" else _option(arguments, "-id", "--id")
        return Made(runtime, ident, "" if runtime == "docker" else ident)
    if comm == "conmon":
        ident = _option(arguments, "-c", "--cid")
        runtime = "cri-o" if any("crio" in argument for argument in arguments) else "podman"
        return Made(runtime, ident, _option(arguments, "-n", "--name") if runtime == "podman" else "")
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
    ("runc", "runc"),
    ("crun", "crun"),
    ("isoaudit", "isoaudit"),
)
