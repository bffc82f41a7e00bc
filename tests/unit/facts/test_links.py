"""Interfaces and queues as a kernel gave them (tests/hosts/netlink.json: Linux 6.18)."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from support.hosts import HOSTS

from isoaudit.facts.links import parse_filters, parse_interface, parse_qdiscs, parse_with_root, sorts_only
from isoaudit.facts.network import Qdisc
from isoaudit.kernel.netlink import Message, attribute, attribute_list, attributes

DOCUMENT: dict[str, Any] = json.loads((HOSTS / "netlink.json").read_text())


def messages(rows: Iterable[tuple[int, str]]) -> list[Message]:
    return [Message(kind, base64.b64decode(body)) for kind, body in rows]


LINKS = {one.name: one for one in map(parse_interface, messages(DOCUMENT["links"]))}


def test_interfaces() -> None:
    assert {name: link.kind for name, link in LINKS.items()} == {
        "lo": "",
        "vp": "veth",
        "vb": "veth",
        "br9": "bridge",
        "ifb9": "ifb",
    }
    port, bridge = LINKS["vb"], LINKS["br9"]
    assert (port.master, port.peer, port.isolated) == (bridge.number, LINKS["vp"].number, True)
    assert not LINKS["vp"].isolated


def test_queues() -> None:
    classes = {int(index): messages(rows) for index, rows in DOCUMENT["classes"].items()}
    found = parse_qdiscs(messages(DOCUMENT["qdiscs"]), classes)
    assert found[LINKS["vp"].number] == [Qdisc("tbf", ingress=False, rate=625000)]
    assert found[LINKS["vb"].number] == [
        Qdisc("htb", ingress=False, rate=1000000),
        Qdisc("ingress", ingress=True, rate=None),
    ]


def test_classes_without_a_default_limit_nothing_for_sure() -> None:
    found = parse_qdiscs(messages(DOCUMENT["qdiscs"]), {})
    assert found[LINKS["vb"].number][0] == Qdisc("htb", ingress=False, rate=None)


def test_redirection() -> None:
    expected = Qdisc("redirect", ingress=True, rate=None, target=LINKS["ifb9"].number)
    assert parse_filters(messages(DOCUMENT["filters"])) == [expected]


def test_root_queue() -> None:
    told = {one.name: one.qdiscs for one in map(parse_with_root, messages(DOCUMENT["links"]))}
    assert told["vp"] == (Qdisc("tbf", ingress=False, rate=None),)
    assert told["vb"] == (Qdisc("htb", ingress=False, rate=None),)
    assert not sorts_only("tbf")
    assert sorts_only("fq_codel")


def tc(kind: str, options: bytes) -> Message:
    head = struct.pack("=BxxxiIII", 0, 7, 0x10000, 0xFFFFFFFF, 0)
    return Message(36, head + attribute(1, kind.encode() + b"\0") + attribute(2, options))


@pytest.mark.parametrize(
    ("kind", "options", "rate"),
    [
        ("tbf", attribute(4, struct.pack("=Q", 5 << 32)), 5 << 32),
        ("cake", attribute(2, struct.pack("=Q", 1000)), 1000),
        ("cake", attribute(2, struct.pack("=Q", 0)), None),
        ("netem", attribute(6, struct.pack("=I", 1000)), 1000),
        ("fq_codel", b"", None),
    ],
)
def test_rates(kind: str, options: bytes, rate: int | None) -> None:
    assert parse_qdiscs([tc(kind, options)], {}) == {7: [Qdisc(kind, ingress=False, rate=rate)]}


def test_policer() -> None:
    police = struct.pack("=5I", 0, 2, 0, 0, 0) + struct.pack("=BBHhHI", 0, 0, 0, 0, 0, 125000)
    action = attribute(1, b"police\0") + attribute(2, attribute(1, police))
    found = parse_filters([tc("matchall", attribute(2, attribute(1, action)))])
    assert found == [Qdisc("police", ingress=True, rate=125000)]


@pytest.mark.parametrize(("kind", "shown"), [("bpf", "bpf"), ("cgroup", "filter")])
def test_filters_that_are_not_understood(kind: str, shown: str) -> None:
    assert parse_filters([tc(kind, b"")]) == [Qdisc(shown, ingress=True, rate=None)]


def test_attributes() -> None:
    raw = attribute(1, b"abc") + attribute(0x8002, b"") + struct.pack("=HH", 2, 9)
    assert attributes(raw) == {1: b"abc", 2: b""}, "flags are not of the type; a length below 4 ends them"
    assert list(attribute_list(b"\0\0")) == []
