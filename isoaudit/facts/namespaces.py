"""The eight namespaces of a process, by the inode numbers of /proc/PID/ns (namespaces(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from isoaudit.model import Reading

TYPES: tuple[str, ...] = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")

# Inodes of the initial namespaces (include/linux/proc_ns.h). mnt and net are missing on purpose: they were
# not fixed before about 6.17, so a number proves nothing there.
INITIAL: dict[str, int] = {
    "cgroup": 4026531835,
    "pid": 4026531836,
    "user": 4026531837,
    "uts": 4026531838,
    "ipc": 4026531839,
    "time": 4026531834,
}

# The reason of an `Unknown` where the kernel is older than the type or built without it.
NO_SUCH_TYPE = "this kernel has no such namespace"


class Namespaces(NamedTuple):
    """Namespace inodes of one process; `source` of each reading is its link under /proc/PID/ns."""

    cgroup: Reading[int]
    ipc: Reading[int]
    mnt: Reading[int]
    net: Reading[int]
    pid: Reading[int]
    time: Reading[int]
    user: Reading[int]
    uts: Reading[int]

    def of(self, kind: str) -> Reading[int]:
        """The reading for one of `TYPES`."""
        reading: Reading[int] = getattr(self, kind)
        return reading


def parse_link(target: bytes | str) -> int:
    """The inode of a link's target such as `pid:[4026531836]`.

    Raises:
        ValueError: it does not look like one.
    """
    target = target if isinstance(target, bytes) else target.encode()
    return int(target[target.index(b"[") + 1 : target.rindex(b"]")])


def same(ours: Reading[int], theirs: Reading[int]) -> bool | None:
    """Whether two readings name one namespace; None where either could not be read."""
    if isinstance(ours, Known) and isinstance(theirs, Known):
        return ours.value == theirs.value
    return None


def missing_type(reading: Reading[int]) -> bool:
    """Whether the kernel has no namespaces of that type, so that all processes share what they would divide."""
    return isinstance(reading, Unknown) and reading.reason == NO_SUCH_TYPE
