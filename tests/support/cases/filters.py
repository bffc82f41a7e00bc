"""Cases of the checks that evaluate live seccomp filters."""

from __future__ import annotations

import errno

from isoaudit.facts.container import Process
from isoaudit.facts.seccomp import FilterStack
from isoaudit.facts.userland import Userland
from isoaudit.kernel import cbpf
from isoaudit.kernel.capability import OCI_DEFAULT, bit
from isoaudit.model import Basis, Known, Reading, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import OWN_INODES, PID, filters, make_container, make_host, make_status, namespaces
from support.filters import program, real, stack

PERMISSIVE = "seccomp-permissive"
BYPASS = "seccomp-architecture-bypass"
UNREADABLE = "seccomp-unreadable"
BLOCKED = "kernel-newer-userland-blocked"
NEVER = {
    (UNREADABLE, Verdict.FAIL): "what could not be read is no gap of the container's",
}

FIRST = make_container().processes[0]
NO_FILTER = make_container(
    status=make_status(seccomp=Known(0, "s"), seccomp_filters=Known(0, "s")), filters=Known((), "t")
)
UNREAD: Reading[tuple[FilterStack, ...]] = Known(
    (
        FilterStack(
            ((PID, PID),), Unknown("ptrace", "thread 4242 sleeps in epoll_wait"), False, ("x86_64", "i386")
        ),
    ),
    "t",
)
INFERRED: Reading[tuple[FilterStack, ...]] = Known((stack(program(), inferred=True),), "t")
ROOT = make_status(cap_effective=OCI_DEFAULT, cap_permitted=OCI_DEFAULT, no_new_privs=Known(False, "s"))


def holding(*names: str) -> object:
    return make_status(cap_effective=sum(map(bit, names)))


def image(libc: str, version: str) -> Reading[Userland]:
    return Known(Userland("debian", "12", "Debian", libc, version, "", ()), "t")


OPEN_HOST = make_host(
    sysctls={
        "kernel.io_uring_disabled": "0",
        "kernel.unprivileged_bpf_disabled": "0",
        "kernel.perf_event_paranoid": "2",
        "user.max_user_namespaces": "96000",
    }
)
# Systemd's way: a list of what is denied, by the native numbers only; other architectures pass.
NATIVE_ONLY = program(deny=["mount", "bpf", "keyctl"], pinned=False)

CASES = (
    Case(PERMISSIVE, Verdict.PASS, "default of Docker 29", says=("of 383 system calls",)),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "default of Docker 20.10 where io_uring is open",
        host=OPEN_HOST,
        container=make_container(filters=real("docker-20.10.24"), status=ROOT),
        severity=Severity.MEDIUM,
        basis=Basis.OBSERVED,
        says=("292 of 383", "io_uring (io_uring_setup, io_uring_enter, io_uring_register)"),
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "default of Docker 20.10 where the host closes io_uring",
        container=make_container(filters=real("docker-20.10.24"), status=ROOT),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "default of Podman 4.3 where user namespaces are open",
        host=OPEN_HOST,
        container=make_container(filters=real("podman-4.3.1")),
        says=("new user namespaces (unshare, clone, clone3)", "keyrings (keyctl)"),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "everything",
        host=OPEN_HOST,
        container=make_container(filters=filters()),
        says=("383 of 383", "bpf (bpf)", "perf", "keyrings", "io_uring"),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "mounts with the capability for them",
        container=make_container(
            filters=filters(allow=["read", "mount", "umount2"]), status=holding("CAP_SYS_ADMIN")
        ),
        says=("3 of 383", "mounts (mount, umount2)"),
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "mounts without the capability for them",
        container=make_container(filters=filters(allow=["read", "mount", "umount2"])),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "mounts with a capability that a program gives",
        container=make_container(
            filters=filters(allow=["mount"]),
            status=make_status(cap_bounding=bit("CAP_SYS_ADMIN"), no_new_privs=Known(False, "s")),
        ),
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "a capability that no_new_privs keeps away",
        container=make_container(
            filters=filters(allow=["mount"]), status=make_status(cap_bounding=bit("CAP_SYS_ADMIN"))
        ),
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "the clock in a user namespace of its own",
        container=make_container(
            filters=filters(allow=["clock_settime"]),
            status=holding("CAP_SYS_TIME"),
            namespaces=namespaces(PID, **{**OWN_INODES, "user": 4026532300}),
        ),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "bpf with the capability where others may not",
        container=make_container(filters=filters(allow=["bpf"]), status=holding("CAP_BPF")),
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "clone but for new user namespaces",
        host=OPEN_HOST,
        container=make_container(filters=real("docker-29.4.3")),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "a neighbour's filter",
        container=make_container(
            processes=(FIRST, Process(4300, Known(make_status(name="sh"), "s"))),
            filters=Known((stack(program(allow=["read"])), stack(program(), pids=[4300])), "t"),
        ),
        says=("383 of 383", "keyrings"),
    ),
    Case(
        PERMISSIVE,
        Verdict.FAIL,
        "what the runtime noted",
        container=make_container(filters=INFERRED),
        basis=Basis.INFERRED,
    ),
    Case(
        PERMISSIVE,
        Verdict.PASS,
        "a supervisor decides",
        container=make_container(
            filters=Known(
                (stack(program(deny=["keyctl"], error=cbpf.USER_NOTIF), program(allow=["keyctl"])),), "t"
            )
        ),
        says=("a supervisor decides of keyctl",),
    ),
    Case(PERMISSIVE, Verdict.NOT_APPLICABLE, "no filter", container=NO_FILTER),
    Case(PERMISSIVE, Verdict.UNKNOWN, "unread", container=make_container(filters=UNREAD), says=("epoll_wait",)),
    Case(
        PERMISSIVE,
        Verdict.UNKNOWN,
        "a program that cannot be followed",
        container=make_container(filters=Known((stack("0600000000000000" * 2 + "00"),), "t")),
        says=("cannot be followed",),
    ),
    Case(BYPASS, Verdict.PASS, "default of Docker 29.4.2", says=("x86_64, i386",)),
    Case(
        BYPASS,
        Verdict.FAIL,
        "native numbers only",
        container=make_container(filters=Known((stack(NATIVE_ONLY),), "t")),
        severity=Severity.HIGH,
        says=("i386: bpf, keyctl, mount",),
    ),
    Case(
        BYPASS,
        Verdict.FAIL,
        "the x32 bit is not looked at",
        container=make_container(
            filters=Known(
                (
                    stack(
                        program(deny=["mount"], x32_guard=False),
                        architectures=("x86_64", "x32"),
                    ),
                ),
                "t",
            )
        ),
        severity=Severity.HIGH,
        says=("x32: mount",),
    ),
    Case(
        BYPASS,
        Verdict.PASS,
        "the x32 bit is not looked at and the kernel has no x32",
        container=make_container(
            filters=Known(
                (stack(program(deny=["mount"], x32_guard=False), architectures=("x86_64", "i386")),), "t"
            )
        ),
    ),
    Case(
        BYPASS,
        Verdict.FAIL,
        "families of sockets by socketcall",
        container=make_container(filters=real("docker-29.4.3")),
        severity=Severity.MEDIUM,
        says=("i386: socketcall (AF_ALG, AF_VSOCK)",),
    ),
    Case(
        BYPASS,
        Verdict.FAIL,
        "calls of no consequence",
        container=make_container(filters=Known((stack(program(deny=["sync"], pinned=False)),), "t")),
        severity=Severity.LOW,
        says=("i386: sync",),
    ),
    Case(
        BYPASS,
        Verdict.FAIL,
        "System V IPC by ipc",
        container=make_container(
            filters=Known((stack(program(deny=["shmget", "semget"], pinned=False)),), "t")
        ),
        severity=Severity.MEDIUM,
        says=("ipc (semget, shmget)",),
    ),
    Case(
        BYPASS,
        Verdict.PASS,
        "all other architectures are killed",
        container=make_container(filters=filters(deny=["mount"])),
    ),
    Case(BYPASS, Verdict.NOT_APPLICABLE, "no filter", container=NO_FILTER),
    Case(BYPASS, Verdict.UNKNOWN, "unread", container=make_container(filters=UNREAD)),
    Case(UNREADABLE, Verdict.PASS, "read", basis=Basis.OBSERVED),
    Case(UNREADABLE, Verdict.UNKNOWN, "unread", container=make_container(filters=UNREAD), says=("epoll_wait",)),
    Case(
        UNREADABLE,
        Verdict.UNKNOWN,
        "what the runtime noted",
        container=make_container(filters=INFERRED),
        says=("was not read",),
    ),
    Case(
        UNREADABLE,
        Verdict.UNKNOWN,
        "one process",
        container=make_container(
            processes=(FIRST, Process(4300, Known(make_status(), "s"))), filters=real("docker-29.4.2")
        ),
    ),
    Case(UNREADABLE, Verdict.NOT_APPLICABLE, "no filter", container=NO_FILTER),
    Case(BLOCKED, Verdict.PASS, "default of Docker"),
    Case(
        BLOCKED,
        Verdict.FAIL,
        "EPERM for what is not listed",
        container=make_container(filters=filters(allow=["read", "clone"]), userland=image("glibc", "2.31")),
        severity=Severity.LOW,
        says=("clone3, faccessat2, statx, close_range, openat2, every number above 469", "tries statx"),
    ),
    Case(
        BLOCKED,
        Verdict.FAIL,
        "a C library whose threads do not start",
        container=make_container(filters=filters(deny=["clone3"]), userland=image("glibc", "2.36")),
        severity=Severity.MEDIUM,
        says=("tries clone3",),
    ),
    Case(
        BLOCKED,
        Verdict.FAIL,
        "killed",
        container=make_container(filters=filters(deny=["statx"], error=cbpf.KILL_PROCESS)),
    ),
    Case(
        BLOCKED,
        Verdict.FAIL,
        "time of 32-bit programs",
        container=make_container(
            filters=Known((stack(program(deny=["clock_gettime64"], architecture="i386", pinned=False)),), "t")
        ),
        says=("clock_gettime64 (i386)",),
    ),
    Case(
        BLOCKED,
        Verdict.PASS,
        "ENOSYS for what is not listed",
        container=make_container(filters=filters(allow=["read", "clone"], error=errno.ENOSYS)),
    ),
    Case(BLOCKED, Verdict.NOT_APPLICABLE, "no filter", container=NO_FILTER),
    Case(BLOCKED, Verdict.UNKNOWN, "unread", container=make_container(filters=UNREAD)),
)
