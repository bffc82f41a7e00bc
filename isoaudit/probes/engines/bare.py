"""`--engine native`: a bundle made into a container by system calls alone, with no runtime at all."""

from __future__ import annotations

import os
import platform
import resource
import signal
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.facts import seccomp_profile
from isoaudit.facts.idmap import IdRange
from isoaudit.kernel import capability, credentials, mounting
from isoaudit.kernel.credentials import CapabilitySets
from isoaudit.probes.bundle import defaults, fitted
from isoaudit.probes.engines import native
from isoaudit.probes.engines.base import Asked, Run, Started
from isoaudit.probes.engines.command import EngineError
from isoaudit.probes.settings import Document, with_configuration
from isoaudit.probes.twin import Confinement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.probes.cgroups import Group

_CONTROLLERS = ("cpu", "memory", "pids", "devices", "freezer")
_KINDS = {"network": "net", "mount": "mnt"}
# runtime-spec config-linux.md, "Default Devices".
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_RULES = ("b *:* m", "c *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm")
_FLAGS = {
    "ro": mounting.MS_RDONLY,
    "nosuid": mounting.MS_NOSUID,
    "nodev": mounting.MS_NODEV,
    "noexec": mounting.MS_NOEXEC,
}


class Bare:
    """Starts containers by itself.

    Args:
        run: whose cgroups to use.
    """

    name = "native"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._running: list[native.TestContainer] = []

    def obstacle(self) -> str:
        """Why it cannot be used here; "" where it can."""
        from isoaudit.probes.prober import available

        return available() or ""

    def sweep(self) -> list[str]:
        """What it leaves is in the run's cgroups, which are swept for all."""
        return []

    def start(self, asked: Asked) -> Started:
        """Start a container.

        Raises:
            EngineError: the kernel refuses.
            UsageError: the configuration makes no sense.
        """
        document, notices = with_configuration(asked.bundle or defaults(), asked.configuration)
        document, more = fitted(document, "", self._run.name)
        confinement, unlike = _confinement(document)
        group = self._run.cgroups.group(asked.name)
        try:
            _limit(group, document["linux"].get("resources") or {})
            container = native.start(
                confinement, group, _live, register=self._running.append, furnish=lambda: _furnish(document)
            )
        except OSError as error:
            raise EngineError(f"native: the container could not be started: {error.strerror}") from error
        heard, reason = _until_ready(container)
        if reason:
            raise EngineError(f"native: the container could not be confined: {reason}")
        unlike += [f"{one['lacks']}: {one['reason']}" for one in heard if "lacks" in one]
        return Started(container.pid, (*notices, *more, *unlike))

    def stop(self) -> list[str]:
        """End all containers."""
        while self._running:
            self._running[-1].end()
            self._running.pop()
        return []


def _until_ready(container: native.TestContainer) -> tuple[list[dict[str, Any]], str]:
    """What a container said until it lived, or why it does not."""
    heard: list[dict[str, Any]] = []
    going = True
    while going:
        messages, going = container.hear()
        heard += messages
        for message in messages:
            if "failed" in message:
                return heard, str(message["failed"])
            if "ready" in message:
                return heard, ""
    return heard, "it ended at once"


def _live(channel: native.Channel) -> None:
    credentials.set_name("isoaudit-sleep")
    channel.say({"ready": True})
    while True:
        signal.pause()


def _confinement(document: Document) -> tuple[Confinement, list[str]]:
    """The walls of a bundle, and what of it is not followed."""
    process, linux = document["process"], document["linux"]
    unlike = [
        f"{name}: native does not follow it"
        for name in ("sysctl", "timeOffsets", "mountLabel")
        if linux.get(name)
    ]
    sets = process.get("capabilities") or {}
    masks = {name: capability.mask(*(sets.get(name) or ())) for name in sets}
    # What is ambient must be inheritable too (prctl(2)); runtimes pass over the rest, as is done here.
    masks["ambient"] = masks.get("ambient", 0) & masks.get("inheritable", 0) & masks.get("permitted", 0)
    if any(os.path.realpath(mount.get("source") or "") == "/" for mount in document.get("mounts") or ()):
        unlike.append("the mount of /: native leaves out what is mounted below it")
    user = process.get("user") or {}
    uid, gid = int(user.get("uid") or 0), int(user.get("gid") or 0)
    if uid:
        # execve(2) leaves to a user who is not root what is ambient (capabilities(7)).
        masks["permitted"] = masks["effective"] = masks["ambient"]
    seccomp = linux.get("seccomp")
    try:
        programs = (
            (seccomp_profile.compiled(seccomp_profile.parse(seccomp, by_runc=False), platform.machine()),)
            if seccomp
            else ()
        )
    except ValueError as error:
        raise UsageError(f"seccomp profile: {error}") from error
    namespaces = {_KINDS.get(one["type"], one["type"]) for one in linux["namespaces"]} | {"mnt"}
    return (
        Confinement(
            namespaces=frozenset(kind for kind in namespaces if os.path.exists(f"/proc/self/ns/{kind}")),
            uid_map=_map(linux.get("uidMappings") or ()) if "user" in namespaces else (),
            gid_map=_map(linux.get("gidMappings") or ()) if "user" in namespaces else (),
            uids=(uid, uid, uid),
            gids=(gid, gid, gid),
            capabilities=CapabilitySets(
                *(
                    masks.get(name, 0)
                    for name in ("inheritable", "permitted", "effective", "bounding", "ambient")
                )
            ),
            no_new_privs=bool(process.get("noNewPrivileges")),
            rlimits=tuple(_rlimits(process.get("rlimits") or ())),
            seccomp=programs,
            profile=process.get("apparmorProfile") or "",
        ),
        unlike,
    )


def _map(ranges: Iterable[Document]) -> tuple[IdRange, ...]:
    return tuple(IdRange(int(one["containerID"]), int(one["hostID"]), int(one["size"])) for one in ranges)


def _rlimits(limits: Iterable[Document]) -> list[tuple[int, int, int]]:
    """Those that the kernel knows; fewer open files would end the interpreter that sleeps there."""
    return [
        (number, one["soft"], one["hard"])
        for one in limits
        if (number := getattr(resource, one["type"], None)) is not None
    ]


def _limit(group: Group, resources: Document) -> None:
    for controller in _CONTROLLERS:
        if group.version(controller) is not None:
            group.join(controller)
    if group.version("") == 2:
        group.join("")
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    limits = []
    if memory.get("limit", -1) > 0:
        limits.append(("memory", "memory.limit_in_bytes", "memory.max", f"{memory['limit']}"))
    if cpu.get("quota", -1) > 0:
        period = cpu.get("period") or 100_000
        v2 = f"{cpu['quota']} {period}"
        if group.version("cpu") == 1:
            group.set("cpu", "cpu.cfs_period_us", f"{period}")
        limits.append(
            ("cpu", "cpu.cfs_quota_us", "cpu.max", f"{cpu['quota']}" if group.version("cpu") == 1 else v2)
        )
    if (resources.get("pids") or {}).get("limit", -1) > 0:
        limits.append(("pids", "pids.max", "pids.max", f"{resources['pids']['limit']}"))
    for controller, v1_file, v2_file, value in limits:
        version = group.version(controller)
        if version is not None:
            group.set(controller, v1_file if version == 1 else v2_file, value)
    if group.version("devices") == 1:
        _device_policy(group, resources.get("devices") or ())


def _device_policy(group: Group, rules: Iterable[Document]) -> None:
    """The bundle's rules, and the default devices after a refusal of all, as runtimes do."""
    for rule in rules:
        kind = rule.get("type") or "a"
        numbers = ":".join(
            str(rule.get(key, "*") if rule.get(key, -1) != -1 else "*") for key in ("major", "minor")
        )
        line = "a" if kind == "a" else f"{kind} {numbers} {rule.get('access') or 'rwm'}"
        group.set("devices", "devices.allow" if rule.get("allow") else "devices.deny", line)
        if kind == "a" and not rule.get("allow"):
            for default in _RULES:
                group.set("devices", "devices.allow", default)


def _furnish(document: Document) -> None:
    """Fill the new root, in whose directory this is called, with what the bundle's has."""
    linux = document["linux"]
    os.mkdir("dev")
    for path in [f"/dev/{node}" for node in _NODES] + [one["path"] for one in linux.get("devices") or ()]:
        if os.path.exists(path):
            _bind(path, path[1:], 0)
    for mount in document.get("mounts") or ():
        options = {*(mount.get("options") or ())}
        flags = sum(value for name, value in _FLAGS.items() if name in options)
        target = mount["destination"].strip("/")
        if {"bind", "rbind"} & options or mount.get("type") == "bind":
            # The new root lies on the old one until it takes its place: with it "/" would be hidden.
            whole = os.path.realpath(mount["source"]) == "/"
            _bind(mount["source"], target, flags, recursive="rbind" in options and not whole)
        elif mount.get("type") == "tmpfs" and target != "dev":
            os.makedirs(target, exist_ok=True)
            mounting.mount("tmpfs", target, "tmpfs", flags, "size=64k")
    for path in linux.get("readonlyPaths") or ():
        if os.path.lexists(path[1:]):
            _bind(path[1:], path[1:], mounting.MS_RDONLY)
    for path in linux.get("maskedPaths") or ():
        if os.path.isdir(path[1:]):
            mounting.mount("tmpfs", path[1:], "tmpfs", mounting.MS_RDONLY)
        elif os.path.lexists(path[1:]):
            mounting.mount("/dev/null", path[1:], None, mounting.MS_BIND)
    if document["root"]["readonly"]:
        mounting.set_flags(".", mounting.MS_RDONLY, keep=True)


def _bind(source: str, target: str, flags: int, *, recursive: bool = False) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    mounting.mount(source, target, None, mounting.MS_BIND | (mounting.MS_REC if recursive else 0))
    if flags:
        mounting.set_flags(target, flags, keep=True)
