"""Cases of checks/mount."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process
from isoaudit.facts.host import EngineSocket
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.kernel.capability import mask
from isoaudit.model import Known, Severity, Verdict
from support.cases import Case
from support.facts import (
    DEFAULT_NODES,
    HOST_INODES,
    HOST_MOUNTINFO,
    MOUNTINFO,
    OWN_INODES,
    PID,
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

ROOTLESS = known((IdRange(0, 1000, 1), IdRange(1, 100000, 65536)))
SOCKET = EngineSocket("/run/docker.sock", "docker", "0:24", "/docker.sock")
WITH_SOCKET = make_host(engine_sockets=known((SOCKET,)))


def with_mount(line: bytes, **changes: Any) -> Container:
    return make_container(mounts=make_mounts(line), **changes)


def bind(root: str, target: str = "/x", options: str = "rw,relatime") -> bytes:
    """A line of mountinfo: a bind of a path on the host's root filesystem."""
    return f"130 100 254:0 {root} {target} {options} - ext4 /dev/vda rw".encode()


def with_host(*lines: bytes) -> Any:
    table = HOST_MOUNTINFO + b"".join(line + b"\n" for line in lines)
    return make_host(mounts=Known(parse_mountinfo(table), "/proc/1/mountinfo"))


# bwrap --ro-bind / / --proc /proc --dev /dev
SANDBOX = b"""\
200 190 254:0 / / ro,nosuid,nodev,relatime - ext4 /dev/vda rw
201 200 0:70 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
202 200 0:71 / /dev rw,nosuid,nodev,relatime - tmpfs tmpfs rw
"""

_UNKNOWN = (
    "mount-host-root",
    "mount-host-sensitive",
    "mount-host-writable",
    "mount-runtime-socket",
    "mount-propagation-shared",
    "mount-procfs-host",
    "mount-sysfs-writable",
    "mount-cgroupfs-writable",
    "mount-rootfs-writable",
)

ADMIN = make_status(uids=(0, 0, 0, 0), cap_effective=mask("CAP_SYS_ADMIN"), cap_permitted=mask("CAP_SYS_ADMIN"))
# What lets a container undo a read-only mount: no filter that forbids it, and no profile that might.
REMOUNTING: dict[str, Any] = {"status": ADMIN, "filters": filters(), "lsm_label": known("unconfined")}
READ_ONLY_ROOT = make_mounts(base=MOUNTINFO.replace(b"/ / rw,relatime", b"/ / ro,relatime", 1))
REMOUNTED = (
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=with_mount(bind("/", "/h", "ro,relatime"), **REMOUNTING),
        severity=Severity.CRITICAL,
        says=("read-only, but it can remount it",),
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "read-only, and a profile might forbid to remount it",
        container=with_mount(
            bind("/", "/h", "ro,relatime"), **{**REMOUNTING, "lsm_label": known("docker-default (enforce)")}
        ),
        severity=Severity.HIGH,
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "read-only, and a filter forbids to remount it",
        container=with_mount(
            bind("/", "/h", "ro,relatime"), **{**REMOUNTING, "filters": filters(deny=("mount", "fspick"))}
        ),
        severity=Severity.HIGH,
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=with_mount(bind("/usr", "/x", "ro,relatime"), **REMOUNTING),
        severity=Severity.HIGH,
        says=("it can remount it writable",),
    ),
    Case(
        "mount-host-writable",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=with_mount(bind("/srv", "/x", "ro"), **REMOUNTING),
        severity=Severity.MEDIUM,
        says=("/srv at /x, once it has remounted it",),
    ),
    Case(
        "mount-sysfs-writable",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=make_container(**REMOUNTING),
        severity=Severity.HIGH,
        says=("/sys, but",),
    ),
    Case(
        "mount-cgroupfs-writable",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=make_container(**REMOUNTING),
        says=("/sys/fs/cgroup/memory, but",),
    ),
    Case(
        "mount-rootfs-writable",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=make_container(**REMOUNTING, mounts=READ_ONLY_ROOT),
        severity=Severity.LOW,
    ),
    Case(
        "mount-rootfs-writable",
        Verdict.PASS,
        "read-only, and the filter that decides was not read",
        container=make_container(**{**REMOUNTING, "filters": denied("filter")}, mounts=READ_ONLY_ROOT),
    ),
)

CASES = (
    *REMOUNTED,
    *(
        Case(check, Verdict.UNKNOWN, "unreadable", container=make_container(mounts=denied()))
        for check in _UNKNOWN
    ),
    *(Case(check, Verdict.PASS, "default Docker") for check in _UNKNOWN[:-1]),
    Case(
        "mount-host-root",
        Verdict.UNKNOWN,
        "the host's mounts unreadable",
        host=make_host(mounts=denied()),
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "writable",
        container=with_mount(bind("/", "/h")),
        severity=Severity.CRITICAL,
        says=("/h", "writable"),
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "read-only",
        container=with_mount(bind("/", "/h", "ro,relatime")),
        severity=Severity.HIGH,
        says=("read-only",),
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "its own root is the host's",
        container=make_container(mounts=make_mounts(base=SANDBOX)),
        severity=Severity.HIGH,
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "a user's sandbox",
        container=make_container(mounts=make_mounts(base=SANDBOX), uid_map=ROOTLESS),
        severity=Severity.MEDIUM,
    ),
    Case(
        "mount-host-root",
        Verdict.FAIL,
        "the filesystem that the host's root is a subvolume of",
        host=make_host(
            mounts=Known(parse_mountinfo(b"27 1 0:33 /@ / rw - btrfs /dev/vda rw\n"), "/proc/1/mountinfo")
        ),
        container=with_mount(b"130 100 0:33 / /x rw - btrfs /dev/vda rw"),
    ),
    Case(
        "mount-host-root",
        Verdict.PASS,
        "a root filesystem that is a directory on the host's disk",
        container=make_container(
            mounts=make_mounts(base=MOUNTINFO.replace(b"0:50 / /", b"254:0 /srv/root /", 1))
        ),
    ),
    Case(
        "mount-host-root",
        Verdict.PASS,
        "covered by another mount",
        container=make_container(
            mounts=make_mounts(bind("/", "/h/x"), b"131 100 0:80 / /h rw - tmpfs tmpfs rw")
        ),
    ),
    # Sensitive trees.
    *(
        Case(
            "mount-host-sensitive",
            Verdict.FAIL,
            f"{path} {options[:2]}",
            container=with_mount(bind(path, "/x", options)),
            severity=severity,
            says=(path, "/x"),
        )
        for path, options, severity in (
            ("/etc", "rw", Severity.HIGH),
            ("/etc", "ro", Severity.MEDIUM),
            ("/etc/hosts", "rw", Severity.HIGH),
            ("/etc/shadow", "ro", Severity.MEDIUM),
            ("/root/.ssh", "ro", Severity.HIGH),
            ("/home", "rw", Severity.HIGH),
            ("/home/me", "ro", Severity.MEDIUM),
            ("/home/me/.aws", "ro", Severity.HIGH),
            ("/var", "ro", Severity.HIGH),
            ("/var/lib/docker", "ro", Severity.HIGH),
            ("/var/lib/kubelet", "ro", Severity.HIGH),
            ("/var/log", "rw", Severity.HIGH),
            ("/usr", "ro", Severity.LOW),
            ("/lib/modules", "ro", Severity.LOW),
        )
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "/run by its filesystem",
        container=with_mount(b"130 100 0:24 / /x ro,relatime - tmpfs tmpfs rw"),
        severity=Severity.HIGH,
        says=("/run",),
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "/dev",
        container=with_mount(b"130 100 0:6 / /x rw - devtmpfs devtmpfs rw"),
        severity=Severity.HIGH,
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "without the host's root inside",
        container=with_mount(bind("/etc"), uid_map=ROOTLESS),
        severity=Severity.MEDIUM,
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "a root filesystem that holds the host's state",
        container=make_container(mounts=make_mounts(base=MOUNTINFO.replace(b"0:50 / /", b"254:0 /var /", 1))),
    ),
    *(
        Case("mount-host-sensitive", Verdict.PASS, name, container=with_mount(line))
        for name, line in (
            ("a world-readable file", bind("/etc/localtime", "/etc/localtime", "ro,relatime")),
            ("a directory of its own", bind("/srv/data")),
            ("a project in a home directory", bind("/home/me/project")),
            ("one log", bind("/var/log/app")),
            ("a named volume", bind("/var/lib/docker/volumes/data/_data")),
            ("a custom engine root", bind(f"/data/docker/containers/{'0123' * 16}/hosts", "/etc/hosts")),
            ("its own state, by its id", bind(f"/var/lib/x/{'0123' * 16}/y")),
            ("the kubelet's", bind("/var/lib/kubelet/pods/11111111-2222-3333-4444-555555555555/etc-hosts")),
            ("its terminal", b"130 102 0:25 /3 /dev/console rw - devpts devpts rw"),
            ("its own tmpfs", b"130 100 0:90 / /run rw - tmpfs tmpfs rw"),
        )
    ),
    Case(
        "mount-host-sensitive",
        Verdict.PASS,
        "a device node",
        container=with_mount(
            b"130 100 0:6 /mem /m rw - devtmpfs devtmpfs rw",
            devices=known((*DEFAULT_NODES, node("/m", "c", 1, 1))),
        ),
    ),
    Case(
        "mount-host-sensitive",
        Verdict.PASS,
        "an engine's socket alone",
        host=WITH_SOCKET,
        container=with_mount(b"130 100 0:24 /docker.sock /s rw - tmpfs tmpfs rw"),
    ),
    Case(
        "mount-host-sensitive",
        Verdict.PASS,
        "its overlay is in the host's table too",
        host=with_host(b"90 27 0:50 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw"),
        container=with_mount(b"130 100 0:50 /data /data2 rw - overlay overlay rw"),
    ),
    Case(
        "mount-host-sensitive",
        Verdict.FAIL,
        "another container's overlay",
        host=with_host(b"90 27 0:49 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw"),
        container=with_mount(b"130 100 0:49 / /other ro - overlay overlay rw"),
        severity=Severity.HIGH,
    ),
    # Writable directories.
    Case(
        "mount-host-writable",
        Verdict.FAIL,
        "a directory",
        container=with_mount(bind("/srv/data", "/data")),
        severity=Severity.MEDIUM,
        says=("/srv/data", "/data"),
    ),
    Case(
        "mount-host-writable",
        Verdict.FAIL,
        "shared memory",
        host=with_host(b"40 24 0:26 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw"),
        container=with_mount(b"130 102 0:26 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw"),
    ),
    Case("mount-host-writable", Verdict.PASS, "read-only", container=with_mount(bind("/srv", "/x", "ro"))),
    Case("mount-host-writable", Verdict.PASS, "judged as sensitive", container=with_mount(bind("/etc"))),
    # Engine sockets.
    Case(
        "mount-runtime-socket",
        Verdict.FAIL,
        "the directory it lies in, under another name and read-only",
        host=WITH_SOCKET,
        container=with_mount(b"130 100 0:24 / /x ro,relatime - tmpfs tmpfs rw"),
        severity=Severity.CRITICAL,
        says=("/x/docker.sock", "docker"),
    ),
    Case(
        "mount-runtime-socket",
        Verdict.FAIL,
        "the socket itself",
        host=WITH_SOCKET,
        container=with_mount(b"130 100 0:24 /docker.sock /innocent rw - tmpfs tmpfs rw"),
        says=("at /innocent",),
    ),
    Case(
        "mount-runtime-socket",
        Verdict.PASS,
        "covered by another mount",
        host=WITH_SOCKET,
        container=make_container(
            mounts=make_mounts(
                b"130 100 0:24 / /x rw - tmpfs tmpfs rw",
                b"131 130 0:99 / /x/docker.sock rw - tmpfs tmpfs rw",
            )
        ),
    ),
    Case(
        "mount-runtime-socket",
        Verdict.PASS,
        "another part of its filesystem",
        host=WITH_SOCKET,
        container=with_mount(b"130 100 0:24 /app /x rw - tmpfs tmpfs rw"),
    ),
    Case(
        "mount-runtime-socket",
        Verdict.UNKNOWN,
        "the host's sockets unreadable",
        host=make_host(engine_sockets=denied()),
    ),
    # Propagation.
    Case(
        "mount-propagation-shared",
        Verdict.FAIL,
        "one peer group",
        host=with_host(b"41 27 8:1 / /mnt rw shared:7 - ext4 /dev/sda rw"),
        container=with_mount(
            b"130 100 8:1 / /m rw shared:7 - ext4 /dev/sda rw",
            processes=(Process(PID, known(make_status(cap_permitted=mask("CAP_SYS_ADMIN")))),),
        ),
        severity=Severity.HIGH,
        says=("/m",),
    ),
    Case(
        "mount-propagation-shared",
        Verdict.FAIL,
        "nobody inside can mount",
        host=with_host(b"41 27 8:1 / /mnt rw shared:7 - ext4 /dev/sda rw"),
        container=with_mount(b"130 100 8:1 / /m rw shared:7 - ext4 /dev/sda rw"),
        severity=Severity.MEDIUM,
    ),
    Case(
        "mount-propagation-shared",
        Verdict.PASS,
        "a slave",
        host=with_host(b"41 27 8:1 / /mnt rw shared:7 - ext4 /dev/sda rw"),
        container=with_mount(b"130 100 8:1 / /m rw master:7 - ext4 /dev/sda rw"),
        says=("only receives", "/m"),
    ),
    Case(
        "mount-propagation-shared",
        Verdict.PASS,
        "a peer group of its own",
        container=with_mount(b"130 100 8:1 / /m rw shared:9 - ext4 /dev/sda rw"),
    ),
    Case(
        "mount-propagation-shared",
        Verdict.NOT_APPLICABLE,
        "no mount namespace of its own",
        container=make_container(namespaces=namespaces(PID, **{**OWN_INODES, "mnt": HOST_INODES["mnt"]})),
    ),
    # The kernel's filesystems.
    Case(
        "mount-procfs-host",
        Verdict.FAIL,
        "under another name",
        container=with_mount(b"130 100 0:21 / /p ro - proc proc rw"),
        severity=Severity.HIGH,
        says=("/p",),
    ),
    Case(
        "mount-procfs-host",
        Verdict.FAIL,
        "besides its own view of the host's processes",
        container=with_mount(
            b"130 100 0:21 / /p ro - proc proc rw",
            namespaces=namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]}),
        ),
    ),
    Case(
        "mount-procfs-host",
        Verdict.PASS,
        "in the host's PID namespace",
        container=make_container(
            namespaces=namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]}),
            mounts=make_mounts(base=MOUNTINFO.replace(b"0:51", b"0:21")),
        ),
    ),
    Case(
        "mount-sysfs-writable",
        Verdict.FAIL,
        "writable",
        container=with_mount(b"130 100 0:22 / /s rw - sysfs sysfs rw"),
        severity=Severity.HIGH,
    ),
    Case(
        "mount-sysfs-writable",
        Verdict.FAIL,
        "without the host's root inside",
        container=with_mount(b"130 100 0:22 / /s rw - sysfs sysfs rw", uid_map=ROOTLESS),
        severity=Severity.LOW,
    ),
    Case(
        "mount-cgroupfs-writable",
        Verdict.FAIL,
        "a whole hierarchy",
        container=with_mount(b"130 100 0:30 / /cg rw - cgroup cgroup rw,memory"),
        severity=Severity.HIGH,
        says=("whole",),
    ),
    Case(
        "mount-cgroupfs-writable",
        Verdict.FAIL,
        "its own",
        container=with_mount(b"130 100 0:31 /docker/0123 /cg rw - cgroup2 cgroup rw"),
        says=("/docker/0123",),
    ),
    Case(
        "mount-cgroupfs-writable",
        Verdict.FAIL,
        "delegated",
        container=with_mount(b"130 100 0:31 /user.slice /cg rw - cgroup2 cgroup rw", uid_map=ROOTLESS),
        severity=Severity.LOW,
    ),
    Case("mount-rootfs-writable", Verdict.FAIL, "default Docker", severity=Severity.LOW),
    Case(
        "mount-rootfs-writable",
        Verdict.PASS,
        "read-only",
        container=make_container(mounts=READ_ONLY_ROOT),
    ),
    Case(
        "mount-rootfs-writable",
        Verdict.UNKNOWN,
        "a chroot",
        container=make_container(mounts=Known((), f"/proc/{PID}/mountinfo")),
        says=("does not show",),
    ),
)
