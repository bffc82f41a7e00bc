"""Work spread over forked processes. Threads cost two to three times the CPU here; forks share all facts."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isoaudit.errors import IsoauditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

_LENGTH = struct.Struct("!Q")


class _Worker(NamedTuple):
    pid: int
    pipe: int


def spread(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """The results of `work` on each item, in the items' order.

    Args:
        work: what to do; its results are pickled where there is more than one worker.
        items: what to do it on. Worker n of m takes every m-th.
        workers: how many processes; with one, all is done in this one.

    Raises:
        IsoauditError: a worker died. No result is lost in silence.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    workers = min(workers, len(items))
    running = [_start(work, items[number::workers]) for number in range(workers)]
    try:
        yield from _in_order(running, len(items))
    finally:
        for worker in running:
            os.close(worker.pipe)
            with suppress(ProcessLookupError):  # it has ended already
                os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)


def _start(work: Callable[[Item], Result], items: Sequence[Item]) -> _Worker:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Worker(pid, reading)
    status = 1
    try:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            for item in items:
                content = pickle.dumps(work(item), protocol=pickle.HIGHEST_PROTOCOL)
                pipe.write(_LENGTH.pack(len(content)))
                pipe.write(content)
                pipe.flush()
        status = 0
    finally:
        # Never back into the caller's stack: its cleanup is the parent's to do.
        os._exit(status)


def _in_order(running: Sequence[_Worker], total: int) -> Iterator[Result]:
    """Results as they are due; what comes early is kept, so that no worker waits for another's pipe."""
    buffers = [bytearray() for _ in running]
    ready: list[list[bytes]] = [[] for _ in running]
    with selectors.DefaultSelector() as selector:
        for number, worker in enumerate(running):
            selector.register(worker.pipe, selectors.EVENT_READ, number)
        for due in range(total):
            number = due % len(running)
            while not ready[number]:
                if not selector.get_map():
                    raise IsoauditError("a worker process ended early; run again, and report it if it recurs")
                for key, _ in selector.select():
                    part = os.read(key.fd, 1 << 20)
                    if not part:
                        selector.unregister(key.fd)
                    buffers[key.data] += part
                    _take(buffers[key.data], ready[key.data])
                if not ready[number] and running[number].pipe not in selector.get_map():
                    raise IsoauditError("a worker process ended early; run again, and report it if it recurs")
            result: Result = pickle.loads(ready[number].pop(0))  # noqa: S301  our own child wrote it
            yield result


def _take(buffer: bytearray, ready: list[bytes]) -> None:
    """Move whole results from a buffer to the list of those that are ready."""
    while len(buffer) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer)
        end = _LENGTH.size + length
        if len(buffer) < end:
            return
        ready.append(bytes(buffer[_LENGTH.size : end]))
        del buffer[:end]
