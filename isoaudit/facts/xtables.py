"""Extensions of iptables, and its legacy tables as getsockopt(2) gives them.

Source: linux/netfilter_ipv4/ip_tables.h, linux/netfilter/x_tables.h, xt_tcpudp.h, xt_conntrack.h,
nf_nat.h. All of it is in the machine's byte order but addresses and the ports of NAT.
"""

from __future__ import annotations

import itertools
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.network import Chain, Condition, Rule
from isoaudit.facts.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}
_STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_HEADER = 32  # struct xt_entry_match, xt_entry_target
# invflags of struct ipt_ip and ip6t_ip6
_INVERT_IIF, _INVERT_OIF, _INVERT_SOURCE, _INVERT_DESTINATION, _INVERT_PROTOCOL = 0x01, 0x02, 0x08, 0x10, 0x40
_VERDICTS = {-1: "drop", -2: "accept", -5: "return"}
_PASSIVE = frozenset(
    {
        "LOG",
        "NFLOG",
        "MARK",
        "CONNMARK",
        "TCPMSS",
        "CHECKSUM",
        "TRACE",
        "SET",
        "CT",
        "CLASSIFY",
        "DSCP",
        "AUDIT",
    }
)


class _Layout(NamedTuple):
    """Where things stand in struct ipt_entry or ip6t_entry."""

    address: int  # bytes of one
    protocol: int
    flags: int  # invflags follow
    offsets: int  # target_offset, next_offset
    size: int
    goto: int  # IPT_F_GOTO, IP6T_F_GOTO


_LAYOUTS = {"ip": _Layout(4, 80, 82, 88, 112, 0x02), "ip6": _Layout(16, 128, 131, 140, 168, 0x04)}


def parse_match(name: str, revision: int, info: bytes) -> list[Condition]:
    """What a match asks of a packet; none for a comment."""
    if name == "comment":
        return []
    if name in ("tcp", "udp"):
        low_from, high_from, low, high = struct.unpack_from("=4H", info)
        # The flags stand behind TCP's option, mask and comparison; UDP's at once.
        inverted = info[11] if name == "tcp" else info[8]
        found = [Condition("protocol", (name,))]
        if (low, high) != (0, 0xFFFF):
            found.append(Condition("port", (str(low) if low == high else f"{low}-{high}",), bool(inverted & 2)))
        if (low_from, high_from) != (0, 0xFFFF) or (name == "tcp" and info[9]):
            found.append(Condition("?", (name,)))
        return found
    if name == "conntrack" and revision in (2, 3):
        flags, inverted, states = struct.unpack_from("=3H", info, 146)
        if flags == 1:
            names = tuple(word for bit, word in _STATES.items() if states & bit)
            return [Condition("state", names, bool(inverted & 1))]
    return [Condition("?", (name,))]


def parse_target(name: str, revision: int, info: bytes) -> tuple[str, str]:
    """The verdict of an extension, and the address behind "dnat"."""
    if name == "DNAT":
        if revision == 0:  # struct nf_nat_ipv4_multi_range_compat
            return "dnat", str(IPv4Address(info[8:12]))
        # struct nf_nat_range, nf_nat_range2: an IPv4 address fills the first four of sixteen bytes.
        four = not any(info[8:20])
        return "dnat", str(IPv4Address(info[4:8]) if four else IPv6Address(info[4:20]))
    if name == "REJECT":
        return "drop", ""
    if name in _PASSIVE:
        return "", ""
    # MASQUERADE, SNAT and such end a chain of table nat, which decides of no packet whether it passes.
    return "?", ""


def _text(raw: bytes) -> str:
    return line(raw.partition(b"\0")[0])


def parse_legacy(
    family: str, table: str, hooks: Mapping[int, int], underflows: Mapping[int, int], raw: bytes
) -> tuple[Chain, ...]:
    """A legacy table.

    Args:
        family: "ip" or "ip6".
        table: its name.
        hooks: by the hook's number, the offset of its chain.
        underflows: by the hook's number, the offset of its policy.
        raw: the entries.

    Raises:
        ValueError: the entries are not what they should be.
    """
    layout = _LAYOUTS[family]
    offsets = _offsets(raw, layout)
    heads = {offset: _HOOKS[number] for number, offset in hooks.items()}
    names: dict[int, str] = {}  # by the offset of a chain's first rule
    for offset, following in itertools.pairwise(offsets):
        if _is_head(raw, offset, layout):
            names[following] = _text(raw[_target(raw, offset, layout) + _HEADER :][:30])
    starts = {**{offset: hook.upper() for offset, hook in heads.items()}, **names}
    rules: dict[int, list[Rule]] = {start: [] for start in starts}
    policies = {offset: _standard(raw, offset, layout) for offset in underflows.values()}
    current = -1
    for offset in offsets:
        if offset in starts:
            current = offset
        if offset not in policies and current >= 0 and not _is_head(raw, offset, layout):
            rules[current].append(_rule(raw, offset, starts, layout))
    policy_of = {hooks[number]: policies[offset] for number, offset in underflows.items()}
    where = f"{family} legacy {table}"
    return tuple(
        Chain(where, name, heads.get(start, ""), 0, policy_of.get(start, ""), tuple(rules[start]))
        for start, name in starts.items()
    )


def _offsets(raw: bytes, layout: _Layout) -> list[int]:
    found: list[int] = []
    at = 0
    while at + layout.size <= len(raw):
        found.append(at)
        step = struct.unpack_from("=H", raw, at + layout.offsets + 2)[0]
        if step < layout.size:
            raise ValueError("an entry without a length")
        at += step
    return found


def _target(raw: bytes, offset: int, layout: _Layout) -> int:
    return offset + int(struct.unpack_from("=H", raw, offset + layout.offsets)[0])


def _is_head(raw: bytes, offset: int, layout: _Layout) -> bool:
    target = _target(raw, offset, layout)
    return _text(raw[target + 2 : target + 31]) == "ERROR"


def _standard(raw: bytes, offset: int, layout: _Layout) -> str:
    return _VERDICTS.get(struct.unpack_from("=i", raw, _target(raw, offset, layout) + _HEADER)[0], "?")


def _rule(raw: bytes, offset: int, starts: Mapping[int, str], layout: _Layout) -> Rule:
    conditions = _header_conditions(raw[offset : offset + layout.size], layout)
    target = _target(raw, offset, layout)
    at = offset + layout.size
    while at < target:
        size, name, revision = struct.unpack_from("=H29sB", raw, at)
        if size < _HEADER:
            raise ValueError("a match without a length")
        conditions += parse_match(_text(name), revision, raw[at + _HEADER : at + size])
        at += size
    size, word, revision = struct.unpack_from("=H29sB", raw, target)
    name = _text(word)
    if name:
        return Rule(tuple(conditions), *parse_target(name, revision, raw[target + _HEADER : target + size]))
    number = struct.unpack_from("=i", raw, target + _HEADER)[0]
    if number < 0:
        return Rule(tuple(conditions), _VERDICTS.get(number, "?"))
    if number not in starts:  # a jump to the next rule is how a rule without a target is kept
        return Rule(tuple(conditions), "")
    return Rule(
        tuple(conditions), "goto" if raw[offset + layout.flags] & layout.goto else "jump", starts[number]
    )


def _header_conditions(raw: bytes, layout: _Layout) -> list[Condition]:
    """Of struct ipt_ip or ip6t_ip6, with which an entry begins."""
    conditions = []
    size, inverted = layout.address, raw[layout.flags + 1]
    for what, at, bit in (("source", 0, _INVERT_SOURCE), ("destination", size, _INVERT_DESTINATION)):
        length = int.from_bytes(raw[at + 2 * size :][:size], "big").bit_count()
        if length:
            network = f"{ip_address(raw[at : at + size])}/{length}"
            conditions.append(Condition(what, (network,), bool(inverted & bit)))
    names = 4 * size
    for what, at, bit in (("iif", names, _INVERT_IIF), ("oif", names + 16, _INVERT_OIF)):
        name, mask = raw[at : at + 16], raw[at + 32 : at + 48]
        if any(mask):
            covered = name[: mask.index(0)] if 0 in mask else name
            word = _text(covered)  # without its NUL it is a prefix
            conditions.append(
                Condition(what, (word if b"\0" in covered else f"{word}*",), bool(inverted & bit))
            )
    protocol = struct.unpack_from("=H", raw, layout.protocol)[0]
    if protocol:
        called = _PROTOCOLS.get(protocol, str(protocol))
        conditions.append(Condition("protocol", (called,), bool(inverted & _INVERT_PROTOCOL)))
    return conditions
