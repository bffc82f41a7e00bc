"""rtnetlink's answers about interfaces and their queues (rtnetlink(7); linux/if_link.h, linux/pkt_sched.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from isoaudit.facts.network import Interface, Qdisc
from isoaudit.facts.text import line
from isoaudit.kernel.netlink import attribute_list, attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.kernel.netlink import Message

# struct ifinfomsg, tcmsg
_LINK = struct.Struct("=BxHiII")
_TC = struct.Struct("=BxxxiIII")
_IFNAME, _QDISC, _LINK_INDEX, _MASTER, _INFO, _NETNSID = 3, 6, 5, 10, 18, 37
_INFO_KIND, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 4, 5
_PORT_ISOLATED = 33  # IFLA_BRPORT_ISOLATED
_KIND, _OPTIONS = 1, 2  # TCA_KIND, TCA_OPTIONS
_ROOT, _INGRESS = 0xFFFFFFFF, 0xFFFFFFF1  # TC_H_ROOT, TC_H_INGRESS (that of clsact too)

_SORTING = frozenset({"noqueue", "pfifo_fast", "pfifo", "bfifo", "fq_codel", "sfq", "mq", "noop", ""})
_RATE_IN_SPEC = 8  # of struct tc_ratespec, which is 12 bytes long
# What a classifier calls its actions and its old-style policer: TCA_U32_ACT, TCA_MATCHALL_ACT, …
_ACTIONS: dict[str, int] = {"u32": 7, "matchall": 2, "flower": 3, "basic": 3, "fw": 4, "route": 6}


def _u32(raw: bytes | None, offset: int = 0) -> int:
    return int(struct.unpack_from("=I", raw, offset)[0]) if raw is not None and len(raw) >= offset + 4 else 0


def _u64(raw: bytes | None) -> int:
    return int(struct.unpack_from("=Q", raw)[0]) if raw is not None and len(raw) >= 8 else 0


def parse_interface(message: Message) -> Interface:
    """One answer of RTM_GETLINK, without its queues."""
    return _interface(message, attributes(message.body, _LINK.size))


def parse_with_root(message: Message) -> Interface:
    """One answer of RTM_GETLINK, with what it tells of the queues: the kind of the root (IFLA_QDISC)."""
    found = attributes(message.body, _LINK.size)
    root = Qdisc(line(found.get(_QDISC, b"")), ingress=False, rate=None)
    return _interface(message, found)._replace(qdiscs=(root,))


def _interface(message: Message, found: dict[int, bytes]) -> Interface:
    index = _LINK.unpack_from(message.body)[2]
    info = attributes(found[_INFO]) if _INFO in found else {}
    isolated = False
    if info.get(_INFO_SLAVE_KIND, b"").startswith(b"bridge\0"):
        isolated = attributes(info.get(_INFO_SLAVE_DATA, b"")).get(_PORT_ISOLATED, b"\0")[:1] == b"\1"
    namespace = found.get(_NETNSID)
    return Interface(
        line(found.get(_IFNAME, b"")),
        index,
        line(info.get(_INFO_KIND, b"")),
        _u32(found.get(_LINK_INDEX)),
        struct.unpack("=i", namespace)[0] if namespace else None,
        _u32(found.get(_MASTER)),
        isolated,
    )


def parse_qdiscs(
    messages: Iterable[Message], classes: Mapping[int, Iterable[Message]]
) -> dict[int, list[Qdisc]]:
    """Answers of RTM_GETQDISC by the interface's index; those that only divide others are left out.

    Args:
        messages: of RTM_GETQDISC.
        classes: of RTM_GETTCLASS, for the interfaces with a classful queue.
    """
    found: dict[int, list[Qdisc]] = {}
    for message in messages:
        _, index, handle, parent, _ = _TC.unpack_from(message.body)
        attrs = attributes(message.body, _TC.size)
        kind = line(attrs.get(_KIND, b""))
        ingress = parent == _INGRESS
        if not ingress and parent != _ROOT:
            continue
        rate = _rate(kind, attributes(attrs.get(_OPTIONS, b"")), handle, classes.get(index, ()))
        found.setdefault(index, []).append(Qdisc(kind, ingress, rate))
    return found


def _rate(kind: str, options: dict[int, bytes], handle: int, classes: Iterable[Message]) -> int | None:
    if kind == "tbf":
        return _u64(options.get(4)) or _u32(options.get(1), _RATE_IN_SPEC) or None
    if kind == "cake":
        return _u64(options.get(2)) or None
    if kind == "netem":
        return _u64(options.get(8)) or _u32(options.get(6)) or None
    if kind == "htb":
        # Whatever no filter sorts goes to the default class, and past all limits where there is none.
        default = (handle & 0xFFFF0000) | _u32(options.get(2), 8)
        for message in classes:
            _, _, identity, _, _ = _TC.unpack_from(message.body)
            if identity == default:
                inner = attributes(attributes(message.body, _TC.size).get(_OPTIONS, b""))
                return _u64(inner.get(7)) or _u32(inner.get(1), 12 + _RATE_IN_SPEC) or None
    return None


def ingress_parent(qdisc: Qdisc) -> int:
    """Under which parent the filters of an ingress queue stand: clsact has them for egress as well."""
    return 0xFFFFFFF2 if qdisc.kind == "clsact" else 0xFFFF0000


def sorts_only(kind: str) -> bool:
    """Whether a queue of that kind limits nothing, however it is set up."""
    return kind in _SORTING


def parse_filters(messages: Iterable[Message]) -> list[Qdisc]:
    """Answers of RTM_GETTFILTER on an interface's ingress: what limits or moves its packets."""
    found = []
    for message in messages:
        attrs = attributes(message.body, _TC.size)
        kind = line(attrs.get(_KIND, b""))
        options = attributes(attrs.get(_OPTIONS, b""))
        if kind == "bpf":
            found.append(Qdisc("bpf", ingress=True, rate=None))
        elif kind not in _ACTIONS:
            found.append(Qdisc("filter", ingress=True, rate=None))
        else:
            for _, action in attribute_list(options.get(_ACTIONS[kind], b"")):
                found += _action(attributes(action))
    return found


def _action(action: dict[int, bytes]) -> list[Qdisc]:
    kind = line(action.get(_KIND, b""))
    options = attributes(action.get(_OPTIONS, b""))
    if kind == "police":
        # TCA_POLICE_RATE64, else the ratespec in struct tc_police
        rate = _u64(options.get(8)) or _u32(options.get(1), 20 + _RATE_IN_SPEC) or None
        return [Qdisc("police", ingress=True, rate=rate)]
    if kind == "mirred":
        parms = options.get(2, b"")  # struct tc_mirred: eaction 1 is TCA_EGRESS_REDIR
        return [Qdisc("redirect", True, None, _u32(parms, 24))] if _u32(parms, 20) == 1 else []
    return [Qdisc("bpf", ingress=True, rate=None)] if kind == "bpf" else []
