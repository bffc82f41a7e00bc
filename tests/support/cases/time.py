"""Cases of checks/time."""

from __future__ import annotations

from isoaudit.facts.clock import ClockStatus
from isoaudit.facts.container import Process
from isoaudit.facts.namespaces import NO_SUCH_TYPE
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Basis, Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    DEFAULT_NODES,
    HOST_INODES,
    OWN_INODES,
    PID,
    answered,
    cgroup_v1,
    cgroup_v2,
    denied,
    filters,
    make_container,
    make_host,
    make_status,
    namespaces,
    node,
)
from support.filters import program, stack

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
TIME = mask("CAP_SYS_TIME")
HELD = make_status(cap_effective=TIME, cap_permitted=TIME, cap_bounding=OCI_DEFAULT | TIME)
BOUND = make_status(cap_bounding=OCI_DEFAULT | TIME, no_new_privs=Known(False, "s"))
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532900})
OWN_TIME = namespaces(PID, **{**OWN_INODES, "time": 4026532901})
REFUSED = {
    **answered("clock-set", succeeded=False, answer="EPERM", call="settimeofday(NULL, NULL)"),
    **answered("clock-adjust", succeeded=False, answer="EPERM", call="adjtimex({ADJ_TICK, tick=0})"),
}

INTRUDER = Process(
    4300,
    Known(HELD._replace(name="date", seccomp=Known(0, "s")), "/proc/4300/status"),
    Known(HOST_INODES["user"], "/proc/4300/ns/user"),
)
BROWSER = INTRUDER._replace(user_namespace=Known(4026532950, "/proc/4300/ns/user"))
FIRST = make_container().processes[0]
NATIVE = ("settimeofday", "clock_settime", "adjtimex", "clock_adjtime")

SETTABLE = "time-clock-settable"
SETTABLE_CASES = (
    Case(
        SETTABLE,
        FAIL,
        "done",
        container=make_container(
            probes=answered("clock-set", succeeded=True, answer="0", call="settimeofday(NULL, NULL)")
        ),
        severity=Severity.CRITICAL,
        basis=Basis.PROVEN,
    ),
    Case(SETTABLE, PASS, "refused", container=make_container(status=HELD, probes=REFUSED), basis=Basis.PROVEN),
    Case(
        SETTABLE,
        FAIL,
        "capability and an unread filter",
        container=make_container(status=HELD, filters=denied("filter")),
        severity=Severity.CRITICAL,
        basis=Basis.OBSERVED,
        says=("was not read", "4242 (app)"),
    ),
    Case(
        SETTABLE,
        FAIL,
        "Docker's filter lets adjtimex through",
        container=make_container(status=HELD),
        severity=Severity.CRITICAL,
        says=("lets it set the clock for the host and all: 4242 (app)",),
    ),
    Case(
        SETTABLE,
        FAIL,
        "by the 32-bit entry only",
        container=make_container(
            status=HELD, filters=Known((stack(program(deny=NATIVE, pinned=False)),), "filter")
        ),
    ),
    Case(
        SETTABLE,
        PASS,
        "a filter forbids every call",
        container=make_container(status=HELD, filters=filters(deny=NATIVE)),
        says=("refuses settimeofday", "4242 (app)"),
    ),
    Case(
        SETTABLE,
        PASS,
        "a filter forbids every call to a neighbour",
        container=make_container(
            processes=(FIRST, INTRUDER._replace(status=Known(HELD, "/proc/4300/status"))),
            filters=filters(deny=NATIVE, pids=(PID, 4300)),
            probes=REFUSED,
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        SETTABLE,
        FAIL,
        "as a runtime's state file has the filter",
        container=make_container(status=HELD, filters=Known((stack(program(), inferred=True),), "state.json")),
        basis=Basis.INFERRED,
    ),
    Case(
        SETTABLE,
        FAIL,
        "a neighbour that the twin does not stand for",
        container=make_container(processes=(FIRST, INTRUDER), probes=REFUSED),
        severity=Severity.CRITICAL,
        basis=Basis.OBSERVED,
        says=("4300 (date)",),
    ),
    Case(
        SETTABLE,
        FAIL,
        "a neighbour without the filter that stops the first",
        container=make_container(
            status=HELD, processes=(Process(PID, Known(HELD, "/proc/4242/status")), INTRUDER), probes=REFUSED
        ),
        says=("lets it set the clock for the host and all: 4300 (date)",),
    ),
    Case(
        SETTABLE,
        FAIL,
        "root gets it by executing",
        container=make_container(status=BOUND._replace(uids=(0, 0, 0, 0))),
        severity=Severity.HIGH,
        says=("any program",),
    ),
    Case(
        SETTABLE,
        FAIL,
        "a user gets it by a set-user-ID program",
        container=make_container(status=BOUND),
        severity=Severity.MEDIUM,
        says=("set-user-ID",),
    ),
    Case(
        SETTABLE,
        PASS,
        "no_new_privs keeps it in the bounding set",
        container=make_container(status=BOUND._replace(no_new_privs=Known(True, "s"))),
        says=("no_new_privs",),
    ),
    Case(
        SETTABLE,
        PASS,
        "over its own user namespace",
        container=make_container(status=HELD, namespaces=OWN_USER),
        says=("of its own",),
    ),
    Case(SETTABLE, PASS, "a browser's sandbox", container=make_container(processes=(FIRST, BROWSER))),
    Case(SETTABLE, PASS, "without it"),
    Case(SETTABLE, UNKNOWN, "unreadable", container=make_container(status=denied())),
    Case(
        SETTABLE,
        UNKNOWN,
        "a neighbour of an unread user namespace",
        container=make_container(
            processes=(FIRST, INTRUDER._replace(user_namespace=denied("/proc/4300/ns/user")))
        ),
    ),
)

RTC = "time-rtc-exposed"
CLOCK = node("/dev/rtc0", "c", 248, 0)
OPEN = cgroup_v1(devices__list="a *:* rwm")
MAKER = make_status(cap_effective=mask("CAP_MKNOD"), cap_permitted=mask("CAP_MKNOD"))
RTC_CASES = (
    Case(
        RTC,
        FAIL,
        "passed in",
        container=make_container(
            devices=Known((*DEFAULT_NODES, CLOCK), "/proc/4242/root/dev"),
            cgroup=cgroup_v1(devices__list="c 248:0 rw"),
        ),
        severity=Severity.HIGH,
        says=("/dev/rtc0",),
    ),
    Case(RTC, FAIL, "makeable", container=make_container(status=MAKER, cgroup=OPEN), says=("c 248:0",)),
    Case(
        RTC,
        PASS,
        "makeable over its own user namespace only",
        container=make_container(status=MAKER, cgroup=OPEN, namespaces=OWN_USER),
    ),
    Case(RTC, PASS, "may be made but not opened", container=make_container(status=MAKER)),
    Case(RTC, PASS, "policy denies", container=make_container(devices=Known((CLOCK,), "/proc/4242/root/dev"))),
    Case(
        RTC,
        PASS,
        "nodev",
        container=make_container(devices=Known((CLOCK._replace(nodev=True),), "d"), cgroup=OPEN),
    ),
    Case(RTC, PASS, "none, whatever the policy is", container=make_container(cgroup=cgroup_v2())),
    Case(
        RTC,
        UNKNOWN,
        "a node under a v2 policy that could not be read",
        container=make_container(devices=Known((CLOCK,), "d"), cgroup=cgroup_v2(programs=denied())),
    ),
    Case(
        RTC,
        PASS,
        "a node that Docker's program forbids",
        container=make_container(devices=Known((CLOCK,), "d"), cgroup=cgroup_v2()),
    ),
    Case(RTC, UNKNOWN, "majors unreadable", host=make_host(device_names=denied("/proc/devices"))),
    Case(RTC, UNKNOWN, "nodes unreadable", container=make_container(devices=denied("/proc/4242/root/dev"))),
)

INCOMPLETE = "time-namespace-incomplete"
UNSYNCHRONISED = "time-host-unsynchronised"

CASES = (
    Case("time-clock-not-namespaced", FAIL, "always", severity=Severity.INFO, inherent=True),
    *SETTABLE_CASES,
    *RTC_CASES,
    Case(
        INCOMPLETE,
        FAIL,
        "own",
        container=make_container(namespaces=OWN_TIME),
        severity=Severity.INFO,
        inherent=True,
    ),
    Case(INCOMPLETE, NOT_APPLICABLE, "the host's"),
    Case(
        INCOMPLETE,
        NOT_APPLICABLE,
        "old kernel",
        container=make_container(namespaces=OWN_TIME._replace(time=Unknown("t", NO_SUCH_TYPE))),
    ),
    Case(
        INCOMPLETE,
        UNKNOWN,
        "unreadable",
        container=make_container(namespaces=OWN_TIME._replace(time=denied("t"))),
    ),
    Case(
        UNSYNCHRONISED,
        FAIL,
        "TIME_ERROR",
        host=make_host(clock=Known(ClockStatus(5, 0x2001, 16000000, 16000000), "adjtimex(2)")),
        severity=Severity.LOW,
    ),
    Case(
        UNSYNCHRONISED,
        FAIL,
        "STA_UNSYNC",
        host=make_host(clock=Known(ClockStatus(0, 0x0040, 500, 200), "adjtimex(2)")),
    ),
    Case(UNSYNCHRONISED, PASS, "synchronised", says=("500 us",)),
    Case(UNSYNCHRONISED, UNKNOWN, "another machine's tree", host=make_host(clock=denied("adjtimex(2)"))),
)

NEVER = {
    ("time-clock-not-namespaced", PASS): "the clock has no namespace on any kernel",
    ("time-clock-not-namespaced", UNKNOWN): "nothing needs to be read to know it",
    (INCOMPLETE, PASS): "a time namespace is incomplete on any kernel; without one the question does not arise",
}
