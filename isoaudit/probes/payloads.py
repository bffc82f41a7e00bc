"""What runs inside a test container. Every attempt is a child of its own, with an alarm, and leaves nothing.

Permissions are asked for in the form that the kernel checks but that changes nothing where it is granted.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import clone, credentials, mounting, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isoaudit.probes.engines.native import Channel

_DEADLINE = 10  # seconds for one attempt
# A number for "local/experimental use" (Documentation/admin-guide/devices.txt), with no driver: only a policy
# that lets any block device through lets this one through. access(2) asks the policy without opening it.
DEVICE = (stat.S_IFBLK, 60, 0)
DEVICE_NAME = "b60:0"
_TICK = 0.0005  # seconds between two moves of the counter that a frozen process must not move
_SPIN = 0.6  # seconds: six of the kernel's default periods
_CHUNK = 1 << 20
_PAGE = 4096

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
    scanner: int  # our pid: a process of the host's to aim a signal at, without sending one
    devices: int  # directory descriptor with the node `DEVICE_NAME`; -1 where there is none
    shared: mmap.mmap
    memory: int = 0  # bytes to touch
    forks: int = 0
    spinners: int = 1


# These leave their process changed, or use it up: each has a child of its own. The others share one, and what
# one of them would kill takes the rest up again.
_ALONE = frozenset(
    {"user-namespace-create", "realtime-schedule", "freezer", "memory-limit", "cpu-quota", "pids-limit"}
)


def run(channel: Channel, assignment: Assignment) -> None:
    """Try everything in turn."""
    together = [name for name in assignment.names if name not in _ALONE]
    for batch in (together, *([name] for name in assignment.names if name in _ALONE)):
        rest: Sequence[str] = batch
        while rest:
            rest = _run_batch(channel, assignment, rest)


def _run_batch(channel: Channel, assignment: Assignment, batch: Sequence[str]) -> Sequence[str]:
    """Try a few in one child; the names that are left where it died."""
    shared_set(assignment.shared, PROGRESS, 0)
    try:
        pid = os.fork()
    except OSError as error:
        for name in batch:
            channel.say({"name": name, "call": "fork()", "failed": error.errno})
        return ()
    if pid == 0:
        status = 1
        try:
            credentials.die_with_parent()
            for number, name in enumerate(batch):
                shared_set(assignment.shared, PROGRESS, number)
                signal.alarm(_DEADLINE)
                _attempt(channel, assignment, name)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        return ()
    at = shared_get(assignment.shared, PROGRESS)
    channel.say({"name": batch[at], "call": "", "died": os.waitstatus_to_exitcode(status)})
    return batch[at + 1 :]


def _attempt(channel: Channel, assignment: Assignment, name: str) -> None:
    try:
        _ATTEMPTS[name](channel, assignment, name)
    except OSError as error:
        channel.say({"name": name, "call": "", "failed": error.errno})


def _answer(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _clock_set(channel: Channel, _: Assignment, name: str) -> None:
    error = _answer(lambda: syscalls.call("settimeofday", None, None))
    channel.say({"name": name, "call": "settimeofday(NULL, NULL)", "errno": error})


def _hostname_set(channel: Channel, _: Assignment, name: str) -> None:
    error = _answer(lambda: syscalls.call("sethostname", None, -1))
    channel.say({"name": name, "call": "sethostname(NULL, -1)", "errno": error})


def _mount(channel: Channel, _: Assignment, name: str) -> None:
    call, error = _mount_right()
    channel.say({"name": name, "call": call, "errno": error})


def _mount_right() -> tuple[str, int]:
    # Unknown flags are looked at after the right. Another filesystem's name would load a module.
    error = _answer(lambda: syscalls.call("fsopen", b"tmpfs", 0xFF00))
    if error != errno.ENOSYS:
        return 'fsopen("tmpfs", 0xff00)', error
    both = mounting.MS_SHARED | mounting.MS_PRIVATE
    return 'mount("none", "/", NULL, MS_SHARED|MS_PRIVATE, NULL)', _answer(
        lambda: mounting.mount("none", "/", None, both)
    )


def _user_namespace_create(channel: Channel, _: Assignment, name: str) -> None:
    call = "unshare(CLONE_NEWUSER)"
    error = _answer(lambda: clone.unshare("user"))
    if error:
        channel.say({"name": name, "call": call, "errno": error})
        return
    # AppArmor on Ubuntu lets it be made and takes all capabilities in it away.
    inside = _answer(lambda: clone.unshare("mnt"))
    channel.say({"name": name, "call": f"{call}; unshare(CLONE_NEWNS)", "errno": 0, "inside": inside})


def _device_mknod(channel: Channel, _: Assignment, name: str) -> None:
    kind, major, minor = DEVICE
    path = "/tmp/node"  # noqa: S108  of the test container's own, private tree
    error = _answer(lambda: os.mknod(path, kind | 0o600, os.makedev(major, minor)))
    if not error:
        os.unlink(path)
    channel.say({"name": name, "call": f"mknod(S_IFBLK, {major}:{minor})", "errno": error})


def _device_open(channel: Channel, assignment: Assignment, name: str) -> None:
    call = f"access(b {DEVICE[1]}:{DEVICE[2]}, R_OK)"
    if assignment.devices < 0:
        channel.say({"name": name, "call": call, "failed": errno.ENOSYS})
        return
    error = _answer(lambda: syscalls.call("faccessat", assignment.devices, DEVICE_NAME.encode(), os.R_OK))
    channel.say({"name": name, "call": call, "errno": error})


def _signal_host(channel: Channel, assignment: Assignment, name: str) -> None:
    error = _answer(lambda: os.kill(assignment.scanner, 0))
    channel.say({"name": name, "call": f"kill({assignment.scanner}, 0)", "errno": error})


def _realtime_schedule(channel: Channel, _: Assignment, name: str) -> None:
    error = _answer(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    channel.say({"name": name, "call": "sched_setscheduler(0, SCHED_FIFO, 1)", "errno": error})


def _freezer(channel: Channel, assignment: Assignment, name: str) -> None:
    error = channel.ask(name)
    if error:
        channel.say({"name": name, "call": "", "failed": error})
        return
    shared, until, count = assignment.shared, time.monotonic() + _DEADLINE, 0
    while not shared_get(shared, STOP) and time.monotonic() < until:
        count += 1
        shared_set(shared, COUNTER, count)
        time.sleep(_TICK)
    channel.say({"name": name, "call": "count while frozen"})


def _memory_limit(channel: Channel, assignment: Assignment, name: str) -> None:
    shared_set(assignment.shared, COUNTER, 0)
    error = channel.ask(name)
    if error:
        channel.say({"name": name, "call": "", "failed": error})
        return
    pieces, touched = [], 0
    while touched < assignment.memory and not shared_get(assignment.shared, STOP):
        piece = mmap.mmap(-1, _CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pieces.append(piece)
        piece[::_PAGE] = b"\1" * (_CHUNK // _PAGE)
        touched += _CHUNK
        shared_set(assignment.shared, COUNTER, touched)
    shared_set(assignment.shared, DONE)
    channel.say({"name": name, "call": f"touch {assignment.memory} bytes", "touched": touched})


def _cpu_quota(channel: Channel, assignment: Assignment, name: str) -> None:
    error = channel.ask(name)
    if error:
        channel.say({"name": name, "call": "", "failed": error})
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
    channel.say({"name": name, "call": f"{assignment.spinners} busy loops", "cpu": cpu, "wall": wall})


def _spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def _pids_limit(channel: Channel, assignment: Assignment, name: str) -> None:
    error = channel.ask(name)
    if error:
        channel.say({"name": name, "call": "", "failed": error})
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
    channel.say({"name": name, "call": "fork()", "errno": answer, "forks": len(pids), "tasks": len(pids) + 2})


_ATTEMPTS: Mapping[str, Callable[[Channel, Assignment, str], None]] = {
    "clock-set": _clock_set,
    "hostname-set": _hostname_set,
    "mount": _mount,
    "user-namespace-create": _user_namespace_create,
    "device-mknod": _device_mknod,
    "device-open": _device_open,
    "signal-host": _signal_host,
    "realtime-schedule": _realtime_schedule,
    "freezer": _freezer,
    "memory-limit": _memory_limit,
    "cpu-quota": _cpu_quota,
    "pids-limit": _pids_limit,
}
