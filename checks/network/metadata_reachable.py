"""The cloud's metadata service is reachable.

## What it detects
The host is a virtual machine of a cloud that is known by its firmware (DMI), and packets of the container for
the metadata service (`169.254.169.254`; `fd00:ec2::254` and `fd20:ce::254` on IPv6) have a way: a route inside,
a way on from the stack around it (the kernel is asked, nothing is sent), and a firewall that does not drop
them.

## Why it matters
The service gives whoever asks from the machine its identity: credentials of the role or service account, boot
scripts with secrets, cluster join tokens. A request forged through a web application (SSRF) in a container is
enough, as in the Capital One breach of 2019.

## Remediation
Drop what containers send to the metadata service.

- any: `iptables -I DOCKER-USER -d 169.254.169.254 -j DROP`, or `ip route add blackhole 169.254.169.254` where
  the host itself does not need it
- AWS: `aws ec2 modify-instance-metadata-options --http-tokens required --http-put-response-hop-limit 1`
- Kubernetes: a NetworkPolicy without `169.254.169.254/32` in its egress; workload identity, not the node's
- docker, podman: `--network none`, or a network with `--internal`

## When it is fine
The machine has no role, and its service answers only with tokens to the host itself (AWS's hop limit 1), which
is not to be seen from here.

## References
- AWS "Use the Instance Metadata Service to access instance metadata", RFC 3927, rtnetlink(7)
- MITRE ATT&CK T1552.005
"""

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.firewall import ACCEPT, DROP, IPV4, IPV6, Packet, forwarded, verdict
from isoaudit.facts.network import METADATA, HostNetwork, Interface, Network, around, on_host, route_to
from isoaudit.model import FactMissing


@check(severity="medium")
def metadata_reachable(host: Host, container: Container) -> Outcome:
    shared = on_host(host, container)
    network = require(container.network)
    if not shared and not network.interfaces:
        return passed("it has no network interface besides its own loopback")
    provider = require(require(host.network).cloud)
    if not provider:
        return not_applicable("the host is no cloud's virtual machine that its firmware names")
    missing: FactMissing | None = None
    for address in METADATA:
        try:
            way = _from_host(require(host.network), address) if shared else _from_inside(host, network, address)
        except FactMissing as error:
            missing = missing or error
            continue
        if way:
            return fail(
                f"it can reach the metadata service of {provider} at {address}",
                [*way, Evidence(require(host.network).cloud.source, provider, "no cloud")],
                basis=Basis.INFERRED,
            )
    if missing:
        return unknown(missing.reason, missing.source)
    return passed("no packet of it gets to a metadata service", basis=Basis.INFERRED)


def _from_host(stack: HostNetwork, address: str) -> list[Evidence]:
    """The way of what the host's own network sends; empty where there is none."""
    answer = require(stack.metadata[address])
    if not answer.interface:
        return []
    packet = _packet(address, "", answer.interface)
    if _dropped(verdict(require(stack.chains), "output", _families(address), packet), stack):
        return []
    return [Evidence(stack.metadata[address].source, answer.answer, "unreachable")]


def _from_inside(host: Host, network: Network, address: str) -> list[Evidence]:
    """The way from a network of its own, through the stack around it."""
    route = route_to(network.routes, address)
    if route is None or not route.interface:
        return []
    inside = [Evidence(f"ip route get {address}, inside", f"via {route.via} dev {route.interface}", "no route")]
    ends = require(network.ends)
    if not ends:  # a user-mode network sends from the host itself
        return [*inside, *_from_host(require(host.network), address)]
    stack = around(host, network)
    answer = require(stack.metadata[address])
    setting = "net.ipv6.conf.all.forwarding" if ":" in address else "net.ipv4.ip_forward"
    if not answer.interface or require(stack.settings[setting]) == "0":
        return []
    for end in ends:
        packet = _packet(address, _entrance(stack, end), answer.interface)
        if not _dropped(forwarded(require(stack.chains), _families(address), packet), stack):
            return [*inside, Evidence(stack.metadata[address].source, answer.answer, "unreachable")]
    return []


def _entrance(stack: HostNetwork, end: Interface) -> str:
    bridge = stack.interface(end.master)
    return bridge.name if bridge is not None else end.name


def _packet(address: str, iif: str, oif: str) -> Packet:
    family = "ip6" if ":" in address else "ip"
    return Packet(family, iif, oif, protocol="tcp", destination=address, port="80")


def _families(address: str) -> frozenset[str]:
    return IPV6 if ":" in address else IPV4


def _dropped(answer: str, stack: HostNetwork) -> bool:
    """Whether a firewall's answer is a drop.

    Raises:
        FactMissing: it is not known.
    """
    if answer not in (ACCEPT, DROP):
        reason = "rules that decide are not understood: see `nft list ruleset` or `iptables-save`"
        raise FactMissing(stack.chains.source, reason)
    return answer == DROP
