"""Cases of the checks in checks/kernel that ask who can make a system call."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import Host
from isoaudit.facts.kernel import KernelRelease
from isoaudit.facts.status import Status
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Basis, Known, Reading, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    DEFAULT_NODES,
    HOST_INODES,
    KERNEL_FILES,
    OWN_INODES,
    PID,
    cgroup_v1,
    denied,
    filters,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
    namespaces,
    node,
)
from support.filters import program, real, stack

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
OPEN = filters()
UNREAD = denied("filter")
NO_FILTER = make_status(seccomp=known(0, f"/proc/{PID}/status"))
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532900})
HOST_PID = namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]})


def holding(*names: str, **changes: Any) -> Status:
    """Root with capabilities in effect and a seccomp filter."""
    held = mask(*names)
    return make_status(
        uids=(0, 0, 0, 0),
        cap_effective=held,
        cap_permitted=held,
        cap_bounding=OCI_DEFAULT | held,
        **changes,
    )


def allowing(*calls: str, pinned: bool = True) -> Reading[Any]:
    """A filter that lets only those calls through."""
    return filters(allow=calls, pinned=pinned)


def lacking(setting: str, **changes: Any) -> Host:
    """A host whose kernel does not have a setting."""
    path = f"/proc/sys/{setting.replace('.', '/')}"
    return make_host(
        sysctls={setting: Unknown(path, "ENOENT: this kernel does not have the setting")},
        absent_sysctls=frozenset({setting}),
        **changes,
    )


def files(path: str, *, there: bool | None, **changes: Any) -> Host:
    """A host with a kernel file or without, or whose file could not be looked for (None)."""
    found: dict[str, Reading[bool]] = {name: Known(value, name) for name, value in KERNEL_FILES.items()}
    found[path] = denied(path) if there is None else Known(there, path)
    return make_host(kernel_files=found, **changes)


def neighbour(status: Status) -> Container:
    """A well-confined container with a second process in it, under the same user namespace and filters of its own."""
    fine = make_container()
    second = Process(
        4300,
        Known(status._replace(name="intruder"), "/proc/4300/status"),
        Known(HOST_INODES["user"], "/proc/4300/ns/user"),
    )
    return fine._replace(processes=(*fine.processes, second))


def machine(
    check: str, capability: str, call: str, severity: Severity, host: Host, space: Any
) -> tuple[Case, ...]:
    """What each check of a capability and a call that changes the machine must say.

    Args:
        check: its id.
        capability: which it takes.
        call: one of its calls.
        severity: of the usual case.
        host: one on which no setting forbids it.
        space: namespaces in which it concerns the host.
    """

    def held(**changes: Any) -> Container:
        return make_container(
            **{"status": holding(capability), "namespaces": space, "filters": OPEN, **changes}
        )

    bounding = make_status(
        cap_bounding=OCI_DEFAULT | mask(capability), no_new_privs=known(False), uids=(0, 0, 0, 0)
    )
    intruder = neighbour(holding(capability, seccomp=known(0)))
    return (
        Case(
            check, FAIL, "held and let", host=host, container=held(), severity=severity, says=(capability, call)
        ),
        Case(
            check,
            FAIL,
            "let that alone",
            host=host,
            container=held(filters=allowing(call)),
            basis=Basis.OBSERVED,
            says=(f"{capability} and {call} let it",),
        ),
        Case(
            check,
            FAIL,
            "no filter at all",
            host=host,
            container=held(status=holding(capability, seccomp=known(0)), filters=UNREAD),
            severity=severity,
        ),
        Case(
            check,
            FAIL,
            "a neighbour without a filter",
            host=host,
            container=intruder._replace(namespaces=space),
            says=("4300 (intruder)",),
        ),
        Case(
            check,
            FAIL,
            "given by executing a program",
            host=host,
            container=held(status=bounding),
            says=("executing any program",),
        ),
        Case(
            check,
            FAIL,
            "by a state file",
            host=host,
            container=held(filters=Known((stack(program(), inferred=True),), "state.json")),
            basis=Basis.INFERRED,
        ),
        Case(
            check,
            PASS,
            "refused",
            host=host,
            container=held(filters=allowing("read")),
            basis=Basis.OBSERVED,
            says=("its seccomp filter refuses",),
        ),
        Case(
            check,
            PASS,
            "over its own user namespace",
            host=host,
            container=held(namespaces=OWN_USER),
            says=("of its own",),
        ),
        Case(
            check,
            PASS,
            "kept by no_new_privs",
            host=host,
            container=held(status=bounding._replace(no_new_privs=known(True))),
            says=("no_new_privs",),
        ),
        Case(check, PASS, "not held", host=host, says=("no process of it has",)),
        Case(check, UNKNOWN, "the filter was not read", host=host, container=held(filters=UNREAD)),
        Case(check, UNKNOWN, "unreadable", host=host, container=make_container(status=denied())),
    )


LOADABLE, KEXEC = "kernel-module-loadable", "kernel-kexec-allowed"
MODULES = make_host(sysctls={"kernel.modules_disabled": "0"}, lockdown=known("none"))
KEXEC_HOST = make_host(sysctls={"kernel.kexec_load_disabled": "0"}, lockdown=known("none"))
MODULE = make_container(status=holding("CAP_SYS_MODULE"), filters=OPEN)
BOOT = make_container(status=holding("CAP_SYS_BOOT"), filters=OPEN)
PACCT = make_container(status=holding("CAP_SYS_PACCT"), filters=OPEN)
OUTSIDER = Process(
    4300,
    Known(holding("CAP_SYS_BOOT", seccomp=known(0), name="nsenter"), "/proc/4300/status"),
    Known(HOST_INODES["user"], "/proc/4300/ns/user"),
    other_namespaces=Known({"pid": HOST_INODES["pid"]}, "/proc/4300/ns"),
)

MACHINE = (
    *machine(
        LOADABLE, "CAP_SYS_MODULE", "finit_module", Severity.CRITICAL, MODULES, namespaces(PID, **OWN_INODES)
    ),
    *machine(KEXEC, "CAP_SYS_BOOT", "kexec_load", Severity.CRITICAL, KEXEC_HOST, HOST_PID),
    *machine("kernel-reboot-allowed", "CAP_SYS_BOOT", "reboot", Severity.HIGH, make_host(), HOST_PID),
    *machine("kernel-swap-allowed", "CAP_SYS_ADMIN", "swapon", Severity.HIGH, make_host(), HOST_PID),
    *machine("kernel-acct-allowed", "CAP_SYS_PACCT", "acct", Severity.HIGH, make_host(), HOST_PID),
    Case(LOADABLE, PASS, "switched off", container=MODULE, says=("until the next reboot",)),
    Case(
        LOADABLE,
        FAIL,
        "signed modules only",
        host=make_host(sysctls={"kernel.modules_disabled": "0"}),
        container=MODULE,
        severity=Severity.HIGH,
        says=("signed",),
    ),
    Case(
        LOADABLE,
        PASS,
        "Docker's filter without the capability's rule",
        host=MODULES,
        container=make_container(status=holding("CAP_SYS_MODULE")),
        says=("refuses finit_module, init_module",),
    ),
    Case(LOADABLE, NOT_APPLICABLE, "built without", host=lacking("kernel.modules_disabled"), container=MODULE),
    Case(
        LOADABLE,
        UNKNOWN,
        "the setting could not be read",
        host=make_host(sysctls={"kernel.modules_disabled": denied("/proc/sys/kernel/modules_disabled")}),
        container=MODULE,
    ),
    Case(KEXEC, PASS, "switched off", container=BOOT),
    Case(KEXEC, NOT_APPLICABLE, "built without", host=lacking("kernel.kexec_load_disabled"), container=BOOT),
    Case(
        KEXEC,
        FAIL,
        "in its own PID namespace, so that the host must start it",
        host=KEXEC_HOST,
        container=BOOT,
        severity=Severity.HIGH,
        says=("that the host does",),
    ),
    Case(
        "kernel-reboot-allowed",
        PASS,
        "in its own PID namespace",
        container=BOOT,
        says=("its own PID namespace",),
    ),
    Case(
        "kernel-reboot-allowed",
        FAIL,
        "a neighbour in the host's PID namespace",
        container=make_container(processes=(make_container().processes[0], OUTSIDER)),
        severity=Severity.HIGH,
        says=("4300 (nsenter)",),
    ),
    Case(
        "kernel-reboot-allowed",
        FAIL,
        "by the 32-bit entry only",
        container=BOOT._replace(namespaces=HOST_PID, filters=filters(deny=("reboot",), pinned=False)),
        says=("reboot (i386)",),
    ),
    Case("kernel-swap-allowed", NOT_APPLICABLE, "built without", host=files("/proc/swaps", there=False)),
    Case(
        "kernel-swap-allowed",
        UNKNOWN,
        "not looked for",
        host=files("/proc/swaps", there=None),
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
    ),
    Case("kernel-acct-allowed", NOT_APPLICABLE, "built without", host=lacking("kernel.acct"), container=PACCT),
    Case("kernel-acct-allowed", PASS, "in its own PID namespace", container=PACCT),
)

BPF = "kernel-bpf-allowed"
UNPRIVILEGED_BPF = make_host(sysctls={"kernel.unprivileged_bpf_disabled": "0"})
BPF_CASES = (
    Case(
        BPF,
        FAIL,
        "CAP_SYS_ADMIN",
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
        severity=Severity.HIGH,
        says=("any BPF program",),
    ),
    Case(
        BPF,
        FAIL,
        "CAP_BPF and CAP_PERFMON",
        container=make_container(status=holding("CAP_BPF", "CAP_PERFMON"), filters=OPEN),
        severity=Severity.HIGH,
        says=("read all memory",),
    ),
    Case(
        BPF,
        FAIL,
        "CAP_BPF alone",
        container=make_container(status=holding("CAP_BPF"), filters=OPEN),
        severity=Severity.MEDIUM,
    ),
    Case(
        BPF,
        FAIL,
        "everybody may",
        host=UNPRIVILEGED_BPF,
        container=make_container(filters=OPEN),
        severity=Severity.MEDIUM,
        says=("without any capability",),
    ),
    Case(
        BPF,
        FAIL,
        "before the setting, by capability",
        host=lacking("kernel.unprivileged_bpf_disabled", kernel=known(KernelRelease(4, 1, 0, ""))),
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
    ),
    Case(BPF, PASS, "everybody may, and a filter refuses", host=UNPRIVILEGED_BPF, says=("refuses bpf",)),
    Case(BPF, PASS, "nobody may", container=make_container(filters=OPEN), says=("takes a capability",)),
    Case(
        BPF,
        PASS,
        "before the setting, without a capability",
        host=lacking("kernel.unprivileged_bpf_disabled", kernel=known(KernelRelease(4, 1, 0, ""))),
        container=make_container(filters=OPEN),
    ),
    Case(BPF, NOT_APPLICABLE, "built without", host=lacking("kernel.unprivileged_bpf_disabled")),
    Case(
        BPF, UNKNOWN, "the filter was not read", host=UNPRIVILEGED_BPF, container=make_container(filters=UNREAD)
    ),
    Case(
        BPF,
        UNKNOWN,
        "the filter of a holder was not read",
        container=make_container(status=holding("CAP_BPF"), filters=UNREAD),
    ),
)

PERF = "kernel-perf-allowed"


def paranoid(level: str, build: str = "Linux version 6.12.30") -> Host:
    return make_host(sysctls={"kernel.perf_event_paranoid": level}, kernel_build=known(build, "/proc/version"))


DEBIAN = paranoid("3", "Linux version 6.12.30-amd64 (debian-kernel@lists.debian.org)")
PERF_CASES = (
    Case(
        PERF,
        FAIL,
        "CAP_PERFMON",
        host=paranoid("2"),
        container=make_container(status=holding("CAP_PERFMON"), filters=OPEN),
        severity=Severity.MEDIUM,
        says=("CAP_PERFMON lets it",),
    ),
    Case(
        PERF,
        FAIL,
        "CAP_SYS_ADMIN under Debian's 3",
        host=DEBIAN,
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
        severity=Severity.MEDIUM,
    ),
    Case(
        PERF,
        FAIL,
        "whole CPUs",
        host=paranoid("-1"),
        container=make_container(filters=OPEN),
        severity=Severity.MEDIUM,
        says=("whole CPUs",),
    ),
    Case(
        PERF,
        FAIL,
        "the kernel's side",
        host=paranoid("1"),
        container=make_container(filters=OPEN),
        severity=Severity.MEDIUM,
    ),
    Case(
        PERF,
        FAIL,
        "its own side",
        host=paranoid("2"),
        container=make_container(filters=OPEN),
        severity=Severity.LOW,
        says=("its own processes",),
    ),
    Case(
        PERF,
        FAIL,
        "mainline knows no 3",
        host=paranoid("3"),
        container=make_container(filters=OPEN),
        severity=Severity.LOW,
    ),
    Case(PERF, PASS, "Debian's 3", host=DEBIAN, container=make_container(filters=OPEN), basis=Basis.INFERRED),
    Case(
        PERF,
        PASS,
        "Debian's 3 binds CAP_PERFMON",
        host=DEBIAN,
        container=make_container(status=holding("CAP_PERFMON"), filters=OPEN),
    ),
    Case(PERF, PASS, "Docker's filter", host=paranoid("-1"), says=("refuses perf_event_open",)),
    Case(PERF, NOT_APPLICABLE, "built without", host=lacking("kernel.perf_event_paranoid")),
    Case(
        PERF, UNKNOWN, "the filter was not read", host=paranoid("1"), container=make_container(filters=UNREAD)
    ),
)

URING = "kernel-io-uring-allowed"


def uring(level: str, group: str = "-1") -> Host:
    return make_host(sysctls={"kernel.io_uring_disabled": level, "kernel.io_uring_group": group})


OLDER = KernelRelease(6, 1, 0, "")
URING_CASES = (
    Case(
        URING,
        FAIL,
        "open",
        host=uring("0"),
        container=make_container(filters=OPEN),
        severity=Severity.MEDIUM,
        says=("4242 (app)",),
    ),
    Case(URING, FAIL, "no filter", host=uring("0"), container=make_container(status=NO_FILTER, filters=UNREAD)),
    Case(
        URING,
        FAIL,
        "before the setting",
        host=lacking("kernel.io_uring_disabled", kernel=known(OLDER)),
        container=make_container(filters=OPEN),
        basis=Basis.INFERRED,
    ),
    Case(
        URING,
        FAIL,
        "CAP_SYS_ADMIN",
        host=uring("1"),
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
        says=("CAP_SYS_ADMIN lets it",),
    ),
    Case(
        URING,
        FAIL,
        "the group",
        host=uring("1", "1000"),
        container=make_container(filters=OPEN),
        says=("group 1000",),
    ),
    Case(URING, PASS, "nobody may", container=make_container(filters=OPEN)),
    Case(URING, PASS, "Docker's filter", host=uring("0"), says=("refuses io_uring_setup",)),
    Case(URING, PASS, "the group, and Docker's filter", host=uring("1", "1000")),
    Case(URING, PASS, "no capability", host=uring("1"), container=make_container(filters=OPEN)),
    Case(URING, NOT_APPLICABLE, "built without", host=lacking("kernel.io_uring_disabled")),
    Case(
        URING,
        NOT_APPLICABLE,
        "older",
        host=lacking("kernel.io_uring_disabled", kernel=known(KernelRelease(4, 19, 0, ""))),
    ),
    Case(URING, UNKNOWN, "the filter was not read", host=uring("0"), container=make_container(filters=UNREAD)),
    Case(
        URING,
        UNKNOWN,
        "a group that it may be in",
        host=uring("1", "77"),
        container=make_container(filters=OPEN),
        says=("group 77",),
    ),
)

UFFD = "kernel-userfaultfd-allowed"
UFFD_OPEN = make_host(sysctls={"vm.unprivileged_userfaultfd": "1"})
UFFD_CASES = (
    Case(UFFD, FAIL, "open", host=UFFD_OPEN, container=make_container(filters=OPEN), severity=Severity.LOW),
    Case(
        UFFD,
        FAIL,
        "before the setting",
        host=lacking("vm.unprivileged_userfaultfd", kernel=known(KernelRelease(4, 19, 0, ""))),
        container=make_container(filters=OPEN),
        basis=Basis.INFERRED,
    ),
    Case(
        UFFD,
        FAIL,
        "CAP_SYS_PTRACE",
        container=make_container(status=holding("CAP_SYS_PTRACE"), filters=OPEN),
        says=("CAP_SYS_PTRACE",),
    ),
    Case(UFFD, PASS, "no capability", container=make_container(filters=OPEN)),
    Case(UFFD, PASS, "Docker's filter", host=UFFD_OPEN, says=("refuses userfaultfd",)),
    Case(UFFD, NOT_APPLICABLE, "built without", host=lacking("vm.unprivileged_userfaultfd")),
    Case(UFFD, UNKNOWN, "the filter was not read", host=UFFD_OPEN, container=make_container(filters=UNREAD)),
)

KEYS = "kernel-keyring-allowed"
KEYS_CASES = (
    Case(
        KEYS,
        FAIL,
        "open",
        container=make_container(filters=OPEN),
        severity=Severity.MEDIUM,
        says=("the host's user of the same uid",),
    ),
    Case(
        KEYS,
        FAIL,
        "one call is forgotten",
        container=make_container(filters=allowing("request_key")),
        says=("request_key let it",),
    ),
    Case(
        KEYS,
        FAIL,
        "in its own user namespace",
        container=make_container(filters=OPEN, namespaces=OWN_USER),
        severity=Severity.LOW,
    ),
    Case(KEYS, PASS, "Docker's filter", says=("refuses keyctl",)),
    Case(KEYS, NOT_APPLICABLE, "built without", host=files("/proc/key-users", there=False)),
    Case(KEYS, UNKNOWN, "the filter was not read", container=make_container(filters=UNREAD)),
)

VSOCK = "kernel-vsock-allowed"
UNLOADED = files("/sys/class/misc/vsock", there=False, sysctls={"kernel.modules_disabled": "0"})
UNCONFINED = known("unconfined", f"/proc/{PID}/attr/current")
VSOCK_CASES = (
    Case(
        VSOCK,
        FAIL,
        "open",
        container=make_container(filters=OPEN, lsm_label=UNCONFINED),
        severity=Severity.MEDIUM,
        says=("socket",),
    ),
    Case(
        VSOCK,
        FAIL,
        "by socketcall, which Docker's 29.4.3 lets through",
        container=make_container(filters=real("docker-29.4.3"), lsm_label=UNCONFINED),
        severity=Severity.MEDIUM,
        says=("socketcall (i386)",),
    ),
    Case(
        VSOCK,
        FAIL,
        "a profile may forbid it",
        container=make_container(filters=OPEN),
        severity=Severity.LOW,
        says=("docker-default",),
    ),
    Case(
        VSOCK,
        FAIL,
        "a module that it would load",
        host=UNLOADED,
        container=make_container(filters=OPEN),
        severity=Severity.LOW,
        basis=Basis.INFERRED,
    ),
    Case(VSOCK, PASS, "Docker's filter", says=("refuses AF_VSOCK",)),
    Case(
        VSOCK,
        NOT_APPLICABLE,
        "no vsock, and no more modules",
        host=files("/sys/class/misc/vsock", there=False),
        container=make_container(filters=OPEN),
    ),
    Case(VSOCK, UNKNOWN, "the filter was not read", container=make_container(filters=UNREAD)),
    Case(
        VSOCK,
        UNKNOWN,
        "not looked for",
        host=files("/sys/class/misc/vsock", there=None),
        container=make_container(filters=OPEN),
    ),
)

LOG = "kernel-log-readable"
EVERYBODY = make_host(sysctls={"kernel.dmesg_restrict": "0"})
KMSG = Known((*DEFAULT_NODES, node("/dev/kmsg", "c", 1, 11)), f"/proc/{PID}/root/dev")
MASKED = make_mounts(b"120 101 0:52 /null /proc/kmsg rw - tmpfs tmpfs rw")
LOG_CASES = (
    Case(
        LOG,
        FAIL,
        "everybody may, by syslog",
        host=EVERYBODY,
        container=make_container(filters=OPEN),
        severity=Severity.LOW,
        says=("by syslog",),
    ),
    Case(
        LOG,
        FAIL,
        "everybody may, by /dev/kmsg",
        host=EVERYBODY,
        container=make_container(devices=KMSG, cgroup=cgroup_v1(devices__list="c 1:11 r")),
        says=("/dev/kmsg",),
    ),
    Case(
        LOG,
        FAIL,
        "CAP_SYSLOG",
        container=make_container(status=holding("CAP_SYSLOG"), filters=OPEN, mounts=MASKED),
        severity=Severity.MEDIUM,
        says=("CAP_SYSLOG lets it",),
    ),
    Case(
        LOG,
        FAIL,
        "CAP_SYSLOG and a filter that forbids the call, but no open",
        container=make_container(status=holding("CAP_SYSLOG"), filters=allowing("read")),
        severity=Severity.MEDIUM,
        says=("/proc/kmsg",),
    ),
    Case(
        LOG,
        FAIL,
        "CAP_SYS_ADMIN on older kernels",
        host=make_host(kernel=known(OLDER)),
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN, mounts=MASKED),
        says=("CAP_SYS_ADMIN",),
    ),
    Case(
        LOG,
        PASS,
        "CAP_SYS_ADMIN on newer kernels",
        container=make_container(status=holding("CAP_SYS_ADMIN"), filters=OPEN),
    ),
    Case(
        LOG,
        PASS,
        "CAP_SYSLOG, and everything is refused",
        container=make_container(status=holding("CAP_SYSLOG"), filters=allowing("read"), mounts=MASKED),
        says=("refuses syslog",),
    ),
    Case(LOG, PASS, "Docker's filter", host=EVERYBODY, says=("refuses syslog",)),
    Case(LOG, PASS, "restricted", container=make_container(filters=OPEN)),
    Case(
        LOG,
        PASS,
        "a node that the device policy keeps shut",
        host=EVERYBODY,
        container=make_container(devices=KMSG),
    ),
    Case(LOG, NOT_APPLICABLE, "built without", host=lacking("kernel.dmesg_restrict")),
    Case(LOG, UNKNOWN, "the filter was not read", host=EVERYBODY, container=make_container(filters=UNREAD)),
    Case(
        LOG,
        UNKNOWN,
        "a holder's filter was not read",
        container=make_container(status=holding("CAP_SYSLOG"), filters=UNREAD, mounts=MASKED),
    ),
)

CASES = (
    *MACHINE,
    *BPF_CASES,
    *PERF_CASES,
    *URING_CASES,
    *UFFD_CASES,
    *KEYS_CASES,
    *VSOCK_CASES,
    *LOG_CASES,
)
