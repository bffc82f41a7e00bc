"""Cases of checks/identity."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process
from isoaudit.facts.idmap import IdRange
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Known, Reading, Severity, Verdict
from support.cases import Case
from support.facts import HOST_INODES, OWN_INODES, PID, denied, make_container, make_status, namespaces

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
FULL = (1 << 41) - 1
HOST_USER: Reading[int] = Known(HOST_INODES["user"], "/proc/4300/ns/user")
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532900})
MAPPED = Known((IdRange(0, 100000, 65536),), f"/proc/{PID}/uid_map")
FIRST = make_container().processes[0]


def with_process(user: Reading[int] = HOST_USER, first: Process = FIRST, **changes: Any) -> Container:
    """A container with a second process."""
    status = make_status(name="sh", **changes)
    return make_container(processes=(first, Process(4300, Known(status, "/proc/4300/status"), user)))


INIT_ROOT = Process(
    PID,
    Known(
        make_status(uids=(0, 0, 0, 0), cap_effective=OCI_DEFAULT, cap_permitted=OCI_DEFAULT),
        "/proc/4242/status",
    ),
)
TWO_FILTERS = Process(PID, Known(make_status(seccomp_filters=Known(2, "s")), "/proc/4242/status"))

ROOT = "identity-root"
NNP = "identity-no-new-privileges-unset"
DRIFT = "identity-process-drift"

CASES = (
    Case(
        ROOT,
        FAIL,
        "the first process",
        container=make_container(status=make_status(uids=(0, 0, 0, 0))),
        severity=Severity.MEDIUM,
        says=("4242 (app)",),
    ),
    Case(ROOT, FAIL, "another one", container=with_process(uids=(0, 0, 0, 0)), says=("4300 (sh)",)),
    Case(ROOT, FAIL, "may turn back", container=make_container(status=make_status(uids=(1000, 1000, 0, 1000)))),
    Case(
        ROOT,
        FAIL,
        "a user namespace that maps 0 to 0",
        container=make_container(
            status=make_status(uids=(0, 0, 0, 0)), namespaces=OWN_USER, uid_map=Known((IdRange(0, 0, 1),), "m")
        ),
    ),
    Case(ROOT, PASS, "a user", says=("none",)),
    Case(
        ROOT,
        PASS,
        "mapped root",
        container=make_container(status=make_status(uids=(100000,) * 4), namespaces=OWN_USER, uid_map=MAPPED),
        says=("unprivileged uid 100000",),
    ),
    Case(ROOT, UNKNOWN, "unreadable", container=make_container(status=denied())),
    Case(
        ROOT,
        UNKNOWN,
        "a neighbour unreadable",
        container=make_container(processes=(FIRST, Process(4300, denied("/proc/4300/status")))),
    ),
    Case(
        NNP,
        FAIL,
        "the first process",
        container=make_container(status=make_status(no_new_privs=Known(False, "s"))),
        severity=Severity.MEDIUM,
    ),
    Case(NNP, FAIL, "another one", container=with_process(no_new_privs=Known(False, "s")), says=("4300 (sh)",)),
    Case(NNP, PASS, "set"),
    Case(NNP, UNKNOWN, "old kernel", container=make_container(status=make_status(no_new_privs=denied("s")))),
    Case(NNP, UNKNOWN, "unreadable", container=make_container(status=denied())),
    Case(
        DRIFT,
        FAIL,
        "exec --privileged",
        container=with_process(
            cap_effective=FULL,
            cap_permitted=FULL,
            cap_bounding=FULL,
            seccomp=Known(0, "s"),
            no_new_privs=Known(False, "s"),
        ),
        severity=Severity.HIGH,
        says=("4300 (sh) has no seccomp filter",),
    ),
    Case(
        DRIFT,
        FAIL,
        "more capabilities",
        container=with_process(cap_effective=mask("CAP_SYS_ADMIN"), cap_permitted=mask("CAP_SYS_ADMIN")),
        says=("4300 (sh) has CAP_SYS_ADMIN",),
    ),
    Case(
        DRIFT,
        FAIL,
        "from the host's user namespace into a mapped one",
        container=with_process(
            cap_effective=FULL, cap_permitted=FULL, cap_bounding=FULL, uids=(0, 0, 0, 0)
        )._replace(namespaces=OWN_USER, uid_map=MAPPED),
        says=("and 21 more",),
    ),
    Case(
        DRIFT,
        FAIL,
        "no_new_privs unset",
        container=with_process(no_new_privs=Known(False, "s")),
        severity=Severity.HIGH,
        says=("lacks no_new_privs",),
    ),
    Case(
        DRIFT,
        FAIL,
        "fewer filters",
        container=with_process(first=TWO_FILTERS),
        severity=Severity.LOW,
        says=("1 seccomp filter of 2",),
    ),
    Case(DRIFT, PASS, "alone", says=("one process",)),
    Case(DRIFT, PASS, "init is root and its workers are not", container=with_process(first=INIT_ROOT)),
    Case(
        DRIFT,
        PASS,
        "a worker within the bounding set",
        container=with_process(cap_effective=mask("CAP_CHOWN"), cap_permitted=mask("CAP_CHOWN")),
    ),
    Case(
        DRIFT,
        PASS,
        "a browser's sandbox",
        container=with_process(
            Known(4026532950, "/proc/4300/ns/user"), cap_effective=FULL, cap_permitted=FULL, cap_bounding=FULL
        ),
    ),
    Case(
        DRIFT,
        UNKNOWN,
        "more capabilities over an unread user namespace",
        container=with_process(denied("/proc/4300/ns/user"), cap_bounding=FULL),
    ),
    Case(
        DRIFT,
        UNKNOWN,
        "a neighbour unreadable",
        container=make_container(processes=(FIRST, Process(4300, denied("/proc/4300/status")))),
    ),
    Case(DRIFT, UNKNOWN, "the first unreadable", container=make_container(status=denied())),
)
