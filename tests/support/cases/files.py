"""Cases of what lies in containers: credentials, privileged programs, layers of overlays, ways past masks."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process, Thread
from isoaudit.facts.files import SET_GID, SET_UID, PrivilegedFile, Secret
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.network import Network
from isoaudit.kernel.capability import mask
from isoaudit.model import Known, Reading, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    HOST_INODES,
    MOUNTINFO,
    OWN_INODES,
    PID,
    denied,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
SETUID, CREDENTIALS = "identity-setuid-reachable", "mount-credentials"
MAY_GAIN = make_status(no_new_privs=Known(False, f"/proc/{PID}/status"))
ROOT = MAY_GAIN._replace(uids=(0, 0, 0, 0))
SU = PrivilegedFile("/bin/su", SET_UID, 0)
PING = PrivilegedFile("/bin/ping", "CAP_NET_RAW", 0)
REMAPPED = known((IdRange(0, 100000, 65536),))
NONE: Reading[tuple[Secret, ...]] = known(())
IDENT = "0123" * 16


def programs(*files: PrivilegedFile, status: Any = MAY_GAIN, **changes: Any) -> Container:
    return make_container(
        status=status,
        processes=(Process(PID, known(status), threads=known(())),),
        privileged_files=known(files, f"/proc/{PID}/root"),
        **changes,
    )


def holding(*lines: bytes, secrets: Reading[tuple[Secret, ...]] = NONE, **changes: Any) -> Container:
    return make_container(mounts=make_mounts(*lines), secrets=secrets, **changes)


def secret(path: str, kind: str) -> Reading[tuple[Secret, ...]]:
    return known((Secret(path, kind),), f"/proc/{PID}/root")


def given(root: str, target: str) -> bytes:
    return f"130 100 254:0 {root} {target} ro,relatime - ext4 /dev/vda rw".encode()


TOKEN = b"130 100 0:90 / /var/run/secrets/kubernetes.io/serviceaccount ro,relatime - tmpfs tmpfs rw,size=64k"
OFFLINE = known(Network((), (), (), known(()), known(()), known(()), known(())))


def overlay(lower: str, upper: str, target: str = "/x") -> bytes:
    return (
        f"130 100 0:91 / {target} rw - overlay overlay rw,lowerdir={lower},upperdir={upper},workdir=/w".encode()
    )


MERGED = f"/var/lib/containers/storage/overlay-containers/{IDENT}/userdata/overlay/1/upper"
SHARED_PID = namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]})
TRACER = make_status(cap_effective=mask("CAP_SYS_PTRACE"), cap_permitted=mask("CAP_SYS_PTRACE"))

CASES = (
    Case(SETUID, FAIL, "su", container=programs(SU), severity=Severity.LOW, says=("/bin/su", "app")),
    Case(SETUID, FAIL, "capabilities", container=programs(SU, PING), says=("/bin/su, /bin/ping",)),
    Case(SETUID, FAIL, "all root already", container=programs(SU, status=ROOT), severity=Severity.INFO),
    Case(
        SETUID,
        FAIL,
        "in its own user namespace",
        container=programs(
            SU._replace(id=100000),
            status=MAY_GAIN._replace(uids=(101000,) * 4),
            uid_map=REMAPPED,
            gid_map=REMAPPED,
        ),
        severity=Severity.INFO,
        says=("within its own",),
    ),
    Case(
        SETUID,
        FAIL,
        "one thread may gain",
        container=programs(SU, status=make_status(threads=2))._replace(
            processes=(
                Process(PID, known(make_status(threads=2)), threads=known((Thread(PID + 1, known(MAY_GAIN)),))),
            )
        ),
    ),
    Case(SETUID, PASS, "no_new_privs", container=make_container(privileged_files=denied())),
    Case(SETUID, PASS, "no such program", container=programs()),
    Case(
        SETUID,
        PASS,
        "owners that do not exist inside",
        container=programs(SU, PrivilegedFile("/bin/w", SET_GID, 5), uid_map=REMAPPED, gid_map=REMAPPED),
    ),
    Case(SETUID, UNKNOWN, "not looked for", container=programs()._replace(privileged_files=denied())),
    Case(
        SETUID,
        UNKNOWN,
        "its status hidden",
        container=make_container(status=denied(), processes=(Process(PID, denied()),)),
    ),
    Case(CREDENTIALS, FAIL, "a service-account token", container=holding(TOKEN), severity=Severity.MEDIUM),
    Case(
        CREDENTIALS,
        FAIL,
        "a token without a network",
        container=holding(TOKEN, network=OFFLINE),
        severity=Severity.LOW,
        says=("no network",),
    ),
    Case(
        CREDENTIALS,
        FAIL,
        "the kubelet's keys by the host's path",
        container=holding(given("/var/lib/kubelet/pki", "/x")),
        severity=Severity.HIGH,
        says=("/x (the kubelet's keys)",),
    ),
    *(
        Case(CREDENTIALS, FAIL, root, container=holding(given(root, "/x")), severity=severity, says=(what,))
        for root, severity, what in (
            ("/tmp/ssh-XXXX/agent.7", Severity.MEDIUM, "ssh agent"),
            ("/home/u/.aws", Severity.MEDIUM, "keys of a cloud"),
            ("/root/.docker/config.json", Severity.MEDIUM, "registries"),
            ("/home/u/.kube", Severity.MEDIUM, "cluster"),
        )
    ),
    Case(
        CREDENTIALS,
        FAIL,
        "an engine's secret",
        container=holding(given(f"/c/{IDENT}/userdata/secrets/tok", "/run/secrets/tok")),
        severity=Severity.LOW,
        says=("mounted into it: /run/secrets/tok",),
    ),
    Case(
        CREDENTIALS,
        FAIL,
        "a key in its image",
        container=holding(secrets=secret("/root/.ssh/id_rsa", "ssh")),
        severity=Severity.MEDIUM,
        says=("in its own file tree: /root/.ssh/id_rsa",),
    ),
    Case(
        CREDENTIALS,
        FAIL,
        "a key on a volume",
        container=holding(
            given("/var/lib/docker/volumes/v/_data", "/root"), secrets=secret("/root/.ssh/id_rsa", "ssh")
        ),
        says=("mounted into it: /root/.ssh/id_rsa",),
    ),
    Case(CREDENTIALS, FAIL, "mounted, the rest not read", container=holding(TOKEN, secrets=denied())),
    Case(CREDENTIALS, PASS, "none", container=holding()),
    Case(CREDENTIALS, UNKNOWN, "not looked for", container=holding(secrets=Unknown("root", "hostile"))),
    Case(CREDENTIALS, UNKNOWN, "mounts unknown", container=make_container(mounts=denied())),
    # Overlays that engines make over the host's directories.
    Case(
        "mount-host-sensitive",
        FAIL,
        "below an overlay",
        container=make_container(mounts=make_mounts(overlay("/etc", MERGED))),
        severity=Severity.MEDIUM,
        says=("/etc", "read-only"),
    ),
    Case(
        "mount-host-sensitive",
        PASS,
        "an overlay of its own making",
        container=make_container(mounts=make_mounts(overlay("/etc", "/tmp/upper"))),
    ),
    Case(
        "mount-host-sensitive",
        PASS,
        "layers of images",
        container=make_container(mounts=make_mounts(overlay("/var/lib/docker/overlay2/l/A", MERGED))),
    ),
    Case(
        "mount-host-root",
        FAIL,
        "below its own root",
        container=make_container(
            mounts=make_mounts(base=MOUNTINFO.replace(b"lowerdir=/l,", b"lowerdir=/,", 1))
        ),
        severity=Severity.HIGH,
        says=("read-only",),
    ),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "around by the host's processes",
        container=make_container(
            namespaces=SHARED_PID, status=TRACER, processes=(Process(PID, known(TRACER)),), lsm_label=known("")
        ),
        severity=Severity.MEDIUM,
        says=("/proc/1/root",),
    ),
    Case(
        "kernel-proc-unmasked",
        FAIL,
        "around, unless a profile forbids it",
        make_host(),
        make_container(namespaces=SHARED_PID, status=TRACER, processes=(Process(PID, known(TRACER)),)),
        severity=Severity.LOW,
    ),
    Case("kernel-proc-unmasked", PASS, "the host's PIDs only", container=make_container(namespaces=SHARED_PID)),
)
