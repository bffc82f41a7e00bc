"""Who owns what an engine reads, runs, keeps and listens on. Only /etc/group and /etc/passwd are opened."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_file, refused
from isoaudit.facts.engines import Engine, EngineFile, Owner
from isoaudit.facts.text import text
from isoaudit.model import Known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.collect.paths import Paths

_LISTED = 256
_UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_UNITS: dict[str, tuple[str, ...]] = {
    "docker": ("docker.service", "docker.socket"),
    "containerd": ("containerd.service",),
    "podman": ("podman.service", "podman.socket"),
    "cri-o": ("crio.service",),
    "buildkit": ("buildkit.service", "buildkit.socket"),
    "lxd": ("lxd.service", "lxd.socket"),
    "incus": ("incus.service", "incus.socket"),
}
_CONFIGURATION: dict[str, tuple[str, ...]] = {
    "docker": ("/etc/docker", "/etc/docker/daemon.json", "/etc/default/docker", "/etc/sysconfig/docker"),
    "containerd": ("/etc/containerd", "/etc/containerd/config.toml"),
    "podman": (
        "/etc/containers",
        "/etc/containers/containers.conf",
        "/etc/containers/policy.json",
        "/etc/containers/registries.conf",
        "/etc/containers/storage.conf",
    ),
    "cri-o": ("/etc/crio", "/etc/crio/crio.conf"),
    "buildkit": ("/etc/buildkit", "/etc/buildkit/buildkitd.toml"),
}
_DATA: dict[str, str] = {
    "docker": "/var/lib/docker",
    "containerd": "/var/lib/containerd",
    "podman": "/var/lib/containers",
    "cri-o": "/var/lib/containers",
    "buildkit": "/var/lib/buildkit",
    "lxd": "/var/lib/lxd",
    "incus": "/var/lib/incus",
}


class EngineFiles:
    """The files of engines, each once, with who owns them."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._groups = _groups(paths)
        self._owner = lru_cache(None)(_owner)
        self.found: dict[str, EngineFile] = {}

    def of_daemon(self, engine: Engine) -> None:
        """Add what the host's root reads, runs or keeps for an engine."""
        name = engine.name
        for address in engine.options.get("host", ()) + engine.options.get("addr", ()) + _from_file(engine):
            if address.startswith("unix://"):
                self.add(name, "socket", address.removeprefix("unix://"))
        for folder in _UNIT_FOLDERS:
            for unit in _UNITS.get(name, ()):
                self.add(name, "unit", f"{folder}/{unit}")
                for drop_in in self._listed(name, "unit", f"{folder}/{unit}.d"):
                    self.add(name, "unit", drop_in)
        for path in (*_CONFIGURATION.get(name, ()), engine.config_path):
            self.add(name, "configuration", path)
        with suppress(OSError):  # hidden from all but root, to whom it says where the program lies
            self.add(name, "program", os.readlink(f"{self._paths.proc}/{engine.pid}/exe"))
        data = engine.option("data-root")
        told = data.value[-1] if isinstance(data, Known) and data.value else _DATA.get(name, "")
        self.add(name, "data", told)
        for option, kind in (("tlscacert", "certificate"), ("tlscert", "certificate"), ("tlskey", "key")):
            given = engine.option(option)
            for path in given.value if isinstance(given, Known) else ():
                self.add(name, kind, path)
        if name == "docker":
            for registry in self._listed(name, "certificate", "/etc/docker/certs.d"):
                for file in self._listed(name, "certificate", registry):
                    self.add(name, "key" if file.endswith(".key") else "certificate", file)

    def add(self, engine: str, kind: str, path: str) -> None:
        """Add a file, if it is there."""
        real = os.path.realpath(self._paths.host(path))
        if not path.startswith("/") or real in self.found:
            return
        try:
            mode, owner = self._owner(real)
            if kind == "socket" and not stat.S_ISSOCK(mode):
                return
            above = [self._owner(real[:at] or "/")[1] for at, letter in enumerate(real) if letter == "/"]
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.found[real] = EngineFile(engine, kind, real, refused(error, real), (), "", ())
            return
        group, members = self._groups.get(owner.gid, ("", ()))
        self.found[real] = EngineFile(engine, kind, real, Known(owner, real), tuple(above), group, members)

    def _listed(self, engine: str, kind: str, folder: str) -> Iterator[str]:
        """The paths of what is in a folder, if that is there."""
        try:
            names = sorted(os.listdir(self._paths.host(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.found[folder] = EngineFile(engine, kind, folder, refused(error, folder), (), "", ())
            return
        for name in names[:_LISTED]:
            yield f"{folder}/{name}"


def _from_file(engine: Engine) -> tuple[str, ...]:
    return engine.config.value.get("host", ()) if isinstance(engine.config, Known) else ()


def _owner(path: str) -> tuple[int, Owner]:
    """The whole mode of a file, and its owner."""
    status = os.lstat(path)
    return status.st_mode, Owner(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _groups(paths: Paths) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Groups by number: their name, and their members by /etc/group and by /etc/passwd.

    Raises:
        OSError: one of the two is there and cannot be read.
    """
    members: dict[int, list[str]] = {}
    names: dict[int, str] = {}
    for fields in _table(paths.host("/etc/group")):
        if len(fields) == 4 and fields[2].isdecimal():
            names.setdefault(int(fields[2]), fields[0])
            members.setdefault(int(fields[2]), []).extend(filter(None, fields[3].split(",")))
    for fields in _table(paths.host("/etc/passwd")):
        if len(fields) == 7 and fields[3].isdecimal():
            members.setdefault(int(fields[3]), []).append(fields[0])
    return {gid: (names.get(gid, ""), tuple(dict.fromkeys(users))) for gid, users in members.items()}


def _table(path: str) -> list[list[str]]:
    try:
        return [entry.split(":") for entry in text(read_file(path)).splitlines()]
    except FileNotFoundError:
        return []
