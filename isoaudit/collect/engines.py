"""Reading the engines that run on the host: from /proc, their configuration and the owners of their files.

A daemon is known by its program and is in the host's PID namespace: what runs inside a container is not the
host's. No daemon is asked anything. Files of an ordinary user's engine are not opened: they may lie on a
filesystem of his own, which may never answer.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.enginefiles import EngineFiles
from isoaudit.collect.tree import parsed, read_fd, read_file, read_record, refused
from isoaudit.facts.engines import (
    DAEMONS,
    Engine,
    EngineFile,
    parse_daemon_json,
    parse_options,
    service_addresses,
)
from isoaudit.facts.namespaces import parse_link
from isoaudit.facts.procnet import parse_listeners
from isoaudit.facts.status import parse_status
from isoaudit.facts.text import text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.host import EngineSocket
    from isoaudit.facts.network import Listener
    from isoaudit.model import Reading

_CONFIG_BYTES = 1 << 20
_DESCRIPTORS = 65536
_TCP = ("TCP", "MPTCP")


class EngineReading(NamedTuple):
    """What was found."""

    engines: Reading[tuple[Engine, ...]]
    files: Reading[tuple[EngineFile, ...]]


def read_engines(
    paths: Paths, host_pid: Reading[int], sockets: Reading[tuple[EngineSocket, ...]]
) -> EngineReading:
    """Find the daemons, and the files whose owners matter.

    Args:
        paths: the trees to read.
        host_pid: the host's PID namespace.
        sockets: those of engines that somebody listens on.
    """
    try:
        engines = list(_daemons(paths, host_pid))
    except OSError as error:
        unread = refused(error, paths.proc)
        return EngineReading(unread, unread)
    heard = sockets.value if isinstance(sockets, Known) else ()
    if not engines and not heard:
        return EngineReading(Known((), paths.proc), Known((), "/") if isinstance(sockets, Known) else sockets)
    try:
        files = EngineFiles(paths)
    except OSError as error:
        return EngineReading(Known(tuple(engines), paths.proc), refused(error, paths.host("/etc/group")))
    for engine in engines:
        if isinstance(engine.uid, Known) and engine.uid.value == 0:
            files.of_daemon(engine)
    for socket in heard:
        files.add(socket.engine, "socket", socket.path)
    return EngineReading(Known(tuple(engines), paths.proc), Known(tuple(files.found.values()), "stat(2)"))


def _daemons(paths: Paths, host_pid: Reading[int]) -> Iterator[Engine]:
    ours = f"pid:[{host_pid.value}]" if isinstance(host_pid, Known) else ""
    listening = _Listening()
    for entry in os.listdir(paths.proc):
        if not entry.isdigit():
            continue
        base = f"{paths.proc}/{entry}"
        program = _program(paths, base)
        if program not in DAEMONS:
            continue
        try:
            if ours and os.readlink(f"{base}/ns/pid") != ours:
                continue
        except PermissionError:
            pass  # it is listed rather than left out: nothing says that it is a container's
        except OSError:
            continue
        engine = _engine(paths, int(entry), DAEMONS[program], listening)
        if engine is not None:
            yield engine


def _program(paths: Paths, base: str) -> str:
    """The file name of the program that a process runs; its command where the link is hidden."""
    try:
        return os.readlink(f"{base}/exe").removesuffix(" (deleted)").rpartition("/")[2]
    except PermissionError:
        pass
    except OSError:
        if paths.live:  # a thread of the kernel's, or gone; a copy of a host may lack the links
            return ""
    try:
        return text(read_record(f"{base}/comm")).rstrip("\n")
    except OSError:
        return ""


def _engine(paths: Paths, pid: int, name: str, listening: _Listening) -> Engine | None:
    """Look closer at a process; None where it has ended or is a helper of the engine's."""
    base = f"{paths.proc}/{pid}"
    try:
        arguments = text(read_file(f"{base}/cmdline")).rstrip("\0").split("\0")
        status = read_record(f"{base}/status")
    except OSError:
        return None
    # Daemons start themselves again for single tasks ("docker-untar", "lxd forkproxy").
    if arguments[0].rpartition("/")[2] not in DAEMONS or any(
        word.startswith("fork") for word in arguments[1:2]
    ):
        return None
    options = parse_options(arguments)
    if name == "podman":
        addresses = service_addresses(arguments)
        if addresses is None:
            return None
        options = {"host": addresses}
    uid = parsed(status, f"{base}/status", lambda raw: parse_status(raw, "").uids[1])
    path = options.get("config-file", ("/etc/docker/daemon.json",))[-1] if name == "docker" else ""
    return Engine(
        name,
        pid,
        uid,
        _user_namespace(base),
        options,
        path,
        _config(paths, path, uid),
        listening.of(base),
    )


def _user_namespace(base: str) -> Reading[int]:
    source = f"{base}/ns/user"
    try:
        return Known(parse_link(os.readlink(source)), source)
    except OSError as error:
        return refused(error, source)


def _config(paths: Paths, path: str, uid: Reading[int]) -> Reading[Mapping[str, tuple[str, ...]]]:
    """What a daemon.json says; nothing where there is none."""
    if not path:
        return Known({}, "no configuration file that isoaudit reads")
    if not isinstance(uid, Known) or uid.value != 0:
        return Unknown(path, "the daemon is an ordinary user's, whose files isoaudit does not open")
    source = paths.host(path)
    try:
        # Looked at before it is opened: opening a device is an act.
        handle = os.open(source, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return Unknown(path, "it is no regular file")
            fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(handle)
        try:
            raw = read_fd(fd, _CONFIG_BYTES)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Known({}, path)
    except OSError as error:
        return refused(error, path)
    return parsed(raw, path, parse_daemon_json)


class _Listening:
    """The TCP sockets of daemons. /proc/net/tcp costs milliseconds: it is read once a namespace, if at all."""

    def __init__(self) -> None:
        self._tables: dict[str, Reading[tuple[Listener, ...]]] = {}

    def of(self, base: str) -> Reading[tuple[Listener, ...]]:
        """Those on which a process waits, in the network namespace that it is in."""
        try:
            held = _tcp_sockets(f"{base}/fd")
            if not held:
                return Known((), f"{base}/fd")
            namespace = os.readlink(f"{base}/ns/net")
        except OSError as error:
            return refused(error, f"{base}/fd")
        if namespace not in self._tables:
            self._tables[namespace] = _table_of(base)
        table = self._tables[namespace]
        if isinstance(table, Unknown):
            return table
        return Known(tuple(one for one in table.value if one.inode in held), f"{base}/net/tcp")


def _tcp_sockets(folder: str) -> frozenset[int]:
    """The inodes of the sockets of a process that are, or may be, TCP's.

    Raises:
        OSError: the kernel's answer; EMFILE where there are too many to look at.
    """
    held = set()
    names = os.listdir(folder)
    if len(names) > _DESCRIPTORS:
        raise OSError(errno.EMFILE, f"more than {_DESCRIPTORS} descriptors: ss -tlnp shows its sockets")
    for name in names:
        path = f"{folder}/{name}"
        try:
            target = os.readlink(path)
            if target.startswith("socket:[") and _protocol(path).startswith(_TCP):
                held.add(parse_link(target))
        except FileNotFoundError:
            continue
    return frozenset(held)


def _protocol(path: str) -> str:
    """The name of a socket's protocol, which sockfs tells without that the socket is opened (net/socket.c)."""
    try:
        return os.getxattr(path, "system.sockprotoname").rstrip(b"\0").decode()
    except OSError:
        return _TCP[0]  # it may be: a kernel that does not tell


def _table_of(base: str) -> Reading[tuple[Listener, ...]]:
    found: list[Listener] = []
    for name in ("tcp", "tcp6"):
        path = f"{base}/net/{name}"
        try:
            found += parse_listeners(read_file(path), "tcp")
        except FileNotFoundError:
            continue  # a kernel without it
        except OSError as error:
            return refused(error, path)
        except (ValueError, IndexError) as error:
            return Unknown(path, f"not understood: {error}")
    return Known(tuple(found), f"{base}/net/tcp")
