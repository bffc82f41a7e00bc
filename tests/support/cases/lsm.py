"""Cases of checks/lsm."""

from __future__ import annotations

from typing import Any

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import Host
from isoaudit.model import Known, Severity, Verdict
from support.cases import Case
from support.facts import denied, known, make_container, make_host, make_identity, make_status

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
LABEL_FILE = "/proc/4242/attr/current"
MINOR = make_host(lsms=known(("lockdown", "capability", "landlock", "yama", "bpf"), "/sys/kernel/security/lsm"))
SELINUX = make_host(lsms=known(("lockdown", "capability", "selinux"), "/sys/kernel/security/lsm"))
SMACK = make_host(lsms=known(("capability", "smack"), "/sys/kernel/security/lsm"))


def labelled(label: str, **identity: Any) -> Container:
    return make_container(lsm_label=Known(label, LABEL_FILE), identity=make_identity(**identity))


def beside(label: str | None, first: str = "docker-default (enforce)") -> Container:
    """With a second process under a label; None is one that cannot be read."""
    reading = Known(label, OTHER_FILE) if label is not None else denied(OTHER_FILE)
    second = Process(4300, Known(make_status(name="sh"), "/proc/4300/status"), lsm_label=reading)
    return labelled(first)._replace(processes=(*make_container().processes, second))


def stacking(**modes: str) -> Host:
    """With AppArmor profiles loaded."""
    return make_host(apparmor_profiles=known(modes, "/sys/kernel/security/apparmor/profiles"))


MIXED = labelled("web//&base (mixed)")
OTHER_FILE = "/proc/4300/attr/current"
WEB = "system_u:system_r:container_t:s0:c12,c345"
UNREAD = make_container(lsm_label=denied(LABEL_FILE))
UNCONFINED, COMPLAIN, SHARED, NONE = "lsm-unconfined", "lsm-complain", "lsm-label-shared", "lsm-none-active"
POD = labelled(WEB, pod="p1")

CASES = (
    Case(UNCONFINED, FAIL, "AppArmor", container=labelled("unconfined"), severity=Severity.MEDIUM),
    Case(UNCONFINED, FAIL, "a profile in unconfined mode", container=labelled("chrome (unconfined)")),
    Case(
        UNCONFINED,
        FAIL,
        "super-privileged container",
        host=SELINUX,
        container=labelled("system_u:system_r:spc_t:s0"),
        says=("SELinux",),
    ),
    Case(UNCONFINED, FAIL, "Smack's floor", host=SMACK, container=labelled("_")),
    Case(UNCONFINED, FAIL, "another process", container=beside("unconfined"), says=("4300 (sh)",)),
    Case(
        UNCONFINED,
        FAIL,
        "an engine's own type",
        host=SELINUX,
        container=labelled("system_u:system_r:container_runtime_t:s0"),
    ),
    Case(UNCONFINED, PASS, "two processes", container=beside("web (enforce)")),
    Case(UNCONFINED, UNKNOWN, "another process's unreadable", container=beside(None)),
    Case(UNCONFINED, PASS, "docker-default", says=("docker-default",)),
    Case(UNCONFINED, PASS, "a mode beside the profile's name", container=labelled("unconfined_app (enforce)")),
    Case(UNCONFINED, PASS, "container_t", host=SELINUX, container=labelled(WEB)),
    Case(UNCONFINED, PASS, "a Smack label", host=SMACK, container=labelled("Web")),
    Case(UNCONFINED, NOT_APPLICABLE, "no module", host=MINOR, container=labelled("")),
    Case(UNCONFINED, NOT_APPLICABLE, "no label", host=make_host(lsms=denied("l")), container=labelled("")),
    Case(UNCONFINED, UNKNOWN, "unreadable", container=UNREAD),
    Case(COMPLAIN, FAIL, "complain", container=labelled("web (complain)"), severity=Severity.MEDIUM),
    Case(COMPLAIN, PASS, "enforce"),
    Case(COMPLAIN, FAIL, "another process", container=beside("web (complain)"), says=("4300 (sh)",)),
    Case(COMPLAIN, UNKNOWN, "another process's unreadable", container=beside(None)),
    Case(
        COMPLAIN,
        PASS,
        "stacked, and one enforces",
        host=stacking(web="complain", base="enforce"),
        container=MIXED,
    ),
    Case(
        COMPLAIN,
        FAIL,
        "stacked, and none enforces",
        host=stacking(web="complain", base="unconfined"),
        container=MIXED,
        says=("web (complain), base (unconfined)",),
    ),
    Case(COMPLAIN, UNKNOWN, "stacked, and one is not listed", host=stacking(web="complain"), container=MIXED),
    Case(COMPLAIN, UNKNOWN, "stacked, and the list is unread", container=MIXED),
    Case(
        COMPLAIN,
        FAIL,
        "SELinux is permissive",
        host=SELINUX._replace(selinux_enforcing=known(False, "/sys/fs/selinux/enforce")),
        container=labelled(WEB),
        severity=Severity.MEDIUM,
    ),
    Case(
        COMPLAIN,
        PASS,
        "SELinux enforces",
        host=SELINUX._replace(selinux_enforcing=known(True, "/sys/fs/selinux/enforce")),
        container=labelled(WEB),
        says=("container_t",),
    ),
    Case(COMPLAIN, UNKNOWN, "SELinux's mode unread", host=SELINUX, container=labelled(WEB)),
    Case(COMPLAIN, NOT_APPLICABLE, "Smack", host=SMACK, container=labelled("Web")),
    Case(COMPLAIN, UNKNOWN, "unreadable", container=UNREAD),
    Case(COMPLAIN, NOT_APPLICABLE, "unconfined", container=labelled("unconfined")),
    Case(COMPLAIN, NOT_APPLICABLE, "no module", host=MINOR, container=labelled("")),
    Case(
        SHARED,
        FAIL,
        "one pair",
        host=SELINUX,
        container=labelled(WEB),
        peers=peers_of([labelled(WEB), labelled(WEB.replace("container_t", "container_init_t"), key="db-1")]),
        severity=Severity.MEDIUM,
        says=("s0:c12,c345", "db-1"),
    ),
    Case(
        SHARED,
        FAIL,
        "one pod",
        host=SELINUX,
        container=POD,
        peers=peers_of([POD, labelled(WEB, pod="p1", key="side")]),
        severity=Severity.INFO,
    ),
    Case(
        SHARED,
        PASS,
        "pairs of their own",
        host=SELINUX,
        container=labelled(WEB),
        peers=peers_of([labelled(WEB), labelled(WEB.replace("c345", "c346"), key="db-1")]),
    ),
    Case(
        SHARED, NOT_APPLICABLE, "AppArmor", peers=peers_of([make_container(), labelled("x (enforce)", key="b")])
    ),
    Case(SHARED, NOT_APPLICABLE, "no module", host=MINOR, container=labelled("")),
    Case(SHARED, UNKNOWN, "unreadable", host=SELINUX, container=UNREAD),
    Case(
        SHARED,
        UNKNOWN,
        "a neighbour's unreadable",
        host=SELINUX,
        container=labelled(WEB),
        peers=peers_of([labelled(WEB), UNREAD._replace(identity=make_identity(key="db-1"))]),
    ),
    Case(NONE, FAIL, "only minor ones", host=MINOR, severity=Severity.MEDIUM),
    Case(
        NONE,
        FAIL,
        "SELinux is permissive",
        host=SELINUX._replace(selinux_enforcing=known(False, "/sys/fs/selinux/enforce")),
    ),
    Case(NONE, PASS, "SELinux", host=SELINUX),
    Case(NONE, PASS, "AppArmor", says=("apparmor is active",)),
    Case(NONE, UNKNOWN, "unreadable", host=make_host(lsms=denied("/sys/kernel/security/lsm"))),
)
