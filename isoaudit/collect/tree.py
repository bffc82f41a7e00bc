"""Reading kernel files: errors become `Unknown` here, once, with path and errno.

Everything below works on directory descriptors and bytes with os.open and os.read: `open()` costs 1.7 times
the whole read phase and pathlib 2.3 times.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, TypeVar

from isoaudit.facts.text import line
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoaudit.model import Reading

T = TypeVar("T")

_CHUNK = 1 << 16
# No kernel file that we read is larger; mountinfo of a mount flood is the largest that is not refused.
LIMIT = 64 << 20


class VanishedError(Exception):
    """The process that was being read has ended."""


def read_fd(fd: int, limit: int = LIMIT) -> bytes:
    """Read a descriptor to its end, at most `limit` bytes.

    mountinfo gives a page a call, so that one call would lose mounts in silence.

    Raises:
        OSError: the kernel's answer; EFBIG where there is more than `limit`.
    """
    parts: list[bytes] = []
    total = 0
    while True:
        part = os.read(fd, _CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        total += len(part)
        if total > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes")


def read_file(path: bytes | str, dir_fd: int | None = None) -> bytes:
    """Read a file of the kernel's to its end.

    Raises:
        OSError: the kernel's answer.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        return read_fd(fd)
    finally:
        os.close(fd)


def read_record(path: bytes | str, dir_fd: int | None = None) -> bytes:
    """Read a file that the kernel gives whole in one call: status, cgroup, one-line files.

    One that fills the buffer is read on: a process in 65,536 groups has a status of 700 kB.

    Raises:
        OSError: the kernel's answer.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        raw = os.read(fd, _CHUNK)
        return raw if len(raw) < _CHUNK else raw + read_fd(fd)
    finally:
        os.close(fd)


def read_regular(path: str, limit: int) -> bytes:
    """Read a file that a user may have put there: only a regular one, and without ever waiting.

    Raises:
        OSError: the kernel's answer; EINVAL where it is no regular file, EFBIG where it is larger.
    """
    return read_regular_fd(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), limit)


def read_regular_fd(fd: int, limit: int) -> bytes:
    """As `read_regular`, of a descriptor, which is closed.

    Raises:
        OSError: as `read_regular`.
    """
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return read_fd(fd, limit)
    finally:
        os.close(fd)


def refused(error: OSError, source: str) -> Unknown:
    """The reading for a read that failed, in words that say how to see it."""
    name = errno.errorcode.get(error.errno or 0, "error")
    text = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "run isoaudit as root" if os.geteuid() != 0 else "the kernel refuses it even to this root"
        return Unknown(source, f"{name}: {text}; {hint}")
    return Unknown(source, f"{name}: {text}")


def parsed(raw: bytes, source: str, parse: Callable[[bytes], T]) -> Reading[T]:
    """A reading from bytes; what does not parse is unknown, with the parser's complaint."""
    try:
        return Known(parse(raw), source)
    except (ValueError, IndexError) as error:
        return Unknown(source, f"not understood: {error}")


def read(path: str, parse: Callable[[bytes], T]) -> Reading[T]:
    """Read and parse a file that is there as long as the host is."""
    try:
        raw = read_file(path)
    except OSError as error:
        return refused(error, path)
    return parsed(raw, path, parse)


def read_line(path: str) -> Reading[str]:
    """Read a one-line file."""
    return read(path, line)
