"""Limits: what a test container gets of a resource whose limit is its original's, measured while it tries."""

from __future__ import annotations

import errno
import mmap
import os
import time
from typing import TYPE_CHECKING

from isoaudit.probes.declaration import LIMIT, Probe
from isoaudit.probes.shared import COUNTER, DONE, STOP, shared_get, shared_set

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

_DEADLINE = 10  # seconds in which somebody must freeze it
_TICK = 0.0005  # seconds between two moves of the counter that a frozen process must not move
_SPIN = 0.6  # seconds: six of the kernel's default periods
_SHORT_SPIN = 0.002  # seconds: nothing beside a twin's other costs, and far more than the kernel's own share
_CHUNK = 1 << 20
_PAGE = 4096


def _freezer(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    shared, until, count = assignment.shared, time.monotonic() + _DEADLINE, 0
    while not shared_get(shared, STOP) and time.monotonic() < until:
        count += 1
        shared_set(shared, COUNTER, count)
        time.sleep(_TICK)
    channel.say({"name": probe.name, "call": "count while frozen"})


def _memory_limit(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    shared_set(assignment.shared, COUNTER, 0)
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    pieces, touched = [], 0
    while touched < assignment.memory and not shared_get(assignment.shared, STOP):
        piece = mmap.mmap(-1, _CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pieces.append(piece)
        piece[::_PAGE] = b"\1" * (_CHUNK // _PAGE)
        touched += _CHUNK
        shared_set(assignment.shared, COUNTER, touched)
    shared_set(assignment.shared, DONE)
    channel.say({"name": probe.name, "call": f"touch {assignment.memory} bytes", "touched": touched})


def _cpu_quota(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    begun = time.monotonic()
    until = begun + _SPIN
    pids = []
    for _ in range(assignment.spinners - 1):
        pid = os.fork()
        if pid == 0:
            _spin(until)
            os._exit(0)
        pids.append(pid)
    _spin(until)
    for pid in pids:
        os.waitpid(pid, 0)
    used = os.times()
    wall = time.monotonic() - begun
    cpu = used.user + used.system + used.children_user + used.children_system
    channel.say({"name": probe.name, "call": f"{assignment.spinners} busy loops", "cpu": cpu, "wall": wall})


def _spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def _pids_limit(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    # The children wait for an end of file, which comes even if this process is killed.
    reading, writing = os.pipe()
    pids: list[int] = []
    answer = 0
    for _ in range(assignment.forks):
        try:
            pid = os.fork()
        except OSError as refusal:
            answer = refusal.errno or errno.EIO
            break
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        pids.append(pid)
    os.close(writing)
    for pid in pids:
        os.waitpid(pid, 0)
    # Besides the children: this process and the first one.
    channel.say(
        {"name": probe.name, "call": "fork()", "errno": answer, "forks": len(pids), "tasks": len(pids) + 2}
    )


def _cpu_account(channel: Channel, _: Assignment, probe: Probe) -> None:
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    begun = time.process_time_ns()
    while time.process_time_ns() - begun < _SHORT_SPIN * 1e9:
        pass
    used = time.process_time_ns() - begun
    channel.say({"name": probe.name, "call": f"a busy loop of {used // 1000} us", "used": used})


PROBES = (
    Probe(
        "freezer",
        LIMIT,
        "go on while it is frozen",
        "kernel/cgroup/legacy_freezer.c, freezer.c",
        "a cgroup of its own, frozen and thawed",
        "the cgroup is removed",
        run=_freezer,
        alone=True,
    ),
    Probe(
        "memory-limit",
        LIMIT,
        "use more memory than its limit",
        "try_charge_memcg() in mm/memcontrol.c",
        "as much memory as the limit, for a moment, at most an eighth of what is available",
        "the memory is given back and the cgroup removed",
        run=_memory_limit,
        alone=True,
    ),
    Probe(
        "cpu-quota",
        LIMIT,
        "use more CPU time than its quota",
        "throttle_cfs_rq() in kernel/sched/fair.c",
        "up to two CPUs for 0.6 s",
        "the cgroup is removed",
        run=_cpu_quota,
        alone=True,
    ),
    Probe(
        "pids-limit",
        LIMIT,
        "have more tasks than its limit",
        "pids_can_fork() in kernel/cgroup/pids.c",
        "up to 200 processes, which wait",
        "they are ended and the cgroup removed",
        run=_pids_limit,
        alone=True,
    ),
    Probe(
        "cpu-account",
        LIMIT,
        "use CPU time that its cgroup does not count",
        "cpuacct_charge() in kernel/sched/cpuacct.c, cgroup_base_stat_cputime_show() in kernel/cgroup/rstat.c",
        "2 ms of CPU time, counted in a cgroup of its own",
        "the cgroup is removed",
        run=_cpu_account,
    ),
)
