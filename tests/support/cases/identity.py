"""Cases of checks/identity."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.cgroup import Cgroup, Membership
from isoaudit.facts.container import Container, Process, Thread
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.seccomp import Filter, FilterStack
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Known, Reading, Severity, Verdict
from support.cases import Case
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    cgroup_v1,
    cgroup_v2,
    denied,
    make_container,
    make_identity,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
FULL = (1 << 41) - 1
HOST_USER: Reading[int] = Known(HOST_INODES["user"], "/proc/4300/ns/user")
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532900})
MAPPED = Known((IdRange(0, 100000, 65536),), f"/proc/{PID}/uid_map")
FIRST = make_container().processes[0]


def second(user: Reading[int] = HOST_USER, *, fields: Any = None, **changes: Any) -> Process:
    """A second process, in the first one's cgroup and namespaces and with its label; `fields` of it change."""
    fine = Process(
        4300,
        Known(make_status(name="sh", **changes), "/proc/4300/status"),
        user,
        lsm_label=Known("docker-default (enforce)", "/proc/4300/attr/current"),
        memberships=Known(memberships(), "/proc/4300/cgroup"),
        other_namespaces=Known({}, "/proc/4300/ns"),
    )
    return fine._replace(**(fields or {}))


def with_process(
    user: Reading[int] = HOST_USER, first: Process = FIRST, *, fields: Any = None, **changes: Any
) -> Container:
    """A container with a second process."""
    return make_container(processes=(first, second(user, fields=fields, **changes)))


def memberships(**elsewhere: str) -> tuple[Membership, ...]:
    """The container's lines of /proc/PID/cgroup, with other paths for some controllers; "v2" is the unified one."""
    cgroup = cgroup_v1()
    assert isinstance(cgroup, Known)
    changed = []
    for one in cgroup.value.memberships:
        path = elsewhere.get("v2") if one.hierarchy == 0 else elsewhere.get(one.controllers[0])
        changed.append(one if path is None else one._replace(path=path))
    return tuple(changed)


def elsewhere(**namespaces: int) -> Container:
    """With a second process in other namespaces."""
    return with_process(fields={"other_namespaces": Known(namespaces, "/proc/4300/ns")})


def threaded(*threads: Thread, first: Process = FIRST) -> Container:
    """With threads that differ from the first one."""
    return make_container(processes=(first._replace(threads=Known(threads, "/proc/4242/task")),))


def thread(**changes: Any) -> Thread:
    """A thread of the first process."""
    status = make_status(name="worker", tgid=PID, threads=2, **changes)
    return Thread(4243, Known(status, f"/proc/{PID}/task/4243/status"))


UNCOMPARED = FIRST._replace(
    status=Known(make_status(threads=3), f"/proc/{PID}/status"),
    threads=denied(f"/proc/{PID}/task"),
)
# Allows all; asks for the number and forbids mount (165 on x86_64) first.
OPEN = Filter("060000000000ff7f", 0)
BASE = Filter("2000000000000000" "15000001a5000000" "0600000001000500" "060000000000ff7f", 0)  # fmt: skip
SAME = Filter("2000000000000000" "15000100a5000000" "060000000000ff7f" "0600000001000500", 0)  # fmt: skip


def filtered(own: tuple[Filter, ...], *, inferred: bool = False) -> Container:
    """With a second process under filters of its own, where the first one has one filter."""
    stacks = (
        FilterStack(((PID, PID),), Known((BASE,), "s"), False, ("x86_64",)),
        FilterStack(((4300, 4300),), Known(own, "s"), inferred, ("x86_64",)),
    )
    container = with_process(seccomp_filters=Known(len(own), "s"))
    return container._replace(filters=Known(stacks, "ptrace(2)"))


INIT_ROOT = Process(
    PID,
    Known(
        make_status(uids=(0, 0, 0, 0), cap_effective=OCI_DEFAULT, cap_permitted=OCI_DEFAULT),
        "/proc/4242/status",
    ),
)
MAY_GAIN = Process(PID, Known(make_status(no_new_privs=Known(False, "s")), "/proc/4242/status"))
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
    Case(ROOT, FAIL, "a thread", container=threaded(thread(uids=(0, 0, 0, 0))), says=("thread 4243",)),
    Case(ROOT, PASS, "a user", says=("none",)),
    Case(
        ROOT,
        PASS,
        "a user of root's group",
        container=make_container(status=make_status(gids=(0, 0, 0, 0))),
        says=("the host's group 0 are 4242 (app)",),
    ),
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
    Case(
        NNP,
        FAIL,
        "a thread",
        container=threaded(thread(no_new_privs=Known(False, "s"))),
        says=("thread 4243 (worker) of 4242",),
    ),
    Case(NNP, PASS, "set"),
    Case(NNP, UNKNOWN, "threads not compared", container=make_container(processes=(UNCOMPARED,))),
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
    Case(
        DRIFT,
        FAIL,
        "everything at once",
        container=with_process(
            seccomp=Known(0, "s"), no_new_privs=Known(False, "s"), uids=(0, 0, 0, 0), cap_effective=FULL
        ),
        severity=Severity.HIGH,
        says=("has no seccomp filter, has CAP_", "lacks no_new_privs, is the host's root"),
    ),
    Case(
        DRIFT,
        FAIL,
        "inheritable ones",
        container=with_process(cap_inheritable=mask("CAP_SYS_ADMIN")),
        says=("has CAP_SYS_ADMIN",),
    ),
    Case(
        DRIFT,
        FAIL,
        "held within the bounding set, which no_new_privs keeps from the first",
        container=with_process(cap_effective=mask("CAP_CHOWN"), cap_permitted=mask("CAP_CHOWN")),
        severity=Severity.MEDIUM,
        says=("holds CAP_CHOWN, which no_new_privs keeps from the first process",),
    ),
    Case(
        DRIFT,
        FAIL,
        "capabilities over the container's own user namespace",
        container=with_process(
            Known(4026532900, "/proc/4300/ns/user"), cap_effective=FULL, cap_permitted=FULL
        )._replace(namespaces=OWN_USER, uid_map=MAPPED),
        severity=Severity.MEDIUM,
    ),
    Case(
        DRIFT,
        FAIL,
        "the host's user namespace",
        container=with_process()._replace(namespaces=OWN_USER, uid_map=MAPPED),
        severity=Severity.HIGH,
        says=("is in the host's user namespace",),
    ),
    Case(
        DRIFT,
        FAIL,
        "root, which the first cannot become",
        container=with_process(uids=(0, 0, 0, 0)),
        severity=Severity.MEDIUM,
        says=("4300 (sh) is the host's root",),
    ),
    Case(
        DRIFT,
        FAIL,
        "root, by a set-user-ID file or exec --user 0",
        container=with_process(first=MAY_GAIN, uids=(0, 0, 0, 0), no_new_privs=Known(False, "s")),
        severity=Severity.LOW,
    ),
    Case(
        DRIFT,
        FAIL,
        "nsenter --mount",
        container=elsewhere(pid=HOST_INODES["pid"], net=HOST_INODES["net"], uts=HOST_INODES["uts"]),
        severity=Severity.HIGH,
        says=("in the host's pid, net, uts namespaces",),
    ),
    Case(
        DRIFT,
        FAIL,
        "the host's hostname",
        container=elsewhere(uts=HOST_INODES["uts"]),
        severity=Severity.LOW,
    ),
    Case(
        DRIFT,
        FAIL,
        "nsenter --all from a shell of the host's",
        container=with_process(
            fields={"memberships": Known(memberships(memory="/", devices="/", pids="/user.slice"), "c")}
        ),
        severity=Severity.HIGH,
        says=("outside of its cgroup for memory, devices, pids",),
    ),
    Case(
        DRIFT,
        FAIL,
        "another container's memory limit",
        container=with_process(fields={"memberships": Known(memberships(memory="/docker/01234"), "c")}),
        severity=Severity.MEDIUM,
    ),
    Case(
        DRIFT,
        FAIL,
        "outside on v2",
        container=with_process(
            fields={"memberships": Known((Membership(0, (), "/user.slice/user-0.slice"),), "c")}
        )._replace(cgroup=cgroup_v2()),
        severity=Severity.HIGH,
    ),
    Case(
        DRIFT,
        FAIL,
        "unconfined by AppArmor",
        container=with_process(fields={"lsm_label": Known("unconfined", "/proc/4300/attr/current")}),
        severity=Severity.HIGH,
        says=("is not confined by AppArmor",),
    ),
    Case(
        DRIFT,
        FAIL,
        "a profile that complains",
        container=with_process(fields={"lsm_label": Known("web (complain)", "/proc/4300/attr/current")}),
        says=("a profile in complain mode",),
    ),
    Case(
        DRIFT,
        FAIL,
        "a thread",
        container=threaded(thread(cap_effective=FULL, cap_permitted=FULL)),
        severity=Severity.HIGH,
        says=("thread 4243 (worker) of 4242 has CAP_",),
    ),
    Case(
        DRIFT,
        FAIL,
        "a thread without the filter",
        container=threaded(thread(seccomp=Known(0, "s"), seccomp_filters=Known(0, "s"))),
        says=("thread 4243 (worker) of 4242 has no seccomp filter",),
    ),
    Case(
        DRIFT,
        FAIL,
        "another filter",
        container=filtered((OPEN,)),
        severity=Severity.MEDIUM,
        says=("has a seccomp filter that lets mount through as well",),
    ),
    Case(DRIFT, PASS, "another program for the same", container=filtered((SAME,))),
    Case(DRIFT, PASS, "a filter more", container=filtered((OPEN, BASE))),
    Case(DRIFT, PASS, "another filter by a runtime's file only", container=filtered((OPEN,), inferred=True)),
    Case(
        DRIFT,
        PASS,
        "what started it and waits",
        container=with_process(
            first=FIRST._replace(status=Known(make_status(ppid=4300), "/proc/4242/status")), cap_effective=FULL
        ),
    ),
    Case(DRIFT, PASS, "a thread that has dropped more", container=threaded(thread(cap_bounding=0))),
    Case(
        DRIFT,
        PASS,
        "namespaces of its own making",
        container=elsewhere(net=4026532999, pid=4026532998),
        says=("2 processes",),
    ),
    Case(
        DRIFT,
        PASS,
        "a cgroup below",
        container=with_process(
            fields={"memberships": Known(memberships(memory="/docker/0123/job"), "c")}
        )._replace(identity=make_identity(id="0123")),
    ),
    Case(
        DRIFT,
        PASS,
        "the first process has moved below its container's cgroup",
        container=with_process(
            fields={"memberships": Known((Membership(0, (), "/system.slice/docker-0123.scope/job"),), "c")}
        )._replace(
            identity=make_identity(id="0123"),
            cgroup=Known(
                Cgroup((Membership(0, (), "/system.slice/docker-0123.scope/init"),), {}, {}),
                "/proc/4242/cgroup",
            ),
        ),
    ),
    Case(
        DRIFT,
        PASS,
        "another profile",
        container=with_process(fields={"lsm_label": Known("web (enforce)", "/proc/4300/attr/current")}),
    ),
    Case(
        DRIFT,
        PASS,
        "the first one is unconfined too",
        container=with_process(fields={"lsm_label": Known("unconfined", "/proc/4300/attr/current")})._replace(
            lsm_label=Known("unconfined", "/proc/4242/attr/current")
        ),
    ),
    Case(DRIFT, UNKNOWN, "threads not compared", container=make_container(processes=(UNCOMPARED,))),
    Case(
        DRIFT,
        UNKNOWN,
        "namespaces unread",
        container=with_process(fields={"other_namespaces": denied("/proc/4300/ns")}),
    ),
    Case(
        DRIFT,
        UNKNOWN,
        "label unread",
        container=with_process(fields={"lsm_label": denied("/proc/4300/attr/current")}),
    ),
    Case(DRIFT, UNKNOWN, "cgroup unread", container=with_process(fields={"memberships": denied("c")})),
    Case(DRIFT, PASS, "alone", says=("one process",)),
    Case(DRIFT, PASS, "init is root and its workers are not", container=with_process(first=INIT_ROOT)),
    Case(
        DRIFT,
        PASS,
        "a worker within the bounding set",
        container=with_process(
            first=MAY_GAIN,
            cap_effective=mask("CAP_CHOWN"),
            cap_permitted=mask("CAP_CHOWN"),
            no_new_privs=Known(False, "s"),
        ),
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
