"""Reading the networks of containers, once a network namespace, and the stack around them.

/proc/PID/net shows the namespace of that process, so nothing is entered for it. Its `tcp` costs milliseconds,
as the kernel walks all of its connections: it is read only where a check depends on it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from isoaudit.collect.sockets import listeners, sockets_of
from isoaudit.collect.tree import read, refused
from isoaudit.facts.namespaces import parse_link
from isoaudit.facts.network import HOOKS, HostNetwork, Network, unread, wired
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isoaudit.collect.discovery import Candidate
    from isoaudit.collect.paths import Paths
    from isoaudit.collect.process import ProcessDirectory
    from isoaudit.collect.published import Proxy
    from isoaudit.facts.network import Chain, Interface, Listener, Published
    from isoaudit.model import Reading

T = TypeVar("T")
U = TypeVar("U")

NOT_LIVE = "the tree is not the running kernel's"


class NetworkReader:
    """Reads each network namespace once.

    Args:
        paths: the trees to read.
        reference: the process whose network namespace is the host's.
        namespace: the inode of that.
    """

    def __init__(self, paths: Paths, reference: int, namespace: Reading[int]) -> None:
        self._paths = paths
        self._reference = reference
        self._host = namespace
        self._own = _inode("/proc/self/ns/net") if paths.live else None
        self._proxies: tuple[Proxy, ...] | None = None
        self._networks: dict[int, Reading[Network]] = {}
        self._stacks: dict[int, Reading[HostNetwork]] = {}
        self._by_peer: dict[int, dict[int, tuple[Interface, ...]]] = {}
        self._listeners: Reading[tuple[Listener, ...]] | None = None
        self._abstract: Reading[dict[int, str]] | None = None

    def host(self) -> Reading[HostNetwork]:
        """The host's own stack."""
        if not isinstance(self._host, Known):
            return self._host
        return self._stack(f"{self._paths.proc}/{self._reference}", self._host.value)

    def read(self, leader: ProcessDirectory, candidate: Candidate) -> Reading[Network]:
        """The network of a container.

        Args:
            leader: its first process.
            candidate: what was found of it.
        """
        namespace = candidate.namespaces.net
        if not isinstance(namespace, Known):
            return namespace
        inode = namespace.value
        if isinstance(self._host, Known) and self._host.value == inode:
            pids = [process.pid for process in candidate.processes]
            return _with(self._shared(inode, leader), lambda network: self._of_processes(network, pids))
        return self._shared(inode, leader)

    def _shared(self, inode: int, leader: ProcessDirectory) -> Reading[Network]:
        if inode not in self._networks:
            self._networks[inode] = self._namespace(leader, inode)
        return self._networks[inode]

    def _namespace(self, leader: ProcessDirectory, inode: int) -> Reading[Network]:
        from isoaudit.facts import procnet

        source = f"{leader.path}/net"
        try:
            interfaces = procnet.parse_names(leader.raw("net/dev"))
            if not interfaces:
                nothing: Reading[tuple[Interface, ...]] = Known((), f"{source}/dev")
                unasked = unread(f"{source}/tcp")
                return Known(Network((), (), (), nothing, nothing, unasked, unread(f"{source}/unix")), source)
            network = Network(
                interfaces,
                procnet.parse_ipv4_addresses(leader.raw("net/fib_trie"))
                + procnet.parse_ipv6_addresses(_optional(leader, "net/if_inet6")),
                procnet.parse_routes(leader.raw("net/route"))
                + procnet.parse_ipv6_routes(_optional(leader, "net/ipv6_route")),
                ends=unread(f"{source}/dev"),
                inside=unread(f"{source}/dev"),
                listeners=unread(f"{source}/tcp"),
                abstract=unread(f"{source}/unix"),
            )
        except OSError as error:
            return refused(error, source)
        except (ValueError, IndexError) as error:
            return Unknown(source, f"not understood: {error}")
        if isinstance(self._host, Known) and self._host.value == inode:
            return Known(network, source)
        return Known(self._outward(leader, network), source)

    def _outward(self, leader: ProcessDirectory, network: Network) -> Network:
        """A network with what its interfaces lead to."""
        source = f"{leader.path}/ns/net"
        if self._own is None:
            reason = Unknown(source, NOT_LIVE)
            return network._replace(ends=reason, inside=reason, around=())

        try:
            fd = os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=leader.fd)
        except OSError as error:
            return network._replace(ends=refused(error, source), inside=refused(error, source))
        try:
            return self._routed(leader, fd, network)
        except OSError as error:
            return network._replace(ends=refused(error, source), inside=refused(error, source))
        finally:
            os.close(fd)

    def _routed(self, leader: ProcessDirectory, fd: int, network: Network) -> Network:
        """A network with the stack that its interfaces end in: the host's, else its engine's.

        Of a container in a container, and of a rootless engine, shim and daemon are in another one.

        Raises:
            OSError: the kernel's answer.
        """
        from isoaudit.collect.stack import look_inside, read_interfaces, within

        host, own = _value(self._host), _inode(f"{leader.path}/ns/net")
        ends: Reading[tuple[Interface, ...]] = Unknown("rtnetlink(7)", "the host's namespace is not known")
        if host is not None and host == self._own:
            number, inside = look_inside(fd)
        else:
            number, inside = None, within(fd, read_interfaces)
        if host is not None:
            process = f"{self._paths.proc}/{self._reference}"
            if host != self._own:
                number = self._number(process, host, fd)
            ends = self._ends(process, host, number)
        network = _complete(leader, network._replace(ends=ends, inside=inside))
        if isinstance(ends, Known) and ends.value:
            return network
        for pid in _ancestors(leader):
            process = f"{self._paths.proc}/{pid}"
            inode = _inode(f"{process}/ns/net")
            if inode in (None, host, own):
                continue
            ends = self._ends(process, inode, self._number(process, inode, fd))
            if isinstance(ends, Known) and ends.value:
                return network._replace(ends=ends, around=(self._stack(process, inode),))
        return network

    def _number(self, process: str, inode: int, fd: int) -> int | None:
        """What the namespace that is open is called in a process's; None where no link leads there.

        Raises:
            OSError: the kernel's answer.
        """
        from isoaudit.collect.stack import namespace_id, within

        if inode == self._own:
            return namespace_id(fd)
        outer = os.open(f"{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return within(outer, lambda: namespace_id(fd))
        finally:
            os.close(outer)

    def _ends(self, process: str, inode: int, number: int | None) -> Reading[tuple[Interface, ...]]:
        """The interfaces of a process's namespace whose other end is in the one with that number there."""
        stack = self._stack(process, inode)
        if not isinstance(stack, Known):
            return stack
        interfaces = stack.value.interfaces
        if not isinstance(interfaces, Known):
            return interfaces
        if inode not in self._by_peer:
            by_peer: dict[int, tuple[Interface, ...]] = {}
            for one in interfaces.value:
                if one.peer_namespace is not None:
                    by_peer[one.peer_namespace] = (*by_peer.get(one.peer_namespace, ()), one)
            self._by_peer[inode] = by_peer
        found = () if number is None else self._by_peer[inode].get(number, ())
        return Known(found, interfaces.source)

    def _stack(self, process: str, inode: int) -> Reading[HostNetwork]:
        if inode not in self._stacks:
            self._stacks[inode] = self._read_stack(process, inode)
        return self._stacks[inode]

    def _read_stack(self, process: str, inode: int) -> Reading[HostNetwork]:
        if self._own is None:
            return Unknown("rtnetlink(7)", NOT_LIVE)
        from isoaudit.collect.published import cloud
        from isoaudit.collect.stack import read_stack, within

        source = f"{process}/ns/net"
        try:
            if inode == self._own:
                found = within(None, read_stack)
            else:
                fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    found = within(fd, read_stack)
                finally:
                    os.close(fd)
        except OSError as error:
            return refused(error, source)
        return Known(
            HostNetwork(
                inode,
                found.interfaces,
                _with(found.chains, _deciding),
                _with(found.chains, lambda chains: self._published(chains, inode)),
                found.settings,
                found.metadata,
                cloud(self._paths),
            ),
            source,
        )

    def _published(self, chains: tuple[Chain, ...], inode: int) -> tuple[Published, ...]:
        from isoaudit.collect.published import proxies, translated

        if self._proxies is None:
            self._proxies = tuple(proxies(self._paths))
        return tuple(p.published for p in self._proxies if p.namespace == inode) + tuple(translated(chains))

    def _of_processes(self, network: Network, pids: Iterable[int]) -> Network:
        """The host's network as one container's: with the sockets that its own processes hold."""
        base = f"{self._paths.proc}/{self._reference}"
        if self._listeners is None:
            self._listeners = listeners(base)
        if self._abstract is None:
            from isoaudit.facts.procnet import parse_abstract

            self._abstract = read(f"{base}/net/unix", parse_abstract)
        held, missing = sockets_of(self._paths.proc, pids)
        own: Reading[tuple[Listener, ...]] = missing or _with(
            self._listeners,
            lambda all_: tuple(
                one._replace(pid=held[one.inode][0], command=held[one.inode][1])
                for one in all_
                if one.inode in held
            ),
        )
        abstract: Reading[tuple[str, ...]] = missing or _with(
            self._abstract,
            lambda names: tuple(sorted({name for inode, name in names.items() if inode not in held})),
        )
        return network._replace(listeners=own, abstract=abstract)


def _with(reading: Reading[T], change: Callable[[T], U]) -> Reading[U]:
    return Known(change(reading.value), reading.source) if isinstance(reading, Known) else reading


def _value(reading: Reading[int]) -> int | None:
    return reading.value if isinstance(reading, Known) else None


def _inode(path: str) -> int | None:
    try:
        return parse_link(os.readlink(path))
    except (OSError, ValueError):
        return None


def _optional(leader: ProcessDirectory, name: str) -> bytes:
    """A file of IPv6's, which a kernel may not have."""
    try:
        return leader.raw(name)
    except FileNotFoundError:
        return b""


def _complete(leader: ProcessDirectory, network: Network) -> Network:
    """A network with its listeners, where it has an interface that is on the wire by itself."""
    inside = network.inside
    if isinstance(inside, Known) and any(wired(one) for one in inside.value):
        return network._replace(listeners=listeners(leader.path))
    return network


def _ancestors(leader: ProcessDirectory) -> Iterable[int]:
    """The processes above a container's first: its monitor, and who started that."""
    from isoaudit.facts.status import parse_status

    proc = os.path.dirname(leader.path)
    pid = leader.pid
    for _ in range(6):
        status = read(f"{proc}/{pid}/status", lambda raw: parse_status(raw, "status"))
        if not isinstance(status, Known) or status.value.ppid <= 1:
            return
        pid = status.value.ppid
        yield pid


def _deciding(chains: tuple[Chain, ...]) -> tuple[Chain, ...]:
    """The chains that decide whether a packet passes through, in or out; those of translation do not."""
    tables = {one.table for one in chains if one.hook in HOOKS and not one.table.endswith(" legacy nat")}
    return tuple(one for one in chains if one.table in tables)
