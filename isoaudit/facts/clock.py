"""The one wall clock that everything on a kernel shares (adjtimex(2))."""

from __future__ import annotations

from typing import NamedTuple

STA_UNSYNC = 0x0040
TIME_ERROR = 5


class ClockStatus(NamedTuple):
    """What a read-only adjtimex says. Errors are in microseconds."""

    state: int  # the return value; TIME_ERROR: not synchronised
    status: int  # STA_* bits
    max_error: int
    estimated_error: int

    @property
    def synchronised(self) -> bool:
        """Whether the kernel believes that a time source disciplines its clock."""
        return self.state != TIME_ERROR and not self.status & STA_UNSYNC
