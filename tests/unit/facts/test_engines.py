from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.facts import denied, known

from isoaudit.facts.engines import (
    Engine,
    EngineFile,
    Owner,
    api_listeners,
    parse_daemon_json,
    parse_options,
    readers,
    replacers,
    service_addresses,
    shown_owner,
    tcp_ports,
    writers,
)
from isoaudit.facts.network import Listener
from isoaudit.model import FactMissing, Known, Unknown

ROOT = Owner(0o755, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["-H", "fd://", "--containerd=/run/containerd/containerd.sock"], {"host": ("fd://",)}),
        (["-Htcp://0.0.0.0:2375", "-H=unix:///x"], {"host": ("tcp://0.0.0.0:2375", "unix:///x")}),
        (["--host", "fd://", "--host=tcp://:2376"], {"host": ("fd://", "tcp://:2376")}),
        (["--tlsverify", "--icc=false", "--userns-remap", "default"], {
            "tlsverify": ("true",), "icc": ("false",), "userns-remap": ("default",)}),
        (["-b", "none"], {"bridge": ("none",)}),
        (["--data-root"], {"data-root": ("",)}),
        (["--debug", "word"], {}),
        ([], {}),
    ],
)  # fmt: skip
def test_options(arguments: list[str], options: dict[str, tuple[str, ...]]) -> None:
    assert parse_options(["/usr/bin/dockerd", *arguments]) == options


@given(st.lists(st.text()))
def test_no_command_line_breaks_the_parser(arguments: list[str]) -> None:
    parse_options(arguments)
    service_addresses(arguments)
    tcp_ports(arguments)


def test_podmans_service() -> None:
    assert service_addresses(["podman", "system", "service"]) == ()
    assert service_addresses(
        ["podman", "--log-level=info", "system", "service", "tcp:0.0.0.0:80", "-t", "0"]
    ) == ("tcp:0.0.0.0:80",)
    assert service_addresses(["podman", "run", "service"]) is None
    assert service_addresses(["podman"]) is None


def test_daemon_json() -> None:
    raw = b'{"hosts": ["fd://", "tcp://1.2.3.4"], "icc": false, "userns-remap": "u:g", "debug": true, "tls": null}'
    assert parse_daemon_json(raw) == {
        "host": ("fd://", "tcp://1.2.3.4"),
        "icc": ("false",),
        "userns-remap": ("u:g",),
    }


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_no_daemon_json(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's own, and ours
        parse_daemon_json(raw)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("tcp://0.0.0.0:2376", 2376),
        ("tcp://[::1]:2376/x", 2376),
        ("tcp://1.2.3.4", 2375),
        ("tcp:0.0.0.0:8080", 8080),
        ("10.0.0.1:9323", 9323),
        ("unix:///run/docker.sock", None),
        ("fd://", None),
    ],
)
def test_ports(address: str, port: int | None) -> None:
    assert tcp_ports([address]) == (frozenset() if port is None else {port})


def engine(**changes: object) -> Engine:
    fine = Engine(
        "docker",
        7,
        known(0),
        known(4026531837),
        {"icc": ("false",)},
        "/d.json",
        known({"icc": ("true",), "tls": ("1",)}, "/d.json"),
        known(()),
    )
    return fine._replace(**changes)  # type: ignore[arg-type]


def test_the_command_line_comes_first() -> None:
    assert engine().option("icc") == Known(("false",), "/proc/7/cmdline")
    assert engine().option("tls") == Known(("1",), "/d.json")
    assert engine().option("bridge") == Known((), "/d.json")
    assert engine().switched_on("icc", default=True) == Known(False, "/proc/7/cmdline")
    assert engine().switched_on("tls") == Known(True, "/d.json")
    assert engine(options={}).switched_on("no-new-privileges", default=True) == Known(True, "/d.json")


def test_a_file_that_was_not_read_says_nothing() -> None:
    unread = engine(config=denied("/d.json"))
    assert isinstance(unread.option("tls"), Unknown)
    assert unread.option("icc") == Known(("false",), "/proc/7/cmdline")
    with pytest.raises(FactMissing):
        api_listeners(unread._replace(listeners=known((Listener("tcp", "::", 2375, 1),))))


def test_rootless_by_user_or_by_namespace() -> None:
    assert not engine().rootless
    assert engine(uid=known(1000)).rootless
    assert engine(user_namespace=known(4026532000)).rootless
    assert engine(user_namespace=denied(), uid=known(1000)).rootless
    with pytest.raises(FactMissing):
        engine(uid=denied()).rootless  # noqa: B018  the property raises


def file(
    mode: int, uid: int = 0, gid: int = 0, *above: Owner, kind: str = "key", members: tuple[str, ...] = ("a",)
) -> EngineFile:
    owner = known(Owner(mode, uid, gid))
    return EngineFile("docker", kind, "/x/y", owner, above or (ROOT,), "staff" if gid else "root", members)


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (file(0o644), ()),
        (file(0o666), ("everybody",)),
        (file(0o666, 0, 0, ROOT, Owner(0o700, 0, 0)), ()),
        (file(0o664, 0, 50), ("group staff",)),
        (file(0o664, 0, 50, Owner(0o750, 0, 50)), ("group staff",)),
        (file(0o664, 0, 50, Owner(0o750, 0, 51)), ()),
        (file(0o400, 1000), ("uid 1000",)),
        (file(0o600, 1000, 0, Owner(0o700, 0, 0)), ()),
        (file(0o600, 1000, 0, Owner(0o700, 1000, 0)), ("uid 1000",)),
    ],
)
def test_writers(one: EngineFile, who: tuple[str, ...]) -> None:
    assert writers(one) == who


@pytest.mark.parametrize(
    ("above", "who"),
    [
        ((ROOT, ROOT), ()),
        ((ROOT, Owner(0o1777, 0, 0)), ()),
        ((ROOT, Owner(0o777, 0, 0)), ("everybody",)),
        ((Owner(0o750, 0, 0), Owner(0o777, 0, 0)), ()),
        ((ROOT, Owner(0o775, 0, 50)), ("group 50",)),
        ((ROOT, Owner(0o755, 1000, 0)), ("uid 1000",)),
    ],
)
def test_replacers(above: tuple[Owner, ...], who: tuple[str, ...]) -> None:
    assert replacers(file(0o644, 0, 0, *above)) == who


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (file(0o400), ()),
        (file(0o444), ("everybody",)),
        (file(0o440, 0, 50), ("group staff",)),
        (file(0o440, 0, 50, members=()), ()),
        (file(0o710, kind="data"), ()),
        (file(0o711, kind="data"), ("everybody",)),
        (file(0o710, 0, 50, kind="data"), ("group staff",)),
    ],
)
def test_readers(one: EngineFile, who: tuple[str, ...]) -> None:
    assert readers(one) == who


def test_owner_as_stat_prints_it() -> None:
    assert shown_owner(Owner(0o1777, 0, 999)) == "1777 0:999"
