"""The probes: what each tries, what it proves, and where the kernel decides it."""

from __future__ import annotations

from typing import NamedTuple

from isoaudit.kernel.capability import mask

PERMISSION, LIMIT = "permission", "limit"
HAZARDS = ("safe", "visible", "disruptive")


class Probe(NamedTuple):
    """One probe. Permissions are asked for by calls that change nothing even where they are granted."""

    name: str
    kind: str  # PERMISSION or LIMIT
    proves: str  # what a test container that succeeds could do
    kernel: str  # where the kernel decides
    capabilities: int = 0  # any of these may grant it
    initial_user: bool = False  # granted in a user namespace of one's own it is no right over the host
    hazard: str = "safe"


PROBES: tuple[Probe, ...] = (
    Probe(
        "clock-set",
        PERMISSION,
        "set the host's clock",
        "security_settime64() in kernel/time/time.c",
        mask("CAP_SYS_TIME"),
    ),
    Probe(
        "hostname-set",
        PERMISSION,
        "set the host's name",
        "SYSCALL_DEFINE2(sethostname) in kernel/sys.c",
        mask("CAP_SYS_ADMIN"),
    ),
    Probe(
        "mount",
        PERMISSION,
        "mount filesystems",
        "may_mount() in fs/namespace.c",
        mask("CAP_SYS_ADMIN"),
        initial_user=True,
    ),
    Probe(
        "user-namespace-create",
        PERMISSION,
        "make a user namespace and get all capabilities in it",
        "create_user_ns() in kernel/user_namespace.c",
    ),
    Probe(
        "device-mknod",
        PERMISSION,
        "make a device node that no container needs",
        "vfs_mknod() in fs/namei.c",
        mask("CAP_MKNOD"),
    ),
    Probe(
        "device-open",
        PERMISSION,
        "open a device that no container needs",
        "devcgroup_inode_permission() in include/linux/device_cgroup.h",
    ),
    Probe(
        "signal-host",
        PERMISSION,
        "send signals to processes of the host",
        "check_kill_permission() in kernel/signal.c",
        mask("CAP_KILL"),
    ),
    Probe(
        "realtime-schedule",
        PERMISSION,
        "run before every ordinary process of the host",
        "user_check_sched_setscheduler() in kernel/sched/syscalls.c",
        mask("CAP_SYS_NICE"),
    ),
    Probe("freezer", LIMIT, "go on while it is frozen", "kernel/cgroup/legacy_freezer.c, freezer.c"),
    Probe("memory-limit", LIMIT, "use more memory than its limit", "try_charge_memcg() in mm/memcontrol.c"),
    Probe("cpu-quota", LIMIT, "use more CPU time than its quota", "throttle_cfs_rq() in kernel/sched/fair.c"),
    Probe("pids-limit", LIMIT, "have more tasks than its limit", "pids_can_fork() in kernel/cgroup/pids.c"),
)
BY_NAME: dict[str, Probe] = {probe.name: probe for probe in PROBES}
