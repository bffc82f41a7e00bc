"""Rules as a kernel gave them (tests/hosts/netlink.json: Linux 6.18), made by iptables 1.8.9 and nft 1.0.6."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from support.hosts import HOSTS

from isoaudit.facts.firewall import ACCEPT, DROP, IPV4, IPV6, UNKNOWN, Packet, forwarded, verdict
from isoaudit.facts.network import Chain, Condition, Rule
from isoaudit.facts.nftables import parse_chains
from isoaudit.facts.xtables import parse_legacy, parse_match, parse_target
from isoaudit.kernel.netlink import Message

DOCUMENT: dict[str, Any] = json.loads((HOSTS / "netlink.json").read_text())


def messages(rows: Iterable[tuple[int, str]]) -> list[Message]:
    return [Message(kind, base64.b64decode(body)) for kind, body in rows]


def numbers(offsets: dict[str, int]) -> dict[int, int]:
    return {int(number): offset for number, offset in offsets.items()}


NFT = parse_chains(messages(DOCUMENT["chains"]), messages(DOCUMENT["rules"]))
LEGACY = tuple(
    chain
    for family, table, hooks, underflows, raw in DOCUMENT["legacy"]
    for chain in parse_legacy(family, table, numbers(hooks), numbers(underflows), base64.b64decode(raw))
)


def rules(chains: Iterable[Chain], table: str, name: str) -> list[str]:
    """The rules of a chain, each in words; what an extension says twice, once."""
    (chain,) = (one for one in chains if (one.table, one.name) == (table, name))
    return [
        " ".join(
            [
                *sorted({f"{'!' * c.negated}{c.what}={','.join(c.values)}" for c in rule.conditions}),
                rule.verdict,
                rule.target,
            ]
        ).strip()
        for rule in chain.rules
    ]


FORWARD = [
    "oif=docker0 state=established,related accept",
    "oif=docker0 jump DOCKER",
    "!oif=docker0 iif=docker0 accept",
    "iif=veth* source=10.0.0.0/8 goto DOCKER",
    "?=limit accept",
]
DOCKER = [
    "!iif=docker0 destination=172.17.0.2/32 port=80-90 protocol=tcp accept",
    "port=53 protocol=udp drop",
    "return",
]


def test_both_kinds_of_iptables_are_read_alike() -> None:
    assert rules(NFT, "ip filter", "FORWARD") == rules(LEGACY, "ip legacy filter", "FORWARD") == FORWARD
    assert rules(NFT, "ip filter", "DOCKER") == DOCKER
    assert rules(LEGACY, "ip legacy filter", "DOCKER") == [*DOCKER, "return"]


def test_policies_and_hooks() -> None:
    found = {(one.table, one.name): (one.hook, one.priority, one.policy) for one in (*NFT, *LEGACY)}
    assert found["ip filter", "FORWARD"] == ("forward", 0, "drop")
    assert found["ip legacy filter", "FORWARD"] == ("forward", 0, "drop")
    assert found["ip legacy filter", "OUTPUT"] == ("output", 0, "accept")
    assert found["ip filter", "DOCKER"] == ("", 0, "")
    assert found["inet t", "f"] == ("forward", 5, "drop")
    assert found["ip nn", "pre"] == ("", 0, ""), "translation decides of no packet whether it passes"


def test_ipv6() -> None:
    metadata = "destination=fd00:ec2::254/128 iif=docker* port=80 protocol=tcp drop"
    assert rules(NFT, "ip6 filter", "FORWARD") == rules(LEGACY, "ip6 legacy filter", "FORWARD") == [metadata]


def test_translation() -> None:
    expected = ["destination=192.0.2.1/32 port=8080 protocol=tcp dnat 172.17.0.2"]
    assert rules(NFT, "ip nat", "PREROUTING") == rules(LEGACY, "ip legacy nat", "PREROUTING") == expected
    assert rules(LEGACY, "ip6 legacy nat", "PREROUTING") == ["port=8080 protocol=tcp dnat fd00::2"]
    assert rules(NFT, "ip nn", "pre") == ["destination=198.51.100.7/32 port=8443 protocol=tcp dnat 172.31.7.3"]


def test_native_rules() -> None:
    assert rules(NFT, "inet t", "f") == [
        "?=lookup destination=169.254.169.254/32 nfproto=ip protocol=tcp source=10.0.0.0/8 drop",
        "!oif=eth0 iif=veth* state=invalid,new drop",
        "destination=fd00:ec2::/32 nfproto=ip6 drop",
        "!destination=1.2.3.4/32 nfproto=ip accept",
        "!port=80-90 protocol=tcp accept",
        "?=lookup ?",
        "protocol=udp goto g",
    ]


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (Packet(iif="docker0", oif="eth0"), ACCEPT),
        (Packet(iif="eth0", oif="docker0", protocol="tcp", destination="172.17.0.2", port="85"), ACCEPT),
        (Packet(iif="eth0", oif="docker0", protocol="udp", destination="172.17.0.2", port="53"), DROP),
        # `limit` may let it through, the policy drops it.
        (Packet(iif="eth0", oif="docker0", protocol="tcp", destination="172.17.0.2", port="22"), UNKNOWN),
    ],
)
@pytest.mark.parametrize("chains", [NFT, LEGACY], ids=["nft", "legacy"])
def test_verdicts(chains: tuple[Chain, ...], packet: Packet, expected: str) -> None:
    own = [one for one in chains if one.table in ("ip filter", "ip legacy filter")]
    assert verdict(own, "forward", IPV4, packet) == expected


def chain(*found: Rule, name: str = "FORWARD", hook: str = "forward", policy: str = "accept") -> Chain:
    return Chain("ip filter", name, hook, 0, policy if hook else "", found)


DROP_ALL, ACCEPT_ALL = Rule((), "drop"), Rule((), "accept")
MAYBE = (Condition("?", ("limit",)),)


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ((), ACCEPT),
        ((chain(DROP_ALL),), DROP),
        ((chain(ACCEPT_ALL, policy="drop"),), ACCEPT),
        ((chain(Rule(MAYBE, "drop")),), UNKNOWN),
        ((chain(Rule(MAYBE, "accept")),), ACCEPT),
        ((chain(Rule(MAYBE, "accept"), DROP_ALL),), UNKNOWN),
        ((chain(Rule((), "?"), policy="drop"),), UNKNOWN),
        ((chain(Rule((), "return"), DROP_ALL),), ACCEPT),
        ((chain(Rule((), "jump", "A"), DROP_ALL), chain(Rule((), "return"), name="A", hook="")), DROP),
        ((chain(Rule((), "goto", "A"), DROP_ALL), chain(name="A", hook="")), ACCEPT),
        ((chain(Rule((), "jump", "A"), ACCEPT_ALL), chain(DROP_ALL, name="A", hook="")), DROP),
        ((chain(Rule(MAYBE, "jump", "A"), DROP_ALL), chain(ACCEPT_ALL, name="A", hook="")), UNKNOWN),
        ((chain(Rule((), "jump", "nowhere")),), UNKNOWN),
        ((chain(Rule((), "jump", "A")), chain(Rule((), "jump", "A"), name="A", hook="")), UNKNOWN),
        ((chain(), chain(DROP_ALL, name="B")), DROP),
        ((chain(DROP_ALL, hook="prerouting"),), DROP),
    ],
)
def test_walk(chains: tuple[Chain, ...], expected: str) -> None:
    assert forwarded(chains, IPV4, Packet(iif="docker0")) == expected


def test_families_see_their_own() -> None:
    assert forwarded([chain(DROP_ALL)], IPV6, Packet("ip6")) == ACCEPT


@pytest.mark.parametrize(
    ("what", "values", "packet", "expected"),
    [
        ("state", ("established",), Packet(), ACCEPT),
        ("state", ("new", "invalid"), Packet(), DROP),
        ("iif", ("veth*",), Packet(iif="veth1"), DROP),
        ("source", ("10.0.0.0/8",), Packet(source="192.0.2.1"), ACCEPT),
        ("source", ("10.0.0.0/8",), Packet(), UNKNOWN),
        ("port", ("80-90",), Packet(port="81"), DROP),
        ("port", ("80",), Packet(port="81"), ACCEPT),
        ("nfproto", ("ip6",), Packet(), ACCEPT),
    ],
)
def test_conditions(what: str, values: tuple[str, ...], packet: Packet, expected: str) -> None:
    assert verdict([chain(Rule((Condition(what, values),), "drop"))], "forward", IPV4, packet) == expected


def test_what_is_not_understood_is_said() -> None:
    assert parse_match("multiport", 1, b"") == [Condition("?", ("multiport",))]
    assert parse_target("NFQUEUE", 3, b"") == ("?", "")


def test_broken_table() -> None:
    with pytest.raises(ValueError, match="length"):
        parse_legacy("ip", "filter", {}, {}, bytes(200))
