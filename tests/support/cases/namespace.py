"""Cases of checks/namespace."""

from __future__ import annotations

from typing import Any

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container, Process
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.namespaces import NO_SUCH_TYPE
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Basis, Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    answered,
    denied,
    filters,
    make_container,
    make_host,
    make_identity,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
ADMIN = make_status(cap_effective=mask("CAP_SYS_ADMIN"), cap_permitted=mask("CAP_SYS_ADMIN"))
ROOT = make_status(uids=(0, 0, 0, 0), cap_effective=OCI_DEFAULT, cap_permitted=OCI_DEFAULT)
PODMAN_ROOT = ROOT._replace(cap_effective=0x800405FB, cap_permitted=0x800405FB)
REMAPPED = (IdRange(0, 100000, 65536),)
OWN_USER = 4026532900


def shared(kind: str) -> dict[str, int]:
    """A container's namespaces with one of them the host's."""
    return {**OWN_INODES, kind: HOST_INODES[kind]}


def sharing(kind: str, **changes: Any) -> Container:
    return make_container(namespaces=namespaces(PID, **shared(kind)), **changes)


def own(kind: str, **changes: Any) -> Container:
    """A container with a namespace of its own where Docker leaves the host's."""
    return make_container(namespaces=namespaces(PID, **{**OWN_INODES, kind: 4026532900}), **changes)


def refusing(kind: str, **changes: Any) -> Container:
    table = namespaces(PID, **OWN_INODES)
    return make_container(namespaces=table._replace(**{kind: denied(f"/proc/{PID}/ns/{kind}")}), **changes)


def lacking(kind: str) -> Container:
    """On a kernel without that type."""
    table = namespaces(PID, **OWN_INODES)
    return make_container(namespaces=table._replace(**{kind: Unknown(f"/proc/{PID}/ns/{kind}", NO_SUCH_TYPE)}))


def basics(kind: str, severity: Severity) -> tuple[Case, ...]:
    """The three cases that all checks have that compare one inode."""
    check = f"namespace-{kind}-shared"
    fine = (
        make_container() if OWN_INODES[kind] != HOST_INODES[kind] else own(kind, uid_map=Known(REMAPPED, "m"))
    )
    return (
        Case(check, FAIL, "host's", container=sharing(kind), severity=severity, basis=Basis.OBSERVED),
        Case(check, PASS, "own", container=fine),
        Case(check, UNKNOWN, "unreadable", container=refusing(kind), says=("run isoaudit as root",)),
    )


WEB = own("user", uid_map=Known(REMAPPED, f"/proc/{PID}/uid_map"))


def neighbour(inodes: dict[str, int], **changes: Any) -> Container:
    """Another container, with the host's namespaces but for `inodes`."""
    identity = make_identity(key="db-1", pid=5000, name="db-1", id="4567" * 16)._replace(
        **changes.pop("identity", {})
    )
    table = namespaces(5000, **{**HOST_INODES, "mnt": 4026532301, **inodes})
    return make_container(identity=identity, namespaces=table, **changes)


def mapped(*ranges: IdRange, inode: int = 4026532901) -> Container:
    return neighbour({"user": inode}, uid_map=Known(ranges, "/proc/5000/uid_map"))


UNREAD_NEIGHBOUR = neighbour({})._replace(
    namespaces=neighbour({}).namespaces._replace(net=denied("/proc/5000/ns/net"))
)
CREATABLE = make_host(
    sysctls={
        "user.max_user_namespaces": "96365",
        "kernel.unprivileged_userns_clone": Unknown(
            "/proc/sys/kernel/unprivileged_userns_clone", "ENOENT: this kernel does not have the setting"
        ),
    }
)
DEBIAN = make_host(sysctls={"user.max_user_namespaces": "96365", "kernel.unprivileged_userns_clone": "0"})
UBUNTU = CREATABLE._replace(
    sysctls={
        **CREATABLE.sysctls,
        "kernel.apparmor_restrict_unprivileged_userns": Known("1", "/proc/sys/kernel/apparmor_restrict"),
    }
)
UNFILTERED = make_status(seccomp=Known(0, "s"), seccomp_filters=Known(0, "s"))
STRICT = make_status(seccomp=Known(1, "s"), seccomp_filters=Known(0, "s"))

MNT = (
    *basics("mnt", Severity.HIGH),
    Case(
        "namespace-mnt-shared",
        FAIL,
        "chroot with CAP_SYS_CHROOT",
        container=sharing("mnt", status=ROOT),
        severity=Severity.CRITICAL,
        says=("4242 (app)",),
    ),
    Case(
        "namespace-mnt-shared",
        FAIL,
        "certain without the status",
        container=sharing("mnt", status=denied()),
        severity=Severity.HIGH,
    ),
)
PID_CASES = (
    *basics("pid", Severity.HIGH),
    Case(
        "namespace-pid-shared",
        FAIL,
        "signalled",
        container=sharing("pid", probes=answered("signal-host", succeeded=True, answer="0", call="kill(2, 0)")),
        severity=Severity.HIGH,
        basis=Basis.PROVEN,
        says=("signal",),
    ),
    Case(
        "namespace-pid-shared",
        FAIL,
        "seen but not signalled",
        container=sharing("pid", probes=answered("signal-host", succeeded=False, answer="EPERM")),
        basis=Basis.OBSERVED,
    ),
)
UTS = (
    *basics("uts", Severity.LOW),
    Case(
        "namespace-uts-shared",
        FAIL,
        "CAP_SYS_ADMIN",
        container=sharing("uts", status=ADMIN, filters=filters()),
        severity=Severity.HIGH,
        basis=Basis.OBSERVED,
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "CAP_SYS_ADMIN and a filter that was not read",
        container=sharing("uts", status=ADMIN, filters=denied("filter")),
        severity=Severity.HIGH,
        says=("was not read",),
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "CAP_SYS_ADMIN and a filter that forbids it",
        container=sharing("uts", status=ADMIN, filters=filters(deny=("sethostname", "setdomainname"))),
        severity=Severity.LOW,
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "CAP_SYS_ADMIN over its own user namespace",
        container=make_container(
            namespaces=namespaces(PID, **{**shared("uts"), "user": OWN_USER}), status=ADMIN
        ),
        severity=Severity.LOW,
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "set",
        container=sharing("uts", probes=answered("hostname-set", succeeded=True, answer="EINVAL")),
        severity=Severity.HIGH,
        basis=Basis.PROVEN,
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "a filter forbids to set it",
        container=sharing(
            "uts", status=ADMIN, probes=answered("hostname-set", succeeded=False, answer="EPERM")
        ),
        severity=Severity.LOW,
        basis=Basis.PROVEN,
    ),
    Case(
        "namespace-uts-shared",
        FAIL,
        "certain without the status",
        container=sharing("uts", status=denied()),
        severity=Severity.LOW,
        says=("not known",),
    ),
    Case(
        "namespace-uts-shared",
        PASS,
        "sets its own",
        container=make_container(probes=answered("hostname-set", succeeded=True, answer="EINVAL")),
    ),
)
OTHERS = (
    *basics("net", Severity.HIGH),
    *basics("ipc", Severity.MEDIUM),
    *basics("cgroup", Severity.LOW),
    Case(
        "namespace-cgroup-shared",
        FAIL,
        "old kernel",
        container=lacking("cgroup"),
        says=("no cgroup namespaces",),
    ),
    *basics("time", Severity.INFO),
    Case("namespace-time-shared", FAIL, "old kernel", container=lacking("time"), says=("no time namespaces",)),
)
USER = (
    *basics("user", Severity.MEDIUM),
    Case(
        "namespace-user-shared", FAIL, "as root", container=make_container(status=ROOT), severity=Severity.HIGH
    ),
    Case(
        "namespace-user-shared",
        FAIL,
        "as root with Podman's capabilities",
        container=make_container(status=PODMAN_ROOT),
        severity=Severity.HIGH,
        says=("4242 (app)",),
    ),
    Case(
        "namespace-user-shared",
        FAIL,
        "as root without capabilities",
        container=make_container(status=ROOT._replace(cap_effective=0, cap_permitted=0)),
        severity=Severity.MEDIUM,
    ),
    Case(
        "namespace-user-shared",
        FAIL,
        "certain without the status",
        container=make_container(status=denied()),
        severity=Severity.MEDIUM,
    ),
    Case("namespace-user-shared", FAIL, "old kernel", container=lacking("user"), says=("no user namespaces",)),
    Case(
        "namespace-user-shared",
        FAIL,
        "own but mapping the host's root",
        container=own("user", uid_map=Known((IdRange(1000, 0, 1),), "m")),
        severity=Severity.MEDIUM,
        says=("uid 1000 inside",),
    ),
    Case("namespace-user-shared", UNKNOWN, "map unreadable", container=own("user", uid_map=denied("m"))),
)
PEER = (
    Case(
        "namespace-peer-shared",
        FAIL,
        "joined",
        peers=peers_of([make_container(), neighbour({"net": OWN_INODES["net"], "pid": OWN_INODES["pid"]})]),
        severity=Severity.MEDIUM,
        says=("net, pid with db-1",),
    ),
    Case(
        "namespace-peer-shared",
        FAIL,
        "one pod",
        container=make_container(identity=make_identity(pod="p1")),
        peers=peers_of(
            [
                make_container(identity=make_identity(pod="p1")),
                neighbour({"net": OWN_INODES["net"]}, identity={"pod": "p1"}),
            ]
        ),
        severity=Severity.INFO,
        says=("within its pod",),
    ),
    Case(
        "namespace-peer-shared",
        FAIL,
        "one pod and a stranger",
        container=make_container(identity=make_identity(pod="p1")),
        peers=peers_of(
            [
                neighbour({"net": OWN_INODES["net"]}, identity={"pod": "p1"}),
                neighbour({"net": OWN_INODES["net"]}, identity={"key": "spy", "pod": "p2"}),
            ]
        ),
        severity=Severity.MEDIUM,
        says=("net with spy",),
    ),
    Case(
        "namespace-peer-shared",
        PASS,
        "both the host's",
        container=sharing("net"),
        peers=peers_of([sharing("net"), neighbour({})]),
    ),
    Case("namespace-peer-shared", PASS, "alone"),
    Case("namespace-peer-shared", PASS, "old kernel", container=lacking("time")),
    Case("namespace-peer-shared", UNKNOWN, "unreadable", container=refusing("net")),
    Case(
        "namespace-peer-shared",
        UNKNOWN,
        "neighbour unreadable",
        peers=peers_of([make_container(), UNREAD_NEIGHBOUR]),
    ),
)
OVERLAP = (
    Case(
        "namespace-user-map-overlap",
        FAIL,
        "one range for both",
        container=WEB,
        peers=peers_of([WEB, mapped(*REMAPPED), make_container(identity=make_identity(key="plain"))]),
        severity=Severity.MEDIUM,
        says=("100000 to 165535 with db-1",),
    ),
    Case(
        "namespace-user-map-overlap",
        FAIL,
        "a part",
        container=WEB,
        peers=peers_of([WEB, mapped(IdRange(0, 300000, 9), IdRange(9, 90000, 10001))]),
        says=("100000 to 100000 with db-1",),
    ),
    Case(
        "namespace-user-map-overlap",
        FAIL,
        "many",
        container=WEB,
        peers=peers_of([WEB, *(mapped(*REMAPPED, inode=4026533000 + number) for number in range(9))]),
        says=("and others",),
    ),
    Case(
        "namespace-user-map-overlap",
        PASS,
        "ranges side by side",
        container=WEB,
        peers=peers_of([WEB, mapped(IdRange(0, 165536, 65536)), mapped(IdRange(0, 34464, 65536), inode=1)]),
    ),
    Case(
        "namespace-user-map-overlap",
        PASS,
        "the same user namespace",
        container=WEB,
        peers=peers_of([WEB, mapped(*REMAPPED, inode=OWN_USER)]),
    ),
    Case("namespace-user-map-overlap", NOT_APPLICABLE, "the host's"),
    Case("namespace-user-map-overlap", UNKNOWN, "map unreadable", container=own("user", uid_map=denied("m"))),
    Case(
        "namespace-user-map-overlap",
        UNKNOWN,
        "neighbour's map unreadable",
        container=WEB,
        peers=peers_of([WEB, neighbour({"user": 4026532901}, uid_map=denied("/proc/5000/uid_map"))]),
    ),
)
CREATE = "namespace-user-creatable"
CREATE_CASES = (
    Case(
        CREATE,
        FAIL,
        "done",
        container=make_container(
            probes=answered("user-namespace-create", succeeded=True, answer="0", call="unshare(CLONE_NEWUSER)")
        ),
        severity=Severity.MEDIUM,
        basis=Basis.PROVEN,
    ),
    Case(
        CREATE,
        PASS,
        "refused",
        host=CREATABLE,
        container=make_container(
            status=UNFILTERED, probes=answered("user-namespace-create", succeeded=False, answer="EPERM")
        ),
        basis=Basis.PROVEN,
    ),
    Case(CREATE, FAIL, "no filter", host=CREATABLE, container=make_container(status=UNFILTERED)),
    Case(CREATE, PASS, "limit of 0 binds root too", container=make_container(status=ADMIN)),
    Case(CREATE, PASS, "Debian's switch", host=DEBIAN, container=make_container(status=UNFILTERED)),
    Case(
        CREATE,
        FAIL,
        "Debian's switch does not bind CAP_SYS_ADMIN",
        host=DEBIAN,
        container=make_container(
            status=UNFILTERED._replace(cap_effective=mask("CAP_SYS_ADMIN"), cap_permitted=mask("CAP_SYS_ADMIN"))
        ),
    ),
    Case(CREATE, PASS, "strict mode", host=CREATABLE, container=make_container(status=STRICT)),
    Case(CREATE, PASS, "Docker's filter", host=CREATABLE, says=("refuses",)),
    Case(
        CREATE,
        FAIL,
        "a filter that forbids something else",
        host=CREATABLE,
        container=make_container(filters=filters(deny=("mount",))),
        basis=Basis.OBSERVED,
        says=("4242 (app)",),
    ),
    Case(
        CREATE,
        FAIL,
        "a filter that forgets clone3",
        host=CREATABLE,
        container=make_container(filters=filters(deny=("clone", "unshare"))),
    ),
    Case(
        CREATE,
        FAIL,
        "a filter that forgets the 32-bit entry",
        host=CREATABLE,
        container=make_container(filters=filters(deny=("clone", "unshare", "clone3"), pinned=False)),
    ),
    Case(
        CREATE,
        UNKNOWN,
        "a filter that was not read",
        host=CREATABLE,
        container=make_container(filters=denied("filter")),
        says=("seccomp decides",),
    ),
    Case(CREATE, UNKNOWN, "AppArmor's restriction", host=UBUNTU, container=make_container(status=UNFILTERED)),
    Case(
        CREATE,
        UNKNOWN,
        "setting unreadable",
        host=make_host(sysctls={"user.max_user_namespaces": denied("/proc/sys/user/max_user_namespaces")}),
        container=make_container(status=UNFILTERED),
    ),
)


def crowd(size: int) -> tuple[Process, ...]:
    return tuple(
        Process(
            PID + number,
            Known(make_status(ns_pids=Known((PID + number, 1 + number), "s")), f"/proc/{PID + number}/status"),
        )
        for number in range(size)
    )


MAP = "namespace-pid-map"
MAP_CASES = (
    Case(MAP, PASS, "both numbers", says=("1 inside is 4242 on the host",)),
    Case(
        MAP,
        PASS,
        "capped",
        container=make_container(processes=crowd(12)),
        says=("8 inside is 4249", "and 4 more"),
    ),
    Case(
        MAP,
        PASS,
        "one in a namespace below, one that joined, one unreadable",
        container=make_container(
            processes=(
                *crowd(1),
                Process(4300, Known(make_status(ns_pids=Known((4300, 9, 1), "s")), "s")),
                Process(4301, Known(make_status(ns_pids=Known((4301,), "s")), "s")),
                Process(4302, denied("s")),
            )
        ),
        says=("9 inside is 4300", "outside its PID namespace is 4301", "unreadable is 4302"),
    ),
    Case(
        MAP,
        PASS,
        "the host's namespace",
        container=make_container(status=make_status(ns_pids=Known((PID,), "s"))),
        says=("the host's",),
    ),
    Case(
        MAP,
        UNKNOWN,
        "old kernel",
        container=make_container(status=make_status(ns_pids=Unknown("s", "no NSpid line"))),
    ),
)

CASES = (
    *MNT,
    *PID_CASES,
    *UTS,
    *OTHERS,
    *USER,
    *PEER,
    *OVERLAP,
    *CREATE_CASES,
    *MAP_CASES,
)
NEVER = {(MAP, FAIL): "it shows numbers and judges nothing"}
