"""Other processes of the host, and its own place among them: priorities, the OOM killer, locked memory."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import struct

from isoaudit.kernel import syscalls
from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, Call, Probe, raw
from isoaudit.probes.shared import Assignment

_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_RT = 1, 1 << 13
_MLOCK_ONFAULT = 1
_FIRST_NICE = -20
_NEVER = "-1000"  # OOM_SCORE_ADJ_MIN
# An address that nobody may map (vm.mmap_min_addr): the right is looked at before it.
_UNMAPPED = struct.pack("=QQ", 8, 1)
_BYTE = ctypes.create_string_buffer(1)
_INTO = struct.pack("=QQ", ctypes.addressof(_BYTE), 1)
_NO_DESCRIPTOR = 0x7FFFFFF0


def _steal(assignment: Assignment) -> None:
    pidfd = syscalls.call("pidfd_open", assignment.scanner, 0)
    try:
        os.close(syscalls.call("pidfd_getfd", pidfd, _NO_DESCRIPTOR, 0))
    finally:
        os.close(pidfd)


def _first(_: Assignment) -> None:
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, policy, parameter)


def _nicer(_: Assignment) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(before - 1, _FIRST_NICE))
    os.setpriority(os.PRIO_PROCESS, 0, before)


def _urgent_io(_: Assignment) -> None:
    before = syscalls.call("ioprio_get", _IOPRIO_WHO_PROCESS, 0)
    syscalls.call("ioprio_set", _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_RT | 7)
    syscalls.call("ioprio_set", _IOPRIO_WHO_PROCESS, 0, before)


def _spared(_: Assignment) -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    try:
        before = os.read(fd, 16)
        os.pwrite(fd, _NEVER.encode(), 0)
        os.pwrite(fd, before, 0)
    finally:
        os.close(fd)


def _lock(_: Assignment) -> None:
    """Lock a page more than the limit allows. Locked on fault, and so never filled, it takes no memory."""
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    length = mmap.PAGESIZE * 2 if soft == resource.RLIM_INFINITY else soft + mmap.PAGESIZE
    pages = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
    try:
        start = ctypes.c_char.from_buffer(pages)
        address = ctypes.addressof(start)
        del start
        syscalls.call("mlock2", address, length, _MLOCK_ONFAULT)
    finally:
        pages.close()


PROBES = (
    Probe(
        "signal-host",
        PERMISSION,
        "send signals to processes of the host",
        "check_kill_permission() in kernel/signal.c",
        "no process: signal 0 is the question whether one might be sent, asked of isoaudit itself",
        calls=(Call("kill(isoaudit, 0)", lambda assignment: os.kill(assignment.scanner, 0)),),
        # In its PID namespace there is no such process.
        refused=(errno.ESRCH,),
        capabilities=mask("CAP_KILL"),
        own="pid",
    ),
    Probe(
        "process-read",
        PERMISSION,
        "read the memory, and take the files, of processes of the host",
        "__ptrace_may_access() in kernel/ptrace.c",
        "no memory: isoaudit is asked for an address that nothing can be mapped at, and for a file it has not",
        calls=(
            Call(
                "process_vm_readv(isoaudit, 1 byte at 8)",
                lambda assignment: syscalls.call(
                    "process_vm_readv", assignment.scanner, _INTO, 1, _UNMAPPED, 1, 0
                ),
            ),
            Call("pidfd_getfd(pidfd_open(isoaudit), 0x7ffffff0)", _steal),
        ),
        permitted=(errno.EFAULT, errno.EBADF),
        refused=(errno.ESRCH, errno.ENOSYS),
        reach=Call(
            "process_vm_readv(isoaudit, nothing)",
            lambda assignment: syscalls.call("process_vm_readv", assignment.scanner, None, 0, None, 0, 0),
        ),
        reached=(0,),
        capabilities=mask("CAP_SYS_PTRACE"),
        own="pid",
    ),
    Probe(
        "realtime-schedule",
        PERMISSION,
        "run before every ordinary process of the host",
        "user_check_sched_setscheduler() in kernel/sched/syscalls.c",
        "its own scheduling policy, for the time of two calls",
        "the policy is set back",
        calls=(Call("sched_setscheduler(0, SCHED_FIFO, 1)", _first),),
        reach=Call(
            "sched_setscheduler(0, SCHED_OTHER, 0)",
            lambda _: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        ),
        reached=(0,),
        capabilities=mask("CAP_SYS_NICE"),
    ),
    Probe(
        "nice-raise",
        PERMISSION,
        "take CPU time from processes of the same weight",
        "can_nice() in kernel/sched/syscalls.c",
        "its own nice value",
        "the value is set back",
        calls=(Call("setpriority(PRIO_PROCESS, 0, one less)", _nicer),),
        refused=(errno.EACCES,),
        capabilities=mask("CAP_SYS_NICE"),
    ),
    Probe(
        "io-priority",
        PERMISSION,
        "have its disk requests served before all others",
        "ioprio_check_cap() in block/ioprio.c",
        "its own class, while it reads and writes nothing",
        "the class is set back",
        calls=(Call("ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_RT 7)", _urgent_io),),
        refused=(errno.ENOSYS,),
        reach=raw("ioprio_set(IOPRIO_WHO_PROCESS, 0, class 7)", "ioprio_set", _IOPRIO_WHO_PROCESS, 0, 7 << 13),
        reached=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_NICE", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "oom-score-lower",
        PERMISSION,
        "have others killed in its place when memory runs out",
        "__set_oom_adj() in fs/proc/base.c",
        "its own oom_score_adj, for the time of two writes",
        "the value is written back",
        calls=(Call(f'write(/proc/self/oom_score_adj, "{_NEVER}")', _spared),),
        refused=(errno.EACCES,),
        capabilities=mask("CAP_SYS_RESOURCE"),
    ),
    Probe(
        "memory-lock",
        PERMISSION,
        "keep more memory from being swapped out than its limit allows",
        "can_do_mlock(), do_mlock() in mm/mlock.c",
        "addresses without memory behind them",
        "the mapping is removed",
        calls=(Call("mlock2(RLIMIT_MEMLOCK + a page, MLOCK_ONFAULT)", _lock),),
        refused=(errno.ENOMEM, errno.EAGAIN),
        capabilities=mask("CAP_IPC_LOCK"),
    ),
)
