"""Cases of checks/process."""

from __future__ import annotations

from isoaudit.facts.container import Container, Process
from isoaudit.facts.rlimits import Rlimit
from isoaudit.model import Basis, Known, Severity, Verdict
from support.cases import Case
from support.facts import RLIMITS, cgroup_v1, denied, make_container, make_status

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
OOM, LIMITS, SSHD = "process-oom-protected", "process-limits-unlimited", "process-sshd-running"
LIMITS_FILE = "/proc/4242/limits"
NO_PIDS_LIMIT = cgroup_v1(pids__max="max")


def limited(**changes: Rlimit) -> dict[str, Rlimit]:
    """The limits with changes, by name with `_` for a blank."""
    return {**RLIMITS, **{name.replace("_", " "): limit for name, limit in changes.items()}}


def scored(score: int) -> Container:
    return make_container(oom_score_adj=Known(score, "/proc/4242/oom_score_adj"))


CASES = (
    Case(OOM, FAIL, "spared", container=scored(-500), severity=Severity.LOW, says=("-500",)),
    Case(OOM, FAIL, "never killed", container=scored(-1000), severity=Severity.MEDIUM),
    Case(OOM, PASS, "0"),
    Case(OOM, PASS, "first to go", container=scored(1000)),
    Case(OOM, UNKNOWN, "unreadable", container=make_container(oom_score_adj=denied("o"))),
    Case(
        LIMITS,
        FAIL,
        "a billion open files",
        container=make_container(
            rlimits=Known(limited(Max_open_files=Rlimit(1073741816, 1073741816)), LIMITS_FILE)
        ),
        severity=Severity.LOW,
        says=("Max open files 1073741816",),
    ),
    Case(
        LIMITS,
        FAIL,
        "processes without a pids limit",
        container=make_container(
            rlimits=Known(limited(Max_processes=Rlimit(None, None)), LIMITS_FILE), cgroup=NO_PIDS_LIMIT
        ),
        says=("Max processes unlimited",),
    ),
    Case(
        LIMITS,
        FAIL,
        "signals, whatever the cgroup is",
        container=make_container(
            rlimits=Known(
                limited(Max_pending_signals=Rlimit(1, None), Max_processes=Rlimit(None, None)), LIMITS_FILE
            ),
            cgroup=denied("c"),
        ),
        says=("Max pending signals unlimited",),
    ),
    Case(LIMITS, PASS, "limits"),
    Case(
        LIMITS,
        PASS,
        "Docker's open files, and processes limited by the cgroup",
        container=make_container(
            rlimits=Known(
                limited(Max_open_files=Rlimit(1 << 20, 1 << 20), Max_processes=Rlimit(None, None)), LIMITS_FILE
            )
        ),
        says=("pids cgroup",),
    ),
    Case(
        LIMITS,
        UNKNOWN,
        "processes under an unread cgroup",
        container=make_container(
            rlimits=Known(limited(Max_processes=Rlimit(None, None)), LIMITS_FILE), cgroup=denied("c")
        ),
    ),
    Case(LIMITS, UNKNOWN, "a row is missing", container=make_container(rlimits=Known({}, LIMITS_FILE))),
    Case(LIMITS, UNKNOWN, "unreadable", container=make_container(rlimits=denied(LIMITS_FILE))),
    Case(
        SSHD,
        FAIL,
        "beside the service",
        container=make_container(
            processes=(
                make_container().processes[0],
                Process(4300, Known(make_status(name="sshd"), "/proc/4300/status")),
            )
        ),
        severity=Severity.LOW,
        basis=Basis.INFERRED,
        says=("4300 (sshd)",),
    ),
    Case(SSHD, PASS, "none"),
    Case(SSHD, UNKNOWN, "unreadable", container=make_container(status=denied())),
)
