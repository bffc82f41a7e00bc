"""Cases of what a probe's answer makes of checks that kernel state could decide too."""

from __future__ import annotations

from typing import Any, NamedTuple

from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import Host
from isoaudit.facts.status import Status
from isoaudit.kernel.calls import table
from isoaudit.kernel.capability import OCI_DEFAULT, mask
from isoaudit.model import Basis, Known, Severity, Verdict
from support.cases import Case
from support.cases.kernel import OPEN as BARE
from support.cases.kernel import ROOT
from support.cases.kernel_calls import HOST_PID, files, holding
from support.facts import (
    CGROUP_PATH,
    HOST_INODES,
    OWN_INODES,
    PID,
    answered,
    cgroup_v1,
    denied,
    filters,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
    namespaces,
)
from support.filters import program, stack

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN


class _Permission(NamedTuple):
    """A check of a permission, and by which calls its probes ask."""

    check: str
    probes: tuple[str, ...]
    calls: tuple[str, ...]
    capability: str = ""  # which grants it; "": everybody has it whom no filter stops
    host: Host = make_host()
    space: Any = HOST_PID
    severity: Severity | None = None


_PERMISSIONS = (
    _Permission(
        "kernel-module-loadable",
        ("module-load",),
        ("finit_module", "init_module"),
        "CAP_SYS_MODULE",
        make_host(sysctls={"kernel.modules_disabled": known("0")}, lockdown=known("none")),
        severity=Severity.CRITICAL,
    ),
    _Permission("kernel-reboot-allowed", ("reboot",), ("reboot",), "CAP_SYS_BOOT", severity=Severity.HIGH),
    _Permission(
        "kernel-swap-allowed", ("swap-on",), ("swapon", "swapoff"), "CAP_SYS_ADMIN", severity=Severity.HIGH
    ),
    _Permission("kernel-acct-allowed", ("account",), ("acct",), "CAP_SYS_PACCT", severity=Severity.HIGH),
    _Permission("kernel-bpf-allowed", ("bpf-load",), ("bpf",), "CAP_SYS_ADMIN", severity=Severity.HIGH),
    _Permission(
        "kernel-perf-allowed", ("perf-watch", "perf-open", "perf-own"), ("perf_event_open",), "CAP_SYS_ADMIN"
    ),
    _Permission("kernel-userfaultfd-allowed", ("userfaultfd",), ("userfaultfd",), "CAP_SYS_PTRACE"),
    _Permission("kernel-log-readable", ("kernel-log-read",), ("syslog",), "CAP_SYSLOG"),
    _Permission(
        "time-clock-settable",
        ("clock-set", "clock-adjust"),
        ("settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
        "CAP_SYS_TIME",
        severity=Severity.CRITICAL,
    ),
    _Permission(
        "kernel-io-uring-allowed",
        ("io-uring-setup",),
        ("io_uring_setup",),
        host=make_host(sysctls={"kernel.io_uring_disabled": known("0")}),
    ),
    _Permission("kernel-keyring-allowed", ("keyring",), ("keyctl", "add_key", "request_key")),
    _Permission(
        "kernel-vsock-allowed",
        ("vsock-socket",),
        ("socket",),
        host=files("/sys/class/misc/vsock", there=True),
    ),
)


def refused(*names: str) -> dict[str, Any]:
    """What some probes answer that are refused."""
    found: dict[str, Any] = {}
    for name in names:
        found.update(answered(name, succeeded=False, answer="EPERM"))
    return found


def _cases(one: _Permission) -> tuple[Case, ...]:
    able = holding(one.capability) if one.capability else make_status(uids=(0, 0, 0, 0))
    unable = holding("CAP_CHOWN")

    def container(**changes: Any) -> Container:
        made = {"status": able, "namespaces": one.space, "filters": filters(), "lsm_label": known("")}
        return make_container(**{**made, "probes": refused(*one.probes), **changes})

    granted = answered(one.probes[-1], succeeded=True, answer="0", call="tried()")
    intruder = Process(
        4300,
        Known(able._replace(name="intruder", seccomp=known(0)), "/proc/4300/status"),
        Known(HOST_INODES["user"], "/proc/4300/ns/user"),
    )
    first = Process(PID, Known(unable, f"/proc/{PID}/status"))
    twin = first._replace(pid=4300, status=Known(able, "/proc/4300/status"))
    bounding = make_status(
        uids=(0, 0, 0, 0),
        cap_bounding=OCI_DEFAULT | (mask(one.capability) if one.capability else 0),
        no_new_privs=known(False),
    )
    cases = [
        Case(
            one.check,
            FAIL,
            "a probe succeeded",
            host=one.host,
            container=container(probes={**refused(*one.probes), **granted}),
            basis=Basis.PROVEN,
            severity=one.severity,
        ),
        Case(
            one.check,
            FAIL,
            "a probe succeeded that kernel state does not explain",
            host=one.host,
            container=container(filters=denied("filter"), status=unable, probes=granted),
            basis=Basis.PROVEN,
        ),
        Case(
            one.check,
            PASS,
            "a probe was refused by what kernel state does not show",
            host=one.host,
            container=container(),
            basis=Basis.PROVEN,
            says=("EPERM",),
        ),
        Case(
            one.check,
            PASS,
            "a probe was refused, and so would be a neighbour with the same walls",
            host=one.host,
            container=container(processes=(twin._replace(pid=PID), twin), filters=filters(pids=(PID, 4300))),
            basis=Basis.PROVEN,
        ),
        Case(
            one.check,
            FAIL,
            "a probe was refused, of which a neighbour without a filter",
            host=one.host,
            container=container(
                status=unable,
                processes=(first, intruder),
                filters=filters(deny=one.calls, pids=(PID,)),
            ),
            basis=Basis.OBSERVED,
            says=("4300 (intruder)",),
        ),
    ]
    # Of the newest calls both entries have one number, which such a filter denies to both.
    if any(table("i386")[call] != table("x86_64")[call] for call in one.calls):
        cases.append(
            Case(
                one.check,
                FAIL,
                "a probe was refused by a filter that forgets the 32-bit entry",
                host=one.host,
                container=container(filters=Known((stack(program(deny=one.calls, pinned=False)),), "filter")),
                basis=Basis.OBSERVED,
            )
        )
    if one.capability:
        cases.append(
            Case(
                one.check,
                FAIL,
                "a probe was refused, but executing a program gives the capability",
                host=one.host,
                container=container(status=bounding),
                basis=Basis.OBSERVED,
            )
        )
    return tuple(cases)


class _File(NamedTuple):
    """A check of a file of the kernel's, and the probe that opens it."""

    check: str
    probe: str
    host: Host
    status: Status = ROOT


_FILES = (
    _File(
        "kernel-core-pattern-writable", "core-pattern-write", files("/proc/sys/kernel/core_pattern", there=True)
    ),
    _File(
        "kernel-modprobe-path-writable", "modprobe-path-write", files("/proc/sys/kernel/modprobe", there=True)
    ),
    _File("kernel-sysctl-writable", "sysctl-write", make_host()),
    _File("kernel-sysrq-writable", "sysrq-write", files("/proc/sysrq-trigger", there=True)),
    _File(
        "kernel-memory-readable",
        "kernel-core-read",
        files("/proc/kcore", there=True, lockdown=known("none")),
        holding("CAP_SYS_RAWIO"),
    ),
)


def _file_cases(one: _File) -> tuple[Case, ...]:
    neighbour = Process(4300, Known(one.status, "/proc/4300/status"), known(HOST_INODES["user"]))
    first = Process(PID, Known(make_status(), f"/proc/{PID}/status"))
    standing = {**BARE, "status": one.status}

    def container(*, succeeded: bool, **changes: Any) -> Container:
        probes = answered(one.probe, succeeded=succeeded, answer="0" if succeeded else "EACCES")
        return make_container(**{**standing, "probes": probes, **changes})

    return (
        Case(one.check, FAIL, "opened", host=one.host, container=container(succeeded=True), basis=Basis.PROVEN),
        Case(
            one.check,
            PASS,
            "not opened though it stands open",
            host=one.host,
            container=container(succeeded=False),
            basis=Basis.PROVEN,
            says=("EACCES",),
        ),
        Case(
            one.check,
            FAIL,
            "not opened by the twin, which does not stand for a neighbour",
            host=one.host,
            container=container(succeeded=False, processes=(first, neighbour)),
            basis=Basis.OBSERVED,
        ),
    )


_COUNTED = answered("cpu-account", succeeded=False, answer="its cgroup counted 2003 us", measured=0.002)
_UNCOUNTED = answered("cpu-account", succeeded=True, answer="its cgroup counted 0 us", measured=0.0)
_CLOCKS = answered("clock-shared", succeeded=True, answer="CLOCK_REALTIME the host's", measured=0.0)
_PIDS = answered("namespace-pid-map", succeeded=False, answer="another number outside, 2 in NSpid")
_MISLED = answered("newer-calls", succeeded=True, answer="clone3: EPERM")
_WRITTEN = answered(
    "cgroup-write", succeeded=True, answer="0", call="open(/sys/fs/cgroup/cgroup.procs, O_WRONLY)"
)
_AGENT = answered("release-agent-write", succeeded=True, answer="0")
_V1 = f"120 105 0:60 {CGROUP_PATH} /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids".encode()
_V1_ROOT = b"120 105 0:60 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"
OWN_TIME = namespaces(PID, **{**OWN_INODES, "time": 4026532901})

_VIEWS = (
    Case(
        "kernel-reboot-allowed",
        FAIL,
        "a probe was refused in a PID namespace in which a neighbour is not",
        container=make_container(
            status=holding("CAP_SYS_BOOT"),
            filters=filters(pids=(PID, 4300)),
            processes=(
                Process(PID, Known(holding("CAP_SYS_BOOT"), "/proc/4242/status")),
                Process(
                    4300,
                    Known(holding("CAP_SYS_BOOT"), "/proc/4300/status"),
                    known(HOST_INODES["user"]),
                    other_namespaces=known({"pid": HOST_INODES["pid"]}),
                ),
            ),
            probes=refused("reboot"),
        ),
        basis=Basis.OBSERVED,
        says=("4300",),
    ),
    Case(
        "cgroup-cpuacct-missing",
        PASS,
        "a probe's time was counted",
        container=make_container(cgroup=cgroup_v1(), probes=_COUNTED),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-cpuacct-missing",
        FAIL,
        "a probe's time was not counted",
        container=make_container(cgroup=cgroup_v1(), probes=_UNCOUNTED),
        basis=Basis.PROVEN,
    ),
    Case(
        "time-clock-not-namespaced",
        FAIL,
        "a probe read it",
        container=make_container(probes=_CLOCKS),
        basis=Basis.PROVEN,
        inherent=True,
    ),
    Case(
        "time-namespace-incomplete",
        FAIL,
        "a probe read the clocks",
        container=make_container(namespaces=OWN_TIME, probes=_CLOCKS),
        basis=Basis.PROVEN,
        inherent=True,
    ),
    Case(
        "namespace-pid-map",
        PASS,
        "a probe compared its own",
        container=make_container(probes=_PIDS),
        basis=Basis.PROVEN,
    ),
    Case(
        "namespace-pid-shared",
        FAIL,
        "a probe could read a process of the host's",
        container=make_container(
            namespaces=HOST_PID, probes=answered("process-read", succeeded=True, answer="EFAULT")
        ),
        basis=Basis.PROVEN,
        severity=Severity.CRITICAL,
        says=("read the memory",),
    ),
    Case(
        "capability-dac-read-search",
        FAIL,
        "a probe used it",
        container=make_container(
            status=holding("CAP_DAC_READ_SEARCH"),
            probes=answered("open-by-handle", succeeded=True, answer="ESTALE"),
        ),
        basis=Basis.PROVEN,
        severity=Severity.CRITICAL,
    ),
    Case(
        "capability-dac-read-search",
        FAIL,
        "a probe could not use it, by what kernel state does not show",
        container=make_container(
            status=holding("CAP_DAC_READ_SEARCH"),
            probes=answered("open-by-handle", succeeded=False, answer="EPERM"),
        ),
        basis=Basis.OBSERVED,
    ),
    Case(
        "kernel-newer-userland-blocked",
        FAIL,
        "a probe was misled",
        container=make_container(filters=filters(deny=("clone3",)), probes=_MISLED),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-writable",
        FAIL,
        "a probe opened its file",
        container=make_container(mounts=make_mounts(_V1), lsm_label=known(""), probes=_WRITTEN),
        basis=Basis.PROVEN,
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-release-agent-writable",
        FAIL,
        "a probe opened its file",
        container=make_container(
            status=holding("CAP_SYS_ADMIN"), mounts=make_mounts(_V1_ROOT), lsm_label=known(""), probes=_AGENT
        ),
        basis=Basis.PROVEN,
        severity=Severity.CRITICAL,
    ),
)

CASES = (
    *(case for one in _PERMISSIONS for case in _cases(one)),
    *(case for one in _FILES for case in _file_cases(one)),
    *_VIEWS,
)
