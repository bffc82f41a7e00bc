"""Cases of checks/cgroup."""

from __future__ import annotations

from isoaudit.model import Severity, Verdict
from support.cases import Case
from support.facts import cgroup_v1, cgroup_v2, denied, make_container

UNLIMITED = "9223372036854771712"

CASES = (
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "v1 without a limit",
        container=make_container(cgroup=cgroup_v1(memory__limit_in_bytes=UNLIMITED)),
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "a limit above the host's memory",
        container=make_container(cgroup=cgroup_v2(memory__max=str(1 << 50))),
        says=("not below",),
    ),
    Case("cgroup-memory-unlimited", Verdict.PASS, "v1", says=("512 MiB",)),
    Case(
        "cgroup-memory-unlimited",
        Verdict.PASS,
        "the parent limits",
        container=make_container(
            cgroup=cgroup_v1(parent={"memory.limit_in_bytes": str(100 << 20)}, memory__limit_in_bytes=UNLIMITED)
        ),
        says=("100 MiB",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(cgroup=cgroup_v1(memory__limit_in_bytes=denied())),
    ),
)
