"""Runtimes and engines that are installed, and the versions that packages and binaries say they have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text

if TYPE_CHECKING:
    from collections.abc import Iterable

# The component of a Debian package, by the package's name.
PACKAGES: dict[str, str] = {
    "buildah": "buildah",
    "containerd": "containerd",
    "containerd.io": "containerd",
    "cri-o": "cri-o",
    "crun": "crun",
    "docker-ce": "docker",
    "docker.io": "docker",
    "incus": "incus",
    "kubelet": "kubelet",
    "lxc": "lxc",
    "lxd": "lxd",
    "nvidia-container-toolkit": "nvidia-container-toolkit",
    "podman": "podman",
    "runc": "runc",
    "systemd-container": "systemd-nspawn",
}
# The component of a Go program, by its file name. What is written in C says no version that can be read.
PROGRAMS: dict[str, str] = {
    "buildah": "buildah",
    "buildkitd": "buildkit",
    "containerd": "containerd",
    "crio": "cri-o",
    "dockerd": "docker",
    "incusd": "incus",
    "k3s": "",  # carries several, each of its own version
    "kubelet": "kubelet",
    "lxd": "lxd",
    "nvidia-container-runtime": "nvidia-container-toolkit",
    "podman": "podman",
    "runc": "runc",
}
# The main module of each, so that another program of the same name is not taken for it.
_MODULES: dict[str, str] = {
    "buildah": "github.com/containers/buildah",
    "buildkit": "github.com/moby/buildkit",
    "containerd": "github.com/containerd/containerd",
    "cri-o": "github.com/cri-o/cri-o",
    "docker": "github.com/docker/docker",
    "incus": "github.com/lxc/incus",
    "kubelet": "k8s.io/kubernetes",
    "lxd": "github.com/canonical/lxd",
    "nvidia-container-toolkit": "github.com/NVIDIA/nvidia-container-toolkit",
    "podman": "github.com/containers/podman",
    "runc": "github.com/opencontainers/runc",
}
_MOVED = {"docker": ("github.com/moby/moby",), "lxd": ("github.com/lxc/lxd",)}

_VERSION = re.compile(
    r"(?:[0-9]{1,9}:)?v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(?:[-~.]?(alpha|beta|rc)[-.]?([0-9]{1,9}))?((?:(?:[-+~]|\.(?![0-9])).*)?)",
    re.DOTALL,
)
_PSEUDO = re.compile(r"[-.][0-9]{14}-[0-9a-f]{12}")
_LINKED = re.compile(
    r"""-X[= ][\\"']*[A-Za-z0-9_./-]*\b(?:main|version|dockerversion)\."""
    r"""(?:version|Version|gitVersion)=(v?[0-9][^\\"' ]*)"""
)


class Installed(NamedTuple):
    """A runtime on the host."""

    component: str  # "runc", "docker", as the vulnerability data spells them
    path: str  # of its binary; of the package database where that said it
    version: str  # as it stands there; "" where the binary does not say
    origin: str  # "dpkg" or "build information"
    running: bool  # the binary of a daemon that runs


class Version(NamedTuple):
    """A version that compares, and what its packager added."""

    number: str  # in PEP 440's form: "1.0.0rc93"
    vendor: str  # the rest: "+ds1-1+deb12u1"; fixes may have been added by it

    def __str__(self) -> str:
        return f"{self.number}{self.vendor}"


def normalise(version: str) -> Version | None:
    """A version of a package's or a binary's; None where it is none, or one made from a commit.

    The epoch is left out: it belongs to the packager.
    """
    match = _VERSION.fullmatch(version.strip())
    if not match or len(version) > 200 or _PSEUDO.search(version):
        return None
    number, phase, count, rest = match.groups()
    short = {"alpha": "a", "beta": "b", "rc": "rc"}[phase] + count if phase else ""
    return Version(f"{number}{short}", rest)


def parse_dpkg_status(raw: bytes, names: Iterable[str]) -> dict[str, str]:
    """The versions of those of some packages that are installed (dpkg-query(1), /var/lib/dpkg/status)."""
    found = {}
    raw = b"\n" + raw
    for name in names:
        at = raw.find(b"\nPackage: %s\n" % name.encode()) + 1
        if not at:
            continue
        end = raw.find(b"\n\n", at)
        stanza = text(raw[at : end if end >= 0 else len(raw)])
        fields = dict(entry.split(": ", 1) for entry in stanza.split("\n") if ": " in entry and entry[0] != " ")
        if fields.get("Status", "").endswith(" installed") and fields.get("Version"):
            found[name] = fields["Version"].strip()
    return found


def version_of_module(component: str, build_information: str) -> str | None:
    """What a Go program's build information says of its version (`go version -m`).

    The main module's own version where it was built as one; else what the linker was told.

    Returns:
        "" where it does not say; None where it is another program.
    """
    paths = (_MODULES[component], *_MOVED.get(component, ()))
    main = ""
    version = ""
    linked = ""
    for entry in build_information.split("\n"):
        kind, _, rest = entry.partition("\t")
        if kind == "path":
            main = rest
        elif kind == "mod":
            name, _, tail = rest.partition("\t")
            main = main or name
            said = tail.partition("\t")[0]
            version = said if said != "(devel)" and not _PSEUDO.search(said) else ""
        elif kind == "build" and rest.startswith("-ldflags="):
            told = _LINKED.search(rest)
            linked = told[1] if told else ""
    if main and not any(main == path or main.startswith(f"{path}/") for path in paths):
        return None
    return linked or version.partition("+")[0]
