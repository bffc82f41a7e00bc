"""No limit on its bandwidth.

## What it detects
No interface of the container has a queue that limits what it sends or receives (tc(8): tbf, htb, hfsc, cake or
netem with a rate, a policer on the ingress, a redirection to an ifb device that has one). Looked at is the
other end of its interface, in the stack around it, and for what it sends also its own end, where a limit counts
only if no process of it has CAP_NET_ADMIN, as that takes it away. Queues that only sort packets (pfifo_fast,
fq_codel, noqueue) limit nothing.

## Why it matters
No cgroup file limits the network. One container can fill the link of the host and starve all others, or make
the host part of a flood.

## Remediation
Limit the interface that the container's is connected to.

- by hand: `tc qdisc add dev vethXXXX root tbf rate 50mbit burst 64kb latency 400ms` limits what it receives
- Kubernetes, CNI: the `bandwidth` plugin; annotations `kubernetes.io/ingress-bandwidth`, `egress-bandwidth`
- podman: a network with the `bandwidth` CNI plugin, or tc by hand; docker, compose: tc by hand
- systemd-nspawn: a `.network` file with `[TokenBucketFilter]` for the interface `ve-*`

## When it is fine
The network limits each host, and its containers belong to one owner.

## References
- tc(8), tc-tbf(8), tc-htb(8), veth(4)
"""

from collections.abc import Iterable

from isoaudit import Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require, unknown
from isoaudit.facts.confinement import holds, presumed
from isoaudit.facts.network import HostNetwork, Interface, Network, Qdisc, around, on_host
from isoaudit.facts.units import binary
from isoaudit.kernel.capability import bit

_SHAPERS = frozenset({"tbf", "htb", "hfsc", "cbq", "cake", "netem", "police"})
# With classes or programs: whether they limit a packet depends on more than was read.
_UNDECIDED = frozenset({"htb", "hfsc", "cbq", "bpf", "filter"})
NET_ADMIN = bit("CAP_NET_ADMIN")


@check(severity="low")
def bandwidth_unlimited(host: Host, container: Container) -> Outcome:
    if on_host(host, container):
        return fail(
            "it is on the host's network, where no limit can be its own",
            [Evidence(container.namespaces.net.source, "the host's", "a namespace of its own")],
        )
    network = require(container.network)
    if not network.interfaces:
        return not_applicable("it has no network interface besides its own loopback")
    ends = require(network.ends)
    if not ends:
        return _from_inside(container, network)
    stack = around(host, network)
    receiving, sending = _limits(stack, ends)
    sending = sending or _kept_inside(container, network)
    evidence = [_queues(one) for one in ends]
    if receiving and sending:
        return passed(f"what it receives and sends is limited: {_rates(receiving, sending)}", evidence)
    if any(qdisc.kind in _UNDECIDED and not _limiting(qdisc) for one in ends for qdisc in one.qdiscs):
        return unknown(
            "there are classes, filters or programs on its interface, and whether they limit all of its "
            f"traffic cannot be seen: try `tc class show dev {ends[0].name}` and `tc filter show`",
            evidence[0].source,
        )
    if receiving or sending:
        what, other = ("receives", "sends") if receiving else ("sends", "receives")
        rates = _rates(receiving, sending)
        return fail(f"only what it {what} is limited, not what it {other}: {rates}", evidence)
    return fail("nothing limits what it sends or receives", evidence)


def _from_inside(container: Container, network: Network) -> Outcome:
    """Where the outer ends were not found: a user-mode network, or hardware of its own."""
    evidence = [_queues(one) for one in require(network.inside) if one.name in network.interfaces]
    if not _limits_inside(network):
        return fail("nothing limits what it sends: its interfaces end in no stack that was found", evidence)
    kept = _kept_inside(container, network)
    if not kept:
        return fail("what limits it is inside, where its own CAP_NET_ADMIN can take it away", evidence)
    return passed(f"what it sends is limited inside: {_rates((), kept)}", evidence)


def _limits_inside(network: Network) -> list[Qdisc]:
    """What limits all that it sends, on its own ends; empty where any interface is free."""
    own = [one for one in require(network.inside) if one.name in network.interfaces]
    limits = [[qdisc for qdisc in one.qdiscs if not qdisc.ingress and _limiting(qdisc)] for one in own]
    return [qdisc for found in limits for qdisc in found] if all(limits) else []


def _kept_inside(container: Container, network: Network) -> list[Qdisc]:
    """As `_limits_inside`, where the container cannot take them away."""
    found = _limits_inside(network)
    return [] if found and presumed(lambda one: holds(one, NET_ADMIN), container) else found


def _limits(stack: HostNetwork, ends: Iterable[Interface]) -> tuple[list[Qdisc], list[Qdisc]]:
    """What limits all that the container receives, and all that it sends; empty where any interface is free."""
    receiving: list[Qdisc] = []
    sending: list[Qdisc] = []
    free_in = free_out = False
    for end in ends:
        # What leaves the outer end comes in inside, and the other way round.
        down = [one for one in end.qdiscs if not one.ingress and _limiting(one)]
        up = [one for one in end.qdiscs if one.ingress and (_limiting(one) or _limiting_behind(stack, one))]
        free_in, free_out = free_in or not down, free_out or not up
        receiving += down
        sending += up
    return ([] if free_in else receiving), ([] if free_out else sending)


def _limiting(qdisc: Qdisc) -> bool:
    return qdisc.kind in _SHAPERS and qdisc.rate is not None


def _limiting_behind(stack: HostNetwork, qdisc: Qdisc) -> bool:
    """Whether packets are redirected to a device that limits them."""
    if qdisc.kind != "redirect":
        return False
    target = stack.interface(qdisc.target)
    return target is not None and any(not one.ingress and _limiting(one) for one in target.qdiscs)


def _rates(receiving: Iterable[Qdisc], sending: Iterable[Qdisc]) -> str:
    told = [f"receives {one.kind} {binary(one.rate)}/s" for one in receiving if one.rate is not None]
    told += [f"sends {one.kind}{f' {binary(one.rate)}/s' if one.rate is not None else ''}" for one in sending]
    return ", ".join(told)


def _queues(interface: Interface) -> Evidence:
    shown = ", ".join(one.kind for one in interface.qdiscs)
    return Evidence(f"tc qdisc show dev {interface.name}", shown or "none", "tbf, htb or the like")
