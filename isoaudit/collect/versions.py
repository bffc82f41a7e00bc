"""Reading which runtimes are installed and of what version: from dpkg's database and from Go binaries.

Nothing is executed and no daemon is asked. Of binaries that are not root's nothing is read: what a user calls
runc is nobody else's.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_regular, refused
from isoaudit.facts.software import (
    PACKAGES,
    PROGRAMS,
    Installed,
    parse_dpkg_status,
    version_of_module,
)
from isoaudit.facts.text import text
from isoaudit.kernel.buildinfo import read_build_information
from isoaudit.model import Known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.engines import Engine
    from isoaudit.model import Reading

_STATUS = "/var/lib/dpkg/status"
_INFO = "/var/lib/dpkg/info"
_STATUS_BYTES = 64 << 20
_LIST_BYTES = 1 << 20
_FOLDERS = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/opt/bin",
    "/usr/local/nvidia/toolkit",
    "/var/lib/rancher/k3s/data/current/bin",
    "/usr/lib/cri-o-runc/sbin",
)


def read_versions(paths: Paths, engines: Reading[tuple[Engine, ...]]) -> Reading[tuple[Installed, ...]]:
    """Find the runtimes of the host.

    Args:
        paths: the trees to read.
        engines: the daemons that run: their binaries count, wherever they lie.
    """
    try:
        packaged = list(_packaged(paths))
    except OSError as error:
        return refused(error, paths.host(_STATUS))
    owned = {path for _, files in packaged for path in files}
    found = [one for one, _ in packaged]
    seen: set[tuple[int, int]] = set()
    running = _running(paths, engines)
    for component, shown, path, runs in (*running, *_installed(paths)):
        installed = _read_program(component, shown, path, owned, seen, running=runs)
        if installed is not None:
            found.append(installed)
    return Known(tuple(found), f"{_STATUS}, and Go's build information in binaries")


def _packaged(paths: Paths) -> Iterator[tuple[Installed, frozenset[str]]]:
    """The packages, each with the files that it owns.

    Raises:
        OSError: the database is there and cannot be read.
    """
    info = paths.host(_INFO)
    # A look at each name costs less than to search the database, which has two megabytes.
    names = [name for name in PACKAGES if os.path.exists(f"{info}/{name}.list")]
    if not names:
        return
    status = paths.host(_STATUS)
    for name, version in parse_dpkg_status(read_regular(status, _STATUS_BYTES), names).items():
        listing = f"{info}/{name}.list"
        try:
            files = frozenset(text(read_regular(listing, _LIST_BYTES)).split("\n"))
        except OSError:
            files = frozenset()  # its binary is then read as well
        yield Installed(PACKAGES[name], _STATUS, version, "dpkg", running=False), files


def _running(paths: Paths, engines: Reading[tuple[Engine, ...]]) -> tuple[tuple[str, str, str, bool], ...]:
    """The binaries of root's daemons: component, where it says it lies, what to open."""
    found = []
    for engine in engines.value if isinstance(engines, Known) else ():
        if engine.name not in PROGRAMS.values() or not isinstance(engine.uid, Known) or engine.uid.value:
            continue
        link = f"{paths.proc}/{engine.pid}/exe"
        try:
            shown = os.readlink(link)
        except OSError:
            continue  # it has ended: what is installed stands for it
        found.append((engine.name, shown, link if paths.live else paths.host(shown), True))
    return tuple(found)


def _installed(paths: Paths) -> Iterator[tuple[str, str, str, bool]]:
    for folder in _FOLDERS:
        for program, component in PROGRAMS.items():
            if component:
                path = f"{folder}/{program}"
                yield component, path, paths.host(path), False


def _read_program(
    component: str, shown: str, path: str, owned: set[str], seen: set[tuple[int, int]], *, running: bool
) -> Installed | None:
    """What a binary says; None where there is none, it is another program, or a package speaks for it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        file = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode) or status.st_uid or status.st_mode & 0o022 or file in seen:
            return None
        seen.add(file)
        # The name that was looked at may lead there by links, as /sbin does to /usr/sbin.
        if shown in owned or os.path.realpath(path) in owned:
            return None
        information = read_build_information(lambda offset, size: os.pread(fd, size, offset))
    except (OSError, ValueError):
        return Installed(component, shown, "", "build information", running)
    finally:
        os.close(fd)
    version = "" if information is None else version_of_module(component, information)
    if version is None:
        return None
    return Installed(component, shown, version, "build information", running)
