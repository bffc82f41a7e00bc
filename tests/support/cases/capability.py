"""Cases of checks/capability."""

from __future__ import annotations

from isoaudit.facts.container import Process
from isoaudit.facts.status import Status
from isoaudit.kernel.capability import NAMES, OCI_DEFAULT, bit, mask
from isoaudit.model import Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    cgroup_v1,
    cgroup_v2,
    denied,
    filters,
    make_container,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
FULL = (1 << len(NAMES)) - 1
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532900})
FIRST = make_container().processes[0]
# What no engine withholds, and so has no check of its own.
HARMLESS = OCI_DEFAULT & ~mask("CAP_NET_RAW", "CAP_MKNOD", "CAP_SETFCAP")


def ident(name: str) -> str:
    return f"capability-{name.removeprefix('CAP_').lower().replace('_', '-')}"


def holding(held: int) -> Status:
    """Root with capabilities in effect, as --cap-add gives them."""
    return make_status(uids=(0, 0, 0, 0), cap_effective=held, cap_permitted=held, cap_bounding=held)


def family(name: str) -> tuple[Case, ...]:
    """The three cases that each capability has."""
    return (
        Case(
            ident(name),
            FAIL,
            "held",
            container=make_container(status=holding(bit(name))),
            says=(name, "effective"),
        ),
        Case(ident(name), PASS, "not held"),
        Case(ident(name), UNKNOWN, "unreadable", container=make_container(status=denied())),
    )


def shared(kind: str, status: Status) -> Case:
    """A capability that the host's namespace makes worth more."""
    name = {"pid": "CAP_SYS_PTRACE", "net": "CAP_NET_RAW", "ipc": "CAP_IPC_OWNER"}[kind]
    severity = {"pid": Severity.CRITICAL, "net": Severity.HIGH, "ipc": Severity.MEDIUM}[kind]
    table = namespaces(PID, **{**OWN_INODES, kind: HOST_INODES[kind]})
    return Case(
        ident(name),
        FAIL,
        f"with the host's {kind} namespace",
        container=make_container(status=status, namespaces=table),
        severity=severity,
        says=(f"the host's {kind} namespace",),
    )


ADMIN = bit("CAP_SYS_ADMIN")
LATENT = make_status(cap_bounding=OCI_DEFAULT | ADMIN, no_new_privs=Known(False, "s"))
INTRUDER = Process(
    4300,
    Known(make_status(name="sh", cap_effective=ADMIN, cap_permitted=ADMIN), "/proc/4300/status"),
    Known(HOST_INODES["user"], "/proc/4300/ns/user"),
)
ADMIN_CASES = (
    Case(
        "capability-sys-admin",
        FAIL,
        "critical",
        container=make_container(status=holding(ADMIN)),
        severity=Severity.CRITICAL,
        says=("held (effective, permitted, bounding)", "4242 (app)"),
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "another process",
        container=make_container(processes=(FIRST, INTRUDER)),
        severity=Severity.CRITICAL,
        says=("4300 (sh)",),
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "another process, the first unreadable",
        container=make_container(processes=(Process(PID, denied()), INTRUDER)),
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "bounding only as root",
        container=make_container(status=LATENT._replace(uids=(0, 0, 0, 0))),
        severity=Severity.HIGH,
        says=("any program", "(bounding)"),
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "bounding only as a user",
        container=make_container(status=LATENT),
        severity=Severity.MEDIUM,
        says=("set-user-ID",),
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "bounding only on a kernel that does not tell of no_new_privs",
        container=make_container(status=LATENT._replace(no_new_privs=Unknown("s", "no NoNewPrivs line"))),
        severity=Severity.MEDIUM,
    ),
    Case(
        "capability-sys-admin",
        FAIL,
        "inheritable only",
        container=make_container(status=make_status(cap_inheritable=ADMIN, no_new_privs=Known(False, "s"))),
        severity=Severity.MEDIUM,
        says=("(inheritable)",),
    ),
    Case(
        "capability-sys-admin",
        PASS,
        "bounding only under no_new_privs",
        container=make_container(status=LATENT._replace(no_new_privs=Known(True, "s"))),
        says=("no_new_privs",),
    ),
    Case(
        "capability-sys-admin",
        PASS,
        "over its own user namespace",
        container=make_container(status=holding(FULL), namespaces=OWN_USER),
        says=("not over the host",),
    ),
    Case(
        "capability-sys-admin",
        PASS,
        "a sandbox's process",
        container=make_container(processes=(FIRST, INTRUDER._replace(user_namespace=Known(4026532950, "u")))),
    ),
    Case(
        "capability-sys-admin",
        UNKNOWN,
        "user namespace unread",
        container=make_container(processes=(FIRST, INTRUDER._replace(user_namespace=denied("u")))),
    ),
    Case(
        "capability-sys-admin",
        UNKNOWN,
        "kept by one, another unreadable",
        container=make_container(
            status=LATENT._replace(no_new_privs=Known(True, "s")),
            processes=(
                Process(PID, Known(LATENT._replace(no_new_privs=Known(True, "s")), "s")),
                Process(4300, denied("/proc/4300/status")),
            ),
        ),
    ),
    Case(
        "capability-sys-ptrace",
        FAIL,
        "in its own PID namespace",
        container=make_container(status=holding(bit("CAP_SYS_PTRACE"))),
        severity=Severity.HIGH,
    ),
    Case(
        "capability-sys-boot",
        FAIL,
        "its filter refuses what it is for",
        container=make_container(status=holding(bit("CAP_SYS_BOOT"))),
        severity=Severity.LOW,
        says=("refuses every call",),
    ),
    Case(
        "capability-sys-boot",
        FAIL,
        "its filter lets it reboot",
        container=make_container(status=holding(bit("CAP_SYS_BOOT")), filters=filters()),
        severity=Severity.HIGH,
    ),
    Case(
        "capability-sys-boot",
        FAIL,
        "its filter was not read",
        container=make_container(status=holding(bit("CAP_SYS_BOOT")), filters=denied("filter")),
        severity=Severity.HIGH,
    ),
    Case(
        "capability-mknod",
        FAIL,
        "its filter refuses what it is for",
        container=make_container(status=holding(bit("CAP_MKNOD")), filters=filters(deny=("mknod", "mknodat"))),
        severity=Severity.INFO,
    ),
    shared("pid", holding(bit("CAP_SYS_PTRACE"))),
    shared("net", holding(bit("CAP_NET_RAW"))),
    shared("ipc", holding(bit("CAP_IPC_OWNER"))),
    Case(
        "capability-net-raw",
        FAIL,
        "Docker's default as a user",
        container=make_container(status=make_status(no_new_privs=Known(False, "s"))),
        severity=Severity.INFO,
    ),
)

BEYOND, PRIVILEGED = "capability-beyond-default", "capability-privileged"
ALL_BUT_NEWEST = FULL & ~mask("CAP_BPF", "CAP_PERFMON", "CAP_CHECKPOINT_RESTORE", "CAP_SYS_RESOURCE")
OPEN = cgroup_v1(devices__list="a *:* rwm")
REST = (
    Case(
        BEYOND,
        FAIL,
        "--cap-add",
        container=make_container(status=holding(OCI_DEFAULT | bit("CAP_SYS_NICE"))),
        severity=Severity.MEDIUM,
        says=("CAP_SYS_NICE",),
    ),
    Case(
        BEYOND,
        FAIL,
        "all",
        container=make_container(status=holding(FULL)),
        says=("CAP_DAC_READ_SEARCH", "and 21 more"),
    ),
    Case(
        BEYOND,
        FAIL,
        "newer than our table",
        container=make_container(status=holding(1 << 45)),
        says=("CAP_45",),
    ),
    Case(BEYOND, FAIL, "bounding only", container=make_container(status=LATENT), severity=Severity.INFO),
    Case(BEYOND, PASS, "the default", container=make_container(status=holding(OCI_DEFAULT))),
    Case(
        BEYOND,
        PASS,
        "bounding under no_new_privs",
        container=make_container(status=LATENT._replace(no_new_privs=Known(True, "s"))),
    ),
    Case(
        BEYOND, PASS, "own user namespace", container=make_container(status=holding(FULL), namespaces=OWN_USER)
    ),
    Case(BEYOND, UNKNOWN, "unreadable", container=make_container(status=denied())),
    Case(
        PRIVILEGED,
        FAIL,
        "--privileged",
        container=make_container(status=holding(FULL)._replace(seccomp=Known(0, "s")), cgroup=OPEN),
        severity=Severity.CRITICAL,
        says=("no seccomp filter and all devices allowed",),
    ),
    Case(
        PRIVILEGED,
        FAIL,
        "by --cap-add of all that Docker 20.10 knows, and a device rule",
        container=make_container(status=holding(ALL_BUT_NEWEST), cgroup=OPEN),
        says=("all devices allowed",),
    ),
    Case(
        PRIVILEGED,
        FAIL,
        "seccomp off, the device policy unread",
        container=make_container(status=holding(FULL)._replace(seccomp=Known(0, "s")), cgroup=cgroup_v2()),
        says=("no seccomp filter",),
    ),
    Case(
        PRIVILEGED,
        FAIL,
        "a filter that forbids next to nothing",
        container=make_container(status=holding(FULL), filters=filters(deny=("clone3",))),
        severity=Severity.CRITICAL,
        says=("a seccomp filter that lets everything of that through",),
    ),
    Case(
        PRIVILEGED,
        UNKNOWN,
        "its filter was not read",
        container=make_container(status=holding(FULL), filters=denied("filter")),
    ),
    Case(PRIVILEGED, PASS, "--cap-add ALL alone", container=make_container(status=holding(FULL))),
    Case(
        PRIVILEGED,
        PASS,
        "default capabilities",
        container=make_container(status=holding(OCI_DEFAULT)._replace(seccomp=Known(0, "s")), cgroup=OPEN),
    ),
    Case(
        PRIVILEGED,
        PASS,
        "over its own user namespace",
        container=make_container(status=holding(FULL), cgroup=OPEN, namespaces=OWN_USER),
    ),
    Case(
        PRIVILEGED,
        UNKNOWN,
        "a filter, the device policy unread",
        container=make_container(status=holding(FULL), cgroup=denied("/proc/4242/cgroup")),
    ),
    Case(PRIVILEGED, UNKNOWN, "unreadable", container=make_container(status=denied())),
)

CASES = (
    *(case for name in NAMES if not bit(name) & HARMLESS for case in family(name)),
    *ADMIN_CASES,
    *REST,
)
