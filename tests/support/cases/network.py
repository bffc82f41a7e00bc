"""Cases of checks/network."""

from __future__ import annotations

from typing import Any

from isoaudit.facts.container import Container
from isoaudit.facts.host import Host
from isoaudit.facts.network import (
    METADATA,
    Chain,
    Condition,
    HostNetwork,
    Interface,
    Listener,
    Network,
    Published,
    Qdisc,
    Route,
    RouteAnswer,
    Rule,
)
from isoaudit.kernel.capability import mask
from isoaudit.model import Basis, Known, Severity, Unknown, Verdict
from support.cases import Case
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    denied,
    known,
    make_container,
    make_host,
    make_status,
    namespaces,
)

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE

ANY = "0.0.0.0"  # noqa: S104  nothing is bound to it
NOQUEUE = Qdisc("noqueue", ingress=False, rate=None)
TBF = Qdisc("tbf", ingress=False, rate=625000)
BRIDGE = Interface("docker0", 2, "bridge", 0, None, 0, isolated=False)
WIRE = Interface("eth0", 3, "", 0, None, 0, isolated=False)
END = Interface("veth1", 4, "veth", 3, 0, 2, isolated=False, qdiscs=(NOQUEUE,))
NEIGHBOUR = Interface("veth2", 6, "veth", 5, 1, 2, isolated=False)
IFB = Interface("ifb0", 9, "ifb", 0, None, 0, isolated=False, qdiscs=(TBF,))
INSIDE = Interface("eth0", 3, "veth", 4, 0, 0, isolated=False, qdiscs=(NOQUEUE,))
LO = Interface("lo", 1, "", 0, None, 0, isolated=False)
V4, AWS6, GOOGLE6 = METADATA

SWITCH = "net.bridge.bridge-nf-call-iptables"
SETTINGS = {
    SWITCH: known("1"),
    "net.ipv4.ip_forward": known("1"),
    "net.ipv4.ip_local_port_range": known("32768\t60999"),
    "net.ipv6.conf.all.forwarding": known("0"),
}
UNREACHABLE = known(RouteAnswer("", "ENETUNREACH"))
ROUTED = known(RouteAnswer("eth0", "via 192.0.2.1 dev eth0"))


def forward(*rules: Rule, policy: str = "accept", hook: str = "forward", table: str = "ip filter") -> Chain:
    return Chain(table, hook.upper(), hook, 0, policy, rules)


def stack(*interfaces: Interface, **changes: Any) -> HostNetwork:
    fine = HostNetwork(
        namespace=HOST_INODES["net"],
        interfaces=known((LO, BRIDGE, WIRE, END, *interfaces), "rtnetlink(7)"),
        chains=known((forward(),), "nf_tables"),
        published=known(()),
        settings=SETTINGS,
        metadata={V4: ROUTED, AWS6: UNREACHABLE, GOOGLE6: UNREACHABLE},
        cloud=known("AWS", "/sys/class/dmi/id"),
    )
    return fine._replace(**changes)


def host(*interfaces: Interface, **changes: Any) -> Host:
    return make_host(network=known(stack(*interfaces, **changes), "rtnetlink(7)"))


def network(**changes: Any) -> Network:
    fine = Network(
        interfaces=("eth0",),
        addresses=("172.17.0.2",),
        routes=(Route("0.0.0.0/0", "eth0", "172.17.0.1"), Route("172.17.0.0/16", "eth0", "")),
        ends=known((END,), "rtnetlink(7)"),
        inside=known((LO, INSIDE), "rtnetlink(7)"),
        listeners=denied("/proc/4242/net/tcp"),
        abstract=denied("/proc/4242/net/unix"),
    )
    return fine._replace(**changes)


def bridged(**changes: Any) -> Container:
    return make_container(network=known(network(**changes), "/proc/4242/net"))


def on_host(**changes: Any) -> Container:
    fine = {"listeners": known(()), "abstract": known(())}
    return make_container(
        namespaces=namespaces(PID, **{**OWN_INODES, "net": HOST_INODES["net"]}),
        network=known(network(**{**fine, **changes}), "/proc/4242/net"),
    )


def ended_at(*ends: Interface, status: Any = None) -> Container:
    """A container whose interfaces end there."""
    made = bridged(ends=known(ends, "rtnetlink(7)"))
    return made if status is None else make_container(network=made.network, status=status)


LOOPBACK = bridged(interfaces=(), addresses=(), routes=(), ends=known(()), inside=known(()))
USER_MODE = bridged(
    ends=known((), "rtnetlink(7)"),
    inside=known((LO, Interface("eth0", 2, "tun", 0, None, 0, isolated=False, qdiscs=(NOQUEUE,)))),
)
UNREAD = make_container(network=denied("/proc/4242/net"))
NO_NAMESPACE = make_container(
    namespaces=namespaces(PID, **OWN_INODES)._replace(net=denied("/proc/4242/ns/net"))
)


def port(address: str, inside: str = "172.17.0.2") -> Published:
    return Published("tcp", address, "8080", inside, "/proc/99/cmdline", f"docker-proxy -host-ip {address}")


def macvlan(*found: Listener) -> Container:
    own = Interface("eth0", 2, "macvlan", 3, 0, 0, isolated=False, qdiscs=(NOQUEUE,))
    return bridged(ends=known(()), inside=known((LO, own)), listeners=known(found))


WIDE = "network-published-widely"
WIDE_CASES = (
    Case(
        WIDE,
        FAIL,
        "every address",
        host(published=known((port(ANY), port("::")))),
        bridged(),
        says=("tcp 0.0.0.0:8080", "tcp [::]:8080"),
        severity=Severity.MEDIUM,
    ),
    Case(WIDE, FAIL, "a public address", host(published=known((port("8.8.8.8"),))), bridged()),
    Case(
        WIDE,
        FAIL,
        "in the network of the container that holds it",
        container=bridged(around=(known(stack(published=known((port(ANY),)))),)),
        says=("nested",),
    ),
    Case(WIDE, PASS, "loopback", host(published=known((port("127.0.0.1"),))), bridged(), says=("narrowly",)),
    Case(WIDE, PASS, "a private address", host(published=known((port("10.0.0.5"),))), bridged()),
    Case(WIDE, PASS, "of somebody else", host(published=known((port(ANY, "172.17.0.9"),))), bridged()),
    Case(WIDE, PASS, "nothing", host(), bridged()),
    Case(WIDE, NOT_APPLICABLE, "loopback only", host(), LOOPBACK),
    Case(WIDE, UNKNOWN, "firewall not read", host(published=denied("nf_tables")), bridged()),
    Case(WIDE, UNKNOWN, "user-mode network", host(), USER_MODE, says=("slirp4netns",)),
    Case(WIDE, UNKNOWN, "not read", host(), UNREAD),
    Case(WIDE, UNKNOWN, "namespace not known", host(), NO_NAMESPACE),
    Case(
        WIDE,
        FAIL,
        "listens on the host's network",
        host(),
        on_host(listeners=known((Listener("tcp", ANY, 80, 7, 4300, "nginx"),))),
        says=("tcp 0.0.0.0:80 by 4300 (nginx)",),
    ),
    Case(
        WIDE,
        FAIL,
        "serves UDP on the host's network",
        host(),
        on_host(listeners=known((Listener("udp", "::", 53, 7, 4300, "named"),))),
    ),
    Case(
        WIDE,
        PASS,
        "a client's UDP port and the loopback",
        host(),
        on_host(
            listeners=known(
                (
                    Listener("udp", ANY, 40000, 7, 4300, "dig"),
                    Listener("tcp", "127.0.0.1", 80, 8, 4300, "a"),
                )
            )
        ),
    ),
    Case(WIDE, UNKNOWN, "sockets not read", host(), on_host(listeners=denied("/proc/4242/fd"))),
    Case(WIDE, FAIL, "on the wire by itself", host(), macvlan(Listener("tcp", ANY, 22, 7))),
    Case(WIDE, PASS, "silent on the wire", host(), macvlan()),
)

ABSTRACT = "network-abstract-socket-reachable"
ABSTRACT_CASES = (
    Case(
        ABSTRACT,
        FAIL,
        "a shim's",
        host(),
        on_host(abstract=known(("@/containerd-shim/moby/0123/shim.sock",), "/proc/1/net/unix")),
        severity=Severity.HIGH,
        says=("1 abstract socket of", "@/containerd-shim/moby"),
    ),
    Case(ABSTRACT, PASS, "nobody listens", host(), on_host()),
    Case(ABSTRACT, PASS, "a namespace of its own", host(), bridged()),
    Case(ABSTRACT, UNKNOWN, "not read", host(), on_host(abstract=denied("/proc/1/net/unix"))),
    Case(ABSTRACT, UNKNOWN, "namespace not known", host(), NO_NAMESPACE),
)

BANDWIDTH = "network-bandwidth-unlimited"
NET_ADMIN = mask("CAP_NET_ADMIN")
ADMIN = make_status(cap_effective=NET_ADMIN, cap_permitted=NET_ADMIN, cap_bounding=NET_ADMIN)
POLICE = Qdisc("police", ingress=True, rate=1000)
REDIRECT = Qdisc("redirect", ingress=True, rate=None, target=9)
INGRESS = Qdisc("ingress", ingress=True, rate=None)


def limited_inside(**changes: Any) -> Container:
    inside = known((LO, INSIDE._replace(qdiscs=(TBF,))))
    ends = known((END._replace(qdiscs=(TBF,)),))
    return make_container(network=known(network(ends=ends, inside=inside)), **changes)


BANDWIDTH_CASES = (
    Case(BANDWIDTH, FAIL, "noqueue", host(), bridged(), severity=Severity.LOW),
    Case(
        BANDWIDTH,
        FAIL,
        "one direction only",
        host(),
        ended_at(END._replace(qdiscs=(TBF,))),
        says=("only what it receives", "610 KiB/s"),
    ),
    Case(BANDWIDTH, FAIL, "on the host's network", host(), on_host()),
    Case(BANDWIDTH, FAIL, "inside, and it may take it away", host(), limited_inside(status=ADMIN)),
    Case(BANDWIDTH, FAIL, "user-mode network", host(), USER_MODE),
    Case(
        BANDWIDTH,
        FAIL,
        "one of two interfaces is free",
        host(),
        ended_at(END._replace(qdiscs=(TBF, POLICE)), END._replace(name="veth9", number=19)),
    ),
    Case(BANDWIDTH, PASS, "tbf and police", host(), ended_at(END._replace(qdiscs=(TBF, INGRESS, POLICE)))),
    Case(
        BANDWIDTH, PASS, "redirected to ifb", host(IFB), ended_at(END._replace(qdiscs=(TBF, INGRESS, REDIRECT)))
    ),
    Case(BANDWIDTH, PASS, "outside and inside", host(), limited_inside()),
    Case(
        BANDWIDTH,
        UNKNOWN,
        "a program on its interface",
        host(),
        ended_at(END._replace(qdiscs=(NOQUEUE, Qdisc("clsact", True, None), Qdisc("bpf", True, None)))),
    ),
    Case(
        BANDWIDTH,
        UNKNOWN,
        "classes without a default",
        host(),
        ended_at(END._replace(qdiscs=(Qdisc("htb", ingress=False, rate=None),))),
    ),
    Case(BANDWIDTH, UNKNOWN, "not read", host(), UNREAD),
    Case(BANDWIDTH, UNKNOWN, "ends not known", host(), bridged(ends=denied("rtnetlink(7)"))),
    Case(BANDWIDTH, NOT_APPLICABLE, "loopback only", host(), LOOPBACK),
)

OPEN = "network-bridge-open"
NET_RAW = mask("CAP_NET_RAW")
RAW = make_status(cap_effective=NET_RAW, cap_permitted=NET_RAW, cap_bounding=NET_RAW)
SAME_BRIDGE = (Condition("iif", ("docker0",)), Condition("oif", ("docker0",)))
NO_ICC = Rule(SAME_BRIDGE, "drop")
ICC = Rule(SAME_BRIDGE, "accept")
OBSCURE = Rule((Condition("?", ("lookup",)),), "drop")
OPEN_CASES = (
    Case(OPEN, FAIL, "a neighbour", host(NEIGHBOUR), bridged(), severity=Severity.LOW, says=("docker0",)),
    Case(
        OPEN,
        FAIL,
        "with CAP_NET_RAW",
        host(NEIGHBOUR),
        ended_at(END, status=RAW),
        severity=Severity.MEDIUM,
        says=("addresses",),
    ),
    Case(OPEN, FAIL, "a virtual machine", host(NEIGHBOUR._replace(kind="tun", peer_namespace=None)), bridged()),
    Case(
        OPEN,
        FAIL,
        "rules that see no bridge",
        host(
            NEIGHBOUR,
            chains=known((forward(NO_ICC),)),
            settings={**SETTINGS, SWITCH: known("0")},
        ),
        bridged(),
    ),
    Case(
        OPEN,
        FAIL,
        "no br_netfilter",
        host(
            NEIGHBOUR,
            chains=known((forward(NO_ICC),)),
            settings={**SETTINGS, SWITCH: Unknown("/proc/sys/net/bridge", "ENOENT: No such file or directory")},
        ),
        bridged(),
    ),
    Case(OPEN, FAIL, "let through", host(NEIGHBOUR, chains=known((forward(ICC, policy="drop"),))), bridged()),
    Case(OPEN, PASS, "icc=false", host(NEIGHBOUR, chains=known((forward(NO_ICC),))), bridged()),
    Case(
        OPEN,
        PASS,
        "isolated",
        host(NEIGHBOUR._replace(isolated=True)),
        ended_at(END._replace(isolated=True)),
    ),
    Case(OPEN, PASS, "alone", host(), bridged()),
    Case(OPEN, PASS, "its own second interface", host(NEIGHBOUR._replace(peer_namespace=0)), bridged()),
    Case(OPEN, PASS, "no bridge", host(), ended_at(END._replace(master=0))),
    Case(OPEN, UNKNOWN, "a rule not understood", host(NEIGHBOUR, chains=known((forward(OBSCURE),))), bridged()),
    Case(
        OPEN,
        UNKNOWN,
        "rules of family bridge",
        host(NEIGHBOUR, chains=known((forward(OBSCURE, table="bridge filter"),))),
        bridged(),
    ),
    Case(OPEN, UNKNOWN, "firewall not read", host(NEIGHBOUR, chains=denied("nf_tables")), bridged()),
    Case(OPEN, UNKNOWN, "user-mode network", host(), USER_MODE),
    Case(OPEN, NOT_APPLICABLE, "on the host's network", host(), on_host()),
    Case(OPEN, NOT_APPLICABLE, "on the wire by itself", host(), macvlan()),
    Case(OPEN, NOT_APPLICABLE, "loopback only", host(), LOOPBACK),
)

METADATA_CHECK = "network-metadata-reachable"
BLOCK = Rule((Condition("destination", ("169.254.169.254/32",)),), "drop")
BLOCK_80 = Rule((Condition("destination", ("169.254.0.0/16",)), Condition("port", ("80",))), "drop")
METADATA_CASES = (
    Case(
        METADATA_CHECK,
        FAIL,
        "default route",
        host(),
        bridged(),
        severity=Severity.MEDIUM,
        basis=Basis.INFERRED,
        says=("AWS", V4),
    ),
    Case(METADATA_CHECK, FAIL, "on the host's network", host(), on_host()),
    Case(METADATA_CHECK, FAIL, "user-mode network", host(), USER_MODE),
    Case(
        METADATA_CHECK,
        FAIL,
        "IPv6 only",
        host(
            metadata={V4: UNREACHABLE, AWS6: ROUTED, GOOGLE6: UNREACHABLE},
            settings={**SETTINGS, "net.ipv6.conf.all.forwarding": known("1")},
        ),
        bridged(routes=(Route("::/0", "eth0", "fd00::1"),)),
        says=(AWS6,),
    ),
    Case(METADATA_CHECK, PASS, "dropped", host(chains=known((forward(BLOCK),))), bridged()),
    Case(METADATA_CHECK, PASS, "dropped by port", host(chains=known((forward(BLOCK_80),))), bridged()),
    Case(
        METADATA_CHECK,
        PASS,
        "dropped as it comes in",
        host(chains=known((forward(BLOCK, hook="prerouting", table="ip raw"),))),
        bridged(),
    ),
    Case(
        METADATA_CHECK,
        PASS,
        "dropped on its way out of the host",
        host(chains=known((forward(BLOCK, hook="output"),))),
        on_host(),
    ),
    Case(METADATA_CHECK, PASS, "no route inside", host(), bridged(routes=())),
    Case(
        METADATA_CHECK,
        PASS,
        "a blackhole inside",
        host(),
        bridged(routes=(Route("0.0.0.0/0", "eth0", "172.17.0.1"), Route("169.254.0.0/16", "", ""))),
    ),
    Case(
        METADATA_CHECK, PASS, "no route outside", host(metadata=dict.fromkeys(METADATA, UNREACHABLE)), bridged()
    ),
    Case(
        METADATA_CHECK,
        PASS,
        "nothing is forwarded",
        host(settings={**SETTINGS, "net.ipv4.ip_forward": known("0")}),
        bridged(),
    ),
    Case(METADATA_CHECK, PASS, "loopback only", host(), LOOPBACK),
    Case(METADATA_CHECK, UNKNOWN, "a rule not understood", host(chains=known((forward(OBSCURE),))), bridged()),
    Case(METADATA_CHECK, UNKNOWN, "firmware not read", host(cloud=denied("/sys/class/dmi/id")), bridged()),
    Case(METADATA_CHECK, NOT_APPLICABLE, "no cloud", host(cloud=Known("", "/sys/class/dmi/id")), bridged()),
)

CASES: tuple[Case, ...] = (*WIDE_CASES, *ABSTRACT_CASES, *BANDWIDTH_CASES, *OPEN_CASES, *METADATA_CASES)
