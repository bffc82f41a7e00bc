"""Cases of checks/leak."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import Host
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.leaks import twins
from isoaudit.kernel.capability import mask
from isoaudit.model import Known, Severity, Verdict
from support.cases import Case
from support.facts import (
    KERNEL_FILES,
    MOUNTINFO,
    PID,
    denied,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
SEEN = ("/proc/stat", "/proc/slabinfo", "/proc/cmdline", "/proc/kpagecgroup", "/proc/key-users")
DMI = "/sys/devices/virtual/dmi/id/product_serial"
SUBSET = MOUNTINFO.replace(b"proc proc rw", b"proc proc rw,subset=pid").replace(b"sysfs sysfs", b"tmpfs x")
ROOT = make_status(uids=(0, 0, 0, 0))
LEAKS = ("leak-host-activity", "leak-host-identity", "leak-page-ownership")


def with_files(*paths: str) -> Host:
    there = {path: Known(True, path) for path in paths}
    return make_host(kernel_files={path: Known(has, path) for path, has in KERNEL_FILES.items()} | there)


def root(**changes: Any) -> Container:
    return make_container(status=ROOT, processes=(Process(PID, Known(ROOT, "status")),), **changes)


def capable(name: str) -> Container:
    able = make_status(cap_effective=mask(name))
    return make_container(status=able, processes=(Process(PID, Known(able, "status")),))


HOST = with_files(*SEEN)
UNTRIED = make_host(
    kernel_files={path: Known(has, path) for path, has in KERNEL_FILES.items() if path != "/proc/key-users"}
)
TWINLESS = make_host(
    kernel_files={path: Known(has, path) for path, has in KERNEL_FILES.items()}
    | {twin.path: Known(False, twin.path) for twin in twins()}
)
BIND = b"130 100 254:0 /etc /x ro,relatime - ext4 /dev/vda rw"
SECOND = b"130 100 0:51 / /host/proc ro,relatime - proc proc rw"

CASES = (
    *(
        Case(check, UNKNOWN, "unreadable mounts", HOST, make_container(mounts=denied()))
        for check in (*LEAKS, "leak-mask-bypass")
    ),
    *(
        Case(check, PASS, "only processes in its procfs", HOST, root(mounts=make_mounts(base=SUBSET)))
        for check in LEAKS
    ),
    Case("leak-host-activity", UNKNOWN, "not looked for on the host", make_host(kernel_files={})),
    Case(
        "leak-host-activity", FAIL, "a user's", HOST, severity=Severity.LOW, inherent=True, says=("/proc/stat",)
    ),
    Case("leak-host-activity", FAIL, "root's", HOST, root(), says=("1 of them", "/proc/slabinfo")),
    Case(
        "leak-host-activity",
        FAIL,
        "whose status is hidden",
        HOST,
        make_container(status=denied(), processes=(Process(PID, denied()),)),
        inherent=True,
    ),
    Case("leak-host-identity", FAIL, "the command line", HOST, inherent=True, says=("/proc/cmdline", "layers")),
    Case("leak-host-identity", FAIL, "serials", with_files(DMI), root(), says=(DMI,)),
    Case(
        "leak-host-identity",
        FAIL,
        "the host's machine-id",
        HOST,
        make_container(mounts=make_mounts(BIND)),
        says=("machine-id by the mount at /x",),
    ),
    Case(
        "leak-page-ownership",
        FAIL,
        "root's",
        HOST,
        root(),
        severity=Severity.MEDIUM,
        says=("/proc/kpagecgroup",),
    ),
    Case("leak-page-ownership", FAIL, "by capability", HOST, capable("CAP_DAC_READ_SEARCH")),
    Case("leak-page-ownership", PASS, "a user's", HOST),
    Case(
        "leak-page-ownership",
        PASS,
        "root of its own user namespace",
        HOST,
        root(uid_map=known((IdRange(0, 100000, 65536),)))._replace(
            status=known(make_status(uids=(100000,) * 4)),
            processes=(Process(PID, known(make_status(uids=(100000,) * 4))),),
        ),
    ),
    Case(
        "leak-page-ownership",
        UNKNOWN,
        "its status hidden",
        HOST,
        make_container(status=denied(), processes=(Process(PID, denied()),)),
    ),
    Case("leak-mask-bypass", PASS, "no twin on this kernel", TWINLESS),
    Case("leak-mask-bypass", UNKNOWN, "twins not looked for", UNTRIED),
    Case(
        "leak-mask-bypass",
        FAIL,
        "a twin",
        HOST,
        inherent=True,
        severity=Severity.LOW,
        says=("/proc/key-users",),
    ),
    Case(
        "leak-mask-bypass",
        FAIL,
        "a second procfs",
        TWINLESS,
        make_container(mounts=make_mounts(SECOND)),
        severity=Severity.MEDIUM,
        says=("/proc/keys", "/host/proc/"),
    ),
)
