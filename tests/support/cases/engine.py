"""Cases of checks/engine."""

from __future__ import annotations

from typing import Any

from isoaudit.audit import peers_of
from isoaudit.facts.engines import Engine, EngineFile, Owner
from isoaudit.facts.host import Host
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.network import Listener
from isoaudit.model import Basis, Reading, Severity, Verdict
from support.cases import Case
from support.facts import denied, known, make_container, make_host

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE
ROOT_OWNED = Owner(0o755, 0, 0)
CONFIG = "/etc/docker/daemon.json"
HARDENED = {"userns-remap": ("default",), "no-new-privileges": ("true",), "icc": ("false",)}


def engine(name: str = "docker", *, listeners: tuple[Listener, ...] = (), **changes: Any) -> Engine:
    """A hardened daemon that listens on its unix socket alone; `options` are those of its command line."""
    fine = Engine(
        name,
        700,
        known(0, "/proc/700/status"),
        known(INITIAL["user"], "/proc/700/ns/user"),
        {},
        CONFIG,
        known(HARDENED, CONFIG),
        known(listeners, "/proc/700/net/tcp"),
    )
    return fine._replace(**changes)


def running(*engines: Engine) -> Host:
    return make_host(engines=known(engines, "/proc"))


def configured(**changes: Any) -> Host:
    """With a daemon.json that changes some of the hardened options; None leaves one out."""
    options = {**HARDENED, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return running(engine(config=known({name: v for name, v in options.items() if v is not None}, CONFIG)))


def file(
    kind: str,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    *,
    above: tuple[Owner, ...] = (ROOT_OWNED, ROOT_OWNED),
    members: tuple[str, ...] = (),
    owner: Reading[Owner] | None = None,
) -> EngineFile:
    path = {"socket": "/run/docker.sock", "key": "/etc/ssl/key.pem", "data": "/var/lib/docker"}.get(
        kind, CONFIG
    )
    group = {0: "root", 999: "docker"}.get(gid, "")
    return EngineFile("docker", kind, path, owner or known(Owner(mode, uid, gid), path), above, group, members)


def having(*files: EngineFile) -> Host:
    return make_host(engine_files=known(files, "stat(2)"))


def on(address: str, port: int = 2375) -> tuple[Listener, ...]:
    return (Listener("tcp", address, port, 4711),)


TCP = {"host": ("unix:///run/docker.sock", "tcp://0.0.0.0:2375")}
HANDED = {"host": ("fd://",)}
ROOTLESS = engine(
    uid=known(1000), user_namespace=known(4026532700), config=denied("~/.config/docker/daemon.json")
)
NONE = running()
NO_FILES = having()
UNREAD = make_host(engines=denied("/proc"), engine_files=denied("/"))
UNREAD_FILE = denied("/run/private/docker.sock")
PRIVATE = (ROOT_OWNED, Owner(0o700, 0, 0))
EXPOSED, GROUP, PERMISSIONS = "engine-socket-exposed", "engine-socket-group", "engine-file-permissions"
TCP_OPEN, ROOTFUL = "engine-tcp-open", "engine-rootful"
USERNS, NNP, ICC = "engine-userns-off", "engine-no-new-privileges-off", "engine-icc-on"

CASES = (
    Case(
        EXPOSED,
        FAIL,
        "everybody",
        host=having(file("socket", 0o666)),
        severity=Severity.CRITICAL,
        says=("everybody to /run/docker.sock (docker)",),
    ),
    Case(EXPOSED, FAIL, "a user's", host=having(file("socket", 0o600, 1000)), says=("uid 1000",)),
    Case(EXPOSED, PASS, "a group's", host=having(file("socket", 0o660, 0, 999, members=("ann",)))),
    Case(EXPOSED, PASS, "below a folder of root's alone", host=having(file("socket", 0o666, above=PRIVATE))),
    Case(
        EXPOSED,
        PASS,
        "a user's own engine",
        host=having(
            file("socket", 0o660, 1000, 1000, above=(ROOT_OWNED, ROOT_OWNED, Owner(0o700, 1000, 1000)))
        ),
    ),
    Case(
        EXPOSED,
        FAIL,
        "a user's own engine for everybody",
        host=having(file("socket", 0o666, 1000, 1000, above=(ROOT_OWNED, Owner(0o755, 1000, 1000)))),
    ),
    Case(EXPOSED, NOT_APPLICABLE, "no socket", host=NO_FILES),
    Case(EXPOSED, UNKNOWN, "unreadable", host=UNREAD),
    Case(EXPOSED, UNKNOWN, "owner unreadable", host=having(file("socket", 0, owner=UNREAD_FILE))),
    Case(
        GROUP,
        FAIL,
        "members",
        host=having(file("socket", 0o660, 0, 999, members=("ann", "bob"))),
        severity=Severity.MEDIUM,
        says=("ann (docker), bob (docker)",),
    ),
    Case(GROUP, PASS, "no members", host=having(file("socket", 0o660, 0, 999)), says=("docker",)),
    Case(GROUP, PASS, "not for the group", host=having(file("socket", 0o600, 0, 999, members=("ann",)))),
    Case(GROUP, PASS, "root's group", host=having(file("socket", 0o660, members=("root",)))),
    Case(
        GROUP,
        PASS,
        "below a folder that the group may not enter",
        host=having(file("socket", 0o660, 0, 999, above=PRIVATE, members=("ann",))),
    ),
    Case(
        GROUP,
        FAIL,
        "below a folder of the group's",
        host=having(
            file("socket", 0o660, 0, 999, above=(ROOT_OWNED, Owner(0o750, 0, 999)), members=("ann",)),
        ),
    ),
    Case(GROUP, NOT_APPLICABLE, "no socket", host=NO_FILES),
    Case(GROUP, UNKNOWN, "unreadable", host=UNREAD),
    Case(GROUP, UNKNOWN, "owner unreadable", host=having(file("socket", 0, owner=UNREAD_FILE))),
    Case(
        PERMISSIONS,
        FAIL,
        "everybody may write",
        host=having(file("configuration", 0o666)),
        severity=Severity.HIGH,
        says=("everybody may write to /etc/docker/daemon.json",),
    ),
    Case(
        PERMISSIONS,
        FAIL,
        "a folder above is a user's",
        host=having(file("unit", 0o644, above=(ROOT_OWNED, Owner(0o755, 1000, 0)))),
        severity=Severity.HIGH,
        says=("uid 1000 may replace",),
    ),
    Case(
        PERMISSIONS,
        FAIL,
        "a key for everybody",
        host=having(file("key", 0o644)),
        severity=Severity.MEDIUM,
        says=("everybody may read /etc/ssl/key.pem",),
    ),
    Case(PERMISSIONS, FAIL, "containers' data", host=having(file("data", 0o711)), says=("may enter",)),
    Case(
        PERMISSIONS,
        PASS,
        "stricter",
        host=having(
            file("configuration", 0o400),
            file("key", 0o400),
            file("data", 0o710),
            file("unit", 0o644, above=(Owner(0o1777, 0, 0),)),
            file("certificate", 0o644),
        ),
        says=("5 files",),
    ),
    Case(PERMISSIONS, PASS, "an open file in a shut folder", host=having(file("key", 0o666, above=PRIVATE))),
    Case(PERMISSIONS, NOT_APPLICABLE, "a socket alone", host=having(file("socket", 0o666))),
    Case(PERMISSIONS, UNKNOWN, "unreadable", host=UNREAD),
    Case(PERMISSIONS, UNKNOWN, "owner unreadable", host=having(file("unit", 0, owner=UNREAD_FILE))),
    Case(ROOTFUL, FAIL, "root", host=running(engine()), severity=Severity.LOW, says=("docker (700)",)),
    Case(ROOTFUL, PASS, "rootless", host=running(ROOTLESS)),
    Case(ROOTFUL, NOT_APPLICABLE, "none", host=NONE),
    Case(ROOTFUL, UNKNOWN, "unreadable", host=UNREAD),
    Case(
        ROOTFUL, UNKNOWN, "user unreadable", host=running(engine(uid=denied("u"), user_namespace=denied("n")))
    ),
    Case(
        TCP_OPEN,
        FAIL,
        "on all addresses",
        host=running(engine(options=TCP, listeners=on("0.0.0.0"))),  # noqa: S104  a case, not a binding
        severity=Severity.CRITICAL,
        basis=Basis.INFERRED,
        says=("docker (700) on 0.0.0.0 port 2375",),
    ),
    Case(
        TCP_OPEN,
        FAIL,
        "on loopback",
        host=running(engine(options=TCP, listeners=on("127.0.0.1"))),
        severity=Severity.HIGH,
    ),
    Case(
        TCP_OPEN,
        FAIL,
        "encrypted, and open to everybody",
        host=running(engine(options={**TCP, "tls": ("true",)}, listeners=on("::"))),
    ),
    Case(TCP_OPEN, FAIL, "handed over by systemd", host=running(engine(options=HANDED, listeners=on("::")))),
    Case(
        TCP_OPEN,
        FAIL,
        "podman's service",
        host=running(engine("podman", options={"host": ("tcp:0.0.0.0:8080",)}, listeners=on("::", 8080))),
    ),
    Case(
        TCP_OPEN,
        PASS,
        "client certificates",
        host=running(engine(options={**TCP, "tlsverify": ("true",)}, listeners=on("::"))),
    ),
    Case(
        TCP_OPEN,
        PASS,
        "metrics and swarm",
        host=running(
            engine(
                options={**HANDED, "metrics-addr": ("10.0.0.1:9323",)},
                listeners=on("10.0.0.1", 9323) + on("::", 2377),
            )
        ),
    ),
    Case(TCP_OPEN, PASS, "no TCP", host=running(engine())),
    Case(
        TCP_OPEN,
        PASS,
        "containerd's streams on loopback",
        host=running(engine("containerd", listeners=on("127.0.0.1"))),
    ),
    Case(TCP_OPEN, PASS, "incus demands certificates", host=running(engine("incus", listeners=on("::", 8443)))),
    Case(
        TCP_OPEN,
        PASS,
        "buildkit with certificates",
        host=running(
            engine(
                "buildkit",
                options={"addr": ("tcp://0.0.0.0:1234",), "tlscacert": ("/ca",)},
                listeners=on("::", 1234),
            )
        ),
    ),
    Case(TCP_OPEN, NOT_APPLICABLE, "none", host=NONE),
    Case(TCP_OPEN, UNKNOWN, "unreadable", host=UNREAD),
    Case(
        TCP_OPEN,
        UNKNOWN,
        "descriptors unreadable",
        host=running(engine()._replace(listeners=denied("/proc/700/fd"))),
    ),
    Case(
        TCP_OPEN,
        UNKNOWN,
        "what containerd listens for",
        host=running(engine("containerd", listeners=on("::", 10010))),
    ),
    Case(
        TCP_OPEN,
        UNKNOWN,
        "a user's daemon, whose file is not read",
        host=running(ROOTLESS._replace(options=TCP, listeners=known(on("::"), "/proc/700/net/tcp"))),
    ),
    Case(
        USERNS,
        FAIL,
        "no remapping",
        host=configured(userns_remap=None),
        peers=peers_of([]),
        severity=Severity.MEDIUM,
        basis=Basis.INFERRED,
        says=("(700)",),
    ),
    Case(
        USERNS,
        FAIL,
        "a container shows it",
        host=configured(userns_remap=None),
        peers=peers_of([make_container()]),
        basis=Basis.OBSERVED,
    ),
    Case(USERNS, PASS, "remapped", host=configured(), basis=Basis.INFERRED),
    Case(USERNS, PASS, "rootless", host=running(ROOTLESS)),
    Case(
        NNP,
        FAIL,
        "not set",
        host=configured(no_new_privileges=None),
        severity=Severity.LOW,
        basis=Basis.INFERRED,
    ),
    Case(NNP, FAIL, "set to false", host=configured(no_new_privileges=("false",))),
    Case(NNP, PASS, "in daemon.json", host=configured()),
    Case(
        NNP,
        PASS,
        "on the command line",
        host=running(engine(options={"no-new-privileges": ("true",)}, config=known({}, CONFIG))),
    ),
    Case(ICC, FAIL, "not set", host=configured(icc=None), severity=Severity.LOW, basis=Basis.INFERRED),
    Case(ICC, PASS, "off", host=configured()),
    Case(ICC, PASS, "no default bridge", host=configured(icc=None, bridge=("none",))),
    *(Case(check, NOT_APPLICABLE, "no Docker", host=running(engine("podman"))) for check in (USERNS, NNP, ICC)),
    *(Case(check, UNKNOWN, "unreadable", host=UNREAD) for check in (USERNS, NNP, ICC)),
    *(
        Case(check, UNKNOWN, "daemon.json unreadable", host=running(engine(config=denied(CONFIG))))
        for check in (USERNS, NNP, ICC)
    ),
)
