"""What the processes and threads of a container have that its first process has not.

Most containers have one process of one thread, of which nothing more is read.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.collect.tree import VanishedError, read_record, refused
from isoaudit.facts.cgroup import Membership, parse_memberships
from isoaudit.facts.container import Process, Thread
from isoaudit.facts.namespaces import INITIAL, parse_link
from isoaudit.facts.status import credentials, parse_status
from isoaudit.facts.text import line
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.collect.discovery import Candidate
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.facts.status import Status
    from isoaudit.model import Reading

_ENDED = (errno.ENOENT, errno.ESRCH)
# Threads of one container that are compared: about a third of a second's work.
MOST_THREADS = 16384
# A process in another user namespace is told apart by `Process.user_namespace`, which discovery reads.
_KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "time")


def complete(proc: str, candidate: Candidate, label: Reading[str], label_file: str) -> tuple[Process, ...]:
    """The processes of a container with their threads, labels, cgroups and namespaces; those that ended go.

    Args:
        proc: where /proc is.
        candidate: what discovery found.
        label: the first process's security label.
        label_file: where others' stand, below /proc/PID.

    Raises:
        VanishedError: the first process has ended.
    """
    first, *others = candidate.processes
    nowhere: Reading[Mapping[str, int]] = Known({}, f"{proc}/{first.pid}/ns")
    if not others and isinstance(first.status, Known) and first.status.value.threads == 1:
        alone: Reading[tuple[Thread, ...]] = Known((), f"{proc}/{first.pid}/task")
        return (
            Process(
                first.pid, first.status, first.user_namespace, alone, label, candidate.memberships, nowhere
            ),
        )
    reader = _Reader(proc, candidate, label, label_file)
    processes = [
        first._replace(
            threads=reader.threads(first),
            lsm_label=label,
            memberships=candidate.memberships,
            other_namespaces=nowhere,
        )
    ]
    for process in others:
        try:
            processes.append(reader.complete(process))
        except VanishedError:
            continue
    return tuple(processes)


class _Reader:
    """Reads one container's."""

    def __init__(self, proc: str, candidate: Candidate, label: Reading[str], label_file: str) -> None:
        self._proc = proc
        self._label = label
        self._label_file = label_file
        self._threads_left = MOST_THREADS
        self._paths: dict[bytes, tuple[Membership, ...]] = {}  # most processes are in one cgroup
        self._links = _own_links(candidate.namespaces) if len(candidate.processes) > 1 else {}

    def complete(self, process: Process) -> Process:
        """A process that is not the first.

        Raises:
            VanishedError: it has ended.
        """
        return process._replace(
            other_namespaces=self._other_namespaces(process.pid),
            memberships=self._memberships(process.pid),
            lsm_label=self._lsm_label(process.pid),
            threads=self.threads(process),
        )

    def threads(self, process: Process) -> Reading[tuple[Thread, ...]]:
        """The threads that differ from the first one of their process.

        Raises:
            VanishedError: the process has ended.
        """
        folder = f"{self._proc}/{process.pid}/task"
        if isinstance(process.status, Unknown):
            return process.status
        if process.status.value.threads == 1:
            return Known((), folder)
        try:
            names = os.listdir(folder)
            self._threads_left -= len(names)
            if self._threads_left < 0:
                reason = f"more than {MOST_THREADS} threads are inside, and not all were compared"
                return Unknown(folder, f"{reason}: grep -E '^(Uid|Cap|NoNew|Seccomp)' {folder}/*/status")
            ours = credentials(read_record(f"{folder}/{process.pid}/status"))
        except OSError as error:
            if error.errno in _ENDED:
                raise VanishedError(folder) from error
            return refused(error, folder)
        return Known(tuple(self._differing(folder, str(process.pid), names, ours)), folder)

    def _differing(self, folder: str, first: str, names: list[str], ours: bytes) -> list[Thread]:
        threads = []
        for name in names:
            if name == first:
                continue
            path = f"{folder}/{name}/status"
            status: Reading[Status]
            try:
                raw = read_record(path)
                if credentials(raw) == ours:
                    continue
                status = Known(parse_status(raw, path), path)
            except OSError as error:
                if error.errno in _ENDED:
                    continue
                status = refused(error, path)
            except ValueError as error:
                status = Unknown(path, f"not understood: {error}")
            threads.append(Thread(int(name), status))
        return threads

    def _other_namespaces(self, pid: int) -> Reading[Mapping[str, int]]:
        source = f"{self._proc}/{pid}/ns"
        others: dict[str, int] = {}
        try:
            for kind, ours in self._links.items():
                link = os.readlink(f"{source}/{kind}")
                if link != ours:
                    others[kind] = parse_link(link)
        except OSError as error:
            if error.errno in _ENDED:
                raise VanishedError(source) from error
            return refused(error, source)
        except ValueError as error:
            return Unknown(source, f"not understood: {error}")
        # What makes a process one of a container is its mount or PID namespace: with neither in common, the
        # number has been given to another one since /proc was walked.
        if "mnt" in others and ("pid" in others or "pid" not in self._links):
            raise VanishedError(source)
        return Known(others, source)

    def _memberships(self, pid: int) -> Reading[tuple[Membership, ...]]:
        source = f"{self._proc}/{pid}/cgroup"
        try:
            raw = read_record(source)
            if raw not in self._paths:
                self._paths[raw] = parse_memberships(raw)
        except OSError as error:
            if error.errno in _ENDED:
                raise VanishedError(source) from error
            return refused(error, source)
        except ValueError as error:
            return Unknown(source, f"not understood: {error}")
        return Known(self._paths[raw], source)

    def _lsm_label(self, pid: int) -> Reading[str]:
        if isinstance(self._label, Known) and not self._label.value:
            return self._label  # no module labels processes: neither this one
        source = f"{self._proc}/{pid}/{self._label_file}"
        try:
            return Known(line(read_record(source)), source)
        except OSError as error:
            if error.errno in _ENDED:
                raise VanishedError(source) from error
            return refused(error, source)


def _own_links(first: Namespaces) -> dict[str, str]:
    """The links of a first process to what is not the initial namespace: nobody is less isolated than that."""
    links = {}
    for kind in _KINDS:
        reading = first.of(kind)
        if isinstance(reading, Known) and reading.value != INITIAL.get(kind):
            links[kind] = f"{kind}:[{reading.value}]"
    return links
