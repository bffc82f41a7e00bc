"""Facts for tests: a sound host and a well-confined container, of which each test changes what it is about."""

from __future__ import annotations

import json
from errno import EPERM
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from isoaudit.facts.cgroup import Cgroup, Hierarchy, Membership
from isoaudit.facts.clock import ClockStatus
from isoaudit.facts.container import Container, Identity, Process
from isoaudit.facts.devices import DeviceNode, DeviceProgram
from isoaudit.facts.host import Host
from isoaudit.facts.idmap import IDENTITY
from isoaudit.facts.kernel import KernelRelease
from isoaudit.facts.mounts import Mount, parse_mountinfo
from isoaudit.facts.namespaces import INITIAL, TYPES, Namespaces
from isoaudit.facts.probe import ProbeAnswer
from isoaudit.facts.rlimits import Rlimit
from isoaudit.facts.seccomp import FilterStack
from isoaudit.facts.status import SECCOMP_FILTER, Status
from isoaudit.facts.userland import Userland
from isoaudit.kernel.capability import OCI_DEFAULT
from isoaudit.model import Known, Reading, Unknown
from support.filters import SOURCE, program, real, stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")

GIB = 1 << 30
PID = 4242
DENIED = Unknown("/proc/4242/status", "EACCES: Permission denied; run isoaudit as root")


def known(value: T, source: str = "test") -> Reading[T]:
    return Known(value, source)


def denied(source: str = "test") -> Unknown:
    """What an ordinary user gets."""
    return Unknown(source, "EACCES: Permission denied; run isoaudit as root")


def namespaces(pid: int, /, **inodes: int) -> Namespaces:
    return Namespaces(*(Known(inodes[kind], f"/proc/{pid}/ns/{kind}") for kind in TYPES))


HOST_INODES = {**INITIAL, "mnt": 4026531841, "net": 4026531840}
# As Docker leaves it on cgroup v1: cgroup, time and user are the host's.
OWN_INODES = {
    **HOST_INODES,
    "ipc": 4026532203,
    "mnt": 4026532201,
    "net": 4026532205,
    "pid": 4026532204,
    "uts": 4026532202,
}

HOST_MOUNTINFO = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
23 27 0:22 / /sys rw,relatime - sysfs sysfs rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,mode=755
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:24 / /run rw,nosuid,nodev - tmpfs tmpfs rw,mode=755
"""
# A default Docker container's, cut to what matters.
MOUNTINFO = b"""\
100 90 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
101 100 0:51 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
102 100 0:52 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
103 102 0:53 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
104 100 0:54 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
105 104 0:55 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
106 105 0:30 /docker/0123 /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
107 102 0:56 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
108 100 254:0 /var/lib/docker/containers/0123/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw
109 101 0:51 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
110 101 0:51 /fs /proc/fs ro,nosuid,nodev,noexec,relatime - proc proc rw
111 101 0:51 /irq /proc/irq ro,nosuid,nodev,noexec,relatime - proc proc rw
112 101 0:51 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
113 101 0:51 /sysrq-trigger /proc/sysrq-trigger ro,nosuid,nodev,noexec,relatime - proc proc rw
114 101 0:57 / /proc/acpi ro,relatime - tmpfs tmpfs ro
115 101 0:52 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
116 101 0:52 /null /proc/keys rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
117 101 0:52 /null /proc/timer_list rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
118 104 0:58 / /sys/firmware ro,relatime - tmpfs tmpfs ro
119 101 0:59 / /proc/scsi ro,relatime - tmpfs tmpfs ro
"""

# devices.list of a default Docker container.
DOCKER_DEVICES = """\
b *:* m
c *:* m
c 136:* rwm
c 5:0 rwm
c 5:1 rwm
c 5:2 rwm
c 10:200 rwm
c 1:3 rwm
c 1:5 rwm
c 1:7 rwm
c 1:8 rwm
c 1:9 rwm"""

V1_HIERARCHIES = (
    Hierarchy(1, ("cpu", "cpuacct"), "", "/sys/fs/cgroup/cpu"),
    Hierarchy(1, ("cpuset",), "", "/sys/fs/cgroup/cpuset"),
    Hierarchy(1, ("memory",), "", "/sys/fs/cgroup/memory"),
    Hierarchy(1, ("devices",), "", "/sys/fs/cgroup/devices"),
    Hierarchy(1, ("freezer",), "", "/sys/fs/cgroup/freezer"),
    Hierarchy(1, ("blkio",), "", "/sys/fs/cgroup/blkio"),
    Hierarchy(1, ("pids",), "", "/sys/fs/cgroup/pids"),
    Hierarchy(1, (), "systemd", "/sys/fs/cgroup/systemd"),
    Hierarchy(2, (), "", "/sys/fs/cgroup/unified"),
)
CGROUP_PATH = "/docker/0123"

# What each file says on the container's cgroup of a well-limited container on v1.
V1_SETTINGS = {
    "cpu.cfs_quota_us": "50000",
    "cpu.cfs_period_us": "100000",
    "cpu.shares": "512",
    "cpu.rt_runtime_us": "0",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "cpuset.effective_cpus": "0",
    "cpuset.effective_mems": "0",
    "memory.limit_in_bytes": str(512 << 20),
    "memory.memsw.limit_in_bytes": str(512 << 20),
    "memory.swappiness": "60",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0",
    "memory.kmem.usage_in_bytes": "4096",
    "devices.list": DOCKER_DEVICES,
    "freezer.state": "THAWED",
    "blkio.throttle.read_bps_device": "254:0 10485760",
    "blkio.throttle.write_bps_device": "254:0 10485760",
    "blkio.throttle.read_iops_device": "",
    "blkio.throttle.write_iops_device": "",
    "pids.max": "100",
}


def v1_file(file: str, path: str = CGROUP_PATH) -> str:
    """Where a v1 cgroup file stands."""
    return f"/sys/fs/cgroup/{file.partition('.')[0]}{path}/{file}"


def cgroup_v1(parent: Mapping[str, str] | None = None, **changes: str | Reading[str] | None) -> Reading[Cgroup]:
    """A v1 cgroup: the well-limited one, with changes.

    Args:
        parent: what files say on its parent (`/docker`), where that matters.
        changes: by file name with `.` written as `__`; None leaves a file out.
    """
    settings: dict[str, tuple[Reading[str], ...]] = {}
    values: dict[str, str | Reading[str] | None] = {
        **V1_SETTINGS,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    for file, value in values.items():
        if value is None:
            continue
        leaf = Known(value, v1_file(file)) if isinstance(value, str) else value
        above = (Known(parent[file], v1_file(file, "/docker")),) if parent and file in parent else ()
        settings[file] = (leaf, *above)
    memberships = tuple(
        Membership(number, h.controllers or ((f"name={h.name}",) if h.version == 1 else ()), CGROUP_PATH)
        for number, h in zip(range(len(V1_HIERARCHIES) - 1, -1, -1), V1_HIERARCHIES, strict=True)
    )
    return Known(Cgroup(memberships, settings, {}, device_programs=device_programs()), f"/proc/{PID}/cgroup")


V2_PATH = "/system.slice/docker-0123.scope"
# What engines and systemd attach to cgroups (tests/vm/test_devices.py captures them), and what that amounts to.
CAPTURED_PROGRAMS: Mapping[str, Mapping[str, Any]] = json.loads(
    (Path(__file__).parent / "data/device_programs.json").read_text()
)


def device_programs(*names: str, path: str = V2_PATH) -> Reading[tuple[DeviceProgram, ...]]:
    """Captured device programs on a cgroup."""
    return Known(
        tuple(
            DeviceProgram(30 + at, "ab4bc4523b7fe6b4", "", CAPTURED_PROGRAMS[name]["instructions"], path)
            for at, name in enumerate(names)
        ),
        f"bpf(2) BPF_PROG_QUERY, {path}",
    )


V2_SETTINGS = {
    "cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc",
    "cgroup.type": "domain",
    "cpu.max": "50000 100000",
    "cpu.weight": "50",
    "cpu.idle": "0",
    "cpuset.cpus": "0",
    "cpuset.cpus.effective": "0",
    "cpuset.mems.effective": "0",
    "memory.max": str(512 << 20),
    "memory.high": "max",
    "memory.swap.max": "0",
    "memory.oom.group": "0",
    "io.max": "254:0 rbps=10485760 wbps=max riops=max wiops=max",
    "io.weight": "default 100",
    "pids.max": "100",
    "cgroup.freeze": "0",
}


def cgroup_v2(
    parent: Mapping[str, str] | None = None,
    programs: Reading[tuple[DeviceProgram, ...]] | None = None,
    **changes: str | Reading[str] | None,
) -> Reading[Cgroup]:
    """A v2 cgroup: the well-limited one, with changes (as for `cgroup_v1`); `programs` are Docker's by default."""
    settings: dict[str, tuple[Reading[str], ...]] = {}
    path = V2_PATH
    values: dict[str, str | Reading[str] | None] = {
        **V2_SETTINGS,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    for file, value in values.items():
        if value is None:
            continue
        leaf = Known(value, f"/sys/fs/cgroup{path}/{file}") if isinstance(value, str) else value
        above = (
            (Known(parent[file], f"/sys/fs/cgroup/system.slice/{file}"),) if parent and file in parent else ()
        )
        settings[file] = (leaf, *above)
    cgroup = Cgroup(
        (Membership(0, (), path),), settings, {}, device_programs=programs or device_programs("docker")
    )
    return Known(cgroup, f"/proc/{PID}/cgroup")


def make_status(**changes: Any) -> Status:
    """Status of a container's first process: default capabilities, a seccomp filter, NoNewPrivs set, not root."""
    source = f"/proc/{PID}/status"
    fine = Status(
        name="app",
        ppid=1,
        tracer_pid=0,
        uids=(1000, 1000, 1000, 1000),
        gids=(1000, 1000, 1000, 1000),
        cap_inheritable=0,
        cap_permitted=0,
        cap_effective=0,
        cap_bounding=OCI_DEFAULT,
        cap_ambient=Known(0, source),
        ns_pids=Known((PID, 1), source),
        no_new_privs=Known(True, source),
        seccomp=Known(SECCOMP_FILTER, source),
        seccomp_filters=Known(1, source),
        threads=1,
    )
    return fine._replace(**changes)


def make_mounts(*extra: bytes, base: bytes = MOUNTINFO) -> Reading[tuple[Mount, ...]]:
    """A mount table: the default Docker one, and lines of mountinfo after it."""
    return Known(parse_mountinfo(base + b"".join(line + b"\n" for line in extra)), f"/proc/{PID}/mountinfo")


def filters(
    *,
    deny: Iterable[str] = (),
    allow: Iterable[str] | None = None,
    error: int = EPERM,
    pinned: bool = True,
    x32_guard: bool = True,
    pids: Sequence[int] = (4242,),
) -> Reading[tuple[FilterStack, ...]]:
    """A container whose processes all have one small filter (see `program`)."""
    made = program(deny=deny, allow=allow, error=error, pinned=pinned, x32_guard=x32_guard)
    return Known((stack(made, pids=pids),), SOURCE)


def make_identity(**changes: Any) -> Identity:
    fine = Identity("web-1", PID, 100, "docker", "0123" * 16, "web-1", "nginx:1", "")
    return fine._replace(**changes)


def node(path: str, kind: str, major: int, minor: int, **changes: Any) -> DeviceNode:
    return DeviceNode(path, kind, major, minor, 0o666, 0, 0, nodev=False)._replace(**changes)


DEFAULT_NODES = (
    node("/dev/null", "c", 1, 3),
    node("/dev/zero", "c", 1, 5),
    node("/dev/full", "c", 1, 7),
    node("/dev/random", "c", 1, 8),
    node("/dev/urandom", "c", 1, 9),
    node("/dev/tty", "c", 5, 0),
)

RLIMITS = {
    "Max processes": Rlimit(4096, 4096),
    "Max open files": Rlimit(1024, 4096),
    "Max locked memory": Rlimit(65536, 65536),
    "Max core file size": Rlimit(0, 0),
    "Max file size": Rlimit(None, None),
    "Max pending signals": Rlimit(4096, 4096),
    "Max msgqueue size": Rlimit(819200, 819200),
    "Max nice priority": Rlimit(0, 0),
    "Max realtime priority": Rlimit(0, 0),
}


def make_container(**changes: Any) -> Container:
    """A well-confined container, with changes to its fields; `status` may be a Status or a reading."""
    status = changes.pop("status", make_status())
    reading: Reading[Status] = Known(status, f"/proc/{PID}/status") if isinstance(status, Status) else status
    fine = Container(
        identity=make_identity(),
        processes=(Process(PID, reading),),
        namespaces=namespaces(PID, **OWN_INODES),
        status=reading,
        uid_map=Known(IDENTITY, f"/proc/{PID}/uid_map"),
        gid_map=Known(IDENTITY, f"/proc/{PID}/gid_map"),
        mounts=make_mounts(),
        cgroup=cgroup_v1(),
        rlimits=Known(RLIMITS, f"/proc/{PID}/limits"),
        lsm_label=Known("docker-default (enforce)", f"/proc/{PID}/attr/current"),
        oom_score_adj=Known(0, f"/proc/{PID}/oom_score_adj"),
        devices=Known(DEFAULT_NODES, f"/proc/{PID}/root/dev"),
        userland=Known(
            Userland("debian", "12", "Debian GNU/Linux 12 (bookworm)", "glibc", "2.36", "", ()),
            f"/proc/{PID}/root",
        ),
        probes={},
        filters=real("docker-29.4.2", [process.pid for process in changes.get("processes", ())] or [PID]),
        secrets=Known((), f"/proc/{PID}/root"),
        privileged_files=Known((), f"/proc/{PID}/root"),
    )
    return fine._replace(**changes)


# What a common kernel has of the files that checks look for; MOUNTINFO masks all of them that are to be masked.
KERNEL_FILES = {
    "/proc/pressure/memory": True,
    "/proc/acpi": True,
    "/proc/asound": False,
    "/proc/bus": True,
    "/proc/fs": True,
    "/proc/interrupts": False,
    "/proc/irq": True,
    "/proc/kcore": True,
    "/proc/key-users": True,
    "/proc/keys": True,
    "/proc/latency_stats": False,
    "/proc/sched_debug": False,
    "/proc/scsi": True,
    "/proc/self/ns/user": True,
    "/proc/swaps": True,
    "/proc/sys": True,
    "/proc/sys/fs/binfmt_misc": True,
    "/proc/sys/kernel/core_pattern": True,
    "/proc/sys/kernel/hotplug": False,
    "/proc/sys/kernel/modprobe": True,
    "/proc/sysrq-trigger": True,
    "/proc/timer_list": True,
    "/proc/timer_stats": False,
    "/sys/class/misc/vsock": True,
    "/sys/dev/block": False,
    "/sys/devices/system/cpu/cpu0/thermal_throttle": False,
    "/sys/devices/virtual/powercap": False,
    "/sys/firmware": True,
    "/sys/fs/selinux": False,
    "/sys/kernel/uevent_helper": False,
}


def make_host(**changes: Any) -> Host:
    """A sound host with cgroup v1 and v2, 24 GiB and two CPUs; `sysctls` adds to the fine ones."""
    sysctls: dict[str, Reading[str]] = {
        name: Known(value, f"/proc/sys/{name.replace('.', '/')}")
        for name, value in {
            "kernel.acct": "4\t2\t30",
            "kernel.core_pattern": "core",
            "kernel.dmesg_restrict": "1",
            "kernel.io_uring_disabled": "2",
            "kernel.io_uring_group": "-1",
            "kernel.kexec_load_disabled": "1",
            "kernel.kptr_restrict": "2",
            "kernel.modules_disabled": "1",
            "kernel.perf_event_paranoid": "3",
            "kernel.pid_max": "4194304",
            "kernel.randomize_va_space": "2",
            "kernel.sched_rt_runtime_us": "950000",
            "kernel.sysrq": "0",
            "kernel.unprivileged_bpf_disabled": "2",
            "kernel.yama.ptrace_scope": "1",
            "user.max_user_namespaces": "0",
            "vm.overcommit_memory": "0",
            "vm.unprivileged_userfaultfd": "0",
        }.items()
    }
    for name, value in changes.pop("sysctls", {}).items():
        sysctls[name] = Known(value, f"/proc/sys/{name.replace('.', '/')}") if isinstance(value, str) else value
    fine = Host(
        hostname=known("host-1", "/proc/sys/kernel/hostname"),
        kernel=known(KernelRelease(6, 12, 30, "-amd64"), "/proc/sys/kernel/osrelease"),
        kernel_build=known("Linux version 6.12.30-amd64", "/proc/version"),
        machine="x86_64",
        boot_id=known("b8e0f9a2-0000-4000-8000-000000000000", "/proc/sys/kernel/random/boot_id"),
        namespaces=namespaces(1, **HOST_INODES),
        mounts=Known(parse_mountinfo(HOST_MOUNTINFO), "/proc/1/mountinfo"),
        cgroup_layout=known("hybrid", "/proc/1/mountinfo"),
        hierarchies=known(V1_HIERARCHIES, "/proc/1/mountinfo"),
        controllers=known(
            dict.fromkeys(
                (
                    "cpu",
                    "cpuacct",
                    "cpuset",
                    "memory",
                    "devices",
                    "freezer",
                    "blkio",
                    "pids",
                    "hugetlb",
                    "net_cls",
                    "net_prio",
                    "perf_event",
                    "rdma",
                    "misc",
                ),
                True,
            ),
            "/proc/cgroups",
        ),
        memory_bytes=known(24 * GIB, "/proc/meminfo"),
        swap_bytes=known(0, "/proc/meminfo"),
        cpus=known(frozenset({0, 1}), "/sys/devices/system/cpu/online"),
        memory_nodes=known(frozenset({0}), "/sys/devices/system/node/online"),
        hugepage_sizes=known((), "/sys/kernel/mm/hugepages"),
        x86_level=known(3, "/proc/cpuinfo"),
        lsms=known(("lockdown", "capability", "landlock", "yama", "apparmor"), "/sys/kernel/security/lsm"),
        lockdown=known("integrity", "/sys/kernel/security/lockdown"),
        sysctls=sysctls,
        absent_sysctls=frozenset(),
        kernel_files={path: Known(there, path) for path, there in KERNEL_FILES.items()},
        clock=known(ClockStatus(0, 0x2001, 500, 200), "adjtimex(2)"),
        device_names=known(
            (("c", 1, "mem"), ("c", 10, "misc"), ("c", 248, "rtc"), ("b", 254, "virtblk")), "/proc/devices"
        ),
        engine_sockets=known((), "/proc/1/net/unix"),
        command_line=known("root=/dev/vda ro quiet", "/proc/cmdline"),
        distribution=known("Debian GNU/Linux 13 (trixie)", "/etc/os-release"),
    )
    return fine._replace(**changes)


def answered(
    name: str, *, succeeded: bool, answer: str, call: str = "", measured: float | None = None
) -> dict[str, Reading[ProbeAnswer]]:
    """A twin's probe answer, to pass as `probes=`."""
    return {
        name: Known(
            ProbeAnswer(succeeded, call or f"{name}()", answer, measured), f"probe {name} in a twin of web-1"
        )
    }
