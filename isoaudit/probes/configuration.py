"""What a container is asked to be given, in words that every engine can be told. Pure.

A run's flags, a Compose service and a pod's container become one of these.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from isoaudit.errors import UsageError
from isoaudit.kernel.capability import NUMBERS

UNCONFINED = "unconfined"
# A user that only the image could tell the number of; what counts is that it is not root.
NOBODY = "65534"
NAMESPACES = ("pid", "ipc", "network", "uts", "userns", "cgroupns")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Bind(NamedTuple):
    """A path of the host's, inside."""

    source: str
    target: str
    options: tuple[str, ...] = ()  # "ro", "rslave", …


class Device(NamedTuple):
    """A device of the host's, inside."""

    source: str
    target: str
    access: str = "rwm"


class Ulimit(NamedTuple):
    """A resource limit; -1 is none."""

    name: str  # "nofile"
    soft: int
    hard: int


class Configuration(NamedTuple):
    """What is asked for beyond an engine's defaults; None, "" and () ask for nothing."""

    cap_add: tuple[str, ...] = ()  # "CAP_SYS_TIME"; "ALL"
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privs: bool | None = None
    seccomp: str = ""  # "unconfined", or the path of a profile
    apparmor: str = ""  # "unconfined", or a profile that is loaded
    labels: tuple[str, ...] = ()  # SELinux: "type:spc_t", "disable"
    unmasked: bool = False  # paths of /proc and /sys are neither hidden nor read-only
    user: str = ""  # "1000", "1000:1000"
    groups: tuple[str, ...] = ()
    read_only: bool = False
    # "host", "private", "none"; engines know more words, which are theirs to understand
    pid: str = ""
    ipc: str = ""
    network: str = ""
    uts: str = ""
    userns: str = ""
    cgroupns: str = ""
    memory: int | None = None  # bytes
    memory_swap: int | None = None  # bytes of memory and swap; -1 is no limit
    cpus: float | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int | None = None
    oom_score_adj: int | None = None
    shm_size: int | None = None  # bytes
    init: bool = False
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()  # "c 1:3 rwm"
    binds: tuple[Bind, ...] = ()
    tmpfs: tuple[str, ...] = ()  # "/run", "/run:size=1m"
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    # Whether a bundle starts from what Docker and kubelets give, rather than from the little of `runc spec`.
    over_engine: bool = False
    others: tuple[str, ...] = ()  # flags that only Docker's and Podman's `run` understands, as they are

    def flags(self) -> tuple[str, ...]:
        """The flags of `docker run` and `podman run` that ask for this."""
        flags = [f"--cap-add={name}" for name in self.cap_add]
        flags += [f"--cap-drop={name}" for name in self.cap_drop]
        flags += ["--privileged"] * self.privileged + ["--read-only"] * self.read_only + ["--init"] * self.init
        flags += [f"--security-opt={option}" for option in self._security()]
        flags += [f"--group-add={group}" for group in self.groups]
        for name in NAMESPACES:
            if value := getattr(self, name):
                flags.append(f"--{name}={value}")
        for flag, amount in (
            ("user", self.user or None),
            ("memory", _bytes(self.memory)),
            ("memory-swap", self.memory_swap if self.memory_swap == -1 else _bytes(self.memory_swap)),
            ("cpus", self.cpus),
            ("cpu-shares", self.cpu_shares),
            ("cpuset-cpus", self.cpuset_cpus or None),
            ("cpuset-mems", self.cpuset_mems or None),
            ("pids-limit", self.pids),
            ("oom-score-adj", self.oom_score_adj),
            ("shm-size", _bytes(self.shm_size)),
        ):
            if amount is not None:
                flags.append(f"--{flag}={amount}")
        flags += [f"--device={':'.join(device)}" for device in self.devices]
        flags += [f"--device-cgroup-rule={rule}" for rule in self.device_rules]
        flags += [f"--volume={_colons(*one[:2], ','.join(one.options))}" for one in self.binds]
        flags += [f"--tmpfs={one}" for one in self.tmpfs]
        flags += [f"--ulimit={one.name}={one.soft}:{one.hard}" for one in self.ulimits]
        flags += [f"--sysctl={name}={value}" for name, value in self.sysctls]
        return (*flags, *self.others)

    def _security(self) -> list[str]:
        options = [f"label={label}" for label in self.labels]
        if self.no_new_privs is not None:
            options.append(f"no-new-privileges={str(self.no_new_privs).lower()}")
        if self.seccomp:
            options.append(f"seccomp={self.seccomp}")
        if self.apparmor:
            options.append(f"apparmor={self.apparmor}")
        if self.unmasked:
            options.append("systempaths=unconfined")
        return options


class Wanted(NamedTuple):
    """One test container that is asked for."""

    configuration: Configuration = Configuration()
    name: str = ""  # of the service or container; "" where there is but one
    notices: tuple[str, ...] = ()  # what of its source was not followed


def _bytes(amount: int | None) -> str | None:
    return None if amount is None else f"{amount}b"


def _colons(*parts: str) -> str:
    return ":".join(filter(None, parts))


def parse_size(text: str, what: str) -> int:
    """Bytes of "512m", "1.5g", "64MiB"-like words, as Docker and Compose count them.

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise UsageError(f"{what}: {text!r} is no size: write 512m or 2g")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def parse_number(value: object, what: str) -> float:
    """A number of any notation.

    Raises:
        UsageError: it is none.
    """
    try:
        return float(str(value))
    except ValueError as error:
        raise UsageError(f"{what}: {value!r} is no number") from error


def parse_capability(word: str, what: str) -> str:
    """The kernel's name of a capability, or "ALL".

    Raises:
        UsageError: there is no such capability.
    """
    name = str(word).upper()
    if name == "ALL":
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in NUMBERS:
        raise UsageError(f"{what}: there is no capability {word!r}: see capabilities(7)")
    return name


def parse_bind(text: str) -> Bind | None:
    """HOST:INSIDE[:OPTIONS] where HOST is an absolute path; None for a volume of an engine's."""
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not source.startswith("/") or not target:
        return None
    return Bind(source, target, tuple(filter(None, options.split(","))))


def parse_device(text: str, what: str) -> Device:
    """HOST[:INSIDE][:ACCESS].

    Raises:
        UsageError: it is no device's path.
    """
    source, *rest = text.split(":")
    if not source.startswith("/") or len(rest) > 2:
        raise UsageError(f"{what}: {text!r} is no device: write /dev/fuse or /dev/sda:/dev/xvda:r")
    access = rest.pop() if rest and re.fullmatch("[rwm]+", rest[-1]) else "rwm"
    return Device(source, rest[0] if rest else source, access)


def parse_ulimit(text: str, what: str) -> Ulimit:
    """NAME=SOFT[:HARD].

    Raises:
        UsageError: it is no limit.
    """
    match = re.fullmatch(r"([a-z]+)=(-?\d+)(?::(-?\d+))?", text)
    if match is None:
        raise UsageError(f"{what}: {text!r} is no limit: write nofile=1024:2048")
    return Ulimit(match[1], int(match[2]), int(match[3] or match[2]))


def secured(asked: Configuration, option: str, what: str) -> Configuration:
    """A configuration with one more of Docker's security options.

    Raises:
        UsageError: there is no such option.
    """
    name, separator, value = option.partition("=")
    if not separator:
        name, _, value = option.partition(":")
    if name == "no-new-privileges" and value in ("", "true", "false"):
        return asked._replace(no_new_privs=value != "false")
    if name == "seccomp" and value:
        return asked._replace(seccomp=value)
    if name == "apparmor" and value:
        return asked._replace(apparmor=value)
    if name == "label" and value:
        return asked._replace(labels=(*asked.labels, value))
    if (name, value) == ("systempaths", UNCONFINED):
        return asked._replace(unmasked=True)
    raise UsageError(f"{what}: {option!r} is no security option that is known here")
