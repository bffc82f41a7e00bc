"""Network namespaces: what leads out of them, who listens in them, and what the stack around them does.

Kernel interfaces: rtnetlink(7), nf_tables and /proc/PID/net (proc(5)). The parsers of their bytes stand in
`facts/links.py`, `facts/nftables.py`, `facts/iptables.py` and `facts/procnet.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import Unknown, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.model import Reading

# Where what a container sends is decided about: as it comes in, as it is handed on, as the host sends it.
HOOKS: frozenset[str] = frozenset({"prerouting", "forward", "output"})
# Link-local addresses of the metadata services: all clouds' on IPv4, AWS's and Google's on IPv6.
METADATA: tuple[str, ...] = ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254")
EVERY: frozenset[str] = frozenset({"0.0.0.0", "::"})  # noqa: S104  addresses that we look for, not bind


class Qdisc(NamedTuple):
    """A queueing discipline of an interface, or what a filter on its ingress does (tc(8))."""

    kind: str  # "noqueue", "tbf", "htb", …; of filters "police", "redirect", "bpf", "filter"
    ingress: bool  # it works on what the interface receives
    rate: int | None  # bytes a second; None: it has none, or none that is known
    target: int = 0  # of "redirect": the index of the interface that gets the packets


class Interface(NamedTuple):
    """A network interface as its own namespace shows it."""

    name: str
    number: int  # its index
    kind: str  # "veth", "bridge", "macvlan", "tun", …; "" for hardware and loopback
    peer: int  # index of the other end, or of the interface below; 0: none
    peer_namespace: int | None  # the other end's namespace by its id in this one; None: this one
    master: int  # index of the bridge or bond that it is a port of; 0: none
    isolated: bool  # as a port of a bridge it exchanges nothing with other isolated ones
    qdiscs: tuple[Qdisc, ...] = ()


class Route(NamedTuple):
    """A route of the main table."""

    destination: str  # "0.0.0.0/0"
    interface: str  # "" where packets are refused or dropped
    via: str  # the gateway; "" where the destination is on the link

    @property
    def prefix(self) -> int:
        """The length of its prefix."""
        return int(self.destination.rpartition("/")[2])


class RouteAnswer(NamedTuple):
    """What the kernel says of the way to one address."""

    interface: str  # "" where there is none
    answer: str  # as evidence: "via 10.0.0.1 dev eth0", "ENETUNREACH"


class Listener(NamedTuple):
    """A socket that waits for others: TCP in state LISTEN, UDP without a peer."""

    protocol: str  # "tcp" or "udp"
    address: str
    port: int
    inode: int
    pid: int = 0  # of a process of the container that holds it; 0: not looked for
    command: str = ""


class Published(NamedTuple):
    """A port of the stack around a container whose traffic goes into it."""

    protocol: str
    address: str  # that it is reached at; "0.0.0.0" and "::" are every one
    port: str  # "8080" or "8000-8010"
    container_address: str
    source: str  # the process or the rule
    evidence: str


class Condition(NamedTuple):
    """A part of a firewall rule."""

    what: str  # "iif", "oif", "protocol", "source", "destination", "port", "state", or "?": not understood
    values: tuple[str, ...]  # names, numbers, networks or "low-high"; one is enough
    negated: bool = False


class Rule(NamedTuple):
    """A rule of a firewall, as far as it decides what passes."""

    conditions: tuple[Condition, ...]
    verdict: str  # "accept", "drop", "return", "jump", "goto", "dnat", "?" or "": goes on
    target: str = ""  # the chain, or the address behind "dnat"


class Chain(NamedTuple):
    """A chain; one with a hook is asked about packets by itself, in order of priority."""

    table: str  # "ip filter"; "legacy filter" is iptables-legacy's
    name: str
    hook: str  # "forward", "output", "prerouting", … or ""
    priority: int
    policy: str  # "accept" or "drop"; "" without a hook
    rules: tuple[Rule, ...]

    @property
    def family(self) -> str:
        """The family of its table: "ip", "ip6", "inet", "bridge", …."""
        return self.table.partition(" ")[0]


class HostNetwork(NamedTuple):
    """A network stack around containers: the host's own, or that of a container which holds others."""

    namespace: int  # its inode
    interfaces: Reading[tuple[Interface, ...]]
    chains: Reading[tuple[Chain, ...]]  # those that decide about forwarded and local packets
    published: Reading[tuple[Published, ...]]
    settings: Mapping[str, Reading[str]]  # of /proc/sys/net, in this namespace
    metadata: Mapping[str, Reading[RouteAnswer]]  # the way to each address of METADATA
    cloud: Reading[str]  # whose virtual machine the host is, as its firmware says; "" for nobody's that we know

    def interface(self, number: int) -> Interface | None:
        """The interface with an index."""
        return _index(require(self.interfaces)).by_number.get(number)

    def ports(self, number: int) -> tuple[Interface, ...]:
        """The ports of a bridge behind which other namespaces or virtual machines are."""
        return _index(require(self.interfaces)).ports.get(number, ())


class _Index(NamedTuple):
    interfaces: tuple[Interface, ...]
    by_number: dict[int, Interface]
    ports: dict[int, tuple[Interface, ...]]


_indexed = _Index((), {}, {})


def _index(interfaces: tuple[Interface, ...]) -> _Index:
    """The interfaces by number and bridge: all containers of a scan ask the same thousand."""
    global _indexed  # noqa: PLW0603  what was asked last, which gives the same answers
    if _indexed.interfaces is not interfaces:
        ports: dict[int, list[Interface]] = {}
        for one in interfaces:
            if one.kind in ("tun", "macvtap") or (one.kind == "veth" and one.peer_namespace is not None):
                ports.setdefault(one.master, []).append(one)
        by_number = {one.number: one for one in interfaces}
        _indexed = _Index(interfaces, by_number, {master: tuple(found) for master, found in ports.items()})
    return _indexed


class Network(NamedTuple):
    """What one network namespace holds, as seen through a process in it."""

    interfaces: tuple[str, ...]  # names, without the loopback
    addresses: tuple[str, ...]  # all but loopback's
    routes: tuple[Route, ...]
    # The other ends of its interfaces in the stack around it; with none, `inside` tells what it has instead.
    ends: Reading[tuple[Interface, ...]]
    # Its own interfaces with their queues; read where the other ends do not tell.
    inside: Reading[tuple[Interface, ...]]
    # Its processes' sockets where it shares the host's namespace; all where it is on the wire by itself.
    listeners: Reading[tuple[Listener, ...]]
    abstract: Reading[
        tuple[str, ...]
    ]  # names of abstract sockets that others listen on, in the host's namespace
    # The stack around it where that is not the host's but another container's; else empty.
    around: tuple[Reading[HostNetwork], ...] = ()


def on_host(host: Host, container: Container) -> bool:
    """Whether a container is in the host's network namespace.

    Raises:
        FactMissing: that is not known.
    """
    theirs, ours = require(container.namespaces.net), require(host.namespaces.net)
    return theirs == ours


def around(host: Host, network: Network) -> HostNetwork:
    """The stack around a container.

    Raises:
        FactMissing: it was not read.
    """
    return require(network.around[0] if network.around else host.network)


def wired(interface: Interface) -> bool:
    """Whether an interface is hardware, or a slice of hardware with an address of its own."""
    return interface.kind in ("macvlan", "ipvlan", "vlan") or (not interface.kind and interface.name != "lo")


def is_loopback(address: str) -> bool:
    """Whether an address is the machine's own only."""
    from ipaddress import ip_address  # not needed before something was read

    return ip_address(address).is_loopback


def is_wide(address: str) -> bool:
    """Whether an address is every one, or one that the internet routes."""
    from ipaddress import ip_address

    return address in EVERY or ip_address(address).is_global


def route_to(routes: Iterable[Route], address: str) -> Route | None:
    """The route of a table that an address takes: the one with the longest prefix."""
    from ipaddress import ip_address, ip_network

    target = ip_address(address)
    fitting = [route for route in routes if target in ip_network(route.destination)]
    return max(fitting, key=lambda route: route.prefix, default=None)


def unread(source: str) -> Unknown:
    """The reading for what was left out because nothing depends on it."""
    return Unknown(source, "it was not needed")
