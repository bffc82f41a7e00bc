"""Cases of checks/device."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container, Process
from isoaudit.facts.devices import DeviceProgram
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.status import Status
from isoaudit.kernel.capability import mask
from isoaudit.model import Basis, Reading, Severity, Verdict, require
from support.cases import Case
from support.ebpf import EXIT, op
from support.facts import (
    DEFAULT_NODES,
    DOCKER_DEVICES,
    PID,
    answered,
    cgroup_v1,
    cgroup_v2,
    denied,
    device_programs,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
    node,
)
from support.filters import program, stack

ALL = "a *:* rwm"


def having(
    kind: str, major: int, minor: int, *, rule: str = ALL, path: str = "/dev/x", **changes: Any
) -> Container:
    """A container with a node, open to all, and a policy."""
    made = node(path, kind, major, minor, **changes)
    return make_container(
        devices=known((*DEFAULT_NODES, made), f"/proc/{PID}/root/dev"),
        cgroup=cgroup_v1(devices__list=f"{DOCKER_DEVICES}\n{rule}"),
    )


def holding(*capabilities: str, uid: int = 0) -> Status:
    held = mask(*capabilities)
    return make_status(cap_effective=held, cap_permitted=held, uids=(uid,) * 4)


def rules(*added: str) -> Any:
    return cgroup_v1(devices__list="\n".join((DOCKER_DEVICES, *added)))


UNREAD = denied("bpf(2) BPF_PROG_QUERY")


def beside_another(name: str) -> Reading[tuple[DeviceProgram, ...]]:
    """A captured program, and one that asks a map."""
    odd = DeviceProgram(90, "", "odd", (op(0x85, immediate=1) + EXIT).hex(), "/")
    return known((*require(device_programs(name)), odd))


def filtered(deny: tuple[str, ...]) -> Container:
    """Docker's container with CAP_MKNOD and a filter."""
    return make_container(status=holding("CAP_MKNOD"), filters=known((stack(program(deny=deny)),)))


# Check, a device of its kind, severity of the node alone.
_KINDS: tuple[tuple[str, str, int, int, Severity], ...] = (
    ("block", "b", 254, 0, Severity.CRITICAL),
    ("memory", "c", 1, 1, Severity.MEDIUM),  # no CAP_SYS_RAWIO, and lockdown
    ("kvm", "c", 10, 232, Severity.MEDIUM),
    ("kmsg", "c", 1, 11, Severity.MEDIUM),
    ("fuse", "c", 10, 229, Severity.LOW),  # no CAP_SYS_ADMIN
    ("tun", "c", 10, 200, Severity.LOW),  # no CAP_NET_ADMIN
    ("vhost", "c", 10, 238, Severity.MEDIUM),
    ("loop", "b", 7, 0, Severity.HIGH),
    ("input", "c", 13, 64, Severity.HIGH),
    ("console", "c", 4, 1, Severity.MEDIUM),
    ("gpu", "c", 226, 128, Severity.MEDIUM),
    ("other", "c", 116, 1, Severity.MEDIUM),
)

CASES = (
    *(
        case
        for kind, letter, major, minor, severity in _KINDS
        for case in (
            Case(
                f"device-{kind}-exposed",
                Verdict.FAIL,
                "node and policy",
                container=having(letter, major, minor),
                severity=severity,
                says=("/dev/x can be opened",),
            ),
            Case(
                f"device-{kind}-exposed",
                Verdict.PASS,
                "the policy forbids it",
                container=having(letter, major, minor, rule="c 1:3 rw")._replace(
                    cgroup=cgroup_v1(devices__list="c 1:3 rwm")
                ),
            ),
            Case(
                f"device-{kind}-exposed",
                Verdict.PASS,
                "on a mount with nodev",
                container=having(letter, major, minor, nodev=True),
            ),
            Case(
                f"device-{kind}-exposed",
                Verdict.UNKNOWN,
                "a node, and programs that could not be read",
                container=having(letter, major, minor)._replace(cgroup=cgroup_v2(programs=UNREAD)),
                says=("run isoaudit as root",),
            ),
            Case(
                f"device-{kind}-exposed",
                Verdict.FAIL,
                "a node, and a program that allows everything",
                container=having(letter, major, minor)._replace(
                    cgroup=cgroup_v2(programs=device_programs("crun_privileged"))
                ),
                severity=severity,
            ),
            Case(
                f"device-{kind}-exposed",
                Verdict.PASS,
                "a node, and a program that forbids it",
                container=having(letter, major, minor)._replace(
                    cgroup=cgroup_v2(programs=device_programs("systemd_private_devices"))
                ),
            ),
            Case(f"device-{kind}-exposed", Verdict.PASS, "default container without capabilities"),
        )
    ),
    Case(
        "device-kvm-exposed",
        Verdict.UNKNOWN,
        "nodes unreadable",
        container=make_container(devices=denied()),
        says=("run isoaudit as root",),
    ),
    Case(
        "device-kvm-exposed",
        Verdict.PASS,
        "no node and no way to make one decide without the policy",
        container=make_container(cgroup=cgroup_v2(programs=UNREAD)),
    ),
    Case(
        "device-kvm-exposed",
        Verdict.FAIL,
        "makes the node itself",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=rules("c 10:232 rwm")),
        says=("CAP_MKNOD", "c 10:232"),
    ),
    Case(
        "device-kvm-exposed",
        Verdict.PASS,
        "CAP_MKNOD in a user namespace of its own makes no node",
        container=make_container(
            status=holding("CAP_MKNOD", uid=100000),
            cgroup=rules("c 10:232 rwm"),
            namespaces=make_container().namespaces._replace(user=known(4026533000)),
        ),
    ),
    Case(
        "device-tun-exposed",
        Verdict.FAIL,
        "default Docker with CAP_MKNOD",
        container=make_container(status=holding("CAP_MKNOD")),
        severity=Severity.LOW,
        says=("c 10:200",),
    ),
    Case(
        "device-tun-exposed",
        Verdict.FAIL,
        "and CAP_NET_ADMIN",
        container=make_container(status=holding("CAP_MKNOD", "CAP_NET_ADMIN")),
        severity=Severity.MEDIUM,
    ),
    Case(
        "device-console-exposed",
        Verdict.FAIL,
        "default Docker with CAP_MKNOD",
        container=make_container(status=holding("CAP_MKNOD")),
        severity=Severity.LOW,
        says=("c 5:1",),
    ),
    Case(
        "device-console-exposed",
        Verdict.PASS,
        "an engine's console is a pty",
        container=having("c", 136, 0, path="/dev/console"),
    ),
    Case(
        "device-block-exposed",
        Verdict.FAIL,
        "the disk that the host has mounted, by one rule",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=rules("b 254:0 r")),
        severity=Severity.HIGH,
        says=("b 254:0",),
    ),
    Case(
        "device-block-exposed",
        Verdict.PASS,
        "another container's CAP_MKNOD alone opens nothing",
        container=make_container(status=holding("CAP_MKNOD")),
    ),
    Case(
        "device-block-exposed",
        Verdict.FAIL,
        "a mode that stops who is not root",
        container=having("b", 254, 0, mode=0o600),
        severity=Severity.MEDIUM,
        says=("mode",),
    ),
    Case(
        "device-block-exposed",
        Verdict.PASS,
        "a mode that stops whoever cannot become the host's root",
        container=having("b", 254, 0, mode=0o600)._replace(uid_map=known((IdRange(0, 1000, 1),))),
    ),
    Case(
        "device-block-exposed",
        Verdict.FAIL,
        "a mode that its root passes",
        container=having("b", 254, 0, mode=0o600)._replace(
            processes=(Process(PID, known(holding("CAP_DAC_OVERRIDE", uid=0))),)
        ),
        severity=Severity.CRITICAL,
    ),
    Case(
        "device-memory-exposed",
        Verdict.FAIL,
        "with CAP_SYS_RAWIO and no lockdown",
        host=make_host(lockdown=known("none")),
        container=having("c", 1, 1)._replace(processes=(Process(PID, known(holding("CAP_SYS_RAWIO"))),)),
        severity=Severity.CRITICAL,
    ),
    Case(
        "device-kmsg-exposed",
        Verdict.FAIL,
        "to be read only",
        container=having("c", 1, 11, rule="c 1:11 r"),
        severity=Severity.LOW,
    ),
    # The right to make nodes.
    Case("device-mknod-allowed", Verdict.PASS, "without the capability"),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "default Docker",
        container=make_container(status=holding("CAP_MKNOD")),
        severity=Severity.LOW,
        basis=Basis.OBSERVED,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "an open policy",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=cgroup_v1(devices__list=ALL)),
        severity=Severity.CRITICAL,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.PASS,
        "a policy without m",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=cgroup_v1(devices__list="c 1:3 rwm")),
    ),
    Case(
        "device-mknod-allowed",
        Verdict.PASS,
        "the probe was refused",
        container=make_container(
            status=holding("CAP_MKNOD"), probes=answered("device-mknod", succeeded=False, answer="EPERM")
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "the probes made and opened a node, where the policy could not be read",
        container=make_container(
            status=holding("CAP_MKNOD"),
            cgroup=cgroup_v2(programs=UNREAD),
            probes={
                **answered("device-mknod", succeeded=True, answer="0"),
                **answered("device-open", succeeded=True, answer="ENXIO"),
            },
        ),
        severity=Severity.CRITICAL,
        basis=Basis.PROVEN,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "the probes made a node and could not open it",
        container=make_container(
            probes={
                **answered("device-mknod", succeeded=True, answer="0"),
                **answered("device-open", succeeded=False, answer="EPERM"),
            },
        ),
        severity=Severity.LOW,
        basis=Basis.PROVEN,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.UNKNOWN,
        "programs that could not be read",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=UNREAD)),
    ),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "Docker's program",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=cgroup_v2()),
        severity=Severity.LOW,
    ),
    Case(
        "device-mknod-allowed",
        Verdict.PASS,
        "systemd's program",
        container=make_container(
            status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=device_programs("systemd_private_devices"))
        ),
    ),
    Case(
        "device-mknod-allowed",
        Verdict.PASS,
        "a filter that refuses both calls",
        container=filtered(deny=("mknod", "mknodat")),
    ),
    Case(
        "device-mknod-allowed",
        Verdict.FAIL,
        "a filter that refuses one of them",
        container=filtered(deny=("mknod",)),
    ),
    Case(
        "device-kmsg-exposed",
        Verdict.FAIL,
        "a node that Docker's program lets be read",
        container=having("c", 1, 11)._replace(
            cgroup=cgroup_v2(programs=device_programs("docker_device_rules"))
        ),
        severity=Severity.LOW,
    ),
    Case(
        "device-tun-exposed",
        Verdict.FAIL,
        "Docker's program with CAP_MKNOD",
        container=make_container(status=holding("CAP_MKNOD"), cgroup=cgroup_v2()),
        says=("c 10:200",),
    ),
    Case(
        "device-tun-exposed",
        Verdict.PASS,
        "crun's program with CAP_MKNOD",
        container=make_container(
            status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=device_programs("crun"))
        ),
    ),
    Case(
        "device-loop-exposed",
        Verdict.FAIL,
        "one rule of a program, found by the number that it names",
        container=make_container(
            status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=device_programs("docker_device_rules"))
        ),
        says=("b 7:0",),
    ),
    Case(
        "device-tun-exposed",
        Verdict.UNKNOWN,
        "one program known, which lets it be made, and one that is not understood",
        container=make_container(
            status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=beside_another("docker"))
        ),
        says=("not understood", "a call"),
    ),
    Case(
        "device-block-exposed",
        Verdict.PASS,
        "what one program denies, none that is not understood can allow",
        container=make_container(
            status=holding("CAP_MKNOD"), cgroup=cgroup_v2(programs=beside_another("docker"))
        ),
    ),
    Case("device-mknod-allowed", Verdict.UNKNOWN, "unreadable", container=make_container(status=denied())),
    # Reading that acts.
    Case("device-sysfs-side-effect", Verdict.PASS, "no zram"),
    Case(
        "device-sysfs-side-effect",
        Verdict.FAIL,
        "root inside",
        host=make_host(device_names=known((("b", 253, "zram"),))),
        container=make_container(status=holding()),
        severity=Severity.LOW,
        says=("/sys/class/zram-control/hot_add",),
    ),
    Case(
        "device-sysfs-side-effect",
        Verdict.PASS,
        "an ordinary user inside",
        host=make_host(device_names=known((("b", 253, "zram"),))),
    ),
    Case(
        "device-sysfs-side-effect",
        Verdict.PASS,
        "masked",
        host=make_host(device_names=known((("b", 253, "zram"),))),
        container=make_container(
            status=holding(),
            mounts=make_mounts(b"130 104 0:60 / /sys/class/zram-control ro,relatime - tmpfs tmpfs ro"),
        ),
    ),
    Case(
        "device-sysfs-side-effect",
        Verdict.UNKNOWN,
        "unreadable",
        host=make_host(device_names=known((("b", 253, "zram"),))),
        container=make_container(mounts=denied()),
    ),
)
