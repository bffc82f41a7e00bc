"""Cases of checks/kernel."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Process
from isoaudit.facts.engines import Engine
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.kernel import KernelRelease
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.userland import ElfNotes, Userland
from isoaudit.kernel.capability import OCI_DEFAULT, bit
from isoaudit.model import Basis, Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    KERNEL_FILES,
    MOUNTINFO,
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
    node,
)

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
OLD = known(KernelRelease(4, 18, 0, "-553.el8"), "/proc/sys/kernel/osrelease")


def image(**changes: Any) -> Known[Userland]:
    """A Debian 12 image, with changes."""
    fine = Userland("debian", "12", "Debian GNU/Linux 12 (bookworm)", "glibc", "2.36", "", ())
    return Known(fine._replace(**changes), f"/proc/{PID}/root")


SCRATCH = image(distribution="", version="", pretty_name="", libc="", libc_version="")
REFUSED = denied(f"/proc/{PID}/root")


def notes(*, kernel: tuple[int, int, int] | None = None, level: int | None = None) -> tuple[ElfNotes, ...]:
    return (ElfNotes(LIBC, kernel, level),)


SYSTEMD = make_status(name="systemd")

IMAGE = (
    Case(
        "kernel-too-old-for-image",
        FAIL,
        "libc refuses the kernel",
        host=make_host(kernel=known(KernelRelease(2, 6, 32, ""))),
        container=make_container(userland=image(libc_version="2.31", elf=notes(kernel=(3, 2, 0)))),
        severity=Severity.HIGH,
        says=("3.2.0", "2.6.32"),
    ),
    Case(
        "kernel-too-old-for-image",
        FAIL,
        "systemd as first process",
        host=make_host(kernel=OLD),
        container=make_container(userland=image(systemd_version="258.7"), status=SYSTEMD),
        basis=Basis.INFERRED,
        says=("systemd 258", "5.4"),
    ),
    Case(
        "kernel-too-old-for-image",
        PASS,
        "systemd is only installed",
        host=make_host(kernel=OLD),
        container=make_container(userland=image(systemd_version="258.7")),
        says=("not its first process",),
    ),
    Case(
        "kernel-too-old-for-image",
        PASS,
        "a libc that no longer looks",
        host=make_host(kernel=known(KernelRelease(2, 6, 32, ""))),
        container=make_container(userland=image(elf=notes(kernel=(3, 2, 0)))),
    ),
    Case("kernel-too-old-for-image", PASS, "a new kernel"),
    Case(
        "kernel-too-old-for-image",
        NOT_APPLICABLE,
        "a static program",
        container=make_container(userland=SCRATCH),
    ),
    Case("kernel-too-old-for-image", UNKNOWN, "refused", container=make_container(userland=REFUSED)),
    Case(
        "kernel-cpu-level-missing",
        FAIL,
        "by the note",
        host=make_host(x86_level=known(1, "/proc/cpuinfo")),
        container=make_container(userland=image(elf=notes(level=2))),
        severity=Severity.HIGH,
        basis=Basis.OBSERVED,
        says=("x86-64-v2", "baseline"),
    ),
    Case(
        "kernel-cpu-level-missing",
        FAIL,
        "by the release",
        host=make_host(x86_level=known(2, "/proc/cpuinfo")),
        container=make_container(userland=image(distribution="rhel", version="10.1")),
        basis=Basis.INFERRED,
        says=("rhel 10.1", "x86-64-v3"),
    ),
    Case(
        "kernel-cpu-level-missing",
        PASS,
        "the CPU has more",
        container=make_container(userland=image(elf=notes(level=2))),
    ),
    Case("kernel-cpu-level-missing", NOT_APPLICABLE, "no level", container=make_container(userland=SCRATCH)),
    Case("kernel-cpu-level-missing", NOT_APPLICABLE, "arm", host=make_host(machine="aarch64")),
    Case("kernel-cpu-level-missing", UNKNOWN, "image refused", container=make_container(userland=REFUSED)),
    Case(
        "kernel-cpu-level-missing",
        UNKNOWN,
        "CPU not known",
        host=make_host(x86_level=denied("/proc/cpuinfo")),
        container=make_container(userland=image(elf=notes(level=1))),
    ),
    Case(
        "kernel-older-than-image-release",
        FAIL,
        "Debian 12 on 4.18",
        host=make_host(kernel=OLD),
        severity=Severity.MEDIUM,
        basis=Basis.INFERRED,
        says=("bookworm", "6.1", "io_uring_setup", "more"),
    ),
    Case(
        "kernel-older-than-image-release",
        FAIL,
        "nothing known lies between",
        host=make_host(kernel=known(KernelRelease(6, 11, 3, ""))),
        container=make_container(userland=image(distribution="debian", version="13")),
        severity=Severity.LOW,
    ),
    Case("kernel-older-than-image-release", PASS, "newer", basis=Basis.INFERRED),
    Case(
        "kernel-older-than-image-release",
        PASS,
        "the same series",
        host=make_host(kernel=known(KernelRelease(6, 1, 0, "-40-amd64"))),
    ),
    Case(
        "kernel-older-than-image-release",
        PASS,
        "a point release",
        container=make_container(userland=image(distribution="alpine", version="3.19.1", pretty_name="")),
        says=("alpine 3.19.1", "6.6"),
    ),
    Case(
        "kernel-older-than-image-release",
        NOT_APPLICABLE,
        "rolling",
        container=make_container(userland=image(distribution="arch", version="", pretty_name="Arch Linux")),
    ),
    Case(
        "kernel-older-than-image-release", NOT_APPLICABLE, "scratch", container=make_container(userland=SCRATCH)
    ),
    Case("kernel-older-than-image-release", UNKNOWN, "refused", container=make_container(userland=REFUSED)),
    Case(
        "kernel-image-needs-cgroup-version",
        FAIL,
        "258 on v1",
        host=make_host(cgroup_layout=known("v1")),
        container=make_container(userland=image(systemd_version="258~rc1"), status=SYSTEMD),
        severity=Severity.MEDIUM,
        says=("no cgroup v1",),
    ),
    Case(
        "kernel-image-needs-cgroup-version",
        FAIL,
        "256 on hybrid",
        container=make_container(userland=image(systemd_version="256.7-1.fc41"), status=SYSTEMD),
        says=("without an override",),
    ),
    Case(
        "kernel-image-needs-cgroup-version",
        FAIL,
        "219 on v2",
        host=make_host(cgroup_layout=known("v2")),
        container=make_container(userland=image(systemd_version="219"), status=SYSTEMD),
        says=("no cgroup v2",),
    ),
    Case(
        "kernel-image-needs-cgroup-version",
        PASS,
        "only installed",
        container=make_container(userland=image(systemd_version="258")),
        says=("not its first process",),
    ),
    Case(
        "kernel-image-needs-cgroup-version",
        PASS,
        "252 on hybrid",
        container=make_container(userland=image(systemd_version="252"), status=SYSTEMD),
    ),
    Case("kernel-image-needs-cgroup-version", NOT_APPLICABLE, "no systemd"),
    Case("kernel-image-needs-cgroup-version", UNKNOWN, "refused", container=make_container(userland=REFUSED)),
    Case(
        "kernel-image-needs-cgroup-version",
        UNKNOWN,
        "first process not known",
        container=make_container(userland=image(systemd_version="258"), status=denied()),
    ),
)

ROOT = make_status(uids=(0, 0, 0, 0))
ADMIN = make_status(
    uids=(0, 0, 0, 0),
    cap_effective=OCI_DEFAULT | bit("CAP_SYS_ADMIN"),
    cap_permitted=OCI_DEFAULT | bit("CAP_SYS_ADMIN"),
)
MOUNTED = answered("mount", succeeded=True, call="fsopen(proc)", answer="a file descriptor")
NOT_MOUNTED = answered("mount", succeeded=False, call="fsopen(proc)", answer="EPERM")
NEIGHBOUR = Process(
    4300,
    known(ADMIN._replace(seccomp=known(0)), "/proc/4300/status"),
    known(INITIAL["user"], "/proc/4300/ns/user"),
)
UNCONFINED = known("unconfined", f"/proc/{PID}/attr/current")
# As `--privileged` and `systempaths=unconfined` leave it: nothing lies over /proc.
BARE = (
    b"".join(
        line + b"\n"
        for line in MOUNTINFO.splitlines()
        if b" /proc/" not in line and b" /sys/firmware" not in line
    )
    .replace(b" /sys ro,", b" /sys rw,")
    .replace(b"sysfs sysfs ro", b"sysfs sysfs rw")
)
OPEN = {"mounts": make_mounts(base=BARE), "status": ROOT, "lsm_label": UNCONFINED}
# A procfs mounted over the masked one: the masks keep their lines and hide nothing any more.
COVERED = make_mounts(b"130 101 0:51 / /proc rw,relatime - proc proc rw")
SECOND = make_mounts(b"130 100 0:51 / /host/proc rw,relatime - proc proc rw")
USERNS = {
    "namespaces": namespaces(PID, **{**OWN_INODES, "user": 4026532900}),
    "uid_map": Known((IdRange(0, 100000, 65536),), f"/proc/{PID}/uid_map"),
}
NO_MOUNTS = denied(f"/proc/{PID}/mountinfo")
HIDDEN = make_container(status=denied(), mounts=make_mounts(base=BARE))


def one_of(path: str, *, there: bool | None) -> dict[str, Known[bool] | Unknown]:
    """The kernel's files, one of them otherwise; None: it could not be looked for."""
    files: dict[str, Known[bool] | Unknown] = {p: Known(value, p) for p, value in KERNEL_FILES.items()}
    files[path] = denied(path) if there is None else Known(there, path)
    return files


def written(check: str, says: str, host: object = None) -> tuple[Case, ...]:
    """What every check of a writable file must say."""
    base = host if isinstance(host, type(make_host())) else make_host()
    return (
        Case(check, FAIL, "open to root", host=base, container=make_container(**OPEN), says=(says,)),
        Case(
            check,
            FAIL,
            "proc over the masks",
            host=base,
            container=make_container(**{**OPEN, "mounts": COVERED}),
        ),
        Case(
            check,
            FAIL,
            "a second procfs",
            host=base,
            container=make_container(**{**OPEN, "mounts": SECOND}),
            says=("/host/proc/",),
        ),
        Case(
            check,
            FAIL,
            "root is not the first process",
            host=base,
            container=make_container(
                mounts=make_mounts(base=BARE),
                lsm_label=UNCONFINED,
                processes=(Process(PID, known(make_status())), Process(4300, known(ROOT))),
            ),
            says=("4300",),
        ),
        Case(
            check,
            FAIL,
            "not root but may become it",
            host=base,
            container=make_container(
                **{**OPEN, "status": make_status(cap_permitted=bit("CAP_SETUID"))},
            ),
        ),
        Case(
            check,
            FAIL,
            "proven to mount",
            host=base,
            container=make_container(status=ADMIN, probes=MOUNTED),
            basis=Basis.PROVEN,
            says=("fresh",),
        ),
        Case(check, PASS, "masked", host=base),
        Case(check, PASS, "masked for root", host=base, container=make_container(status=ROOT)),
        Case(
            check,
            FAIL,
            "CAP_SYS_ADMIN and a filter that lets it mount",
            host=base,
            container=make_container(status=ADMIN, filters=filters(), lsm_label=UNCONFINED),
            basis=Basis.OBSERVED,
            says=("fresh",),
        ),
        Case(
            check,
            FAIL,
            "a neighbour that the refused twin does not stand for",
            host=base,
            container=make_container(
                processes=(Process(PID, known(make_status())), NEIGHBOUR),
                filters=filters(pids=(PID,)),
                lsm_label=UNCONFINED,
                probes=NOT_MOUNTED,
            ),
        ),
        Case(check, PASS, "its filter forbids mounts", host=base, container=make_container(status=ADMIN)),
        Case(
            check,
            PASS,
            "proven not to mount",
            host=base,
            container=make_container(status=ADMIN, filters=filters(), lsm_label=UNCONFINED, probes=NOT_MOUNTED),
        ),
        Case(
            check,
            PASS,
            "a profile may forbid mounts",
            host=base,
            container=make_container(status=ADMIN, filters=filters()),
            says=("unless its profile docker-default",),
        ),
        Case(
            check,
            UNKNOWN,
            "CAP_SYS_ADMIN and a filter that was not read",
            host=base,
            container=make_container(status=ADMIN, filters=denied("filter"), lsm_label=UNCONFINED),
        ),
        Case(
            check,
            PASS,
            "nobody is root",
            host=base,
            container=make_container(mounts=make_mounts(base=BARE)),
            says=("nothing inside runs",),
        ),
        Case(
            check,
            PASS,
            "a user namespace of its own",
            host=base,
            container=make_container(
                **USERNS,
                mounts=make_mounts(base=BARE),
                status=make_status(uids=(100000,) * 4, cap_effective=bit("CAP_SETUID")),
            ),
        ),
        Case(
            check,
            PASS,
            "processes only",
            host=base,
            container=make_container(
                **{
                    **OPEN,
                    "mounts": make_mounts(base=BARE.replace(b"proc proc rw", b"proc proc rw,subset=pid")),
                }
            ),
        ),
        Case(check, UNKNOWN, "no mounts", host=base, container=make_container(mounts=NO_MOUNTS)),
        Case(check, UNKNOWN, "processes refused", host=base, container=HIDDEN),
    )


HOTPLUG = make_host(kernel_files=one_of("/proc/sys/kernel/hotplug", there=True))
BINFMT = b"131 101 0:60 / /proc/sys/fs/binfmt_misc rw,relatime - binfmt_misc binfmt_misc rw"

OPENINGS = (
    *written("kernel-sysctl-writable", "/proc/sys"),
    *written("kernel-core-pattern-writable", "/proc/sys/kernel/core_pattern"),
    *written("kernel-modprobe-path-writable", "/proc/sys/kernel/modprobe"),
    *written("kernel-uevent-helper-writable", "/proc/sys/kernel/hotplug", HOTPLUG),
    *written("kernel-sysrq-writable", "/proc/sysrq-trigger"),
    Case(
        "kernel-core-pattern-writable",
        FAIL,
        "worst without a profile",
        container=make_container(**OPEN),
        severity=Severity.CRITICAL,
    ),
    Case(
        "kernel-core-pattern-writable",
        FAIL,
        "a profile may forbid it",
        container=make_container(mounts=make_mounts(base=BARE), status=ROOT),
        severity=Severity.HIGH,
        says=("docker-default",),
    ),
    Case(
        "kernel-core-pattern-writable",
        FAIL,
        "the file alone is mounted",
        container=make_container(
            **{
                **OPEN,
                "mounts": make_mounts(b"130 100 0:51 /sys/kernel/core_pattern /x rw,relatime - proc proc rw"),
            }
        ),
        says=("at /x by",),
    ),
    Case(
        "kernel-core-pattern-writable",
        PASS,
        "built without",
        host=make_host(kernel_files=one_of("/proc/sys/kernel/core_pattern", there=False)),
        container=make_container(**OPEN),
        says=("has no core_pattern",),
    ),
    Case(
        "kernel-core-pattern-writable",
        UNKNOWN,
        "not looked for",
        host=make_host(kernel_files=one_of("/proc/sys/kernel/core_pattern", there=None)),
        container=make_container(**OPEN),
    ),
    Case(
        "kernel-core-pattern-writable",
        PASS,
        "CAP_DAC_OVERRIDE does not help",
        container=make_container(**{**OPEN, "status": make_status(cap_effective=bit("CAP_DAC_OVERRIDE"))}),
    ),
    Case(
        "kernel-core-pattern-writable",
        PASS,
        "mounts in its own user namespace",
        container=make_container(**USERNS, status=ADMIN._replace(uids=(100000,) * 4), probes=MOUNTED),
    ),
    Case(
        "kernel-sysrq-writable",
        FAIL,
        "CAP_DAC_OVERRIDE does",
        container=make_container(**{**OPEN, "status": make_status(cap_effective=bit("CAP_DAC_OVERRIDE"))}),
        severity=Severity.HIGH,
    ),
    Case(
        "kernel-sysrq-writable",
        PASS,
        "built without",
        host=make_host(kernel_files=one_of("/proc/sysrq-trigger", there=False)),
        container=make_container(**OPEN),
    ),
    Case(
        "kernel-uevent-helper-writable",
        FAIL,
        "on sysfs",
        host=make_host(kernel_files=one_of("/sys/kernel/uevent_helper", there=True)),
        container=make_container(**OPEN),
        severity=Severity.CRITICAL,
        says=("/sys/kernel/uevent_helper",),
    ),
    Case("kernel-uevent-helper-writable", PASS, "built without", container=make_container(**OPEN)),
    Case(
        "kernel-binfmt-writable",
        FAIL,
        "mounted",
        container=make_container(**{**OPEN, "mounts": make_mounts(BINFMT, base=BARE)}),
        severity=Severity.CRITICAL,
        says=("/proc/sys/fs/binfmt_misc/register",),
    ),
    Case(
        "kernel-binfmt-writable",
        PASS,
        "lies below a covered folder",
        container=make_container(**{**OPEN, "mounts": make_mounts(BINFMT)}),
    ),
    Case("kernel-binfmt-writable", PASS, "not mounted", container=make_container(**OPEN)),
    Case("kernel-binfmt-writable", UNKNOWN, "no mounts", container=make_container(mounts=NO_MOUNTS)),
    Case(
        "kernel-sysctl-writable",
        PASS,
        "only what namespaces divide",
        container=make_container(
            **{**OPEN, "mounts": make_mounts(b"130 112 0:51 /sys/net /proc/sys/net rw - proc proc rw")}
        ),
    ),
    Case(
        "kernel-sysctl-writable",
        FAIL,
        "a part",
        container=make_container(
            **{**OPEN, "mounts": make_mounts(b"130 112 0:51 /sys/vm /proc/sys/vm rw - proc proc rw")}
        ),
        severity=Severity.HIGH,
        says=("/proc/sys/vm",),
    ),
    Case(
        "kernel-sys-writable",
        FAIL,
        "to root",
        container=make_container(**OPEN),
        severity=Severity.HIGH,
        says=("/sys by",),
    ),
    Case(
        "kernel-sys-writable",
        FAIL,
        "network devices only",
        container=make_container(
            **{
                **OPEN,
                "mounts": make_mounts(
                    b"130 104 0:54 /devices/virtual/net /sys/devices/virtual/net rw - sysfs sysfs rw"
                ),
            }
        ),
        severity=Severity.LOW,
    ),
    Case(
        "kernel-sys-writable",
        FAIL,
        "read-only until it remounts it",
        container=make_container(status=ADMIN, filters=filters(), lsm_label=UNCONFINED),
        severity=Severity.HIGH,
        says=("/sys is read-only", "remount"),
    ),
    Case(
        "kernel-sys-writable",
        PASS,
        "remountable, but not by the host's root",
        container=make_container(
            status=ADMIN._replace(
                uids=(1000,) * 4, cap_effective=bit("CAP_SYS_ADMIN"), cap_permitted=bit("CAP_SYS_ADMIN")
            ),
            filters=filters(),
            lsm_label=UNCONFINED,
        ),
        says=("host's uid 0",),
    ),
    Case(
        "kernel-sys-writable",
        PASS,
        "a profile may forbid to remount it",
        container=make_container(status=ADMIN, filters=filters()),
        says=("unless its profile",),
    ),
    Case("kernel-sys-writable", PASS, "read-only", container=make_container(status=ROOT)),
    Case(
        "kernel-sys-writable",
        PASS,
        "the superblock is read-only",
        container=make_container(
            **{**OPEN, "mounts": make_mounts(b"130 100 0:54 / /s rw,relatime - sysfs sysfs ro")}
        ),
    ),
    Case(
        "kernel-sys-writable", PASS, "nobody is root", container=make_container(mounts=make_mounts(base=BARE))
    ),
    Case("kernel-sys-writable", UNKNOWN, "no mounts", container=make_container(mounts=NO_MOUNTS)),
    Case("kernel-sys-writable", UNKNOWN, "processes refused", container=HIDDEN),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "all open",
        container=make_container(**OPEN),
        severity=Severity.MEDIUM,
        says=("/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/sys (writable)"),
    ),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "bypassed",
        container=make_container(mounts=SECOND),
        says=("/proc/kcore", "by /host/proc"),
    ),
    Case("kernel-proc-unmasked", FAIL, "covered", container=make_container(mounts=COVERED)),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "many mounts",
        container=make_container(
            mounts=make_mounts(*(b"%d 100 0:51 / /p%d rw - proc proc rw" % (n, n) for n in range(200, 230)))
        ),
        says=("by /p200, /p201 and 28 more",),
    ),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "only the newest mask is missing",
        host=make_host(kernel_files=one_of("/proc/interrupts", there=True)),
        severity=Severity.LOW,
        says=("/proc/interrupts",),
    ),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "proven to mount",
        container=make_container(status=ADMIN, probes=MOUNTED),
        basis=Basis.PROVEN,
        severity=Severity.MEDIUM,
    ),
    Case("kernel-proc-unmasked", PASS, "masked"),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "CAP_SYS_ADMIN and a filter that lets it unmount",
        container=make_container(
            status=ADMIN, filters=filters(allow=("read", "umount2")), lsm_label=UNCONFINED
        ),
        basis=Basis.OBSERVED,
        severity=Severity.MEDIUM,
    ),
    Case("kernel-proc-unmasked", PASS, "its filter forbids mounts", container=make_container(status=ADMIN)),
    Case(
        "kernel-proc-unmasked",
        PASS,
        "a profile may forbid mounts",
        container=make_container(status=ADMIN, filters=filters()),
        says=("unless its profile",),
    ),
    Case(
        "kernel-proc-unmasked",
        UNKNOWN,
        "not looked for",
        host=make_host(kernel_files=one_of("/proc/interrupts", there=None)),
    ),
    Case("kernel-proc-unmasked", UNKNOWN, "no mounts", container=make_container(mounts=NO_MOUNTS)),
    Case(
        "kernel-debugfs-mounted",
        FAIL,
        "to root",
        container=make_container(
            status=ROOT, mounts=make_mounts(b"130 104 0:7 / /sys/kernel/debug rw - debugfs debugfs rw")
        ),
        severity=Severity.HIGH,
        says=("debugfs at /sys/kernel/debug",),
    ),
    Case(
        "kernel-debugfs-mounted",
        FAIL,
        "a part of tracefs to nobody",
        container=make_container(mounts=make_mounts(b"130 100 0:8 /events /t ro - tracefs tracefs rw")),
        severity=Severity.LOW,
        says=("tracefs at /t",),
    ),
    Case("kernel-debugfs-mounted", PASS, "not mounted"),
    Case("kernel-debugfs-mounted", UNKNOWN, "no mounts", container=make_container(mounts=NO_MOUNTS)),
)

RAWIO = make_status(uids=(0, 0, 0, 0), cap_effective=bit("CAP_SYS_RAWIO"), cap_permitted=bit("CAP_SYS_RAWIO"))
UNLOCKED = make_host(lockdown=known("none"))
MEMORY = {
    "status": RAWIO,
    "devices": Known((node("/dev/mem", "c", 1, 1),), f"/proc/{PID}/root/dev"),
    "cgroup": cgroup_v1(devices__list="a *:* rwm"),
}

MEMORY_CASES = (
    Case(
        "kernel-memory-readable",
        FAIL,
        "kcore",
        container=make_container(**{**OPEN, "status": RAWIO}),
        severity=Severity.CRITICAL,
        says=("/proc/kcore",),
    ),
    Case(
        "kernel-memory-readable",
        FAIL,
        "/dev/mem",
        host=UNLOCKED,
        container=make_container(**MEMORY),
        severity=Severity.CRITICAL,
        says=("/dev/mem",),
    ),
    Case(
        "kernel-memory-readable",
        FAIL,
        "kcore though devices are not known",
        host=UNLOCKED,
        container=make_container(**{**OPEN, "status": RAWIO, "devices": denied()}),
    ),
    Case(
        "kernel-memory-readable",
        FAIL,
        "lockdown not known",
        host=make_host(lockdown=denied("/sys/kernel/security/lockdown")),
        container=make_container(**MEMORY),
        says=("could not be read",),
    ),
    Case("kernel-memory-readable", PASS, "no capability", container=make_container(**OPEN)),
    Case(
        "kernel-memory-readable",
        PASS,
        "in its own user namespace",
        container=make_container(**{**OPEN, **USERNS, "status": RAWIO}),
    ),
    Case("kernel-memory-readable", PASS, "lockdown forbids mem", container=make_container(**MEMORY)),
    Case(
        "kernel-memory-readable",
        PASS,
        "lockdown forbids kcore",
        host=make_host(lockdown=known("confidentiality")),
        container=make_container(**{**OPEN, "status": RAWIO}),
    ),
    Case(
        "kernel-memory-readable",
        PASS,
        "nothing to use it on",
        host=UNLOCKED,
        container=make_container(status=RAWIO),
    ),
    Case(
        "kernel-memory-readable",
        PASS,
        "built without kcore",
        host=make_host(kernel_files=one_of("/proc/kcore", there=False)),
        container=make_container(**{**OPEN, "status": RAWIO}),
    ),
    Case(
        "kernel-memory-readable",
        UNKNOWN,
        "devices not known",
        host=UNLOCKED,
        container=make_container(status=RAWIO, devices=denied()),
    ),
    Case("kernel-memory-readable", UNKNOWN, "processes refused", container=HIDDEN),
)


def setting(name: str, value: str) -> dict[str, dict[str, str]]:
    return {"sysctls": {name: value}}


def row(check: str, name: str, bad: tuple[str, ...], good: tuple[str, ...]) -> tuple[Case, ...]:
    """What a check of one setting must say of bad values, of good ones, and of one that cannot be read."""
    path = f"/proc/sys/{name.replace('.', '/')}"
    return (
        *(Case(check, FAIL, f"{name}={value}", host=make_host(**setting(name, value))) for value in bad),
        *(Case(check, PASS, f"{name}={value}", host=make_host(**setting(name, value))) for value in good),
        Case(check, UNKNOWN, "refused", host=make_host(sysctls={name: denied(path)})),
    )


def without(check: str, name: str, outcome: Verdict, **changes: object) -> Case:
    """What it must say of a kernel without the setting."""
    path = f"/proc/sys/{name.replace('.', '/')}"
    host = make_host(
        sysctls={name: Unknown(path, "ENOENT: this kernel does not have the setting")},
        absent_sysctls=frozenset({name}),
        **changes,
    )
    return Case(check, outcome, "no such setting" + "".join(f" {key}" for key in changes), host=host)


USERNS_SETTINGS = {"user.max_user_namespaces": "63000"}
NO_USERNS_SETTINGS = frozenset(
    {
        "user.max_user_namespaces",
        "kernel.unprivileged_userns_clone",
        "kernel.apparmor_restrict_unprivileged_userns",
    }
)
ROOTLESS = Engine(
    "podman", 900, known(1000), known(4026532700), {}, "", known({}, "none"), known((), "/proc/900/net/tcp")
)
MAINLINE = NO_USERNS_SETTINGS - {"user.max_user_namespaces"}

HOST_ROWS = (
    *row("kernel-modules-loadable", "kernel.modules_disabled", ("0",), ("1",)),
    without("kernel-modules-loadable", "kernel.modules_disabled", PASS),
    *row("kernel-bpf-unprivileged", "kernel.unprivileged_bpf_disabled", ("0",), ("1", "2")),
    without("kernel-bpf-unprivileged", "kernel.unprivileged_bpf_disabled", PASS),
    *row("kernel-ptrace-permissive", "kernel.yama.ptrace_scope", ("0",), ("1", "2", "3")),
    without("kernel-ptrace-permissive", "kernel.yama.ptrace_scope", FAIL),
    *row("kernel-kptr-exposed", "kernel.kptr_restrict", ("0",), ("1", "2")),
    without("kernel-kptr-exposed", "kernel.kptr_restrict", UNKNOWN),
    *row("kernel-dmesg-unrestricted", "kernel.dmesg_restrict", ("0",), ("1",)),
    without("kernel-dmesg-unrestricted", "kernel.dmesg_restrict", PASS),
    *row("kernel-aslr-weak", "kernel.randomize_va_space", ("0", "1"), ("2",)),
    *row("kernel-perf-unprivileged", "kernel.perf_event_paranoid", ("-1", "0", "1"), ("2", "3", "4")),
    without("kernel-perf-unprivileged", "kernel.perf_event_paranoid", PASS),
    Case(
        "kernel-perf-unprivileged",
        FAIL,
        "worst",
        host=make_host(**setting("kernel.perf_event_paranoid", "-1")),
        severity=Severity.MEDIUM,
    ),
    Case(
        "kernel-perf-unprivileged",
        FAIL,
        "users only profile themselves and the kernel",
        host=make_host(**setting("kernel.perf_event_paranoid", "1")),
        severity=Severity.LOW,
    ),
    *row("kernel-tiocsti-allowed", "dev.tty.legacy_tiocsti", ("1",), ("0",)),
    without("kernel-tiocsti-allowed", "dev.tty.legacy_tiocsti", FAIL),
    *row("kernel-line-disciplines-loadable", "dev.tty.ldisc_autoload", ("1",), ("0",)),
    without("kernel-line-disciplines-loadable", "dev.tty.ldisc_autoload", FAIL),
    *row("kernel-sysrq-enabled", "kernel.sysrq", ("1", "438", "176", "4"), ("0", "16")),
    without("kernel-sysrq-enabled", "kernel.sysrq", PASS),
    *row("kernel-io-uring-enabled", "kernel.io_uring_disabled", ("0",), ("1", "2")),
    without("kernel-io-uring-enabled", "kernel.io_uring_disabled", PASS),
    without(
        "kernel-io-uring-enabled", "kernel.io_uring_disabled", FAIL, kernel=known(KernelRelease(6, 1, 0, ""))
    ),
    Case(
        "kernel-io-uring-enabled",
        PASS,
        "before io_uring",
        host=make_host(
            kernel=OLD,
            sysctls={"kernel.io_uring_disabled": Unknown("/proc/sys/kernel/io_uring_disabled", "ENOENT")},
            absent_sysctls=frozenset({"kernel.io_uring_disabled"}),
        ),
        basis=Basis.INFERRED,
    ),
    *row("kernel-userfaultfd-unprivileged", "vm.unprivileged_userfaultfd", ("1",), ("0",)),
    without("kernel-userfaultfd-unprivileged", "vm.unprivileged_userfaultfd", PASS),
    without("kernel-userfaultfd-unprivileged", "vm.unprivileged_userfaultfd", FAIL, kernel=OLD),
    *row(
        "kernel-core-pattern-piped",
        "kernel.core_pattern",
        ("|/usr/lib/systemd/systemd-coredump %P %u",),
        ("core", "/var/core/%p", "@/run/coredump.socket"),
    ),
    without("kernel-core-pattern-piped", "kernel.core_pattern", PASS),
    Case(
        "kernel-core-pattern-piped",
        FAIL,
        "without a limit",
        host=make_host(
            sysctls={"kernel.core_pattern": "|/usr/share/apport/apport %p", "kernel.core_pipe_limit": "0"}
        ),
        severity=Severity.MEDIUM,
        says=("/usr/share/apport/apport as root", "as many at once"),
    ),
    Case("kernel-lockdown-off", FAIL, "none", host=UNLOCKED, severity=Severity.LOW),
    Case(
        "kernel-lockdown-off",
        FAIL,
        "not among the modules",
        host=make_host(lsms=known(("capability", "yama")), lockdown=denied()),
    ),
    Case("kernel-lockdown-off", PASS, "integrity"),
    Case(
        "kernel-lockdown-off",
        UNKNOWN,
        "no securityfs",
        host=make_host(
            lsms=denied("/sys/kernel/security/lsm"), lockdown=denied("/sys/kernel/security/lockdown")
        ),
    ),
    Case(
        "kernel-userns-unrestricted",
        FAIL,
        "mainline",
        host=make_host(sysctls=USERNS_SETTINGS, absent_sysctls=MAINLINE),
        severity=Severity.MEDIUM,
    ),
    Case(
        "kernel-userns-unrestricted",
        FAIL,
        "before the settings",
        host=make_host(
            sysctls={"user.max_user_namespaces": denied()},
            absent_sysctls=NO_USERNS_SETTINGS,
        ),
    ),
    Case("kernel-userns-unrestricted", PASS, "none allowed"),
    Case(
        "kernel-userns-unrestricted",
        PASS,
        "none allowed, which stops a rootless engine",
        host=make_host(engines=known((ROOTLESS,), "/proc")),
        says=("which rootless podman (900) needs",),
    ),
    Case(
        "kernel-userns-unrestricted",
        FAIL,
        "a rootless engine needs them",
        host=make_host(sysctls=USERNS_SETTINGS, absent_sysctls=MAINLINE, engines=known((ROOTLESS,), "/proc")),
        says=("which rootless podman (900) needs",),
    ),
    Case(
        "kernel-userns-unrestricted",
        PASS,
        "Debian",
        host=make_host(sysctls={**USERNS_SETTINGS, "kernel.unprivileged_userns_clone": "0"}),
    ),
    Case(
        "kernel-userns-unrestricted",
        PASS,
        "Ubuntu",
        host=make_host(sysctls={**USERNS_SETTINGS, "kernel.apparmor_restrict_unprivileged_userns": "1"}),
    ),
    Case(
        "kernel-userns-unrestricted",
        PASS,
        "built without",
        host=make_host(sysctls=USERNS_SETTINGS, kernel_files=one_of("/proc/self/ns/user", there=False)),
    ),
    Case(
        "kernel-userns-unrestricted",
        UNKNOWN,
        "refused",
        host=make_host(sysctls={"user.max_user_namespaces": denied()}, absent_sysctls=MAINLINE),
    ),
)

CASES = (*IMAGE, *OPENINGS, *MEMORY_CASES, *HOST_ROWS)
