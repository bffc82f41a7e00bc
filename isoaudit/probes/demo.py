"""Three test containers to audit: one with every wall, one as engines leave them, one with nearly none."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect import cgroups as collected
from isoaudit.collect.paths import Paths
from isoaudit.collect.tree import read_file
from isoaudit.errors import IsoauditError
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.facts.namespaces import TYPES
from isoaudit.kernel import calls, credentials, mounting, seccomp, syscalls
from isoaudit.kernel.capability import OCI_DEFAULT
from isoaudit.kernel.credentials import CapabilitySets
from isoaudit.probes.cgroups import Group, RunCgroups
from isoaudit.probes.engines import native
from isoaudit.probes.twin import Confinement

if TYPE_CHECKING:
    from collections.abc import Iterator

# Far above the ids that hosts hand out by /etc/subuid.
_MAP = (IdRange(0, 0x7000_0000, 65536),)
_USER = 1000
_DENIED = (
    "_sysctl",
    "add_key",
    "bpf",
    "clone3",
    "delete_module",
    "finit_module",
    "fsopen",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "mount",
    "nfsservctl",
    "perf_event_open",
    "pivot_root",
    "ptrace",
    "request_key",
    "setns",
    "umount2",
    "unshare",
    "uselib",
)
# OCI runtime-spec, "Default Devices", and what Docker 20.10 lets through besides.
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICES = (
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)
_READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")
_MASKED = ("proc/acpi", "proc/interrupts", "proc/kcore", "proc/keys", "proc/scsi", "proc/timer_list")
_OS_RELEASE = b'ID=isoaudit-demo\nPRETTY_NAME="isoaudit demonstration"\n'
_CONTROLLERS = ("cpu", "memory", "pids", "devices", "freezer", "blkio")


class Demonstrated(NamedTuple):
    """One of the three."""

    name: str
    pid: int


class _Kind(NamedTuple):
    name: str
    confinement: Confinement
    limits: tuple[tuple[str, str, str, str, str], ...] = ()  # controller; v1 file and value; v2 file and value
    devices: tuple[str, ...] = ()  # none: any
    host_root: bool = False


def _kinds() -> tuple[_Kind, ...]:
    every = frozenset(kind for kind in TYPES if os.path.exists(f"/proc/self/ns/{kind}"))
    # pivot_root is ours to call before the filter is in force, mount and the like the container's never.
    ours_by_name = calls.table(os.uname().machine)
    numbers = [ours_by_name[name] for name in _DENIED if name in ours_by_name]
    deny = (seccomp.assemble(seccomp.deny_list(numbers, syscalls.number("clone"))),)
    ours = credentials.permitted()
    return (
        _Kind(
            "hardened",
            Confinement(
                namespaces=every,
                uid_map=_MAP,
                gid_map=_MAP,
                uids=(_USER, _USER, _USER),
                gids=(_USER, _USER, _USER),
                no_new_privs=True,
                seccomp=deny,
            ),
            limits=(
                ("cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
                ("memory", "memory.limit_in_bytes", str(64 << 20), "memory.max", str(64 << 20)),
                ("pids", "pids.max", "32", "pids.max", "32"),
            ),
            devices=_DEVICES[2:],
        ),
        _Kind(
            "default-like",
            Confinement(
                namespaces=frozenset({"mnt", "pid", "net", "ipc", "uts"}),
                capabilities=CapabilitySets(0, *(OCI_DEFAULT & ours,) * 3),
                seccomp=deny,
            ),
            devices=_DEVICES,
        ),
        _Kind(
            "full-of-gaps",
            Confinement(namespaces=frozenset({"mnt"}), capabilities=CapabilitySets(0, *(ours,) * 3)),
            host_root=True,
        ),
    )


@contextmanager
def demo_containers() -> Iterator[tuple[Demonstrated, ...]]:
    """Have the three for as long as the context lasts; they end with this process, however it ends.

    Raises:
        IsoauditError: one could not be started.
    """
    mounts = parse_mountinfo(read_file("/proc/self/mountinfo"))
    running: list[native.TestContainer] = []
    with RunCgroups(collected.hierarchies(mounts, Paths())) as run:
        try:
            yield tuple(Demonstrated(kind.name, _start(run, kind, running)) for kind in _kinds())
        finally:
            while running:
                running[-1].end()
                running.pop()


def _start(run: RunCgroups, kind: _Kind, running: list[native.TestContainer]) -> int:
    group = run.group(kind.name)
    try:
        _limit(group, kind)
        container = native.start(
            kind.confinement,
            group,
            lambda channel: _live(channel, kind.name),
            register=running.append,
            furnish=lambda: _furnish(kind),
        )
    except OSError as error:
        raise IsoauditError(
            f"the demo's container {kind.name} could not be started: {error.strerror}"
        ) from error
    messages, _ = container.hear()
    if {"ready": True} not in messages:
        reason = messages[0].get("failed") if messages else "it ended at once"
        raise IsoauditError(f"the demo's container {kind.name} could not be confined: {reason}")
    return container.pid


def _limit(group: Group, kind: _Kind) -> None:
    for controller in _CONTROLLERS:
        if group.version(controller) is not None:
            group.join(controller)
    if group.version("") == 2:
        group.join("")
    for controller, v1_file, v1_value, v2_file, v2_value in kind.limits:
        version = group.version(controller)
        if version == 1:
            group.set(controller, v1_file, v1_value)
        elif version == 2:
            group.set(controller, v2_file, v2_value)
    # On v2 the policy would be a BPF program.
    if kind.devices and group.version("devices") == 1:
        group.set("devices", "devices.deny", "a")
        for rule in kind.devices:
            group.set("devices", "devices.allow", rule)


def _furnish(kind: _Kind) -> None:
    """Fill the new root, in whose directory this is called, with what a container's has."""
    for folder in ("dev", "etc"):
        os.mkdir(folder)
    # Raw, as no codec could be imported any more: our own files may be out of this user's reach.
    fd = os.open("etc/os-release", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    os.write(fd, _OS_RELEASE)
    os.close(fd)
    for node in _NODES:
        os.close(os.open(f"dev/{node}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        mounting.mount(f"/dev/{node}", f"dev/{node}", None, mounting.MS_BIND)
    if kind.host_root:
        os.mkdir("host")
        _bind_read_only("/", "host")
        return
    for path in _READ_ONLY:
        if os.path.exists(path):
            _bind_read_only(path, path)
    for path in _MASKED:
        if os.path.isdir(path):
            mounting.mount("tmpfs", path, "tmpfs", mounting.MS_RDONLY)
        elif os.path.exists(path):
            mounting.mount("/dev/null", path, None, mounting.MS_BIND)


def _bind_read_only(source: str, target: str) -> None:
    mounting.mount(source, target, None, mounting.MS_BIND)
    flags = mounting.MS_BIND | mounting.MS_REMOUNT | mounting.MS_RDONLY
    # In a user namespace the flags of what was bound are locked, and must be given again.
    mounting.mount("none", target, None, flags | os.statvfs(target).f_flag & _LOCKED)


# ST_NOSUID, ST_NODEV and ST_NOEXEC of statvfs(3) have the values of the MS_ flags.
_LOCKED = mounting.MS_NOSUID | mounting.MS_NODEV | mounting.MS_NOEXEC


def _live(channel: native.Channel, name: str) -> None:
    credentials.set_name(f"isoaudit-{name}"[:15])
    channel.say({"ready": True})
    while True:
        signal.pause()
