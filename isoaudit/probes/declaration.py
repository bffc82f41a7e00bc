"""How a probe is declared: what it proves and touches, where the kernel decides it, and the calls that ask.

A permission is asked for by calls that the kernel checks but that change nothing where it is granted. Their
errors are part of the declaration: one says "permitted, but the argument is nonsense", another "refused".
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

PERMISSION, LIMIT, VIEW = "permission", "limit", "view"
HAZARDS = ("safe", "visible", "disruptive")


class Call(NamedTuple):
    """One call to make, and how strace would show it."""

    shown: str
    make: Callable[[Assignment], object]


def raw(shown: str, name: str, *arguments: object) -> Call:
    """A system call whose result is of no use."""
    return Call(shown, lambda _: syscalls.call(name, *arguments))


def opening(shown: str, name: str, *arguments: object) -> Call:
    """A system call that gives a descriptor, which is closed at once."""
    return Call(shown, lambda _: os.close(syscalls.call(name, *arguments)))


class Probe(NamedTuple):
    """One probe.

    `permitted` and `refused` are the errors that decide, 0 for success; EPERM always refuses.
    Whatever else the kernel answers decides nothing.
    """

    name: str
    kind: str
    proves: str  # what a test container that succeeds could do
    kernel: str  # where the kernel decides: function and file
    touches: str  # what of the machine's it touches where it is permitted
    undo: str = "nothing to undo"
    calls: tuple[Call, ...] = ()  # each tried until one is permitted
    permitted: tuple[int, ...] = (0,)
    refused: tuple[int, ...] = ()
    # A call to the same function whose answer hangs on no right: the same refusal to it is a filter's.
    reach: Call | None = None
    reached: tuple[int, ...] = ()  # the answers to that which only the kernel's own function gives
    telling: bool = True  # whether the same refusal to it can be no older kernel's own
    capabilities: int = 0  # any of these may grant it
    own: str = ""  # the namespace type over whose own objects alone it is permitted, where that is new
    hazard: str = "safe"
    run: Callable[[Channel, Assignment, Probe], None] | None = None  # where calls alone do not tell
    alone: bool = False  # changes its process, or uses it up
    files: tuple[str, ...] = ()  # of the kernel's, which are opened and never read or written
    # A file of the host's, and a word in it, without which a call would have the kernel look for a module.
    needs: tuple[str, str] = ("", "")


def answer(call: Call, assignment: Assignment) -> int:
    """What the kernel answers: an errno, 0 for success."""
    try:
        call.make(assignment)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def interpret(probe: Probe, error: int) -> bool | None:
    """Whether the kernel's answer to a permission probe means "permitted"; None where it decides nothing."""
    if error in probe.permitted:
        return True
    return False if error in (errno.EPERM, *probe.refused) else None


def ask(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    """Make a probe's calls until one is permitted, and tell what the kernel answered.

    Where none is, the first that decides nothing is told before those that refuse, as it leaves doubt.
    """
    tried = []
    for call in probe.calls:
        error = answer(call, assignment)
        tried.append((call.shown, error))
        if error in probe.permitted:
            break
    ranks = {True: 0, None: 1, False: 2}
    shown, error = min(tried, key=lambda pair: ranks[interpret(probe, pair[1])])
    message: dict[str, object] = {"name": probe.name, "call": shown, "errno": error}
    others = [pair for pair in tried if pair[0] != shown]
    if error not in probe.permitted:
        if others:
            message["others"] = others
        if probe.reach:
            message["reach"] = (probe.reach.shown, answer(probe.reach, assignment))
    channel.say(message)
