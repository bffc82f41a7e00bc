"""Which thread of a process can be stopped for a moment without its noticing.

A stop wakes what sleeps in a system call, as a signal would. Most calls are then begun again by the kernel, but
epoll_wait(2), semop(2), sigtimedwait(2), io_getevents(2), and reads of sockets with a timeout return EINTR
(signal(7), "Interruption of system calls and library functions by stop signals"). /proc/PID/task/TID/syscall
tells which call a thread sleeps in.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.tree import read_record
from isoaudit.kernel import calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Begun again as they were, or with the time that is left (ERESTARTSYS, ERESTARTNOHAND, ERESTART_RESTARTBLOCK).
_RESTARTED = (
    "clock_nanosleep",
    "mq_timedreceive",
    "msgrcv",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "rt_sigsuspend",
    "select",
    "wait4",
    "waitid",
)
# FUTEX_WAIT and FUTEX_WAIT_BITSET; a stopped FUTEX_WAIT_REQUEUE_PI returns.
_FUTEX_WAITS = frozenset({0, 9})
_FUTEX_COMMAND = 0x7F
# What read(2) waits on and is begun again: pipes, terminals, and the kernel's own; not sockets or devices.
_READABLE = re.compile(
    r"pipe:\[\d+\]|anon_inode:(\[(eventfd|timerfd|signalfd)\]|inotify)|/dev/(pts/\d+|console|tty\d*)"
)
_MOST_LOOKS = 24
_RUNNING = "running"


class Found(NamedTuple):
    """A thread to stop, or why there is none."""

    tid: int
    reason: str = ""


class Threads:
    """Looks for threads.

    Args:
        proc: where /proc is.
        machine: `uname -m`, whose numbers the kernel shows.
    """

    def __init__(self, proc: str, machine: str) -> None:
        self._proc = proc
        table = calls.table(machine)
        self._names = {number: name for name, number in table.items()}
        self._restarted = frozenset(table[name] for name in _RESTARTED if name in table)
        self._futex, self._read = table["futex"], table["read"]

    def unaware(self, members: Iterable[tuple[int, int]]) -> Iterator[Found]:
        """Those of some threads that can be stopped; the last is a reason where there was none.

        Those that sleep in a call come first. One that runs might enter any call before it is stopped, so that
        it is offered only where it still runs at a second look.

        Args:
            members: (process, thread) of those of which any will do, in the order in which to look at them.
        """
        running, reason, found = [], "", False
        for pid, tid in itertools.islice(members, _MOST_LOOKS):
            state = self._state(pid, tid)
            if state == _RUNNING:
                running.append((pid, tid))
            elif state:
                reason = reason or f"thread {tid} {state}"
            else:
                found = True
                yield Found(tid)
        for pid, tid in running:
            if self._state(pid, tid) == _RUNNING:
                found = True
                yield Found(tid)
        if not found:
            yield Found(0, reason or "none of its threads stayed as it was for long enough to be stopped")

    def others(self, pid: int) -> Iterator[tuple[int, int]]:
        """All threads of a process but the first."""
        try:
            names = os.listdir(f"{self._proc}/{pid}/task")
        except OSError:  # it has ended
            return
        yield from ((pid, int(name)) for name in names if int(name) != pid)

    def _state(self, pid: int, tid: int) -> str:
        """Nothing for one asleep in a call that a stop does not end, "running", or why to leave it alone."""
        folder = f"{self._proc}/{pid}/task/{tid}"
        try:
            stat = read_record(f"{folder}/stat")
            state = stat[stat.rindex(b")") + 2 :][:1]
            if state not in (b"S", b"R"):
                return f"is in state {state.decode('ascii', 'replace')}, in which it must not be disturbed"
            words = read_record(f"{folder}/syscall").split()
            if words[0] == b"running":
                return _RUNNING
            number = int(words[0])
            if number in self._restarted:
                return ""
            if number == self._futex and int(words[2], 16) & _FUTEX_COMMAND in _FUTEX_WAITS:
                return ""
            if number == self._read and _READABLE.fullmatch(os.readlink(f"{folder}/fd/{int(words[1], 16)}")):
                return ""
        except (OSError, ValueError, IndexError) as error:
            return f"cannot be looked at: {error}"
        name = self._names.get(number, f"call {number}") if number >= 0 else "no call"
        return f"sleeps in {name}, which a stop could end early"
