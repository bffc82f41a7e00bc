"""Asking the kernel through netlink(7): dumps and single questions, with nothing but Python's own sockets.

Only questions are sent (RTM_GET…, NFT_MSG_GET…). The kernel answers from its tables: no packet leaves the host,
and nothing is changed.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ROUTE = 0  # NETLINK_ROUTE
NETFILTER = 12  # NETLINK_NETFILTER

_REQUEST, _DUMP = 0x01, 0x300  # NLM_F_REQUEST, NLM_F_ROOT | NLM_F_MATCH
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: what is dumped changed meanwhile
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # NLA_F_NESTED and NLA_F_NET_BYTEORDER are the bits above
_BUFFER = 1 << 16  # the kernel fills 32 KiB at most
_SECONDS = 5.0
_TRIES = 3
LIMIT = 64 << 20  # bytes of one dump


class Message(NamedTuple):
    """An answer: its type, and what follows the netlink header."""

    type: int
    body: bytes


class Netlink:
    """A netlink socket in our own network namespace. Use as a context manager.

    Args:
        family: ROUTE or NETFILTER.

    Raises:
        OSError: the kernel's answer.
    """

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.settimeout(_SECONDS)
        self._sequence = 0

    def __enter__(self) -> Netlink:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """All answers to a dump; asked again where the tables changed under it.

        Raises:
            OSError: the kernel's answer; EINTR where they never kept still.
        """
        for _ in range(_TRIES):
            messages, whole = self._exchange(kind, _REQUEST | _DUMP, body, dump=True)
            if whole:
                return messages
        raise OSError(errno.EINTR, "what was dumped changed all the while")

    def ask(self, kind: int, body: bytes) -> Message:
        """The one answer to a question.

        Raises:
            OSError: the kernel's answer.
        """
        messages, _ = self._exchange(kind, _REQUEST, body, dump=False)
        return messages[0]

    def _exchange(self, kind: int, flags: int, body: bytes, *, dump: bool) -> tuple[list[Message], bool]:
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        messages: list[Message] = []
        whole, total = True, 0
        while True:
            raw = self._socket.recv(_BUFFER)
            total += len(raw)
            if total > LIMIT:
                raise OSError(errno.EFBIG, f"more than {LIMIT} bytes")
            at = 0
            while at + _HEADER.size <= len(raw):
                length, answer, said, sequence, _ = _HEADER.unpack_from(raw, at)
                if length < _HEADER.size:
                    raise OSError(errno.EBADMSG, "a netlink message without a length")
                part = raw[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if sequence != self._sequence:  # what an interrupted dump left behind
                    continue
                whole = whole and not said & _INTERRUPTED
                if answer in (_ERROR, _DONE):
                    code = -struct.unpack_from("=i", part)[0] if len(part) >= 4 else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return messages, whole
                messages.append(Message(answer, part))
            if messages and not dump:
                return messages, whole


def attributes(raw: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes of a message or of a nest, by type; the last one of a type counts."""
    found = {}
    end, unpack = len(raw) - 4, _ATTRIBUTE.unpack_from
    while offset <= end:
        length, kind = unpack(raw, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = raw[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def attribute_list(raw: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes of a message or of a nest, in order."""
    end = len(raw)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(raw, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, raw[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, content: bytes) -> bytes:
    """An attribute to send."""
    return _ATTRIBUTE.pack(4 + len(content), kind) + content + bytes(-len(content) % 4)
