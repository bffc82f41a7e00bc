"""Cases of checks/seccomp."""

from __future__ import annotations

from isoaudit.facts.container import Process
from isoaudit.model import Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import denied, make_container, make_status

ABSENT = "seccomp-absent"
FIRST = make_container().processes[0]
FREE = make_status(name="sh", seccomp=Known(0, "s"), seccomp_filters=Known(0, "s"))

CASES = (
    Case(ABSENT, Verdict.FAIL, "none", container=make_container(status=FREE), severity=Severity.HIGH),
    Case(
        ABSENT,
        Verdict.FAIL,
        "another process",
        container=make_container(processes=(FIRST, Process(4300, Known(FREE, "/proc/4300/status")))),
        says=("4300 (sh)",),
    ),
    Case(ABSENT, Verdict.PASS, "filtered"),
    Case(ABSENT, Verdict.PASS, "strict", container=make_container(status=make_status(seccomp=Known(1, "s")))),
    Case(
        ABSENT,
        Verdict.UNKNOWN,
        "a kernel that does not say",
        container=make_container(status=make_status(seccomp=Unknown("s", "no Seccomp line"))),
    ),
    Case(ABSENT, Verdict.UNKNOWN, "unreadable", container=make_container(status=denied())),
)
