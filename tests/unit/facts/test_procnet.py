from __future__ import annotations

import sys

import pytest

from isoaudit.facts.network import Listener, Route, is_wide, route_to
from isoaudit.facts.procnet import (
    parse_abstract,
    parse_ipv4_addresses,
    parse_ipv6_addresses,
    parse_ipv6_routes,
    parse_listeners,
    parse_names,
    parse_routes,
)

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="captured on a little-endian machine")

DEV = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
 tunl0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:    1046      13    0    0    0     0          0         0      126       3    0    0    0     0       0          0
"""
ROUTE = b"""\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01071FAC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00071FAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\tFEA9FEA9\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0
*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
"""
IPV6_ROUTE = b"""\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
fd000ec2000000000000000000000254 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
"""
FIB_TRIE = b"""\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 172.31.7.0/24 2 0 2
        |-- 172.31.7.0
           /24 link UNICAST
        |-- 172.31.7.2
           /32 host LOCAL
        |-- 172.31.7.255
           /32 link BROADCAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.31.7.2
        /32 host LOCAL
"""
IF_INET6 = b"""\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000d0f4b8fffe2c6e1a 03 40 20 80     eth0
"""
TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12347 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0000000000000000 100 0 0 10 0
"""
UDP = b"""\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4 2 0000000000000000 0
  101: 0100007F:8000 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 5 2 0000000000000000 0
"""
UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20001 @/containerd-shim/moby/x y.sock@
0000000000000000: 00000002 00000000 00000000 0002 01 20002 @0000a
0000000000000000: 00000003 00000000 00000000 0001 03 20003 @/containerd-shim/moby/x y.sock@
0000000000000000: 00000002 00000000 00010000 0001 01 20004 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20005 @forged
0000000000000000: 00000002
"""


def test_names() -> None:
    assert parse_names(DEV) == ("eth0",)


def test_routes() -> None:
    assert parse_routes(ROUTE) == (
        Route("0.0.0.0/0", "eth0", "172.31.7.1"),
        Route("172.31.7.0/24", "eth0", ""),
        Route("169.254.169.254/32", "", ""),
        Route("10.0.0.0/8", "", ""),
    )


def test_ipv6_routes() -> None:
    assert parse_ipv6_routes(IPV6_ROUTE) == (
        Route("fd00::/64", "eth0", ""),
        Route("::/0", "eth0", "fd00::1"),
        Route("fd00:ec2::254/128", "", ""),
    )


def test_the_longest_prefix_wins() -> None:
    routes = parse_routes(ROUTE)
    blackhole, default = route_to(routes, "169.254.169.254"), route_to(routes, "192.0.2.1")
    assert blackhole is not None
    assert blackhole.interface == ""
    assert default is not None
    assert default.via == "172.31.7.1"
    assert route_to(routes[1:], "192.0.2.1") is None


def test_addresses() -> None:
    assert parse_ipv4_addresses(FIB_TRIE) == ("172.31.7.2",)
    assert parse_ipv6_addresses(IF_INET6) == ("fe80::d0f4:b8ff:fe2c:6e1a",)


def test_listeners() -> None:
    assert list(parse_listeners(TCP, "tcp")) == [
        Listener("tcp", "127.0.0.1", 8080, 12345),
        Listener("tcp", "0.0.0.0", 80, 12346),  # noqa: S104
    ]
    assert [one.address for one in parse_listeners(TCP6, "tcp")] == ["::1", "::", "127.0.0.1"]
    assert list(parse_listeners(UDP, "udp")) == [Listener("udp", "0.0.0.0", 53, 4)]  # noqa: S104


def test_abstract_listeners() -> None:
    assert parse_abstract(UNIX) == {20001: "@/containerd-shim/moby/x y.sock@", 20005: "@forged"}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "8.8.8.8"])  # noqa: S104
def test_wide(address: str) -> None:
    assert is_wide(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "169.254.1.1", "fd00::1"])
def test_narrow(address: str) -> None:
    assert not is_wide(address)
