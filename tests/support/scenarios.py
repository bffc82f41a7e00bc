"""What one flag changes: for each the gaps that must be found, and by omission those that must not.

Every container is compared with its twin: the same runtime with its `TWINS` flags alone. A change that its
scenario does not name is a false alarm, or a gap that was lost.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeAlias

Key: TypeAlias = tuple[str, str]


class Scenario(NamedTuple):
    """One flag on one container."""

    runtime: str
    name: str
    flags: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()  # gaps that it has and its twin has not, or that are worse than its twin's
    closes: tuple[str, ...] = ()  # gaps that its twin has and it has not
    follows: tuple[str, ...] = ()  # ids, or "area-*", that may say something else too: right, but not the point
    without: tuple[str, ...] = ()  # beginnings of those of its twin's flags that it does not get
    command: tuple[str, ...] = ()
    twin: str = "twin"  # the scenario of the same runtime that it is compared with
    bench: str = ""  # what docker-bench-security 1.6.0 says of the flag, recorded as a run of it printed it

    @property
    def key(self) -> Key:
        """Its runtime and its name, which are told apart by both."""
        return self.runtime, self.name


class Change(NamedTuple):
    """One check that says something else of a container than of its twin."""

    check: str
    twin: str
    flagged: str

    def __str__(self) -> str:
        return f"{self.check}: {self.twin} → {self.flagged}"


class Judged(NamedTuple):
    """A scenario and what came of it."""

    scenario: Scenario
    found: tuple[str, ...]  # of what it opens
    missed: tuple[str, ...]  # of what it opens or closes
    unexpected: tuple[Change, ...]


_RANK = {"critical": 5, "high": 4, "medium": 3, "low": 2, "info": 1}
Findings = Mapping[str, Mapping[str, Any]]


def state(findings: Findings, check: str) -> str:
    """The severity of a gap, "fine" where there is none, else the outcome."""
    finding = findings.get(check)
    if finding is None or finding["outcome"] in ("pass", "not-applicable"):
        return "fine"
    return str(finding["severity"] if finding["outcome"] == "fail" else finding["outcome"])


def judge(scenario: Scenario, twin: Findings, flagged: Findings, apart: Container[str] = frozenset()) -> Judged:
    """Compare a container with its twin, but for checks that depend on what else runs on the machine."""
    changes = {
        check: Change(check, before, after)
        for check in sorted({*twin, *flagged})
        if check not in apart
        if (before := state(twin, check)) != (after := state(flagged, check))
    }
    opened = {c.check for c in changes.values() if _RANK.get(c.flagged, 0) > _RANK.get(c.twin, 0)}
    closed = {c.check for c in changes.values() if c.twin in _RANK and c.flagged not in _RANK}
    expected = (*scenario.opens, *scenario.closes, *scenario.follows)
    return Judged(
        scenario,
        tuple(check for check in scenario.opens if check in opened),
        tuple(check for check in scenario.opens if check not in opened)
        + tuple(check for check in scenario.closes if check not in closed),
        tuple(
            change
            for check, change in changes.items()
            if not any(fnmatchcase(check, pattern) for pattern in expected)
        ),
    )


def summary(judged: Iterable[Judged]) -> list[str]:
    """Recall, false alarms, and the containers that docker-bench-security passed."""
    judged = list(judged)
    wanted = sum(len(one.scenario.opens) for one in judged)
    found = sum(len(one.found) for one in judged)
    runtimes = len({one.scenario.runtime for one in judged})
    alarms = sum(len(one.unexpected) for one in judged)
    lines = [
        f"{len(judged)} one-flag containers of {runtimes} runtimes: {found}/{wanted} gaps found, {alarms} false alarms"
    ]
    for one in judged:
        label = f"{one.scenario.runtime} {one.scenario.name}"
        lines += [f"  missed       {label}: {check}" for check in one.missed]
        lines += [f"  false alarm  {label}: {change}" for change in one.unexpected]
    lines.append("What docker-bench-security 1.6.0 says of the same flags, and isoaudit:")
    lines += [
        f"  {' '.join(one.scenario.flags):44} {one.scenario.bench:12} {', '.join(one.found) or 'nothing'}"
        for one in judged
        if one.scenario.bench
    ]
    return lines


TWINS: dict[str, tuple[str, ...]] = {
    "docker": (
        "--network=none",
        "--cgroupns=private",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--read-only",
        "--memory=64m",
        "--memory-swap=64m",
        "--cpus=0.5",
        "--cpuset-cpus=0",
        "--pids-limit=64",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=512:512",
        "--ulimit=sigpending=512:512",
    ),
    "podman": (
        "--network=none",
        "--cgroupns=private",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--read-only",
        "--memory=64m",
        "--memory-swap=64m",
        "--cpus=0.5",
        "--pids-limit=64",
    ),
    "containerd": ("--seccomp", "--read-only", "--memory-limit=67108864", "--cpus=0.5"),
    "runc": (
        'linux.resources.memory={"limit": 67108864}',
        'linux.resources.cpu={"quota": 50000, "period": 100000}',
        'linux.resources.pids={"limit": 64}',
    ),
    "lxc": ("lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536"),
    "systemd-nspawn": ("--private-network", "--private-users=196608:65536", "--private-users-ownership=chown"),
    "bubblewrap": ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"),
    "unshare": ("--pid", "--net", "--ipc", "--uts", "--cgroup"),
    "firejail": ("--net=none", "--caps.drop=all", "--nonewprivs", "--seccomp"),
}  # fmt: skip

# In flags: @STATE is the engine's folder, @DISK a block device of the host's, @NODE a node of its memory or log,
# @SHARED a folder below a shared mount, @WEAK a seccomp profile that refuses a single call, @PEER and @HOSTNET
# containers that run beside.

BEYOND = "capability-beyond-default"
# Of the host's network namespace: its abstract sockets and interfaces, and what capabilities do there.
ON_HOST_NETWORK = ("network-*", "capability-net-*")
# A second /proc or /sys without the engine's masks and read-only mounts, or the power to make one.
UNMASKED = ("kernel-*", "leak-mask-bypass", "escape-path", "cgroup-writable", "mount-*")
NO_FILTER = ("kernel-*", "namespace-user-creatable", "seccomp-*")
EVERYTHING = (
    "capability-*",
    "cgroup-*",
    "device-*",
    "identity-*",
    "leak-*",
    "namespace-user-*",
    "time-*",
    *UNMASKED,
    *NO_FILTER,
)
TAKE_OVER = ("escape-path", "kernel-core-pattern-writable", "kernel-sysctl-writable")


def added(capability: str, *opens: str, follows: tuple[str, ...] = ()) -> Scenario:
    """A capability more."""
    name = capability.lower().replace("_", "-")
    return Scenario(
        "docker", f"cap-{name}", (f"--cap-add={capability}",), (f"capability-{name}", *opens), follows=follows
    )


def docker(name: str, *flags: str, **expected: Any) -> Scenario:
    """One of Docker's."""
    return Scenario("docker", name, flags, **expected)


DOCKER: tuple[Scenario, ...] = (
    # Namespaces
    docker("pid-host", "--pid=host", opens=("namespace-pid-shared",), follows=("escape-path",)),
    docker("net-host", "--network=host", opens=("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--network",)),
    docker("ipc-host", "--ipc=host", opens=("namespace-ipc-shared", "mount-host-writable")),
    docker("uts-host", "--uts=host", opens=("namespace-uts-shared",)),
    docker("cgroupns-host", "--cgroupns=host", opens=("namespace-cgroup-shared",), without=("--cgroupns",), bench="no item"),
    docker("userns-host", "--userns=host"),
    docker("pid-of-a-peer", "--pid=container:@PEER", opens=("namespace-peer-shared",)),
    docker("ipc-of-a-peer", "--ipc=container:@PEER", opens=("namespace-peer-shared",)),
    docker("net-of-a-peer", "--network=container:@PEER", opens=("namespace-peer-shared",), without=("--network",)),
    docker("net-of-a-peer-on-the-hosts", "--network=container:@HOSTNET", opens=("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--network",), bench="PASS 5.10"),
    # Capabilities
    added("SYS_ADMIN", BEYOND, "kernel-bpf-allowed", "mount-cgroupfs-writable", "mount-sysfs-writable", *TAKE_OVER, follows=(*UNMASKED, "namespace-user-creatable")),
    added("SYS_PTRACE", BEYOND),
    added("SYS_MODULE", BEYOND, follows=("kernel-module-loadable", "escape-path")),
    added("SYS_RAWIO", BEYOND),
    added("SYS_TIME", BEYOND, "time-clock-settable"),
    added("SYS_BOOT", BEYOND, follows=("kernel-kexec-allowed", "kernel-reboot-allowed")),
    added("SYS_NICE", BEYOND, "cgroup-cpu-realtime-allowed"),
    added("SYS_PACCT", BEYOND, follows=("kernel-acct-allowed",)),
    added("SYSLOG", BEYOND, "kernel-log-readable"),
    added("DAC_READ_SEARCH", BEYOND, "escape-path"),
    added("NET_ADMIN", BEYOND),
    added("LINUX_IMMUTABLE", BEYOND),
    added("MAC_ADMIN", BEYOND),
    added("AUDIT_CONTROL", BEYOND),
    added("IPC_LOCK", BEYOND),
    added("WAKE_ALARM", BEYOND),
    added("MKNOD", "device-mknod-allowed", follows=("device-console-exposed", "device-tun-exposed")),
    added("NET_RAW"),
    added("SETFCAP"),
    docker("privileged", "--privileged", opens=("capability-privileged", "capability-sys-admin", "cgroup-devices-unrestricted", "device-block-exposed", "device-mknod-allowed", "seccomp-absent", "time-clock-settable", *TAKE_OVER), follows=EVERYTHING),
    # Seccomp, no_new_privs, the user
    docker("seccomp-none", "--security-opt=seccomp=unconfined", opens=("seccomp-absent", "kernel-keyring-allowed", "namespace-user-creatable"), follows=NO_FILTER, bench="PASS 5.3"),
    docker("seccomp-weak", "--security-opt=seccomp=@WEAK", opens=("kernel-keyring-allowed", "namespace-user-creatable"), follows=NO_FILTER),
    docker("new-privileges", "--security-opt=no-new-privileges=false", opens=("identity-no-new-privileges-unset",), without=("--security-opt",), bench="PASS 5.26"),
    docker("user", "--user=1000:1000", closes=("identity-root", "leak-page-ownership"), follows=("device-sysfs-side-effect", "quota-uid-shared")),
    # Devices
    docker("device-disk", "--device=@DISK", opens=("device-block-exposed", "escape-path")),
    docker("device-kvm", "--device=/dev/kvm", opens=("device-kvm-exposed",), follows=("cgroup-misc-unlimited",)),
    docker("device-fuse", "--device=/dev/fuse", opens=("device-fuse-exposed",)),
    docker("device-tun", "--device=/dev/net/tun", opens=("device-tun-exposed",)),
    docker("device-zero", "--device=/dev/zero:/dev/nothing"),
    docker("device-rule", "--device-cgroup-rule=b *:* rwm", "--cap-add=MKNOD", opens=("device-block-exposed", "device-loop-exposed", "escape-path"), follows=("device-mknod-allowed",), twin="cap-mknod", bench="PASS 5.18"),
    docker("device-rule-without-mknod", "--device-cgroup-rule=b *:* rwm"),
    docker("device-nodes", "-v", "/dev:/dev", opens=("mount-host-sensitive",), follows=("cgroup-misc-unlimited", "device-console-exposed", "device-tun-exposed", "mount-host-writable")),
    docker("device-node", "-v", "@NODE:/m", opens=("mount-host-sensitive",), bench="PASS 5.6"),
    # Mounts
    docker("root", "-v", "/:/host:ro", opens=("mount-host-root", "mount-runtime-socket", "mount-procfs-host", "mount-sysfs-writable", "leak-mask-bypass", *TAKE_OVER), follows=(*UNMASKED, "device-console-exposed", "device-tun-exposed"), bench="PASS 5.6"),
    docker("run", "-v", "@STATE:/hostrun", opens=("mount-runtime-socket", "mount-host-writable", "escape-path"), follows=UNMASKED, bench="PASS 5.32"),
    docker("socket", "-v", "@STATE/docker.sock:/x.sock", opens=("mount-runtime-socket", "escape-path")),
    # Its own root filesystem is among them, and in it a /proc from before the engine made parts read-only.
    docker("images", "-v", "@STATE/root:/x", opens=("mount-host-writable", *TAKE_OVER), follows=UNMASKED, bench="PASS 5.6"),
    docker("etc", "-v", "/etc:/x", opens=("mount-host-sensitive",)),
    docker("proc", "-v", "/proc:/p", opens=("mount-procfs-host", *TAKE_OVER), follows=UNMASKED),
    docker("sys", "-v", "/sys:/s", opens=("mount-sysfs-writable", "kernel-sys-writable"), follows=UNMASKED),
    docker("boot", "-v", "/boot:/b:ro", opens=("mount-host-sensitive",)),
    docker("rshared", "-v", "@SHARED:/x:rshared", opens=("mount-propagation-shared", "mount-host-writable")),
    docker("volume", "-v", "isos:/data"),
    docker("tmpfs", "--tmpfs=/tmp"),
    docker("writable", opens=("mount-rootfs-writable",), without=("--read-only",)),
    docker("unmasked", "--security-opt=systempaths=unconfined", opens=("kernel-proc-unmasked", *TAKE_OVER), follows=("leak-mask-bypass",), bench="no item"),
    # Limits
    docker("no-memory", opens=("cgroup-memory-unlimited",), without=("--memory",)),
    docker("swap", "--memory-swap=-1", follows=("cgroup-memory-swap-unlimited",), without=("--memory-swap",)),
    docker("huge-memory", "--memory=900g", opens=("cgroup-memory-unlimited", "cgroup-limit-ineffective"), without=("--memory",)),
    docker("no-oom-killer", "--oom-kill-disable", opens=("cgroup-memory-oom-disabled",)),
    docker("no-cpu", opens=("cgroup-cpu-unlimited",), without=("--cpus=",)),
    docker("no-cpuset", opens=("cgroup-cpuset-unrestricted",), without=("--cpuset",)),
    docker("no-pids", opens=("cgroup-pids-unlimited",), without=("--pids",)),
    docker("no-ulimits", follows=("process-limits-unlimited",), without=("--ulimit",)),  # the daemon's own apply
    docker("shares", "--cpu-shares=512", closes=("cgroup-cpu-weight-default",)),
    docker("limited-parent", "--cgroup-parent=/isos-limited", without=("--memory", "--cpus=", "--pids")),
    docker("oom-score", "--oom-score-adj=500"),
    # The rest
    docker("sshd", opens=("process-sshd-running",), command=("/bin/sh", "-c", "printf sshd > /proc/$$/comm; sleep 100000; true")),
    docker("init", "--init"),
    docker("sysctl", "--sysctl=net.ipv4.ip_forward=1"),
    docker("labels", "--hostname=web", "--env=A=b", "--label=a=b", "--restart=always"),
)  # fmt: skip

OTHERS: tuple[Scenario, ...] = (
    Scenario("podman", "pid-host", ("--pid=host",), ("namespace-pid-shared",), follows=("escape-path",)),
    Scenario("podman", "net-host", ("--network=host",), ("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--network",)),
    Scenario("podman", "ipc-host", ("--ipc=host",), ("namespace-ipc-shared", "mount-host-writable")),
    Scenario("podman", "cap-sys-admin", ("--cap-add=SYS_ADMIN",), ("capability-sys-admin", BEYOND, *TAKE_OVER), follows=UNMASKED),
    Scenario("podman", "unmasked", ("--security-opt=unmask=ALL",), ("kernel-proc-unmasked", *TAKE_OVER), follows=("leak-mask-bypass",)),
    Scenario("podman", "seccomp-none", ("--security-opt=seccomp=unconfined",), ("seccomp-absent", "kernel-io-uring-allowed"), follows=NO_FILTER),
    Scenario("podman", "privileged", ("--privileged",), ("capability-privileged", "cgroup-devices-unrestricted", "seccomp-absent", "time-clock-settable", *TAKE_OVER), follows=EVERYTHING),
    Scenario("podman", "root", ("-v", "/:/host:ro"), ("mount-host-root", "mount-procfs-host", *TAKE_OVER), follows=(*UNMASKED, "device-console-exposed", "device-tun-exposed")),
    Scenario("podman", "labels", ("--env=A=b", "--label=a=b", "--hostname=web")),
    Scenario("podman", "no-memory", (), ("cgroup-memory-unlimited",), without=("--memory",)),
    Scenario("podman", "id-map", ("--uidmap=0:300000:65536", "--gidmap=0:300000:65536"), closes=("namespace-user-shared", "identity-root", "leak-page-ownership"), follows=("device-sysfs-side-effect", "kernel-keyring-allowed", "quota-uid-shared")),
    Scenario("containerd", "privileged", ("--privileged",), ("capability-privileged", "cgroup-devices-unrestricted", "cgroup-release-agent-writable", "seccomp-absent", *TAKE_OVER), follows=EVERYTHING, without=("--seccomp",)),
    Scenario("containerd", "net-host", ("--net-host",), ("namespace-net-shared", "capability-net-raw"), follows=ON_HOST_NETWORK),
    Scenario("containerd", "no-seccomp", (), ("seccomp-absent", "namespace-user-creatable"), follows=NO_FILTER, without=("--seccomp",)),
    Scenario("containerd", "no-memory", (), ("cgroup-memory-unlimited",), without=("--memory",)),
    Scenario("containerd", "new-privileges", ("--allow-new-privs",), ("identity-no-new-privileges-unset",)),
    Scenario("containerd", "root", ("--mount=type=bind,src=/,dst=/host,options=rbind:ro",), ("mount-host-root", *TAKE_OVER), follows=(*UNMASKED, "device-console-exposed", "device-tun-exposed")),
    Scenario("runc", "pid-host", ('linux.namespaces=[{"type":"mount"},{"type":"network"},{"type":"ipc"},{"type":"uts"}]',), ("namespace-pid-shared",), follows=("escape-path",)),
    Scenario("runc", "uts-host", ('linux.namespaces=[{"type":"mount"},{"type":"network"},{"type":"ipc"},{"type":"pid"}]', 'hostname=""'), ("namespace-uts-shared",)),
    Scenario("runc", "new-privileges", ("process.noNewPrivileges=false",), ("identity-no-new-privileges-unset",)),
    Scenario("runc", "unmasked", ("linux.maskedPaths=[]",), ("kernel-proc-unmasked",), follows=("leak-mask-bypass",)),
    Scenario("runc", "proc-writable", ("linux.readonlyPaths=[]",), TAKE_OVER, follows=("kernel-proc-unmasked",)),
    Scenario("runc", "writable", ("root.readonly=false",), ("mount-rootfs-writable",)),
    Scenario("runc", "devices", ('linux.resources.devices=[{"allow":true,"access":"rwm"}]',), ("cgroup-devices-unrestricted",)),
    Scenario("runc", "capability", ('process.capabilities={"bounding":["CAP_SYS_TIME"],"effective":["CAP_SYS_TIME"],"permitted":["CAP_SYS_TIME"]}',), ("capability-sys-time", BEYOND, "time-clock-settable")),
    Scenario("runc", "bounding-alone", ('process.capabilities={"bounding":["CAP_SYS_TIME"]}',)),  # no_new_privs keeps it there
    Scenario("runc", "no-pids", ("linux.resources.pids=null",), ("cgroup-pids-unlimited",)),
    Scenario("runc", "seccomp", ('linux.seccomp={"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[{"names":["keyctl","add_key","request_key"],"action":"SCMP_ACT_ERRNO"}]}',), ("seccomp-permissive",), closes=("seccomp-absent", "kernel-keyring-allowed")),
    Scenario("lxc", "no-id-map", (), ("namespace-user-shared", "capability-sys-admin", "identity-root", *TAKE_OVER), follows=EVERYTHING, without=("lxc.idmap",)),
    Scenario("lxc", "devices", ("lxc.cgroup.devices.allow = a",), ("cgroup-devices-unrestricted",)),
    Scenario("lxc", "root", ("lxc.mount.entry = / tmp none rbind 0 0",), ("mount-host-root",), follows=(*UNMASKED, "device-*")),
    Scenario("lxc", "memory", ("lxc.cgroup.memory.limit_in_bytes = 64M",), closes=("cgroup-memory-unlimited",)),
    Scenario("systemd-nspawn", "no-id-map", (), ("namespace-user-shared",), follows=EVERYTHING, without=("--private-users",)),
    Scenario("systemd-nspawn", "net-host", (), ("namespace-net-shared",), follows=(*ON_HOST_NETWORK, "device-tun-exposed"), without=("--private-network",)),
    Scenario("systemd-nspawn", "root", ("--bind-ro=/:/host",), ("mount-host-root",), follows=(*UNMASKED, "device-*")),
    Scenario("bubblewrap", "pid-host", (), ("namespace-pid-shared",), without=("--unshare-pid",)),
    Scenario("bubblewrap", "net-host", (), ("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--unshare-net",)),
    Scenario("bubblewrap", "ipc-host", (), ("namespace-ipc-shared",), without=("--unshare-ipc",)),
    Scenario("bubblewrap", "uts-host", (), ("namespace-uts-shared",), without=("--unshare-uts",)),
    Scenario("bubblewrap", "root", ("--ro-bind", "/", "/tmp"), ("mount-host-root",), follows=(*UNMASKED, "device-*")),
    Scenario("bubblewrap", "devices", ("--dev-bind", "/dev", "/dev"), ("device-block-exposed", "cgroup-devices-unrestricted", "mount-host-sensitive"), follows=("cgroup-misc-unlimited", "device-*", "mount-host-writable")),
    Scenario("unshare", "net-host", (), ("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--net",)),
    Scenario("unshare", "ipc-host", (), ("namespace-ipc-shared",), follows=("capability-ipc-owner",), without=("--ipc",)),
    Scenario("unshare", "uts-host", (), ("namespace-uts-shared",), without=("--uts",)),
    Scenario("unshare", "user", ("--user", "--map-root-user"), closes=("capability-privileged", "capability-sys-admin", "kernel-bpf-allowed", "time-clock-settable"), follows=EVERYTHING),
    Scenario("firejail", "net-host", (), ("namespace-net-shared", "network-abstract-socket-reachable"), follows=ON_HOST_NETWORK, without=("--net",)),
    Scenario("firejail", "new-privileges", (), ("identity-no-new-privileges-unset",), follows=("identity-setuid-reachable",), without=("--nonewprivs",)),
)  # fmt: skip

SCENARIOS = (*DOCKER, *OTHERS)
