"""A port is reachable on every address.

## What it detects
On the host's network: a process of the container listens on every address (`0.0.0.0`, `::`) or on one that the
internet routes. On a network of its own: the stack around it hands a port on such an address to one of the
container's addresses, by a docker-proxy process or by a rule that translates addresses (nf_tables,
iptables-legacy), or the container is on the wire by itself (macvlan, ipvlan, a device of its own) and listens.
UDP sockets on ports that the kernel gives to clients are left out.

## Why it matters
Who publishes a port without an address publishes it on all interfaces of the host. Docker's rules come before
those of firewalld and ufw, so that a port which seems closed is open to the world.

## Remediation
Publish on the loopback or on the one private address that needs it.

- docker, podman: `--publish 127.0.0.1:8080:80`; dockerd: `"ip": "127.0.0.1"` as default
- compose: `ports: ["127.0.0.1:8080:80"]`
- Kubernetes: no `hostPort`, or one with `hostIP`; a Service of type ClusterIP
- on the host's network: bind the service itself to `127.0.0.1`

## When it is fine
Services for everybody: load balancers, mail and web servers.

## References
- proc(5) `/proc/net/tcp`, nft(8), iptables-extensions(8) "DNAT"
- CIS Docker Benchmark 1.6.0, 5.14
"""

from collections.abc import Sequence

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.network import HostNetwork, Listener, around, is_wide, on_host, wired
from isoaudit.facts.processes import listed

_SHOWN = 4
_EXPECTED = "127.0.0.1 or a private address"


@check(severity="medium")
def published_widely(host: Host, container: Container) -> Outcome:
    shared = on_host(host, container)
    network = require(container.network)
    if shared:
        return _listening(require(network.listeners), require(host.network), network.listeners.source)
    if not network.interfaces:
        return not_applicable("it has no network interface besides its own loopback")
    if isinstance(network.inside, Known) and any(wired(one) for one in network.inside.value):
        return _listening(require(network.listeners), None, network.listeners.source)
    if not require(network.ends):
        return unknown(
            "its network ends in no stack that was found: it is a user-mode one (slirp4netns, pasta) or its "
            "engine's; look at what listens for it on the host: `ss -lntup`",
            network.ends.source,
        )
    ports = [
        one for one in require(around(host, network).published) if one.container_address in network.addresses
    ]
    wide = [one for one in ports if is_wide(one.address)]
    if not wide:
        what = f"only narrowly: {listed([f'{p.address}:{p.port}' for p in ports[:_SHOWN]], len(ports))}"
        return passed(f"its ports are published {what}" if ports else "no port of it is published")
    names = list(dict.fromkeys(f"{p.protocol or 'any'} {_joined(p.address, p.port)}" for p in wide))
    where = "" if not network.around else " of the network that it is nested in"
    return fail(
        f"its ports are published on every or a public address{where}: {listed(names[:_SHOWN], len(names))}",
        [Evidence(p.source, p.evidence, _EXPECTED) for p in wide[:_SHOWN]],
    )


def _listening(listeners: Sequence[Listener], stack: HostNetwork | None, source: str) -> Outcome:
    clients = _client_ports(stack)
    serving = [one for one in listeners if one.protocol == "tcp" or one.port not in clients]
    wide = [one for one in serving if is_wide(one.address)]
    if not wide:
        return passed("nothing of it listens on every or a public address")
    names = list(dict.fromkeys(f"{one.protocol} {_joined(one.address, one.port)}{_who(one)}" for one in wide))
    evidence = [
        Evidence(source if not one.pid else f"/proc/{one.pid}/net/{one.protocol}", name, _EXPECTED)
        for one, name in zip(wide[:_SHOWN], names, strict=False)
    ]
    return fail(f"it listens on every or a public address: {listed(names[:_SHOWN], len(names))}", evidence)


def _client_ports(stack: HostNetwork | None) -> range:
    """The ports that the kernel gives to sockets which ask for none."""
    reading = stack.settings.get("net.ipv4.ip_local_port_range") if stack is not None else None
    if not isinstance(reading, Known):
        return range(32768, 61000)  # the kernel's default
    low, high = reading.value.split()
    return range(int(low), int(high) + 1)


def _who(listener: Listener) -> str:
    return f" by {listener.pid} ({listener.command})" if listener.pid else ""


def _joined(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
