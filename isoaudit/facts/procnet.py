"""Parsers of /proc/PID/net (proc(5)); net/ipv4/fib_trie.c, net/ipv6/route.c, net/unix/af_unix.c.

Numbers stand there as the machine holds them: on x86 and most others an IPv4 address in hexadecimal is the
wrong way round.
"""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from isoaudit.facts.network import Listener, Route
from isoaudit.facts.text import text

if TYPE_CHECKING:
    from collections.abc import Iterator

_REJECT = 0x0200  # RTF_REJECT (linux/route.h)
_GATEWAY = 0x0002
_ACCEPTS = b"00010000"  # __SO_ACCEPTCON
_LISTEN, _CLOSE = b"0A", b"07"  # TCP_LISTEN; an unconnected UDP socket is TCP_CLOSE
# Devices that a module makes in each namespace, without addresses and down until somebody sets them up.
_FALLBACK = frozenset(
    [
        "lo",
        "tunl0",
        "gre0",
        "gretap0",
        "erspan0",
        "ip_vti0",
        "ip6_vti0",
        "sit0",
        "ip6tnl0",
        "ip6gre0",
        "teql0",
        "can0",
        "vcan0",
    ]
)


def parse_names(raw: bytes) -> tuple[str, ...]:
    """Names of net/dev, without loopback and the devices that every namespace is born with."""
    names = [text(line.partition(b":")[0].strip()) for line in raw.splitlines()[2:]]
    return tuple(name for name in names if name not in _FALLBACK)


def _ipv4(word: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET, int(word, 16).to_bytes(4, sys.byteorder))


def _ipv6(word: bytes) -> str:
    """As if_inet6 and ipv6_route print it: the bytes in order."""
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(word.decode()))


def _ipv6_words(word: bytes) -> str:
    """As tcp6 prints it: four machine words."""
    raw = b"".join(int(word[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, 32, 8))
    return socket.inet_ntop(socket.AF_INET6, raw)


def parse_routes(raw: bytes) -> tuple[Route, ...]:
    """net/route: the main table's IPv4 routes."""
    routes = []
    for line in raw.splitlines()[1:]:
        fields = line.split()
        length = int(fields[7], 16).bit_count()
        flags = int(fields[3], 16)
        dead = flags & _REJECT or fields[0] == b"*"  # a blackhole has no device
        via = _ipv4(fields[2]) if flags & _GATEWAY else ""
        routes.append(Route(f"{_ipv4(fields[1])}/{length}", "" if dead else text(fields[0]), via))
    return tuple(routes)


def parse_ipv6_routes(raw: bytes) -> tuple[Route, ...]:
    """net/ipv6_route: all tables' routes that packets can take; multicast and the loopback's are left out."""
    routes = []
    for line in raw.splitlines():
        fields = line.split()
        flags, device = int(fields[8], 16), text(fields[9])
        reject = bool(flags & _REJECT)
        if fields[0].startswith(b"ff") or (device == "lo" and not reject):
            continue
        # Every namespace has a last-resort "unreachable default" with the worst metric.
        if reject and fields[1] == b"00" and fields[5] == b"ffffffff":
            continue
        via = _ipv6(fields[4]) if flags & _GATEWAY else ""
        routes.append(Route(f"{_ipv6(fields[0])}/{int(fields[1], 16)}", "" if reject else device, via))
    return tuple(routes)


def parse_ipv4_addresses(raw: bytes) -> tuple[str, ...]:
    """net/fib_trie: the local addresses but loopback's."""
    found: dict[str, None] = {}
    last = ""
    for line in raw.splitlines():
        word = line.split()
        if word[:1] == [b"|--"]:
            last = text(word[1])
        elif word[:3] == [b"/32", b"host", b"LOCAL"] and last and not last.startswith("127."):
            found[last] = None
    return tuple(found)


def parse_ipv6_addresses(raw: bytes) -> tuple[str, ...]:
    """net/if_inet6: the addresses but loopback's."""
    fields = [line.split() for line in raw.splitlines()]
    return tuple(_ipv6(row[0]) for row in fields if row[5] != b"lo")


def parse_listeners(raw: bytes, protocol: str) -> Iterator[Listener]:
    """net/{tcp,tcp6,udp,udp6}: sockets that wait for anybody."""
    waiting = _LISTEN if protocol == "tcp" else _CLOSE
    for line in raw.splitlines()[1:]:
        fields = line.split()
        if fields[3] != waiting or fields[2].rpartition(b":")[2] != b"0000":
            continue
        word, _, port = fields[1].rpartition(b":")
        address = _ipv4(word) if len(word) == 8 else _ipv6_words(word)
        mapped = ip_address(address)
        if mapped.version == 6 and mapped.ipv4_mapped is not None:
            address = str(mapped.ipv4_mapped)
        yield Listener(protocol, address, int(port, 16), int(fields[9]))


def parse_abstract(raw: bytes) -> dict[int, str]:
    """net/unix: inode and name of the abstract sockets that accept connections.

    The name is all of the rest of the line; a NUL in it shows as `@`, and a newline begins what looks like
    another line, which the count of fields mostly gives away.
    """
    found = {}
    for line in raw.split(b"\n")[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[3] == _ACCEPTS and fields[7][:1] == b"@" and fields[6].isdigit():
            found[int(fields[6])] = text(fields[7])
    return found
