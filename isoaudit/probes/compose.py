"""Compose services, read into configurations (the Compose Specification, "Services top-level elements")."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.probes.configuration import (
    NOBODY,
    Bind,
    Configuration,
    Ulimit,
    Wanted,
    parse_capability,
    parse_device,
    parse_number,
    parse_size,
    secured,
)
from isoaudit.probes.documents import boolean, mapping, read, sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What says nothing about how the container is isolated.
_ELSEWHERE = frozenset(
    {
        "annotations", "attach", "build", "command", "container_name", "depends_on", "deploy", "develop",
        "domainname", "entrypoint", "env_file", "environment", "expose", "healthcheck", "hostname", "image",
        "labels", "logging", "platform", "profiles", "pull_policy", "restart", "scale", "stdin_open",
        "stop_grace_period", "stop_signal", "tty", "working_dir",
    }
)  # fmt: skip
_NAMESPACES = {
    "pid": "pid",
    "ipc": "ipc",
    "uts": "uts",
    "network_mode": "network",
    "userns_mode": "userns",
    "cgroup": "cgroupns",
}
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{|[A-Za-z_])")


def services(path: str, name: str = "") -> list[Wanted]:
    """The test containers of a Compose file: one of a service, or of each.

    Raises:
        UsageError: the file is broken, or has no such service.
    """
    documents = read(path)
    if len(documents) != 1:
        raise UsageError(f"{path}: a Compose file is one document, this has {len(documents)}")
    found = mapping(mapping(documents[0], path).get("services"), f"{path}: services")
    if not found:
        raise UsageError(f"{path}: no Compose file: it has no services")
    if name and name not in found:
        raise UsageError(f"{path}: there is no service {name!r}, only {', '.join(found)}")
    folder = os.path.dirname(os.path.abspath(path))
    return [
        _Service(f"{path}: service {one}", one, folder, mapping(found[one], f"{path}: service {one}")).wanted()
        for one in ([name] if name else found)
    ]


class _Service:
    """One service while it is read."""

    def __init__(self, what: str, name: str, folder: str, fields: Mapping[str, Any]) -> None:
        self._what = what
        self._name = name
        self._folder = folder
        self._fields = fields
        self._asked = Configuration(over_engine=True)
        self._notices: list[str] = []

    def wanted(self) -> Wanted:
        readers: Mapping[str, Callable[[Any, str], None]] = {
            "cap_add": self._cap_add,
            "cap_drop": self._cap_drop,
            "security_opt": self._security,
            "user": self._user,
            "group_add": self._groups,
            "mem_limit": lambda value, what: self._set(memory=parse_size(value, what)),
            "memswap_limit": lambda value, what: self._set(
                memory_swap=-1 if value in (-1, "-1") else parse_size(value, what)
            ),
            "shm_size": lambda value, what: self._set(shm_size=parse_size(value, what)),
            "cpus": lambda value, what: self._set(cpus=parse_number(value, what)),
            "cpu_shares": lambda value, what: self._set(cpu_shares=int(parse_number(value, what))),
            "cpuset": lambda value, _: self._set(cpuset_cpus=str(value)),
            "pids_limit": lambda value, what: self._set(pids=int(parse_number(value, what))),
            "oom_score_adj": lambda value, what: self._set(oom_score_adj=int(parse_number(value, what))),
            "devices": self._devices,
            "device_cgroup_rules": lambda value, what: self._set(
                device_rules=tuple(map(str, sequence(value, what)))
            ),
            "volumes": self._volumes,
            "tmpfs": self._tmpfs,
            "ulimits": self._ulimits,
            "sysctls": self._sysctls,
            "privileged": lambda value, what: self._set(privileged=boolean(value, what)),
            "read_only": lambda value, what: self._set(read_only=boolean(value, what)),
            "init": lambda value, what: self._set(init=boolean(value, what)),
            **dict.fromkeys(_NAMESPACES, self._namespace),
        }
        unknown = []
        for field, value in self._fields.items():
            what = f"{self._what}: {field}"
            if field in readers and value is not None:
                if _VARIABLE.search(str(value)):
                    self._notices.append(f"{field}: variables are not replaced, it was not followed: {value}")
                else:
                    readers[field](value, what)
            elif field not in readers and field not in _ELSEWHERE:
                unknown.append(field)
        self._limits(mapping(self._fields.get("deploy"), f"{self._what}: deploy"))
        if unknown:
            self._notices.append(f"not followed: {', '.join(sorted(unknown))}")
        return Wanted(self._asked, self._name, tuple(self._notices))

    def _set(self, **changes: Any) -> None:
        self._asked = self._asked._replace(**changes)

    def _cap_add(self, value: Any, what: str) -> None:
        self._set(cap_add=tuple(parse_capability(one, what) for one in sequence(value, what)))

    def _cap_drop(self, value: Any, what: str) -> None:
        self._set(cap_drop=tuple(parse_capability(one, what) for one in sequence(value, what)))

    def _security(self, value: Any, what: str) -> None:
        for option in map(str, sequence(value, what)):
            kind, _, profile = option.replace(":", "=", 1).partition("=")
            if kind == "seccomp" and profile != "unconfined":
                option = f"seccomp={os.path.join(self._folder, profile)}"  # noqa: PLW2901
            self._asked = secured(self._asked, option, what)

    def _user(self, value: Any, _what: str) -> None:
        user, _, group = str(value).partition(":")
        user = "0" if user == "root" else user
        group = "0" if group == "root" else group
        if user.isdigit() and (not group or group.isdigit()):
            self._set(user=f"{user}:{group}" if group else user)
            return
        self._notices.append(f"user {value}: only its image could tell the number, {NOBODY} is taken")
        self._set(user=NOBODY)

    def _groups(self, value: Any, what: str) -> None:
        groups = [str(one) for one in sequence(value, what)]
        named = [group for group in groups if not group.isdigit()]
        if named:
            self._notices.append(f"group_add {', '.join(named)}: only its image could tell the number")
        self._set(groups=tuple(group for group in groups if group.isdigit()))

    def _namespace(self, value: Any, what: str) -> None:
        field = what.rpartition(": ")[2]
        if value in ("host", "none", "private", "shareable"):
            self._set(**{_NAMESPACES[field]: value})
        elif (field, value) != ("network_mode", "bridge"):
            self._notices.append(
                f"{field} {value}: another container's is never entered, it is taken as its own"
            )

    def _devices(self, value: Any, what: str) -> None:
        devices = []
        for one in sequence(value, what):
            if isinstance(one, dict):
                one = ":".join(str(one.get(key) or "") for key in ("source", "target", "permissions"))  # noqa: PLW2901
            devices.append(parse_device(str(one).rstrip(":"), what))
        self._set(devices=tuple(devices))

    def _volumes(self, value: Any, what: str) -> None:
        binds, made, tmpfs = [], [], list(self._asked.tmpfs)
        options: tuple[str, ...]
        for one in sequence(value, what):
            if isinstance(one, dict):
                source, target = str(one.get("source") or ""), str(one.get("target") or "")
                kind, propagation = one.get("type"), mapping(one.get("bind"), what).get("propagation")
                options = ("ro" if one.get("read_only") else "", str(propagation or ""))
            else:
                source, _, rest = str(one).partition(":")
                target, _, words = rest.partition(":")
                kind, options = "bind" if source[:1] in ("/", ".", "~") else "volume", tuple(words.split(","))
            if kind == "tmpfs":
                tmpfs.append(target)
            elif kind == "bind" and source and target:
                place = os.path.join(self._folder, os.path.expanduser(source))
                binds.append(Bind(os.path.normpath(place), target, tuple(filter(None, options))))
            else:
                made.append(source or target)
        if made:
            self._notices.append(f"volumes {', '.join(made)}: no volume of an engine's is made or mounted")
        self._set(binds=tuple(binds), tmpfs=tuple(tmpfs))

    def _tmpfs(self, value: Any, what: str) -> None:
        places = [value] if isinstance(value, str) else sequence(value, what)
        self._set(tmpfs=(*self._asked.tmpfs, *map(str, places)))

    def _ulimits(self, value: Any, what: str) -> None:
        limits = []
        for name, amount in mapping(value, what).items():
            both = amount if isinstance(amount, dict) else {"soft": amount, "hard": amount}
            soft, hard = (int(parse_number(both.get(key), f"{what}: {name}")) for key in ("soft", "hard"))
            limits.append(Ulimit(name, soft, hard))
        self._set(ulimits=tuple(limits))

    def _sysctls(self, value: Any, what: str) -> None:
        if isinstance(value, list):
            value = dict(str(one).partition("=")[::2] for one in value)
        self._set(sysctls=tuple((name, str(one)) for name, one in mapping(value, what).items()))

    def _limits(self, deploy: Mapping[str, Any]) -> None:
        what = f"{self._what}: deploy.resources"
        limits = mapping(mapping(deploy.get("resources"), what).get("limits"), what)
        for name, field, parse in (
            ("memory", "memory", parse_size),
            ("cpus", "cpus", parse_number),
            ("pids", "pids", lambda value, what: int(parse_number(value, what))),
        ):
            if limits.get(name) is not None:
                self._set(**{field: parse(limits[name], f"{what}.limits.{name}")})
