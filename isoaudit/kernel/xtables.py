"""Reading iptables-legacy's tables (getsockopt(2) with IPT_SO_GET_ENTRIES; linux/netfilter_ipv4/ip_tables.h).

Asking for a table makes the kernel load and hook it, so only those are to be asked for that are there
already: /proc/net/ip_tables_names and ip6_tables_names list them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_LEVELS = {"ip": (socket.AF_INET, 0), "ip6": (socket.AF_INET6, 41)}  # SOL_IP, SOL_IPV6
_GET_INFO, _GET_ENTRIES = 64, 65
# struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES = struct.Struct("=32sI4x") if struct.calcsize("P") == 8 else struct.Struct("=32sI")
_LIMIT = 16 << 20


class LegacyTable(NamedTuple):
    """A table as the kernel gives it."""

    hooks: dict[int, int]  # offset of a hook's chain by the hook's number
    underflows: dict[int, int]  # offset of its policy
    entries: bytes


def read_table(family: str, name: str) -> LegacyTable:
    """Read a table of our own network namespace.

    Args:
        family: "ip" or "ip6".
        name: "filter", "nat", ….

    Raises:
        OSError: the kernel's answer; EFBIG where it is very large.
    """
    domain, level = _LEVELS[family]
    with socket.socket(domain, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        raw = _getsockopt(sock.fileno(), level, _GET_INFO, _INFO.pack(name.encode(), *[0] * 13))
        _, valid, *numbers, _, size = _INFO.unpack(raw)
        if size > _LIMIT:
            raise OSError(errno.EFBIG, f"table {name} is larger than {_LIMIT} bytes")
        raw = _getsockopt(sock.fileno(), level, _GET_ENTRIES, _ENTRIES.pack(name.encode(), size) + bytes(size))
    valid_hooks = [number for number in range(5) if valid & 1 << number]
    return LegacyTable(
        {number: numbers[number] for number in valid_hooks},
        {number: numbers[5 + number] for number in valid_hooks},
        raw[_ENTRIES.size :],
    )


def _getsockopt(fd: int, level: int, option: int, value: bytes) -> bytes:
    """getsockopt(2) with an argument inside its buffer, for which Python's own has no way."""
    buffer = ctypes.create_string_buffer(value, len(value))
    length = ctypes.c_uint32(len(value))
    if _libc.getsockopt(fd, level, option, buffer, ctypes.byref(length)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]
