"""Reading a network stack through netlink: its interfaces, queues, routes and firewall.

Netlink answers for the namespace of whoever asks. Where that is not the one to be read, a forked child enters
it, asks, and ends; this process itself never leaves its own.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isoaudit.collect.tree import read_file, read_line, refused
from isoaudit.facts.links import (
    ingress_parent,
    parse_filters,
    parse_interface,
    parse_qdiscs,
    parse_with_root,
    sorts_only,
)
from isoaudit.facts.network import METADATA, Chain, Interface, RouteAnswer
from isoaudit.facts.nftables import parse_chains
from isoaudit.facts.xtables import parse_legacy
from isoaudit.kernel import netlink, syscalls
from isoaudit.kernel.netlink import Netlink, attribute, attributes
from isoaudit.kernel.xtables import read_table
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoaudit.model import Reading

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_GETLINK, _GETROUTE, _GETQDISC, _GETTCLASS, _GETTFILTER, _GETNSID = 18, 26, 38, 42, 46, 90
_TARGET_NETNSID = 46  # IFLA_TARGET_NETNSID
_NETNSA_NSID, _NETNSA_FD = 1, 3
_SKIP_STATS = attribute(29, struct.pack("=I", 8))  # IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS
_TABLES = frozenset({"filter", "mangle", "nat", "raw", "security"})
_CLASSFUL = frozenset({"htb"})
_NFT = 10 << 8  # NFNL_SUBSYS_NFTABLES
_NFT_GETCHAIN, _NFT_GETRULE = _NFT | 4, _NFT | 7
# EINVAL is a blackhole's answer, EACCES "prohibit"'s, EAFNOSUPPORT that of a kernel without IPv6.
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.EAFNOSUPPORT)
_RULES = 20_000  # of one namespace that are looked at; a cluster's services can have many more
LINKS_SOURCE = "rtnetlink(7) RTM_GETLINK"
FIREWALL_SOURCE = "nf_tables"
SETTINGS: tuple[str, ...] = (
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv6.conf.all.forwarding",
)


class Stack(NamedTuple):
    """What one namespace answered."""

    interfaces: Reading[tuple[Interface, ...]]
    chains: Reading[tuple[Chain, ...]]
    settings: dict[str, Reading[str]]
    metadata: dict[str, Reading[RouteAnswer]]


def within(fd: int | None, work: Callable[[], T]) -> T:
    """Do something in another network namespace, in a child of ours.

    Args:
        fd: of the namespace's file; None where it is our own, and no child is needed.
        work: what to do; what it returns is pickled.

    Raises:
        OSError: the kernel's answer, to entering it as well.
    """
    if fd is None:
        return work()
    import pickle

    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            try:
                syscalls.call("setns", fd, _CLONE_NEWNET)
                content = pickle.dumps((None, work()))
            except OSError as error:
                content = pickle.dumps((error.errno, error.strerror))
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(content)
        finally:
            # Never back into the caller's stack: its cleanup is the parent's to do.
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            raw = pipe.read()
    finally:
        os.waitpid(pid, 0)
    if not raw:
        raise OSError(errno.EIO, "the process that was to read it ended early")
    number, result = pickle.loads(raw)  # noqa: S301  our own child wrote it
    if number is not None:
        raise OSError(number, result)
    answer: T = result
    return answer


def namespace_id(fd: int) -> int | None:
    """The number that a namespace has in ours (RTM_GETNSID); None where no link leads there.

    Raises:
        OSError: the kernel's answer.
    """
    with Netlink(netlink.ROUTE) as route:
        return _namespace_id(route, fd)


def _namespace_id(route: Netlink, fd: int) -> int | None:
    answer = route.ask(_GETNSID, bytes(4) + attribute(_NETNSA_FD, struct.pack("=I", fd)))
    number = int(struct.unpack("=i", attributes(answer.body, 4)[_NETNSA_NSID])[0])
    return None if number < 0 else number


def look_inside(fd: int) -> tuple[int | None, Reading[tuple[Interface, ...]]]:
    """A namespace's number in ours, and its interfaces; it is entered only where a queue there may limit.

    Args:
        fd: of the namespace's file.

    Raises:
        OSError: the kernel's answer.
    """
    with Netlink(netlink.ROUTE) as route:
        number = _namespace_id(route, fd)
        if number is not None:
            target = attribute(_TARGET_NETNSID, struct.pack("=i", number))
            messages = route.dump(_GETLINK, bytes(16) + _SKIP_STATS + target)
            interfaces = tuple(parse_with_root(message) for message in messages)
            if all(sorts_only(qdisc.kind) for one in interfaces for qdisc in one.qdiscs):
                return number, Known(interfaces, LINKS_SOURCE)
    return number, within(fd, read_interfaces)


def read_stack() -> Stack:
    """Everything about the namespace that we are in."""
    settings = {name: read_line(f"/proc/sys/{name.replace('.', '/')}") for name in SETTINGS}
    return Stack(read_interfaces(), read_chains(), settings, _metadata_routes())


def read_interfaces() -> Reading[tuple[Interface, ...]]:
    """The interfaces with what limits them."""
    try:
        with Netlink(netlink.ROUTE) as route:
            links = [parse_interface(m) for m in route.dump(_GETLINK, bytes(16) + _SKIP_STATS)]
            queues = route.dump(_GETQDISC, bytes(20))
            shallow = parse_qdiscs(queues, {})
            classes = {
                index: route.dump(_GETTCLASS, struct.pack("=BxxxiIII", 0, index, 0, 0, 0))
                for index, found in shallow.items()
                if any(qdisc.kind in _CLASSFUL for qdisc in found)
            }
            qdiscs = parse_qdiscs(queues, classes) if classes else shallow
            for index, found in qdiscs.items():
                for parent in {ingress_parent(one) for one in found if one.ingress}:
                    request = struct.pack("=BxxxiIII", 0, index, 0, parent, 0)
                    qdiscs[index] = [*found, *parse_filters(route.dump(_GETTFILTER, request))]
    except OSError as error:
        return refused(error, LINKS_SOURCE)
    except (ValueError, IndexError, struct.error) as error:
        return Unknown(LINKS_SOURCE, f"not understood: {error}")
    return Known(tuple(one._replace(qdiscs=tuple(qdiscs.get(one.number, ()))) for one in links), LINKS_SOURCE)


def _metadata_routes() -> dict[str, Reading[RouteAnswer]]:
    import socket

    answers: dict[str, Reading[RouteAnswer]] = {}
    for address in METADATA:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        raw = socket.inet_pton(family, address)
        source = f"rtnetlink(7) RTM_GETROUTE {address}"
        body = struct.pack("=BBBBBBBBI", family, 8 * len(raw), 0, 0, 0, 0, 0, 0, 0) + attribute(1, raw)
        try:
            with Netlink(netlink.ROUTE) as route:
                found = attributes(route.ask(_GETROUTE, body).body, 12)
            index = struct.unpack("=I", found[4])[0]
            name = socket.if_indextoname(index)
            via = f"via {socket.inet_ntop(family, found[5])} " if len(found.get(5, b"")) == len(raw) else ""
            answers[address] = Known(RouteAnswer(name, f"{via}dev {name}"), source)
        except OSError as error:
            if error.errno in _NO_WAY:
                answers[address] = Known(RouteAnswer("", errno.errorcode[error.errno]), source)
            else:
                answers[address] = refused(error, source)
        except (KeyError, struct.error) as error:
            answers[address] = Unknown(source, f"not understood: {error}")
    return answers


def read_chains() -> Reading[tuple[Chain, ...]]:
    """The firewall: nf_tables, and iptables-legacy's tables where there are any."""
    try:
        chains = (*_nft_chains(), *_legacy_chains())
    except OSError as error:
        return refused(error, FIREWALL_SOURCE)
    except (ValueError, IndexError, struct.error) as error:
        return Unknown(FIREWALL_SOURCE, f"not understood: {error}")
    return Known(chains, FIREWALL_SOURCE)


def _nft_chains() -> tuple[Chain, ...]:
    if not _in_kernel("nf_tables"):
        return ()
    with Netlink(netlink.NETFILTER) as netfilter:
        chains = netfilter.dump(_NFT_GETCHAIN, bytes(4))
        if not chains:
            return ()
        rules = netfilter.dump(_NFT_GETRULE, bytes(4))
    if len(rules) > _RULES:
        raise OSError(errno.EFBIG, f"{len(rules)} rules: more than {_RULES} are not read")
    return parse_chains(chains, rules)


def _legacy_chains() -> tuple[Chain, ...]:
    chains: tuple[Chain, ...] = ()
    for family in ("ip", "ip6"):
        try:
            tables = read_file(f"/proc/self/net/{family}_tables_names").decode("ascii").split()
        except FileNotFoundError:  # this kernel has no such tables, or nobody has asked for any
            continue
        for table in sorted(_TABLES & set(tables)):
            found = read_table(family, table)
            chains += parse_legacy(family, table, found.hooks, found.underflows, found.entries)
    return chains


def _in_kernel(module: str) -> bool:
    """Whether asking a module would not load it: it is loaded, or built in."""
    try:
        loaded = read_file("/proc/modules")
    except FileNotFoundError:  # a kernel without modules has what it has
        return True
    if any(entry.startswith(b"%s " % module.encode()) for entry in loaded.splitlines()):
        return True
    try:
        built_in = read_file(f"/lib/modules/{os.uname().release}/modules.builtin")
    except FileNotFoundError:
        return False
    return f"/{module}.ko".encode() in built_in
