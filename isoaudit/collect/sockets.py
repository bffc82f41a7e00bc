"""Who listens in a network namespace, and which of its sockets the processes of a container hold."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_file, refused
from isoaudit.facts.namespaces import parse_link
from isoaudit.facts.text import text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.network import Listener
    from isoaudit.model import Reading

_DESCRIPTORS = 20_000  # of one process that are looked at


def sockets_of(proc: str, pids: Iterable[int]) -> tuple[dict[int, tuple[int, str]], Unknown | None]:
    """The sockets that processes hold: pid and command by the socket's inode, and what was refused."""
    held: dict[int, tuple[int, str]] = {}
    missing: Unknown | None = None
    for pid in pids:
        try:
            found = _sockets(f"{proc}/{pid}")
            if found:
                command = text(read_file(f"{proc}/{pid}/comm").rstrip(b"\n"))
                held.update(dict.fromkeys(found, (pid, command)))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        except OSError as error:
            missing = missing or refused(error, f"{proc}/{pid}/fd")
    return held, missing


def listeners(process: str) -> Reading[tuple[Listener, ...]]:
    """The sockets that wait for anybody in a process's network namespace."""
    from isoaudit.facts.procnet import parse_listeners

    found: list[Listener] = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        path = f"{process}/net/{name}"
        try:
            raw = read_file(path)
        except FileNotFoundError:
            if name.endswith("6"):  # a kernel without IPv6
                continue
            return Unknown(path, "ENOENT: there is no such file")
        except OSError as error:
            return refused(error, path)
        try:
            found += parse_listeners(raw, name[:3])
        except (ValueError, IndexError) as error:
            return Unknown(path, f"not understood: {error}")
    return Known(tuple(found), f"{process}/net/tcp")


def _sockets(process: str) -> set[int]:
    """The inodes of the sockets that a process holds.

    Raises:
        OSError: the kernel's answer.
    """
    found = set()
    folder = f"{process}/fd"
    for count, name in enumerate(os.listdir(folder)):
        if count >= _DESCRIPTORS:
            raise OSError(errno.EFBIG, f"more than {_DESCRIPTORS} descriptors")
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(parse_link(target))
    return found
