"""How a process is scheduled, from /proc/PID/stat (proc_pid_stat(5); sched(7))."""

from __future__ import annotations

from typing import NamedTuple

# include/uapi/linux/sched.h
SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT = 0, 1, 2, 3, 5, 6, 7
NAMES: dict[int, str] = {
    SCHED_OTHER: "SCHED_OTHER",
    SCHED_FIFO: "SCHED_FIFO",
    SCHED_RR: "SCHED_RR",
    SCHED_BATCH: "SCHED_BATCH",
    SCHED_IDLE: "SCHED_IDLE",
    SCHED_DEADLINE: "SCHED_DEADLINE",
    SCHED_EXT: "SCHED_EXT",
}


class Scheduling(NamedTuple):
    """Of a process's first thread."""

    policy: int  # SCHED_…
    priority: int  # of SCHED_FIFO and SCHED_RR, 1 to 99; 0 of all others
    nice: int  # -20 to 19, the higher the less

    @property
    def realtime(self) -> bool:
        """Whether it runs before every ordinary process."""
        return self.policy in (SCHED_FIFO, SCHED_RR, SCHED_DEADLINE)


def parse_scheduling(stat: bytes) -> Scheduling:
    """Fields 19, 40 and 41 of the file.

    Raises:
        ValueError: it has not as many.
    """
    # The command may hold anything, closing brackets too; field 3 is the first one after it.
    fields = stat[stat.rindex(b")") + 2 :].split()
    try:
        return Scheduling(int(fields[38]), int(fields[37]), int(fields[16]))
    except IndexError:
        raise ValueError(f"{len(fields) + 2} fields instead of 41") from None
