"""Cases of checks/lsm."""

from __future__ import annotations

from typing import Any

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container
from isoaudit.model import Known, Severity, Verdict
from support.cases import Case
from support.facts import denied, known, make_container, make_host, make_identity

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
LABEL_FILE = "/proc/4242/attr/current"
MINOR = make_host(lsms=known(("lockdown", "capability", "landlock", "yama", "bpf"), "/sys/kernel/security/lsm"))
SELINUX = make_host(lsms=known(("lockdown", "capability", "selinux"), "/sys/kernel/security/lsm"))
SMACK = make_host(lsms=known(("capability", "smack"), "/sys/kernel/security/lsm"))


def labelled(label: str, **identity: Any) -> Container:
    return make_container(lsm_label=Known(label, LABEL_FILE), identity=make_identity(**identity))


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
    Case(UNCONFINED, PASS, "docker-default", says=("docker-default",)),
    Case(UNCONFINED, PASS, "a mode beside the profile's name", container=labelled("unconfined_app (enforce)")),
    Case(UNCONFINED, PASS, "container_t", host=SELINUX, container=labelled(WEB)),
    Case(UNCONFINED, PASS, "a Smack label", host=SMACK, container=labelled("Web")),
    Case(UNCONFINED, NOT_APPLICABLE, "no module", host=MINOR, container=labelled("")),
    Case(UNCONFINED, NOT_APPLICABLE, "no label", host=make_host(lsms=denied("l")), container=labelled("")),
    Case(UNCONFINED, UNKNOWN, "unreadable", container=UNREAD),
    Case(COMPLAIN, FAIL, "complain", container=labelled("web (complain)"), severity=Severity.MEDIUM),
    Case(COMPLAIN, PASS, "enforce"),
    Case(COMPLAIN, UNKNOWN, "stacked", container=labelled("web//&docker-default (mixed)")),
    Case(COMPLAIN, UNKNOWN, "unreadable", container=UNREAD),
    Case(COMPLAIN, NOT_APPLICABLE, "unconfined", container=labelled("unconfined")),
    Case(COMPLAIN, NOT_APPLICABLE, "SELinux", host=SELINUX, container=labelled(WEB)),
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
    Case(NONE, PASS, "AppArmor", says=("apparmor is active",)),
    Case(NONE, UNKNOWN, "unreadable", host=make_host(lsms=denied("/sys/kernel/security/lsm"))),
)
