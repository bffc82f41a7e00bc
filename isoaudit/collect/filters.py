"""The seccomp filters of a container's processes: from the kernel, else from what its runtime noted.

Filters are inherited by fork and clone, only ever added to, and kept by execve: a process with as many as its
parent has its parent's, so that one thread's filters are read for a whole family.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect import runtime_profile
from isoaudit.collect.tree import read_record
from isoaudit.facts.seccomp import Filter, FilterStack
from isoaudit.facts.status import SECCOMP_FILTER, parse_status
from isoaudit.kernel import calls, syscalls
from isoaudit.kernel.capability import bit
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import TracebackType

    from isoaudit.collect.discovery import Candidate
    from isoaudit.collect.paths import Paths
    from isoaudit.collect.runtime_profile import Noted
    from isoaudit.collect.stoppable import Threads
    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.container import Process
    from isoaudit.facts.status import Status
    from isoaudit.kernel.ptrace import RawFilter, Tracer
    from isoaudit.model import Reading

SOURCE = "ptrace(2) PTRACE_SECCOMP_GET_FILTER"
# Families of one container that are read, and threads of one family that are tried.
_MOST_FAMILIES = 16
_MOST_TRIES = 3
_NEEDED = (("CAP_SYS_PTRACE", bit("CAP_SYS_PTRACE")), ("CAP_SYS_ADMIN", bit("CAP_SYS_ADMIN")))
_X32_GETPID = calls.X32_BIT | 39
# There if the kernel is built for 32-bit programs (arch/x86/entry/vdso/vdso32-setup.c).
_I386_SIGN = "/proc/sys/abi/vsyscall32"


class _Task(NamedTuple):
    """A thread whose filters are to be known: a process's first, or another that differs from it."""

    pid: int
    tid: int
    filters: int | None  # how many filters; before Linux 5.9 nothing tells
    parent: int  # the process that it comes from
    compared: bool  # whether all threads of its process that differ are known


class FilterReader:
    """Reads containers' filters. Use as a context manager, and do not fork while it is open.

    Args:
        paths: the trees to read.
        machine: `uname -m`.
        ptrace: whether threads may be stopped for a moment; else only what runtimes noted is read.
    """

    def __init__(self, paths: Paths, machine: str, *, ptrace: bool) -> None:
        self._paths = paths
        self._machine = machine
        self._architectures = _architectures(machine) if paths.live else (machine,)
        self._programs: dict[bytes, str] = {}  # a thousand alike containers share one
        self._profiles: dict[str, str] = {}
        self._refusal = "" if ptrace else "--no-ptrace leaves it unread"
        if ptrace:
            self._refusal = _obstacle() if paths.live else "the tree is not the running kernel's"
        self._tracer: Tracer | None = None
        self._threads: Threads | None = None

    def __enter__(self) -> FilterReader:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracer is not None:
            self._tracer.__exit__(kind, value, trace)

    def read(
        self, candidate: Candidate, processes: Sequence[Process], cgroup: Reading[Cgroup]
    ) -> Reading[tuple[FilterStack, ...]]:
        """The filters of one container's processes.

        Args:
            candidate: the container.
            processes: its processes, with those of their threads that differ.
            cgroup: the first process's: in a frozen one nothing is stopped.
        """
        tasks = list(_tasks(processes))
        if not tasks:
            return Known((), SOURCE)
        if self._machine not in calls.COMPATIBLE:
            return Unknown(SOURCE, f"the system-call numbers of {self._machine} are not known here")
        frozen = _frozen(cgroup)
        stacks = []
        apart = {task.tid for task in tasks}
        for number, family in enumerate(_families(tasks)):
            refusal = self._refusal or frozen
            if number >= _MOST_FAMILIES:
                refusal = f"more than {_MOST_FAMILIES} families of processes have filters of their own"
            threads = tuple((task.pid, task.tid) for task in family)
            filters = Unknown(SOURCE, refusal) if refusal else self._traced(family, apart)
            inferred = False
            if isinstance(filters, Unknown):
                noted = self._noted(candidate, family, filters)
                inferred = isinstance(noted, Known)
                filters = noted
            stacks.append(FilterStack(threads, filters, inferred, self._architectures))
        return Known(tuple(stacks), SOURCE)

    def _traced(self, family: Sequence[_Task], apart: Collection[int]) -> Reading[tuple[Filter, ...]]:
        """From the kernel, by any thread of a family that can be stopped without its noticing."""
        from isoaudit.collect.stoppable import Threads
        from isoaudit.kernel.ptrace import NotStoppedError, Tracer

        if self._threads is None or self._tracer is None:
            self._threads, self._tracer = Threads(self._paths.proc, self._machine), Tracer()
        reason = ""
        found = self._threads.unaware(_members(family, apart, self._threads))
        for tid, why in itertools.islice(found, _MOST_TRIES):
            if not tid:
                reason = reason or why
                break
            try:
                raw = self._tracer.read(tid)
            except NotStoppedError as error:
                reason = f"thread {tid}: {error}"
            except OSError as error:
                reason = self._explained(error, tid)
            else:
                return Known(tuple(map(self._filter, raw)), f"{SOURCE} of thread {tid}")
            if self._refusal:
                break
        return Unknown(SOURCE, reason)

    def _filter(self, raw: RawFilter) -> Filter:
        program = self._programs.get(raw.program)
        if program is None:
            program = self._programs[raw.program] = raw.program.hex()
        return Filter(program, raw.flags)

    def _explained(self, error: OSError, tid: int) -> str:
        """Why the kernel refused; what it would refuse of every thread ends the attempts."""
        if error.errno == errno.EACCES:
            self._refusal = "EACCES: it takes CAP_SYS_ADMIN in the initial user namespace to read filters"
            return self._refusal
        if error.errno in (errno.EINVAL, errno.EIO):
            self._refusal = "the kernel cannot tell filters: it is built without CONFIG_CHECKPOINT_RESTORE"
            return self._refusal
        if error.errno == errno.EPERM:
            why = "it is traced already, or kernel.yama.ptrace_scope or an LSM forbids it"
            return f"EPERM to tracing thread {tid}: {why}"
        return f"thread {tid}: {error.strerror or error}"

    def _noted(
        self, candidate: Candidate, family: Sequence[_Task], unread: Unknown
    ) -> Reading[tuple[Filter, ...]]:
        """From the runtime's own state; what it cannot tell stays unknown for the reason that it is unread."""
        if family[0].filters not in (1, None):
            reason = f"{unread.reason}; a runtime notes one filter, and there are {family[0].filters}"
            return Unknown(unread.source, reason)
        noted = runtime_profile.noted(self._paths, candidate)
        if noted is None:
            return Unknown(unread.source, f"{unread.reason}; no runtime's state tells its profile")
        if not noted.profile:
            return Unknown(
                unread.source, f"{unread.reason}; {noted.source} has no profile, so it is of its own making"
            )
        try:
            return Known((Filter(self._compiled(noted), 0),), noted.source)
        except ValueError as error:
            return Unknown(noted.source, f"{unread.reason}; not understood: {error}")

    def _compiled(self, noted: Noted) -> str:
        from isoaudit.facts.seccomp_profile import compiled, parse

        key = json.dumps((noted.by_runc, noted.profile))
        if key not in self._profiles:
            self._profiles[key] = compiled(parse(noted.profile, by_runc=noted.by_runc), self._machine)
        return self._profiles[key]


def _tasks(processes: Sequence[Process]) -> Iterator[_Task]:
    """The filtered ones: of every process its first thread and those that differ from it."""
    for process in processes:
        for task in process.tasks:
            if not isinstance(task.status, Known):
                continue
            status = task.status.value
            if not isinstance(status.seccomp, Known) or status.seccomp.value != SECCOMP_FILTER:
                continue
            count = status.seccomp_filters
            yield _Task(
                process.pid,
                task.pid,
                count.value if isinstance(count, Known) else None,
                status.ppid if task.pid == process.pid else process.pid,
                isinstance(process.threads, Known),
            )


def _families(tasks: Sequence[_Task]) -> list[list[_Task]]:
    """Tasks of which each has the filters of the one that it comes from; the first process's first."""
    by_tid = {task.tid: task for task in tasks}
    families: dict[int, list[_Task]] = {}
    for task in tasks:
        oldest, seen = task, {task.tid}
        while (
            (parent := by_tid.get(oldest.parent)) is not None
            and parent.filters == task.filters
            and task.filters is not None
            and parent.tid not in seen
        ):
            seen.add(parent.tid)
            oldest = parent
        families.setdefault(oldest.tid, []).append(task)
    return list(families.values())


def _members(family: Sequence[_Task], apart: Collection[int], threads: Threads) -> Iterator[tuple[int, int]]:
    """(process, thread) of a family, the first threads first; where they were compared, all threads."""
    yield from ((task.pid, task.tid) for task in family)
    for task in family:
        if task.tid == task.pid and task.compared:
            yield from (member for member in threads.others(task.pid) if member[1] not in apart)


def _frozen(cgroup: Reading[Cgroup]) -> str:
    """Why nothing may be stopped: "" where the cgroup is not frozen. In v1 what is frozen is in state D."""
    if isinstance(cgroup, Known):
        for level in cgroup.value.settings.get("cgroup.freeze", ()):
            if isinstance(level, Known) and level.value == "1":
                return f"it is frozen ({level.source}): thaw it to have it read"
    return ""


def _own_status() -> Status | None:
    try:
        return parse_status(read_record("/proc/self/status"), "/proc/self/status")
    except (OSError, ValueError):
        return None


def _obstacle() -> str:
    """Why we may not read others' filters; "" where nothing is known to be in the way."""
    status = _own_status()
    if not syscalls.has_table() or status is None:
        return "the system calls of this machine are not known here"
    if isinstance(status.seccomp, Known) and status.seccomp.value:
        return "isoaudit itself runs under seccomp, and the kernel then tells nobody's filters"
    lacking = [name for name, mask in _NEEDED if not status.cap_effective & mask]
    return f"it needs {' and '.join(lacking)}: run isoaudit as root" if lacking else ""


@lru_cache(maxsize=4)
def _architectures(machine: str) -> tuple[str, ...]:
    """The tables by which this kernel can be called, its own first."""
    found = [machine]
    for table in calls.COMPATIBLE.get(machine, ()):
        if (table == "i386" and not os.path.exists(_I386_SIGN)) or (table == "x32" and not _answers_x32()):
            continue
        found.append(table)
    return tuple(found)


def _answers_x32() -> bool:
    status = _own_status()
    if status is None or not isinstance(status.seccomp, Known) or status.seccomp.value:
        return False  # a filter of our own might kill us for asking
    try:
        return syscalls.syscall(_X32_GETPID) > 0
    except OSError:
        return False
