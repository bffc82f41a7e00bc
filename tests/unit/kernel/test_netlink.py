"""Netlink on this kernel: what any user may ask, and what a broken answer does."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest

from isoaudit.facts.links import parse_interface
from isoaudit.kernel import netlink
from isoaudit.kernel.netlink import Netlink, attribute, attributes

_GETLINK, _GETROUTE, _GETNSID = 18, 26, 90


@pytest.fixture
def route() -> Iterator[Netlink]:
    with Netlink(netlink.ROUTE) as opened:
        yield opened


def test_dump(route: Netlink) -> None:
    names = [parse_interface(message).name for message in route.dump(_GETLINK, bytes(16))]
    assert "lo" in names


def test_one_answer(route: Netlink) -> None:
    body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 0, 0) + attribute(1, bytes((127, 0, 0, 1)))
    found = attributes(route.ask(_GETROUTE, body).body, 12)
    assert found[1] == bytes((127, 0, 0, 1))


def test_refusal(route: Netlink) -> None:
    with pytest.raises(OSError, match="descriptor") as caught:
        route.ask(_GETNSID, bytes(4) + attribute(3, struct.pack("=I", 99999)))
    assert caught.value.errno == errno.EBADF


def test_our_own_namespace_has_no_number_unless_somebody_gave_it_one(route: Netlink) -> None:
    fd = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        answer = route.ask(_GETNSID, bytes(4) + attribute(3, struct.pack("=I", fd)))
    finally:
        os.close(fd)
    assert struct.unpack("=i", attributes(answer.body, 4)[1])[0] >= -1
    assert route.dump(_GETLINK, bytes(16)), "the socket can be asked again"
