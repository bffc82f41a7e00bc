"""nf_tables' answers about chains and rules (linux/netfilter/nf_tables.h), those of iptables-nft too.

A rule is a list of expressions around registers: load a field into one, compare it. What is not understood
becomes the condition "?" or the verdict "?", never nothing.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from isoaudit.facts.network import Chain, Condition, Rule
from isoaudit.facts.text import line
from isoaudit.facts.xtables import parse_match, parse_target
from isoaudit.kernel.netlink import attribute_list, attributes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.kernel.netlink import Message

_HEADER = 4  # struct nfgenmsg
FAMILIES: dict[int, str] = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}
_STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
_META = {6: "iif", 7: "oif", 16: "protocol", 15: "nfproto"}
# By family, base (1 network header, 2 transport header), offset and length.
_FIELDS = {
    ("ip", 1, 12, 4): "source",
    ("ip", 1, 16, 4): "destination",
    ("ip", 1, 9, 1): "protocol",
    ("ip6", 1, 8, 16): "source",
    ("ip6", 1, 24, 16): "destination",
    ("", 2, 2, 2): "port",
}
_PASSIVE = frozenset({"counter", "log", "notrack", "last"})
_EQUAL, _UNEQUAL = 0, 1


def _be32(raw: bytes | None) -> int:
    return int(struct.unpack("!I", raw)[0]) if raw is not None and len(raw) == 4 else 0


def _value(raw: bytes | None) -> bytes:
    return attributes(raw or b"").get(1, b"")


def parse_chains(chains: Iterable[Message], rules: Iterable[Message]) -> tuple[Chain, ...]:
    """All chains with their rules.

    Args:
        chains: answers of NFT_MSG_GETCHAIN.
        rules: answers of NFT_MSG_GETRULE, in order.
    """
    contents: dict[tuple[str, str], list[Rule]] = {}
    for message in rules:
        found = attributes(message.body, _HEADER)
        family = FAMILIES.get(message.body[0], str(message.body[0]))
        where = f"{family} {line(found.get(1, b''))}", line(found.get(2, b""))
        contents.setdefault(where, []).append(_Reader(family).rule(found.get(4, b"")))
    result = []
    for message in chains:
        found = attributes(message.body, _HEADER)
        table = f"{FAMILIES.get(message.body[0], str(message.body[0]))} {line(found.get(1, b''))}"
        name = line(found.get(3, b""))
        hook, priority, policy = "", 0, ""
        # Translation decides of no packet whether it passes, and its chains see only a connection's first.
        if 4 in found and line(found.get(7, b"")) != "nat":
            told = attributes(found[4])
            number = _be32(told.get(1))
            hook = _HOOKS[number] if number < len(_HOOKS) else str(number)
            priority = struct.unpack("!i", told.get(2, bytes(4)))[0]
            policy = "accept" if _be32(found.get(5)) else "drop"
        result.append(Chain(table, name, hook, priority, policy, tuple(contents.get((table, name), ()))))
    return tuple(result)


class _Reader:
    """Reads the expressions of one rule."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._fields: dict[int, str] = {}  # what was loaded into a register
        self._masks: dict[int, bytes] = {}
        self._constants: dict[int, bytes] = {}
        self._conditions: list[Condition] = []
        self._verdict = self._target = ""

    def rule(self, raw: bytes) -> Rule:
        """The rule."""
        for _, element in attribute_list(raw):
            expression = attributes(element)
            self._expression(line(expression.get(1, b"")), attributes(expression.get(2, b"")))
        return Rule(tuple(self._conditions), self._verdict, self._target)

    def _expression(self, name: str, data: dict[int, bytes]) -> None:
        if name in ("meta", "ct", "payload"):
            self._load(name, data)
        elif name == "bitwise":
            source, target = _be32(data.get(1)), _be32(data.get(2))
            self._fields[target] = self._fields.get(source, "?")
            self._masks[target] = _value(data.get(4))
        elif name == "cmp":
            self._compare(_be32(data.get(1)), _be32(data.get(2)), _value(data.get(3)))
        elif name == "range":
            self._range(data)
        elif name == "immediate":
            self._immediate(data)
        elif name in ("match", "target"):
            self._compatible(name, data)
        elif name == "lookup":
            self._lookup(data)
        elif name == "reject":
            self._verdict = "drop"
        elif name == "nat":
            if _be32(data.get(1)) == 1:
                address = self._constants.get(_be32(data.get(3)), b"")
                self._verdict, self._target = "dnat", self._address(address)
        elif name in ("masq", "redir", "queue", "fwd", "dup"):
            self._verdict = "?" if name == "queue" else self._verdict
        elif name not in _PASSIVE:
            # A limit, a helper: it may stop the rule here.
            self._conditions.append(Condition("?", (name,)))

    def _load(self, name: str, data: dict[int, bytes]) -> None:
        if name == "payload":
            base, offset, length = (_be32(data.get(number)) for number in (2, 3, 4))
            # iptables loads only as much of an address as its prefix covers.
            whole = {12: 4, 16: 4} if self._family == "ip" else {8: 16, 24: 16}
            field = (
                _FIELDS.get(("", base, offset, length))
                or _FIELDS.get((self._family, base, offset, length))
                or (
                    _FIELDS.get((self._family, base, offset, whole.get(offset, 0)))
                    if base == 1 and length < whole.get(offset, 0)
                    else None
                )
                or "?"
            )
            register = _be32(data.get(1))
        elif name == "meta":
            register, field = _be32(data.get(1)), _META.get(_be32(data.get(2)), "?")
            if 1 not in data:  # it sets a mark
                return
        else:
            register, field = _be32(data.get(1)), "state" if _be32(data.get(2)) == 0 else "?"
            if 1 not in data:
                return
        self._fields[register] = field
        self._masks.pop(register, None)

    def _compare(self, register: int, operator: int, value: bytes) -> None:
        field, mask = self._fields.get(register, "?"), self._masks.get(register)
        negated = operator == _UNEQUAL
        if field == "state" and mask is not None and not any(value):
            number = int.from_bytes(mask, "little")
            names = tuple(name for bit, name in _STATES.items() if number & bit)
            self._conditions.append(Condition("state", names, not negated))
            return
        if operator not in (_EQUAL, _UNEQUAL) or (mask is not None and field not in ("source", "destination")):
            field = "?"
        condition = self._condition(field, value, mask)
        if condition is not None:
            self._conditions.append(condition._replace(negated=negated))

    def _condition(self, field: str, value: bytes, mask: bytes | None) -> Condition | None:
        if field in ("iif", "oif"):
            # Without its NUL it is a prefix.
            name = line(value)
            return Condition(field, (name if value.endswith(b"\0") else f"{name}*",))
        if field == "protocol":
            return Condition(field, (_PROTOCOLS.get(value[0], str(value[0])),))
        if field == "port" and len(value) == 2:
            return Condition(field, (str(int.from_bytes(value, "big")),))
        if field in ("source", "destination"):
            return Condition(field, (self._network(value, mask),))
        if field == "nfproto":
            if self._family != "inet":
                return None
            self._family = FAMILIES.get(value[0], "?")  # `meta nfproto ipv4` stands before addresses
            return Condition("nfproto", (self._family,))
        return Condition("?", (field,))

    def _network(self, value: bytes, mask: bytes | None) -> str:
        size = 4 if self._family == "ip" else 16
        length = int.from_bytes(mask, "big").bit_count() if mask is not None else 8 * len(value)
        return f"{self._address(value.ljust(size, bytes(1))[:size])}/{length}"

    @staticmethod
    def _address(raw: bytes) -> str:
        if len(raw) not in (4, 16):
            return ""
        return str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw))

    def _range(self, data: dict[int, bytes]) -> None:
        """NFTA_RANGE_SREG, OP, FROM_DATA, TO_DATA."""
        field = self._fields.get(_be32(data.get(1)), "?")
        low, high = (int.from_bytes(_value(data.get(number)), "big") for number in (3, 4))
        if field == "port":
            self._conditions.append(Condition("port", (f"{low}-{high}",), _be32(data.get(2)) == _UNEQUAL))
        else:
            self._conditions.append(Condition("?", (field,)))

    def _lookup(self, data: dict[int, bytes]) -> None:
        """A set, which stops the rule, or a map, which gives a value or a verdict (NFTA_LOOKUP_DREG)."""
        self._conditions.append(Condition("?", ("lookup",)))
        if 3 in data:
            register = _be32(data[3])
            self._fields[register] = "?"
            self._constants.pop(register, None)
            if not register:  # NFT_REG_VERDICT
                self._verdict = "?"

    def _immediate(self, data: dict[int, bytes]) -> None:
        told = attributes(data.get(2, b""))
        if 2 not in told:
            self._constants[_be32(data.get(1))] = told.get(1, b"")
            return
        decided = attributes(told[2])
        code = struct.unpack("!i", decided.get(1, bytes(4)))[0]
        names = {0: "drop", 1: "accept", -3: "jump", -4: "goto", -5: "return", -1: ""}
        self._verdict, self._target = names.get(code, "?"), line(decided.get(2, b""))

    def _compatible(self, name: str, data: dict[int, bytes]) -> None:
        """An extension of iptables, as it is in legacy tables."""
        extension, revision, info = line(data.get(1, b"")), _be32(data.get(2)), data.get(3, b"")
        if name == "match":
            self._conditions += parse_match(extension, revision, info)
        else:
            self._verdict, self._target = parse_target(extension, revision, info)
