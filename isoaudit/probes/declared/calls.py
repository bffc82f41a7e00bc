"""What calls that newer C libraries try first are answered, as filters older than they are get that wrong."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from isoaudit.probes.declaration import VIEW, Probe, answer, raw

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

_AT_FDCWD = -100
_STATX_BUFFER = ctypes.create_string_buffer(256)
# Each in a form that the kernel itself refuses for its arguments, or answers without doing anything.
CALLS = {
    "clone3": raw("clone3(NULL, 0)", "clone3", None, 0),
    "faccessat2": raw('faccessat2(AT_FDCWD, "/", F_OK, 0)', "faccessat2", _AT_FDCWD, b"/", os.F_OK, 0),
    "statx": raw('statx(AT_FDCWD, "/", 0, 0, …)', "statx", _AT_FDCWD, b"/", 0, 0, _STATX_BUFFER),
    "close_range": raw("close_range(1, 0, 0)", "close_range", 1, 0, 0),
    "openat2": raw('openat2(AT_FDCWD, "/", NULL, 0)', "openat2", _AT_FDCWD, b"/", None, 0),
}


def _newer(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    answers = {name: answer(call, assignment) for name, call in CALLS.items()}
    channel.say({"name": probe.name, "call": ", ".join(CALLS), "answers": answers})


PROBES = (
    Probe(
        "newer-calls",
        VIEW,
        "be refused calls that newer C libraries try first as if forbidden, not as if unknown",
        "the container's seccomp filter; no such call of the kernel's own answers EPERM to these arguments",
        "nothing: the arguments make no sense",
        run=_newer,
    ),
)
