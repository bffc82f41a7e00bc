"""Cases of checks/namespace."""

from __future__ import annotations

from isoaudit.model import Severity, Verdict
from support.cases import Case
from support.facts import HOST_INODES, OWN_INODES, PID, denied, make_container, namespaces


def shared(kind: str) -> dict[str, int]:
    """A container's namespaces with one of them the host's."""
    return {**OWN_INODES, kind: HOST_INODES[kind]}


CASES = (
    Case(
        "namespace-pid-shared",
        Verdict.FAIL,
        "host's",
        container=make_container(namespaces=namespaces(PID, **shared("pid"))),
        severity=Severity.HIGH,
    ),
    Case("namespace-pid-shared", Verdict.PASS, "own"),
    Case(
        "namespace-pid-shared",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(namespaces=namespaces(PID, **OWN_INODES)._replace(pid=denied())),
        says=("run isoaudit as root",),
    ),
)
