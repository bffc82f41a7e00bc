"""Cases of checks/escape."""

from __future__ import annotations

from isoaudit.kernel.capability import mask
from isoaudit.model import Basis, Verdict
from support.cases import Case
from support.cases.mount import SOCKET, WITH_SOCKET, bind, with_mount
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    denied,
    filters,
    known,
    make_container,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
TRACER = make_status(
    uids=(0, 0, 0, 0),
    cap_effective=mask("CAP_SYS_PTRACE"),
    cap_permitted=mask("CAP_SYS_PTRACE"),
    cap_bounding=mask("CAP_SYS_PTRACE"),
)
AMONG_HOST = namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]})
UNLABELLED = known("unconfined", f"/proc/{PID}/attr/current")


CASES = (
    Case("escape-path", PASS, "well confined", says=("none is open",)),
    Case(
        "escape-path",
        FAIL,
        "host root",
        container=with_mount(bind("/", "/h"), status=make_status(uids=(0, 0, 0, 0))),
        basis=Basis.OBSERVED,
        says=("the host's root filesystem",),
    ),
    Case(
        "escape-path",
        FAIL,
        "engine socket under another name",
        host=WITH_SOCKET,
        container=with_mount(
            f"130 100 {SOCKET.device} / /hostrun rw,nosuid,nodev - tmpfs tmpfs rw,mode=755".encode(),
            status=make_status(uids=(0, 0, 0, 0)),
        ),
        says=("the socket of an engine",),
    ),
    Case(
        "escape-path",
        FAIL,
        "ptrace of the host's processes",
        container=make_container(
            namespaces=AMONG_HOST, status=TRACER, lsm_label=UNLABELLED, filters=filters(deny=("mount",))
        ),
        says=("a process of the host",),
    ),
    Case(
        "escape-path",
        PASS,
        "ptrace but for the filter",
        container=make_container(
            namespaces=AMONG_HOST, status=TRACER, lsm_label=UNLABELLED, filters=filters(deny=("ptrace",))
        ),
    ),
    Case(
        "escape-path",
        UNKNOWN,
        "ptrace behind a profile",
        container=make_container(namespaces=AMONG_HOST, status=TRACER, filters=filters(deny=("mount",))),
        says=("docker-default",),
    ),
    Case("escape-path", UNKNOWN, "mounts unreadable", container=make_container(mounts=denied())),
)
