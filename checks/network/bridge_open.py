"""Containers on one bridge reach each other.

## What it detects
The outer end of the container's interface is a port of a bridge that has ports of other namespaces or virtual
machines too, which are not isolated from it, and nothing drops packets between them. Rules of iptables and of
nf_tables' families ip and inet see such packets only where `net.bridge.bridge-nf-call-iptables` is 1.

## Why it matters
A container that was taken over reaches every port of its neighbours, published or not. With CAP_NET_RAW,
which most engines give by default, it also answers for others' addresses (ARP and neighbour spoofing), and
reads and changes their traffic.

## Remediation
Give each application a network of its own, or forbid traffic between ports of a bridge.

- docker: `docker network create -o com.docker.network.bridge.enable_icc=false`; dockerd: `"icc": false`
- podman: `podman network create -o isolate=strict` keeps networks apart; one network a container
- compose: `networks:` of its own for each group of services
- Kubernetes: a NetworkPolicy that denies by default
- any: `ip link set dev vethXXXX type bridge_slave isolated on`; `--cap-drop NET_RAW`

## When it is fine
The containers on the bridge are one application and trust each other.

## References
- bridge(8) "isolated", kernel documentation networking/bridge.rst
- CIS Docker Benchmark 1.6.0, 2.2
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Unknown,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.confinement import holds, presumed
from isoaudit.facts.firewall import ACCEPT, DROP, IPV4, Packet, forwarded
from isoaudit.facts.network import HostNetwork, Interface, Network, around, on_host, wired
from isoaudit.facts.processes import listed
from isoaudit.facts.units import count
from isoaudit.kernel.capability import bit

NET_RAW = bit("CAP_NET_RAW")
_SHOWN = 4
_SWITCH = "net.bridge.bridge-nf-call-iptables"


@check(severity="low")
def bridge_open(host: Host, container: Container) -> Outcome:
    if on_host(host, container):
        return not_applicable("it is on the host's network, on no bridge")
    network = require(container.network)
    if not network.interfaces:
        return not_applicable("it has no network interface besides its own loopback")
    ends = require(network.ends)
    if not ends and isinstance(network.inside, Known) and any(wired(one) for one in network.inside.value):
        return not_applicable("it is on the wire by itself, on no bridge of the host's")
    if not ends:
        return unknown("its interfaces end in no network stack that was found", network.ends.source)
    stack = around(host, network)
    answers = [_port(container, network, stack, end) for end in ends]
    for outcome in answers:
        if outcome.verdict == "fail":
            return outcome
    return next((one for one in answers if one.verdict == "unknown"), answers[0])


def _port(container: Container, network: Network, stack: HostNetwork, end: Interface) -> Outcome:
    """What one outer end and the bridge that it is a port of are worth."""
    bridge = stack.interface(end.master)
    if bridge is None or bridge.kind != "bridge":
        return passed(f"{end.name} is a port of no bridge")
    reached = [
        one
        for one in stack.ports(bridge.number)
        if one.peer_namespace != end.peer_namespace and not (one.isolated and end.isolated)
    ]
    if not reached:
        return passed(f"it reaches no other port of the bridge {bridge.name}")
    names = listed([one.name for one in reached[:_SHOWN]], len(reached))
    told = f"master {bridge.name} isolated off; also {names}"
    evidence = [Evidence(f"bridge -d link show dev {end.name}", told, "isolated on")]
    chains = require(stack.chains)
    if any(chain.family == "bridge" and (chain.rules or chain.policy == "drop") for chain in chains):
        return unknown(
            "nf_tables has rules of family bridge: see `nft list ruleset bridge`", stack.chains.source
        )
    seen = stack.settings[_SWITCH]
    # Without br_netfilter there is no such setting, and no rule of IP's sees what a bridge passes on.
    absent = isinstance(seen, Unknown) and seen.reason.startswith("ENOENT")
    if not absent and require(seen) != "0":
        own = next((one for one in network.addresses if ":" not in one), "")
        packet = Packet(iif=bridge.name, oif=bridge.name, destination=own, protocol="tcp")
        answer = forwarded(chains, IPV4, packet)
        if answer == DROP:
            return passed(f"the firewall drops what ports of {bridge.name} send each other", evidence)
        if answer != ACCEPT:
            return unknown(
                f"whether ports of {bridge.name} reach each other depends on rules that are not understood: "
                "see `nft list ruleset` or `iptables-save`",
                stack.chains.source,
            )
    raw = presumed(lambda one: holds(one, NET_RAW), container)
    spoof = "; with CAP_NET_RAW it can also answer for their addresses" if raw else ""
    return fail(
        f"it reaches {count(len(reached), 'other port')} of the bridge {bridge.name}{spoof}",
        evidence,
        severity="medium" if raw else "low",
    )
