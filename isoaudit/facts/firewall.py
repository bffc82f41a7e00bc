"""What a firewall does with a packet, as far as its rules were understood (nft(8), iptables(8)).

Three answers: accept, drop, and unknown where a rule that matters was not understood. Nothing is guessed.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.facts.network import Chain, Condition, Rule

_DEPTH = 16  # of jumps, as in the kernel (NFT_JUMP_STACK_SIZE)
IPV4, IPV6 = frozenset({"ip", "inet"}), frozenset({"ip6", "inet"})
ACCEPT, DROP, UNKNOWN = "accept", "drop", "unknown"
_ON, _RETURN = "", "return"  # what a rule may also do: nothing, and end its chain


class Packet(NamedTuple):
    """The first packet of a connection; "" is any value, so that a rule about it may or may not match."""

    nfproto: str = "ip"  # or "ip6"
    iif: str = ""
    oif: str = ""
    protocol: str = ""
    source: str = ""
    destination: str = ""
    port: str = ""


def verdict(chains: Iterable[Chain], hook: str, families: frozenset[str], packet: Packet) -> str:
    """What becomes of a packet at a hook: it passes where all chains of that hook accept it.

    Args:
        chains: all that were read.
        hook: "forward", "output", ….
        families: of the tables that see it: `IPV4` or `IPV6`.
        packet: what is known of it.
    """
    chains = tuple(chains)
    tables: dict[str, dict[str, Chain]] = {}
    for chain in chains:
        tables.setdefault(chain.table, {})[chain.name] = chain
    answer = ACCEPT
    for chain in sorted(chains, key=lambda one: one.priority):
        if chain.hook != hook or chain.family not in families:
            continue
        possible = _walk(chain, tables[chain.table], packet, 0)
        possible = frozenset(chain.policy if one in (_ON, _RETURN) else one for one in possible)
        if possible == {DROP}:
            return DROP
        if possible != {ACCEPT}:
            answer = UNKNOWN
    return answer


def forwarded(chains: Iterable[Chain], families: frozenset[str], packet: Packet) -> str:
    """What becomes of a packet that comes in and is handed on."""
    chains = tuple(chains)
    answers = {
        verdict(chains, "prerouting", families, packet._replace(oif="")),
        verdict(chains, "forward", families, packet),
    }
    if DROP in answers:
        return DROP
    return UNKNOWN if UNKNOWN in answers else ACCEPT


def _walk(chain: Chain, table: Mapping[str, Chain], packet: Packet, depth: int) -> frozenset[str]:
    """Everything that a chain may do with a packet."""
    possible: set[str] = set()
    for rule in chain.rules:
        matches = _matches(rule, packet)
        if matches is False:
            continue
        does = _does(rule, table, packet, depth)
        possible |= does - {_ON}
        if matches and _ON not in does:
            return frozenset(possible)
    return frozenset({*possible, _ON})


def _does(rule: Rule, table: Mapping[str, Chain], packet: Packet, depth: int) -> frozenset[str]:
    """Everything that a rule that matches may do."""
    if rule.verdict in (ACCEPT, DROP, _RETURN):
        return frozenset({rule.verdict})
    if rule.verdict in ("jump", "goto"):
        if rule.target not in table or depth >= _DEPTH:
            return frozenset({UNKNOWN, _ON})
        # Behind a jump the chain goes on; behind a goto it is over.
        behind = _ON if rule.verdict == "jump" else _RETURN
        does = _walk(table[rule.target], table, packet, depth + 1)
        return frozenset(behind if one in (_ON, _RETURN) else one for one in does)
    return frozenset({UNKNOWN, _ON}) if rule.verdict == "?" else frozenset({_ON})


def _matches(rule: Rule, packet: Packet) -> bool | None:
    """Whether a rule matches; None where that is not known."""
    answer: bool | None = True
    for condition in rule.conditions:
        holds = _holds(condition, packet)
        if holds is False:
            return False
        if holds is None:
            answer = None
    return answer


def _holds(condition: Condition, packet: Packet) -> bool | None:
    if condition.what == "state":
        return ("new" in condition.values) is not condition.negated
    value: str = getattr(packet, condition.what, "") if condition.what != "?" else ""
    if not value:
        return None
    return any(_is(condition.what, value, one) for one in condition.values) is not condition.negated


def _is(what: str, value: str, pattern: str) -> bool:
    if what in ("iif", "oif"):
        return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
    if what in ("source", "destination"):
        return ip_address(value) in ip_network(pattern, strict=False)
    if what == "port":
        low, _, high = pattern.partition("-")
        return int(low) <= int(value) <= int(high or low)
    return value == pattern
