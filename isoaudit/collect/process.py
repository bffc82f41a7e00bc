"""Reading one process through a directory descriptor, which never follows a reused pid."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TypeVar

from isoaudit.collect.tree import VanishedError, parsed, read_fd, refused
from isoaudit.errors import UsageError
from isoaudit.facts.namespaces import NO_SUCH_TYPE, TYPES, Namespaces, parse_link
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from isoaudit.model import Reading

T = TypeVar("T")


class ProcessDirectory:
    """An open /proc/PID. Every read of a process that has ended raises `VanishedError`.

    Use as a context manager.

    Raises:
        VanishedError: there is no such process.
        OSError: the kernel's answer: no more descriptors, or hidepid=1 shows the number and nothing else.
    """

    def __init__(self, proc: str, pid: int) -> None:
        self.pid = pid
        self.path = f"{proc}/{pid}"
        try:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise
            raise VanishedError(self.path) from error

    def __enter__(self) -> ProcessDirectory:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def raw(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: the kernel's answer.
            VanishedError: the process has ended.
        """
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                return read_fd(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise VanishedError(self.path) from error
            raise

    def read(self, name: str, parse: Callable[[bytes], T]) -> Reading[T]:
        """Read and parse a file.

        Raises:
            VanishedError: the process has ended.
        """
        source = f"{self.path}/{name}"
        try:
            raw = self.raw(name)
        except OSError as error:
            return refused(error, source)
        return parsed(raw, source, parse)

    def namespace(self, kind: str) -> Reading[int]:
        """The inode of one namespace.

        Raises:
            VanishedError: the process has ended.
        """
        source = f"{self.path}/ns/{kind}"
        try:
            return Known(parse_link(os.readlink(f"ns/{kind}", dir_fd=self.fd)), source)
        except OSError as error:
            if error.errno == errno.ESRCH or (error.errno == errno.ENOENT and self.ended()):
                raise VanishedError(self.path) from error
            if error.errno == errno.ENOENT:
                return Unknown(source, NO_SUCH_TYPE)
            return refused(error, source)
        except ValueError as error:
            return Unknown(source, f"not understood: {error}")

    def namespaces(self) -> Namespaces:
        """The inodes of all eight.

        Raises:
            VanishedError: the process has ended.
        """
        return Namespaces(*(self.namespace(kind) for kind in TYPES))

    def start_time(self) -> int:
        """Field 22 of stat: clock ticks from boot to its start.

        Raises:
            VanishedError: the process has ended.
        """
        return start_time(self.stat())

    def stat(self) -> bytes:
        """The whole of stat, which everybody may read.

        Raises:
            VanishedError: the process has ended.
        """
        try:
            return self.raw("stat")
        except OSError as error:
            raise VanishedError(self.path) from error

    def ended(self) -> bool:
        """Whether the process is dead: reaped, or a zombie, which has no namespaces any more."""
        try:
            stat = self.raw("stat")
        except (OSError, VanishedError):
            return True
        return stat.rpartition(b") ")[2][:1] in (b"Z", b"X")


def start_time(stat: bytes) -> int:
    """Field 22 of /proc/PID/stat, in clock ticks since boot.

    Raises:
        UsageError: it is no stat file, which only a broken copy of /proc holds.
    """
    return _field(stat, 22)


def is_kernel_thread(stat: bytes) -> bool:
    """PF_KTHREAD in field 9 of /proc/PID/stat (include/linux/sched.h).

    Raises:
        UsageError: as `start_time`.
    """
    return bool(_field(stat, 9) & 0x00200000)


def _field(stat: bytes, number: int) -> int:
    # The command before may hold anything, closing brackets too; field 3 is the first one after it.
    try:
        return int(stat[stat.rindex(b")") + 2 :].split(b" ", number - 2)[number - 3])
    except (ValueError, IndexError) as error:
        raise UsageError(f"not a process's stat file: {stat[:200]!r}; is --proc right?") from error
