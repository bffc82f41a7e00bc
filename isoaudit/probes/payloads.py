"""What runs inside a test container: attempts in children, each with an alarm, that leave nothing behind."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from isoaudit.kernel import credentials, syscalls
from isoaudit.probes.catalogue import BY_NAME
from isoaudit.probes.declaration import ask
from isoaudit.probes.declared.devices import DEVICE, DEVICE_NAME
from isoaudit.probes.shared import (
    COUNTER,
    DONE,
    PROGRESS,
    SHARED_SIZE,
    STOP,
    Assignment,
    shared_get,
    shared_set,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.probes.engines.native import Channel

__all__ = [
    "COUNTER",
    "DEVICE",
    "DEVICE_NAME",
    "DONE",
    "SHARED_SIZE",
    "STOP",
    "Assignment",
    "run",
    "shared_get",
    "shared_set",
]

_PR_SET_DUMPABLE = 4
_DEADLINE = 10  # seconds for one attempt


def run(channel: Channel, assignment: Assignment) -> None:
    """Try everything in turn.

    What leaves its process changed, or uses it up, has a child of its own. The others share one: what one of
    them would kill takes the rest up again.
    """
    alone = [name for name in assignment.names if BY_NAME[name].alone]
    together = [name for name in assignment.names if not BY_NAME[name].alone]
    for batch in (together, *([name] for name in alone)):
        rest: Sequence[str] = batch
        while rest:
            rest = _run_batch(channel, assignment, rest)


def _run_batch(channel: Channel, assignment: Assignment, batch: Sequence[str]) -> Sequence[str]:
    """Try a few in one child; the names that are left where it died."""
    shared_set(assignment.shared, PROGRESS, 0)
    try:
        pid = os.fork()
    except OSError as error:
        for name in batch:
            channel.say({"name": name, "call": "fork()", "failed": error.errno})
        return ()
    if pid == 0:
        status = 1
        try:
            credentials.die_with_parent()
            # A filter may kill it: no handler of the host's is to be given its core (man 5 core).
            syscalls.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
            for number, name in enumerate(batch):
                shared_set(assignment.shared, PROGRESS, number)
                signal.alarm(_DEADLINE)
                _attempt(channel, assignment, name)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        return ()
    at = shared_get(assignment.shared, PROGRESS)
    channel.say({"name": batch[at], "call": "", "died": os.waitstatus_to_exitcode(status)})
    return batch[at + 1 :]


def _attempt(channel: Channel, assignment: Assignment, name: str) -> None:
    probe = BY_NAME[name]
    try:
        (probe.run or ask)(channel, assignment, probe)
    except OSError as error:
        channel.say({"name": name, "call": "", "failed": error.errno})
