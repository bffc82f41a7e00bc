"""Cases of checks/quota."""

from __future__ import annotations

from typing import Any

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import Host
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.quotas import Account, Count, Quotas
from isoaudit.model import Known, Reading, Severity, Verdict
from support.cases import Case
from support.facts import (
    GIB,
    OWN_INODES,
    PID,
    cgroup_v1,
    denied,
    known,
    make_container,
    make_host,
    make_identity,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
OWN_USER, OTHER_USER = 4026532900, 4026532901
FREE = known(frozenset({0}))


def host(users: Reading[frozenset[int]] = FREE, **counts: Reading[Count]) -> Host:
    return make_host(quotas=Known(Quotas(counts, users), "/proc/sys"))


def running(uid: int, key: str = "web-1", user: int = INITIAL["user"], **changes: Any) -> Container:
    status = make_status(uids=(uid,) * 4)
    return make_container(
        identity=make_identity(key=key, **({"pod": changes.pop("pod")} if "pod" in changes else {})),
        status=status,
        processes=(Process(PID, known(status), known(user)),),
        namespaces=namespaces(PID, **{**OWN_INODES, "user": user}),
        owners=changes.pop("owners", known(())),
        **changes,
    )


def remapped(uid: int, key: str = "web-1", user: int = OWN_USER, owner: int = 0) -> Container:
    return running(uid, key, user, owners=known((Account(INITIAL["user"], owner),)))


def shared(name: str, *containers: Container, **expected: Any) -> Case:
    outcome = expected.pop("outcome", FAIL)
    where = expected.pop("host", host())
    peers = peers_of(containers)
    return Case("quota-uid-shared", outcome, name, where, containers[0], peers=peers, **expected)


def cheap(name: str, outcome: Verdict, where: Host, **expected: Any) -> Case:
    container = expected.pop("container", make_container())
    return Case("quota-global-cheap", outcome, name, where, container, **expected)


AIO, FEW_FILES = known(Count(0, 65536)), known(Count(1000, 11000))
UNLIMITED = cgroup_v1(pids__max="max", memory__limit_in_bytes="9223372036854771712")

CASES = (
    shared("with the host's root", running(0), severity=Severity.MEDIUM, says=("the host's uid 0",)),
    shared("with a user of the host's", running(1000), host=host(known(frozenset({0, 1000})))),
    shared(
        "with a container of the same user", running(5), running(5, "db"), says=("1 container (db)", "keys")
    ),
    shared("within its pod", running(5, pod="p"), running(5, "db", pod="p"), severity=Severity.INFO),
    shared(
        "one uid in two user namespaces",
        remapped(100000),
        remapped(100000, "db", OTHER_USER, owner=7),
        says=("pipe buffers, keys, epoll",),
    ),
    shared(
        "the maker of its user namespace",
        remapped(100000),
        severity=Severity.LOW,
        says=("inotify instances", "uid 0"),
    ),
    shared(
        "one maker of two user namespaces",
        remapped(100000, owner=7),
        remapped(200000, "db", OTHER_USER, owner=7),
        severity=Severity.LOW,
        says=("db",),
    ),
    shared("a user of its own", running(5), running(6, "db"), outcome=PASS),
    shared(
        "made by users of their own",
        remapped(100000, owner=7),
        remapped(200000, "db", OTHER_USER, owner=8),
        outcome=PASS,
    ),
    shared("a process that hides", make_container(status=denied()), outcome=UNKNOWN),
    shared("the host's users unknown", running(5), outcome=UNKNOWN, host=host(denied())),
    shared(
        "a neighbour that hides",
        running(5),
        make_container(identity=make_identity(key="db"), status=denied()),
        outcome=UNKNOWN,
    ),
    shared("the maker unknown", running(5, user=OWN_USER, owners=denied()), outcome=UNKNOWN),
    cheap("AIO", FAIL, host(aio=AIO), severity=Severity.MEDIUM, says=("5.38 MiB for 65536 AIO", "512 MiB")),
    cheap(
        "nothing limits its memory",
        FAIL,
        host(aio=AIO),
        container=make_container(cgroup=UNLIMITED),
        says=("nothing limits",),
    ),
    cheap("more than it may have", PASS, host(aio=known(Count(0, 65536 << 10)))),
    cheap("used up to the last", FAIL, host(aio=known(Count(65536, 65536)))),
    cheap("files that its limits forbid", PASS, host(files=known(Count(0, 500_000)))),
    cheap("files within its limits", FAIL, host(files=FEW_FILES), says=("open files",)),
    cheap("threads that its pids limit forbids", PASS, host(threads=known(Count(100, 10000)))),
    cheap(
        "threads",
        FAIL,
        host(threads=known(Count(100, 10000))),
        container=make_container(cgroup=cgroup_v1(pids__max="max")),
        says=("9900 threads",),
    ),
    cheap("terminals", FAIL, host(terminals=known(Count(0, 3072))), says=("3072 pseudo-terminals",)),
    cheap("commitment that is not kept", PASS, host(commitment=known(Count(0, GIB)))),
    cheap(
        "commitment",
        FAIL,
        host(commitment=known(Count(0, GIB)))._replace(
            sysctls={"vm.overcommit_memory": Known("2", "/proc/sys/vm/overcommit_memory")}
        ),
        says=("0 B for",),
    ),
    cheap("unreadable", UNKNOWN, host(aio=denied())),
    cheap("not collected", UNKNOWN, make_host()),
    cheap("its network unknown", UNKNOWN, host(neighbours=known(Count(3, 1024)))),
    cheap("its cgroup unknown", UNKNOWN, host(aio=AIO), container=make_container(cgroup=denied())),
)
