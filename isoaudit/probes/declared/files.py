"""Files of the kernel's in /proc, /sys and cgroups: opened as they stand inside, never read or written.

An open that succeeds is no proof: engines cover such files by /dev/null or an empty file, which open as well.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import stat
from typing import TYPE_CHECKING

from isoaudit.kernel import syscalls
from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, Probe

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
# procfs, sysfs, cgroup v1 and v2, binfmt_misc (include/uapi/linux/magic.h).
_KERNELS = frozenset({0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x42494E4D})
_ENTRY = {"proc": "/proc/self", "sys": "/sys/kernel"}


def _open(channel: Channel, flags: int, shown: str, probe: Probe) -> None:
    """Open each of a probe's files until one opens."""
    trees = {path.split("/")[1] for path in probe.files}
    if not any(os.path.lexists(_ENTRY[tree]) for tree in trees):
        channel.say({"name": probe.name, "call": f"open({probe.files[0]}, {shown})", "failed": errno.ENOENT})
        return
    first: dict[str, object] = {}
    for path in (path for pattern in probe.files for path in sorted(glob.glob(pattern))):
        found = {"name": probe.name, "call": f"open({path}, {shown})", "path": path, **_tried(path, flags)}
        if found["errno"] == 0 and "cover" not in found:
            channel.say(found)
            return
        first = first or found
    absent = {"name": probe.name, "call": f"open({probe.files[0]}, {shown})", "path": probe.files[0]}
    channel.say(first or {**absent, "errno": errno.ENOENT})


def _tried(path: str, flags: int) -> dict[str, object]:
    """What the kernel answers to opening a file, and what it is if it is no file of the kernel's."""
    try:
        fd = os.open(path, flags | _FLAGS)
    except OSError as error:
        return {"errno": error.errno or errno.EIO}
    try:
        cover = _cover(fd)
    finally:
        os.close(fd)
    return {"errno": 0, "cover": cover} if cover else {"errno": 0}


def _cover(fd: int) -> str:
    """What an open file is if it is none of the kernel's; "" if it is one."""
    status = os.fstat(fd)
    if stat.S_ISCHR(status.st_mode):
        return f"the character device {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    buffer = ctypes.create_string_buffer(256)
    syscalls.call("fstatfs", fd, buffer)
    kind = int.from_bytes(buffer.raw[:8], "little")  # struct statfs, f_type
    return "" if kind in _KERNELS else f"a file on a filesystem of type {kind:#x}"


def _write(channel: Channel, _: Assignment, probe: Probe) -> None:
    _open(channel, os.O_WRONLY, "O_WRONLY", probe)


def _read(channel: Channel, _: Assignment, probe: Probe) -> None:
    _open(channel, os.O_RDONLY, "O_RDONLY", probe)


def _file(name: str, proves: str, kernel: str, *files: str) -> Probe:
    return Probe(
        name,
        PERMISSION,
        proves,
        kernel,
        "nothing: the file is opened for writing and closed",
        refused=(errno.EROFS, errno.EACCES, errno.ENOENT),
        capabilities=mask("CAP_DAC_OVERRIDE"),
        files=files,
        run=_write,
    )


_SYSCTL = "proc_sys_permission() in fs/proc/proc_sysctl.c"
_PROC = "proc_reg_open() in fs/proc/inode.c, after the mount and the mode"

PROBES = (
    _file(
        "core-pattern-write",
        "name a program that the host runs as root when a process crashes",
        _SYSCTL,
        "/proc/sys/kernel/core_pattern",
    ),
    _file(
        "modprobe-path-write",
        "name a program that the host runs as root when a module is wanted",
        _SYSCTL,
        "/proc/sys/kernel/modprobe",
    ),
    _file(
        "uevent-helper-write",
        "name a program that the host runs as root when a device comes or goes",
        "kernel/ksysfs.c, uevent_helper_store()",
        "/sys/kernel/uevent_helper",
        "/proc/sys/kernel/hotplug",
    ),
    _file(
        "binfmt-write",
        "name an interpreter that the host runs for programs of its own",
        "bm_register_write() in fs/binfmt_misc.c",
        "/proc/sys/fs/binfmt_misc/register",
    ),
    _file("sysctl-write", "change settings of the whole kernel", _SYSCTL, "/proc/sys/vm/swappiness"),
    _file("sysrq-write", "reboot or crash the host by one letter", _PROC, "/proc/sysrq-trigger"),
    _file(
        "cgroup-write",
        "move processes between cgroups",
        "cgroup_kn_lock_live() and the mount, in kernel/cgroup/cgroup.c",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/*/cgroup.procs",
    ),
    _file(
        "release-agent-write",
        "name a program that the host runs as root when a cgroup empties",
        "cgroup_release_agent_write() in kernel/cgroup/cgroup-v1.c, which asks for CAP_SYS_ADMIN as well",
        "/sys/fs/cgroup/*/release_agent",
    ),
    Probe(
        "kernel-core-read",
        PERMISSION,
        "read the kernel's memory",
        "open_kcore() in fs/proc/kcore.c",
        "nothing: the file is opened and closed",
        refused=(errno.EACCES, errno.ENOENT),
        capabilities=mask("CAP_SYS_RAWIO"),
        files=("/proc/kcore",),
        run=_read,
    ),
)
