"""One process's credentials and confinement, from /proc/PID/status (proc_pid_status(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from isoaudit.model import Reading

SECCOMP_DISABLED, SECCOMP_STRICT, SECCOMP_FILTER = 0, 1, 2


class Status(NamedTuple):
    """What /proc/PID/status says. Masks are integers; fields that older kernels lack are readings."""

    name: str
    ppid: int
    tracer_pid: int
    uids: tuple[int, int, int, int]  # real, effective, saved, filesystem: as the reader's user namespace sees
    gids: tuple[int, int, int, int]
    cap_inheritable: int
    cap_permitted: int
    cap_effective: int
    cap_bounding: int
    cap_ambient: Reading[int]  # since Linux 4.3
    ns_pids: Reading[tuple[int, ...]]  # outermost (ours) to innermost; since Linux 4.1
    no_new_privs: Reading[bool]  # since Linux 4.10
    seccomp: Reading[int]  # 0 disabled, 1 strict, 2 filter
    seccomp_filters: Reading[int]  # how many are stacked; since Linux 5.9
    tgid: int = 0  # its process, which a thread has beside its own number; 0: an older isoaudit's snapshot
    threads: int = 0  # of its process; 0: that, or they have ended
    groups: Reading[tuple[int, ...]] = Unknown("/proc/PID/status", "it was not read")  # supplementary ones

    @property
    def capabilities(self) -> int:
        """Every capability the process has or can still get by itself or by executing a file."""
        return self.cap_permitted | self.cap_effective | self.cap_bounding


# The lines that a thread has to itself and that say what it may do, in the order in which they stand.
_CREDENTIALS = (b"\nUid:", b"\nFDSize:"), (b"\nCapInh:", b"\nSpeculation_")


def credentials(raw: bytes) -> bytes:
    """What of the file says what a thread may do: two threads with the same bytes here need one look.

    The lines from Uid to Gid, and from CapInh to the end of what seccomp says of it.
    """
    parts = []
    for first, after in _CREDENTIALS:
        start = raw.find(first)
        end = raw.find(after, start)
        parts.append(raw[start : end if end >= 0 else None])
    return b"".join(parts)


def _four(raw: bytes) -> tuple[int, int, int, int]:
    real, effective, saved, filesystem = map(int, raw.split())
    return real, effective, saved, filesystem


def parse_status(raw: bytes, source: str) -> Status:
    """Parse the whole file.

    Args:
        raw: the file.
        source: its path, for the readings inside.

    Raises:
        ValueError: a field that every kernel has is missing or malformed.
    """
    fields = {}
    for entry in raw.split(b"\n"):
        key, separator, value = entry.partition(b":\t")
        if separator:
            fields[key] = value

    def optional(key: bytes, kernel: str, base: int = 10) -> Reading[int]:
        if key in fields:
            return Known(int(fields[key], base), source)
        return Unknown(source, f"no {key.decode()} line: it needs Linux {kernel} or newer")

    try:
        nnp = optional(b"NoNewPrivs", "4.10")
        pids = fields.get(b"NSpid")
        return Status(
            name=text(fields[b"Name"]),
            ppid=int(fields[b"PPid"]),
            tracer_pid=int(fields[b"TracerPid"]),
            uids=_four(fields[b"Uid"]),
            gids=_four(fields[b"Gid"]),
            cap_inheritable=int(fields[b"CapInh"], 16),
            cap_permitted=int(fields[b"CapPrm"], 16),
            cap_effective=int(fields[b"CapEff"], 16),
            cap_bounding=int(fields[b"CapBnd"], 16),
            cap_ambient=optional(b"CapAmb", "4.3", 16),
            ns_pids=Known(tuple(map(int, pids.split())), source)
            if pids
            else Unknown(source, "no NSpid line: it needs Linux 4.1 or newer"),
            no_new_privs=Known(nnp.value == 1, source) if isinstance(nnp, Known) else nnp,
            seccomp=optional(b"Seccomp", "3.8 built with CONFIG_SECCOMP"),
            seccomp_filters=optional(b"Seccomp_filters", "5.9"),
            tgid=int(fields[b"Tgid"]),
            threads=int(fields[b"Threads"]),
            groups=Known(tuple(map(int, fields[b"Groups"].split())), source)
            if b"Groups" in fields
            else Unknown(source, "no Groups line"),
        )
    except KeyError as error:
        raise ValueError(f"no {error.args[0].decode()} line") from None
