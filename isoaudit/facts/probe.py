"""What a probe in a test container found out."""

from __future__ import annotations

from typing import NamedTuple


class ProbeAnswer(NamedTuple):
    """The kernel's answer to one harmless attempt.

    `succeeded` says whether the test container could do what the probe's name tries: set the clock, open a
    device, go past a limit. So True is always the gap, and False always the wall.
    """

    succeeded: bool
    call: str  # what was called, as strace would show it
    answer: str  # what the kernel answered: "0", "EPERM", "EAGAIN after 63 forks"
    measured: float | None = None  # where an amount was measured; the unit is the probe's
