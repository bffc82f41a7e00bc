"""System calls that contained programs hardly need and attacks do, in groups, and what else each takes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from isoaudit.facts.seccomp_programs import programs_answer, supervised_calls
from isoaudit.kernel import calls
from isoaudit.kernel.capability import mask

_NEWUSER = ((0, 0x10000000),)  # CLONE_NEWUSER among the flags
# Calls of which only some arguments are dangerous, where a filter can look at them.
_ARGUMENTS = {"clone": _NEWUSER, "unshare": _NEWUSER}


class Setting(NamedTuple):
    """A kernel setting that closes a group whatever the filter says, by its values."""

    name: str
    for_unprivileged: frozenset[str]
    for_all: frozenset[str] = frozenset()


class Group(NamedTuple):
    """Calls for one purpose."""

    name: str
    calls: tuple[str, ...]
    needs: int = 0  # without any of these capabilities the calls are harmless; 0: they need none
    over_host: bool = False  # the capability counts in the initial user namespace only
    setting: Setting | None = None
    privileged: int = 0  # who has any of these is not unprivileged to the setting


GROUPS: tuple[Group, ...] = (
    Group(
        "mounts",
        (
            *("mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick"),
            *("move_mount", "open_tree", "open_tree_attr", "mount_setattr"),
        ),
        mask("CAP_SYS_ADMIN"),
    ),
    Group(
        "new user namespaces",
        ("unshare", "clone", "clone3"),
        setting=Setting("user.max_user_namespaces", frozenset({"0"}), frozenset({"0"})),
    ),
    Group("joining namespaces", ("setns",), mask("CAP_SYS_ADMIN")),
    Group(
        "kernel modules",
        ("init_module", "finit_module", "delete_module", "create_module"),
        mask("CAP_SYS_MODULE"),
        over_host=True,
    ),
    Group("kexec", ("kexec_load", "kexec_file_load"), mask("CAP_SYS_BOOT"), over_host=True),
    Group("reboot", ("reboot",), mask("CAP_SYS_BOOT"), over_host=True),
    Group(
        "bpf",
        ("bpf",),
        setting=Setting("kernel.unprivileged_bpf_disabled", frozenset({"1", "2"})),
        privileged=mask("CAP_BPF", "CAP_SYS_ADMIN"),
    ),
    Group(
        "perf",
        ("perf_event_open",),
        setting=Setting("kernel.perf_event_paranoid", frozenset({"3", "4"})),
        privileged=mask("CAP_PERFMON", "CAP_SYS_ADMIN"),
    ),
    Group("keyrings", ("keyctl", "add_key", "request_key")),
    Group(
        "userfaultfd",
        ("userfaultfd",),
        setting=Setting("vm.unprivileged_userfaultfd", frozenset({"0"})),
        privileged=mask("CAP_SYS_PTRACE"),
    ),
    Group(
        "io_uring",
        ("io_uring_setup", "io_uring_enter", "io_uring_register"),
        setting=Setting("kernel.io_uring_disabled", frozenset({"1", "2"}), frozenset({"2"})),
        privileged=mask("CAP_SYS_ADMIN"),
    ),
    Group(
        "other processes",
        ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"),
        mask("CAP_SYS_PTRACE"),
    ),
    Group("file handles", ("open_by_handle_at",), mask("CAP_DAC_READ_SEARCH"), over_host=True),
    Group(
        "the clock",
        (
            *("clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64"),
            *("settimeofday", "stime", "adjtimex"),
        ),
        mask("CAP_SYS_TIME"),
        over_host=True,
    ),
    Group("swap", ("swapon", "swapoff"), mask("CAP_SYS_ADMIN"), over_host=True),
    Group("process accounting", ("acct",), mask("CAP_SYS_PACCT"), over_host=True),
    Group("disk quotas", ("quotactl", "quotactl_fd"), mask("CAP_SYS_ADMIN"), over_host=True),
    Group("raw I/O ports", ("iopl", "ioperm"), mask("CAP_SYS_RAWIO"), over_host=True),
    Group("the kernel's log", ("syslog",), mask("CAP_SYSLOG", "CAP_SYS_ADMIN"), over_host=True),
    Group("watching whole mounts", ("fanotify_init",), mask("CAP_SYS_ADMIN"), over_host=True),
    Group("obsolete calls", ("uselib", "vm86", "vm86old", "nfsservctl", "_sysctl")),
)
ALL = frozenset(name for group in GROUPS for name in group.calls)


@lru_cache(maxsize=256)
def open_calls(stacked: tuple[str, ...], architecture: str) -> frozenset[str]:
    """Those of all groups' calls that a stack of programs lets through; not those that a supervisor decides of.

    Raises:
        FactMissing: a program cannot be followed.
    """
    asked = (ALL & calls.table(architecture).keys()) - supervised_calls(stacked, architecture)
    return frozenset(
        name for name in asked if programs_answer(stacked, architecture, name, _ARGUMENTS.get(name)).allowed
    )
