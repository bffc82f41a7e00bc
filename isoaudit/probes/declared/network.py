"""Sockets that are more than an ordinary program's: raw ones, the hypervisor's, and the kernel's own."""

from __future__ import annotations

import errno
import os
import socket
import struct

from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, Call, Probe, opening

# socket(2) of Linux, not Python's: the numbers that the kernel gets (include/linux/socket.h).
_AF_INET, _AF_PACKET, _AF_VSOCK = 2, 17, 40
_STREAM, _RAW = 1, 3
_ICMP = 1
_NETLINK_ROUTE, _NETLINK_AUDIT = 0, 9
_RTM_SETLINK, _AUDIT_GET = 19, 1000
_REQUEST, _ACKNOWLEDGE = 0x01, 0x04
_HEADER = struct.Struct("=IHHII")
_ERROR = 2
_NO_INTERFACE = 0x7FFFFFF0
_SECONDS = 2.0


def _netlink(protocol: int, kind: int, body: bytes) -> None:
    """One netlink request.

    Raises:
        OSError: what the kernel answered, whether to the call or in the answer.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as asking:
        asking.settimeout(_SECONDS)
        asking.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACKNOWLEDGE, 1, 0) + body)
        said = asking.recv(4096)
    if _HEADER.unpack_from(said)[1] == _ERROR:
        error = -struct.unpack_from("=i", said, _HEADER.size)[0]
        if error:
            raise OSError(error, os.strerror(error))


def _set_link(_: object) -> None:
    # struct ifinfomsg: flags to become those that are, in none of which a bit is to change.
    _netlink(_NETLINK_ROUTE, _RTM_SETLINK, struct.pack("=BxHiII", 0, 0, _NO_INTERFACE, 0, 0))


def _audit(_: object) -> None:
    _netlink(_NETLINK_AUDIT, _AUDIT_GET, b"")


# Filters look at the family: how socket(2) answers to another one tells nothing of who refused.
PROBES = (
    Probe(
        "packet-socket",
        PERMISSION,
        "send packets of its own making into its network",
        "packet_create() in net/packet/af_packet.c, inet_create() in net/ipv4/af_inet.c",
        "no packet: the socket is bound to no protocol and closed at once",
        calls=(
            # The same right, and to close the other one waits for a grace period of some 15 ms.
            opening("socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)", "socket", _AF_INET, _RAW, _ICMP),
            opening("socket(AF_PACKET, SOCK_RAW, 0)", "socket", _AF_PACKET, _RAW, 0),
        ),
        refused=(errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT),
        capabilities=mask("CAP_NET_RAW"),
        needs=("/proc/net/protocols", "PACKET"),
    ),
    Probe(
        "network-admin",
        PERMISSION,
        "change the host's network interfaces, addresses, routes and firewall",
        "rtnetlink_rcv_msg() in net/core/rtnetlink.c",
        "no interface: there is none of that number",
        calls=(Call("RTM_SETLINK {ifindex 0x7ffffff0}", _set_link),),
        permitted=(errno.ENODEV,),
        capabilities=mask("CAP_NET_ADMIN"),
        own="net",
    ),
    Probe(
        "vsock-socket",
        PERMISSION,
        "open sockets to the hypervisor and its other virtual machines",
        "vsock_create() in net/vmw_vsock/af_vsock.c",
        "no connection: the socket is closed at once",
        calls=(opening("socket(AF_VSOCK, SOCK_STREAM, 0)", "socket", _AF_VSOCK, _STREAM, 0),),
        refused=(errno.EAFNOSUPPORT,),
        needs=("/proc/net/protocols", "AF_VSOCK"),
    ),
    Probe(
        "audit-control",
        PERMISSION,
        "read and change the host's audit rules",
        "audit_netlink_ok() in kernel/audit.c",
        "nothing: the status is asked for",
        calls=(Call("AUDIT_GET", _audit),),
        refused=(errno.ECONNREFUSED, errno.EPROTONOSUPPORT),
        capabilities=mask("CAP_AUDIT_CONTROL"),
        needs=("/proc/self/loginuid", ""),
    ),
)
