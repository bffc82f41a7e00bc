"""Reading the seccomp filters of another thread, which stands still for a tenth of a millisecond.

ptrace(2). PTRACE_SEIZE neither stops the thread nor leaves it stopped when we end; PTRACE_INTERRUPT stops it as
a signal would, without one. Needs CAP_SYS_PTRACE over it, CAP_SYS_ADMIN in the initial user namespace, a kernel
with CONFIG_CHECKPOINT_RESTORE, and a caller that is itself under no filter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from types import TracebackType

# include/uapi/linux/ptrace.h
_DETACH = 17
_SEIZE = 0x4206
_INTERRUPT = 0x4207
_GET_FILTER = 0x420C
_GET_METADATA = 0x420D
_EVENT_STOP = 128
_WALL = 0x40000000  # __WALL in include/uapi/linux/wait.h: threads too, which are no children of ours

_PATIENCE = 0.05  # seconds for a thread to stop; one that sleeps or runs does so at once
_YIELDS = 50
_METADATA = struct.Struct("=QQ")  # struct seccomp_metadata: which filter, its flags
# The first is Docker's or Podman's; systemd-nspawn has 5, a service of systemd up to 20.
MOST_FILTERS = 64


class RawFilter(NamedTuple):
    """One filter as the kernel gives it."""

    program: bytes  # struct sock_filter after struct sock_filter, in the machine's byte order
    flags: int


class NotStoppedError(Exception):
    """The thread did not come to a stop in time, or has ended."""


class Tracer:
    """Reads filters, in a thread of its own: what cannot be stopped can only be let go by the tracer's end.

    Use as a context manager. A fork while it is open takes the thread of no use along; do not.
    """

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._answers: SimpleQueue[tuple[RawFilter, ...] | OSError | NotStoppedError] = SimpleQueue()

    def __enter__(self) -> Tracer:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._asked.put(0)
            self._thread.join()
            self._thread = None

    def read(self, tid: int) -> tuple[RawFilter, ...]:
        """The filters of a thread, the newest first.

        Args:
            tid: a thread that is neither stopped nor traced, and in no call that a stop would end early (see
                `isoaudit.collect.stoppable`).

        Raises:
            OSError: what the kernel answered: EPERM to attaching, EACCES to reading filters, EINVAL where there
                is none or the kernel cannot tell; E2BIG where there are more than `MOST_FILTERS`.
            NotStoppedError: it did not stop, or has ended.
        """
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="tracer")
            self._thread.start()
        self._asked.put(tid)
        answer = self._answers.get()
        if isinstance(answer, NotStoppedError):
            self._thread.join()
            self._thread = None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _serve(self) -> None:
        while tid := self._asked.get():
            # Whatever happens there is an answer, and after all but a proper end this thread ends too.
            answer: tuple[RawFilter, ...] | OSError | NotStoppedError = NotStoppedError("the tracer broke")
            try:
                answer = _read(tid)
            except (OSError, NotStoppedError) as error:
                answer = error
            finally:
                self._answers.put(answer)
            if isinstance(answer, NotStoppedError):
                return


def _read(tid: int) -> tuple[RawFilter, ...]:
    _ptrace(_SEIZE, tid)
    try:
        _ptrace(_INTERRUPT, tid)
        signal = _stopped(tid)
    except OSError as error:
        raise NotStoppedError(f"it was not stopped: {error.strerror}") from error
    try:
        return _filters(tid)
    finally:
        try:
            _ptrace(_DETACH, tid, 0, signal)
        except ProcessLookupError as error:
            raise NotStoppedError("it was killed while its filters were read") from error


def _ptrace(request: int, tid: int, address: int = 0, data: object = 0) -> int:
    return syscalls.call("ptrace", request, tid, address, data)


def _stopped(tid: int) -> int:
    """Wait for the thread to stop. Its end is not waited for: a child of ours is somebody else's to reap.

    Returns:
        A signal that was about to be delivered and has to be passed on; else 0.
    """
    deadline, tries = time.monotonic() + _PATIENCE, 0
    while True:
        stopped = os.waitid(os.P_PID, tid, os.WSTOPPED | os.WNOHANG | _WALL)
        if stopped is not None:
            status = stopped.si_status
            return 0 if status >> 8 == _EVENT_STOP else status & 0x7F
        if time.monotonic() > deadline:
            raise NotStoppedError("it did not stop for its filters to be read, or has ended")
        # It needs a CPU to stop on; a sleep of ours would take longer than that.
        tries += 1
        if tries < _YIELDS:
            os.sched_yield()
        else:
            time.sleep(0.0005)


def _filters(tid: int) -> tuple[RawFilter, ...]:
    found: list[RawFilter] = []
    while True:
        try:
            length = _ptrace(_GET_FILTER, tid, len(found), None)
        except FileNotFoundError:
            return tuple(found)
        if len(found) == MOST_FILTERS:
            raise OSError(errno.E2BIG, f"it has more than {MOST_FILTERS} filters")
        buffer = ctypes.create_string_buffer(8 * length)
        _ptrace(_GET_FILTER, tid, len(found), ctypes.byref(buffer))
        found.append(RawFilter(buffer.raw, _flags(tid, len(found))))


def _flags(tid: int, position: int) -> int:
    metadata = ctypes.create_string_buffer(_METADATA.pack(position, 0), _METADATA.size)
    try:
        _ptrace(_GET_METADATA, tid, _METADATA.size, ctypes.byref(metadata))
    except OSError as error:
        if error.errno in (errno.EIO, errno.EINVAL):  # before Linux 4.16
            return 0
        raise
    return int(_METADATA.unpack(metadata.raw)[1])
