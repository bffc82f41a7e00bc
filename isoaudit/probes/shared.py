"""What a test container is told to do, and the memory that it shares with us while it does."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where the parent and the test container meet in the memory they share.
COUNTER, STOP, DONE, PROGRESS = slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32)
SHARED_SIZE = mmap.PAGESIZE


def shared_get(shared: mmap.mmap, where: slice) -> int:
    """A number in the shared memory."""
    return int.from_bytes(shared[where], "little")


def shared_set(shared: mmap.mmap, where: slice, value: int = 1) -> None:
    """Change one."""
    shared[where] = value.to_bytes(8, "little")


class Assignment(NamedTuple):
    """What a test container is to try, and how far it may go."""

    names: Sequence[str]
    scanner: int  # our pid: a process of the host's to aim at, of whose memory and signals nothing is touched
    devices: int  # directory descriptor with the node `devices.DEVICE_NAME`; -1 where there is none
    shared: mmap.mmap
    memory: int = 0  # bytes to touch
    forks: int = 0
    spinners: int = 1
