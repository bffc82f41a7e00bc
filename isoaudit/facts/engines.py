"""Container engines that run on the host: their daemons, what these listen on, and what they were told.

Options come from the daemon's own command line and from its configuration file, in the words of dockerd(8);
what a default hides behind is for each check to say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.namespaces import INITIAL
from isoaudit.model import Known, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isoaudit.facts.network import Listener
    from isoaudit.model import Reading

# By the file name of the program.
DAEMONS: dict[str, str] = {
    "dockerd": "docker",
    "containerd": "containerd",
    "crio": "cri-o",
    "podman": "podman",  # `podman system service` alone listens
    "buildkitd": "buildkit",
    "lxd": "lxd",
    "incusd": "incus",
}

# The options that checks ask for: dockerd's by the name of its flag, and of its key in daemon.json. Flags that
# may be given more than once have another key there.
_KEYS: dict[str, str] = {
    "host": "hosts",
    "addr": "addr",  # buildkitd's
    "bridge": "bridge",
    "config-file": "config-file",
    "data-root": "data-root",
    "icc": "icc",
    "metrics-addr": "metrics-addr",
    "no-new-privileges": "no-new-privileges",
    "tls": "tls",
    "tlscacert": "tlscacert",
    "tlscert": "tlscert",
    "tlskey": "tlskey",
    "tlsverify": "tlsverify",
    "userns-remap": "userns-remap",
}
_SHORT: dict[str, str] = {"-H": "host", "-b": "bridge"}
_SWITCHES = frozenset({"icc", "no-new-privileges", "tls", "tlsverify"})
# Swarm's: mutual TLS, and gossip with a key of its own.
_SWARM_PORTS = frozenset({2377, 7946})


class Owner(NamedTuple):
    """Who a directory belongs to, and what that allows."""

    mode: int  # permission bits with set-ID and sticky
    uid: int
    gid: int


class EngineFile(NamedTuple):
    """A file of an engine's with the directories above it, of which each may keep others from it."""

    engine: str
    kind: str  # "socket", "unit", "configuration", "program", "data", "certificate", "key"
    path: str  # links resolved
    owner: Reading[Owner]
    above: tuple[Owner, ...]  # the root directory first
    group: str  # the name of its group; "" where /etc/group has none
    members: tuple[str, ...]  # users whom /etc/group or /etc/passwd puts into it


class Engine(NamedTuple):
    """One running daemon."""

    name: str  # "docker", "containerd", "podman", "cri-o", …
    pid: int
    uid: Reading[int]  # effective, of the host
    user_namespace: Reading[int]
    options: Mapping[str, tuple[str, ...]]  # of its command line
    config_path: str  # "" where the engine has no file that isoaudit reads
    config: Reading[Mapping[str, tuple[str, ...]]]  # those options that the file sets
    listeners: Reading[tuple[Listener, ...]]  # TCP sockets that it holds

    @property
    def rootless(self) -> bool:
        """Whether what it does it does as somebody who is not the host's root.

        Raises:
            FactMissing: neither its user nor its user namespace could be read.
        """
        if isinstance(self.user_namespace, Known) and self.user_namespace.value != INITIAL["user"]:
            return True
        return require(self.uid) != 0

    def option(self, name: str) -> Reading[tuple[str, ...]]:
        """What it was told, by its command line or its file; () where both are silent."""
        if name in self.options:
            return Known(self.options[name], f"/proc/{self.pid}/cmdline")
        if isinstance(self.config, Unknown):
            return self.config
        return Known(self.config.value.get(name, ()), self.config.source)

    def switched_on(self, name: str, *, default: bool = False) -> Reading[bool]:
        """Whether a switch is on."""
        told = self.option(name)
        if isinstance(told, Unknown):
            return told
        return Known(told.value[-1].lower() in ("true", "1", "t") if told.value else default, told.source)


def parse_options(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those options of a daemon's command line that checks ask for, as its flag package understands them."""
    options: dict[str, list[str]] = {}
    rest = iter(arguments[1:])
    for argument in rest:
        name, separator, value = _flag(argument)
        if name not in _KEYS:
            continue
        if not separator:
            value = "true" if name in _SWITCHES else next(rest, "")
        options.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in options.items()}


def _flag(argument: str) -> tuple[str, str, str]:
    if argument[:2] in _SHORT:
        value = argument[2:].removeprefix("=")
        return _SHORT[argument[:2]], value and "=", value
    if not argument.startswith("-"):
        return "", "", ""
    return argument.lstrip("-").partition("=")


def service_addresses(arguments: Sequence[str]) -> tuple[str, ...] | None:
    """What `podman system service` was told to listen on; None where the process is another podman."""
    words = [argument for argument in arguments[1:] if not argument.startswith("-")]
    if "service" not in words or "system" not in words[: words.index("service")]:
        return None
    return tuple(word for word in words[words.index("service") + 1 :] if ":" in word)


def parse_daemon_json(raw: bytes) -> dict[str, tuple[str, ...]]:
    """Those options of a daemon.json that checks ask for, by the name of their flag.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        document = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  a parser's complaint is a ValueError
    found = {}
    for flag, key in _KEYS.items():
        value = document.get(key, document.get(flag))
        if value is not None:
            found[flag] = tuple(map(_text, value)) if isinstance(value, list) else (_text(value),)
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def addresses(engine: Engine) -> Reading[tuple[str, ...]]:
    """Where an engine was told to offer its API: "unix:///run/docker.sock", "tcp://0.0.0.0:2375", "fd://"."""
    return engine.option("addr" if engine.name == "buildkit" else "host")


def tcp_ports(told: Iterable[str]) -> frozenset[int]:
    """The TCP ports of addresses; 2375 where one names none, as dockerd has it."""
    ports = set()
    for address in told:
        scheme, separator, rest = address.partition("://")
        if not separator:
            scheme, _, rest = address.partition(":")
            rest = rest if scheme in ("tcp", "unix", "fd", "npipe") else address
            scheme = scheme if scheme in ("tcp", "unix", "fd", "npipe") else "tcp"
        if scheme == "tcp":
            port = rest.split("/", 1)[0].rpartition(":")[2]
            ports.add(int(port) if port.isdecimal() else 2375)
    return frozenset(ports)


def api_listeners(engine: Engine) -> tuple[Listener, ...]:
    """The TCP sockets on which an engine's API may be asked.

    Raises:
        FactMissing: that was not readable.
    """
    found = require(engine.listeners)
    if not found:
        return ()
    told = require(addresses(engine))
    ports = tcp_ports(told)
    # What systemd listens on for it stands in no option of the daemon's.
    handed = not told or any(address.startswith("fd:") for address in told)
    others = _SWARM_PORTS | tcp_ports(require(engine.option("metrics-addr")))
    return tuple(one for one in found if one.port in ports or (handed and one.port not in others))


def _passes(file: EngineFile, owner: Owner, who: str) -> bool:
    """Whether all directories above a file let somebody through: "others", its "group" or its "owner"."""
    return all(
        one.mode & 0o001
        or (who == "group" and one.gid == owner.gid and one.mode & 0o010)
        or (who == "owner" and one.uid == owner.uid)
        for one in file.above
    )


def writers(file: EngineFile) -> tuple[str, ...]:
    """Who may write to a file besides root: "everybody", "group docker", "uid 1000". To a socket: connect.

    Raises:
        FactMissing: its owner could not be read.
    """
    owner = require(file.owner)
    found = []
    if owner.mode & 0o002 and _passes(file, owner, "others"):
        found.append("everybody")
    if owner.mode & 0o020 and owner.gid != 0 and _passes(file, owner, "group"):
        found.append(f"group {file.group or owner.gid}")
    if owner.uid != 0 and _passes(file, owner, "owner"):
        found.append(f"uid {owner.uid}")
    return tuple(found)


def replacers(file: EngineFile) -> tuple[str, ...]:
    """Who besides root may put another file there: who writes to a directory above that is not sticky."""
    found = []
    for index, one in enumerate(file.above):
        if one.uid != 0:
            found.append(f"uid {one.uid}")
        if not one.mode & 0o1000 and all(above.mode & 0o001 for above in file.above[: index + 1]):
            found += ["everybody"] if one.mode & 0o002 else []
            found += [f"group {one.gid}"] if one.mode & 0o020 and one.gid != 0 else []
    return tuple(dict.fromkeys(found))


def readers(file: EngineFile) -> tuple[str, ...]:
    """Who may read a file, or look into a directory, besides root and its owner: "everybody", "group ssl".

    Raises:
        FactMissing: its owner could not be read.
    """
    owner = require(file.owner)
    right = 0o1 if file.kind == "data" else 0o4
    if owner.mode & right and _passes(file, owner, "others"):
        return ("everybody",)
    if owner.mode & right << 3 and owner.gid != 0 and file.members and _passes(file, owner, "group"):
        return (f"group {file.group or owner.gid}",)
    return ()


def shown_owner(owner: Owner) -> str:
    """As `stat -c '%a %u:%g'` prints it: "660 0:999"."""
    return f"{owner.mode:o} {owner.uid}:{owner.gid}"
