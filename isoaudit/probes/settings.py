"""A configuration put over a bundle (runtime-spec config.md, config-linux.md). Pure but for device numbers."""

from __future__ import annotations

import copy
import os
import stat
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.kernel import capability, credentials
from isoaudit.probes.configuration import NOBODY, UNCONFINED
from isoaudit.probes.profiles import profile

if TYPE_CHECKING:
    from isoaudit.probes.configuration import Configuration, Device

Document = dict[str, Any]
_NAMESPACES = {"pid": "pid", "ipc": "ipc", "network": "network", "uts": "uts", "cgroupns": "cgroup"}
# The default profile of Podman, Buildah and CRI-O, where one of them is installed.
_PROFILE = "/usr/share/containers/seccomp.json"
_EVERY_DEVICE = {"allow": True, "access": "rwm"}


def with_configuration(document: Document, asked: Configuration) -> tuple[Document, list[str]]:
    """A bundle with what is asked for, and what of that no bundle can say.

    Raises:
        UsageError: a profile or user that cannot be used.
    """
    made = copy.deepcopy(document)
    notices: list[str] = []
    process, linux = made["process"], made["linux"]
    if asked.over_engine:
        _as_engines_do(made, notices, profiled=not asked.seccomp)
    if asked.privileged:
        _privileged(made)
    _capabilities(process, asked)
    if asked.no_new_privs is not None:
        process["noNewPrivileges"] = asked.no_new_privs
    if asked.seccomp == UNCONFINED:
        linux.pop("seccomp", None)
    elif asked.seccomp:
        linux["seccomp"] = profile(asked.seccomp, process["capabilities"]["bounding"])
    if asked.apparmor:
        process["apparmorProfile"] = asked.apparmor
    if asked.unmasked:
        linux["maskedPaths"], linux["readonlyPaths"] = [], []
    if asked.user:
        process["user"] = _user(asked.user, notices)
    groups = [int(group) for group in asked.groups if group.isdigit()]
    if groups:
        process["user"]["additionalGids"] = groups
    made["root"]["readonly"] = bool(made["root"].get("readonly")) or asked.read_only
    _namespaces(linux, asked, notices)
    _resources(linux.setdefault("resources", {}), asked)
    if asked.oom_score_adj is not None:
        process["oomScoreAdj"] = asked.oom_score_adj
    _mounts(made, asked)
    for device in asked.devices:
        _device(linux, device)
    process.setdefault("rlimits", []).extend(
        {"type": f"RLIMIT_{one.name.upper()}", "soft": _limit(one.soft), "hard": _limit(one.hard)}
        for one in asked.ulimits
    )
    if asked.sysctls:
        linux.setdefault("sysctl", {}).update(asked.sysctls)
    refused = [f"label={one}" for one in asked.labels] + [*asked.others]
    refused += [f"--group-add={group}" for group in asked.groups if not group.isdigit()]
    notices += [f"{flag}: a bundle cannot say that, it was not followed" for flag in refused]
    return made, notices


def _as_engines_do(made: Document, notices: list[str], *, profiled: bool) -> None:
    """What engines give by default, of which runtimes know nothing."""
    process, names = made["process"], list(capability.names(capability.OCI_DEFAULT))
    process["capabilities"] = {name: list(names) for name in ("bounding", "effective", "permitted")}
    process["noNewPrivileges"] = False
    made["root"]["readonly"] = False
    if profiled and os.path.exists(_PROFILE):
        made["linux"]["seccomp"] = profile(_PROFILE, names)
    elif profiled:
        notices.append(f"seccomp: runtimes have no default profile, and there is no {_PROFILE}: none is used")


def _privileged(made: Document) -> None:
    """What `--privileged` takes away; its capabilities come with the others."""
    made["process"]["noNewPrivileges"] = False
    made["process"].pop("apparmorProfile", None)
    linux = made["linux"]
    linux.pop("seccomp", None)
    linux["maskedPaths"], linux["readonlyPaths"] = [], []
    linux.setdefault("resources", {})["devices"] = [dict(_EVERY_DEVICE)]
    made["root"]["readonly"] = False
    for mount in made.get("mounts") or ():
        if mount.get("type") in ("sysfs", "cgroup"):
            mount["options"] = [option for option in mount.get("options") or () if option != "ro"]


def _capabilities(process: Document, asked: Configuration) -> None:
    sets = process.setdefault("capabilities", {})
    for name in ("bounding", "effective", "permitted"):
        sets.setdefault(name, [])
    every = {*capability.names(credentials.permitted())}
    add, drop = {*asked.cap_add}, {*asked.cap_drop}
    for name, held in sets.items():
        if not held and name in ("ambient", "inheritable"):
            continue
        base = set() if "ALL" in drop else {*held}
        if asked.privileged or "ALL" in add:
            base = every
        sets[name] = sorted((base | add - {"ALL"}) - drop if "ALL" not in drop else base | add - {"ALL"})


def _user(text: str, notices: list[str]) -> Document:
    user, _, group = text.partition(":")
    if user == "root":
        user = "0"
    if not user.isdigit() or (group and not group.isdigit()):
        notices.append(f"user {text!r}: only its image could tell the number, {NOBODY} is taken")
        return {"uid": int(NOBODY), "gid": int(NOBODY)}
    return {"uid": int(user), "gid": int(group or 0)}


def _namespaces(linux: Document, asked: Configuration, notices: list[str]) -> None:
    kinds = [one["type"] for one in linux["namespaces"]]
    for field, kind in _NAMESPACES.items():
        value = getattr(asked, field)
        if value == "host" and kind in kinds:
            kinds.remove(kind)
        elif value in ("private", "none") and kind not in kinds:
            kinds.append(kind)
        elif value not in ("", "host", "private", "none"):
            notices.append(f"--{field}={value}: in a bundle it is a namespace of the container's own")
    if asked.userns not in ("", "host"):
        notices.append(f"--userns={asked.userns}: a bundle has no ids to map, it was not followed")
    found = {one["type"]: one for one in linux["namespaces"]}
    linux["namespaces"] = [found.get(kind, {"type": kind}) for kind in kinds]


def _resources(resources: Document, asked: Configuration) -> None:
    memory: Document = {}
    if asked.memory is not None:
        # As Docker and Podman do, for as much swap as memory.
        memory = {"limit": asked.memory, "swap": asked.memory_swap or 2 * asked.memory}
    cpu: Document = {}
    if asked.cpus is not None:
        cpu = {"quota": max(round(asked.cpus * 100_000), 1000), "period": 100_000}
    for key, value in (
        ("shares", asked.cpu_shares),
        ("cpus", asked.cpuset_cpus or None),
        ("mems", asked.cpuset_mems or None),
    ):
        if value is not None:
            cpu[key] = value
    for key, values in (("memory", memory), ("cpu", cpu)):
        if values:
            resources[key] = {**(resources.get(key) or {}), **values}
    if asked.pids is not None:
        resources["pids"] = {"limit": asked.pids}
    for rule in asked.device_rules:
        resources.setdefault("devices", []).append(_rule(rule))


def _rule(text: str) -> Document:
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, _, minor = numbers.partition(":")
    rule: Document = {"allow": True, "type": kind, "access": access}
    if not access or not minor or kind not in ("a", "b", "c"):
        raise UsageError(f"--device-cgroup-rule: {text!r} is no rule: write 'c 10:229 rwm'")
    for key, number in (("major", major), ("minor", minor)):
        if number != "*":
            rule[key] = int(number)
    return rule


def _mounts(made: Document, asked: Configuration) -> None:
    mounts = made.setdefault("mounts", [])
    for bind in asked.binds:
        mounts.append(
            {
                "destination": bind.target,
                "type": "bind",
                "source": bind.source,
                "options": ["rbind", *(one for one in bind.options if one not in ("rw", "z", "Z"))],
            }
        )
    for one in asked.tmpfs:
        target, _, options = one.partition(":")
        mounts.append(
            {
                "destination": target,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "nodev", *filter(None, options.split(","))],
            }
        )


def _device(linux: Document, device: Device) -> None:
    found = os.stat(device.source)
    kind = "b" if stat.S_ISBLK(found.st_mode) else "c"
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    linux.setdefault("devices", []).append(
        {"path": device.target, "type": kind, "major": major, "minor": minor, "fileMode": 0o666}
    )
    linux.setdefault("resources", {}).setdefault("devices", []).append(
        {"allow": True, "type": kind, "major": major, "minor": minor, "access": device.access}
    )


def _limit(amount: int) -> int:
    return (1 << 64) - 1 if amount < 0 else amount
