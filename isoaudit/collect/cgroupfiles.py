"""Which cgroup files are read, and on which cgroups; and how a cgroup is opened."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The files that checks judge, by controller. What a kernel does not have is found out once and not asked again.
V1_FILES: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "cpu.rt_runtime_us"),
    "cpuset": ("cpuset.cpus", "cpuset.mems", "cpuset.effective_cpus", "cpuset.effective_mems"),
    "memory": (
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.swappiness",
        "memory.oom_control",
        "memory.use_hierarchy",
        "memory.kmem.usage_in_bytes",
    ),
    "devices": ("devices.list",),
    "freezer": ("freezer.state",),
    "blkio": (
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device",
        "blkio.throttle.write_iops_device",
        "blkio.weight",
        "blkio.bfq.weight",
    ),
    "pids": ("pids.max",),
    "net_cls": ("net_cls.classid",),
    "net_prio": ("net_prio.ifpriomap",),
    "rdma": ("rdma.max",),
    "misc": ("misc.max",),
}
V2_FILES: tuple[str, ...] = (
    "cgroup.controllers",
    "cgroup.type",
    "cpu.max",
    "cpu.weight",
    "cpu.idle",
    "cpuset.cpus",
    "cpuset.cpus.effective",
    "cpuset.mems.effective",
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "memory.oom.group",
    "io.max",
    "io.weight",
    "io.bfq.weight",
    "io.latency",
    "pids.max",
    "cgroup.freeze",
    "rdma.max",
    "misc.max",
)
# Files whose value on the container's own cgroups alone decides; reading them on every ancestor would be waste.
OWN_ONLY = frozenset(
    {
        "cpu.shares",
        "cpuset.cpus",
        "cpuset.mems",
        "cpuset.effective_cpus",
        "cpuset.effective_mems",
        "memory.swappiness",
        "memory.kmem.usage_in_bytes",
        "freezer.state",
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device",
        "blkio.throttle.write_iops_device",
        "blkio.weight",
        "blkio.bfq.weight",
        "net_cls.classid",
        "net_prio.ifpriomap",
        "cgroup.type",
        "cpu.weight",
        "cpu.idle",
        "memory.oom.group",
        "io.weight",
        "io.bfq.weight",
        "io.latency",
        "cgroup.freeze",
    }
)
# What only v2's root has.
ROOT_ONLY: tuple[str, ...] = ("io.cost.qos",)
# What is asked of ancestors alone: whether they bind those below.
ABOVE_ONLY = frozenset({"memory.use_hierarchy"})
# What containers are compared with each other by.
COMPARED = frozenset({"memory.limit_in_bytes", "memory.use_hierarchy", "memory.max", "cgroup.controllers"})

# How `text` shows a byte that is no UTF-8. systemd writes other bytes so in the names that it gives.
_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")


def open_cgroup(directory: str) -> int:
    """Open a cgroup by its path as text; its name may hold any byte but `/` and a newline.

    Raises:
        OSError: the kernel's answer.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(directory, flags)
    except FileNotFoundError:
        raw = _BYTE.sub(lambda match: bytes([int(match[1], 16)]), directory.encode())
        if raw == directory.encode():
            raise
        return os.open(raw, flags)
