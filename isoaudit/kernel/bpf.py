"""Asking bpf(2) which programs are attached to a cgroup, and what they do. Nothing is loaded or attached here.

Commands, attributes and `struct bpf_prog_info` are in include/uapi/linux/bpf.h. PROG_QUERY asks for
CAP_NET_ADMIN in the initial user namespace, PROG_GET_FD_BY_ID for CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Any, NamedTuple

from isoaudit.kernel import syscalls

_PROG_GET_FD_BY_ID = 13
_OBJ_GET_INFO_BY_FD = 15
_PROG_QUERY = 16
CGROUP_DEVICE = 6  # BPF_CGROUP_DEVICE, an attach type
_QUERY_EFFECTIVE = 1
# Linux 6.17 writes `query.revision`, at byte 56, however short it was told that the attributes are.
_ATTRIBUTES = 128
_PASSED = 64
# target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
_QUERY = struct.Struct("=IIIIQI")
_GUESS = 64  # BPF_CGROUP_MAX_PROGS: as many as one cgroup can have
_MOST = 1 << 16
# type, id, tag, jited_prog_len, xlated_prog_len, jited_prog_insns, xlated_prog_insns, load_time,
# created_by_uid, nr_map_ids, map_ids, name: what Linux 4.15 has
_INFO = struct.Struct("=II8sIIQQQIIQ16s")
_LARGEST = 8 << 20  # bytes: BPF_COMPLEXITY_LIMIT_INSNS instructions of 8


class Program(NamedTuple):
    """A loaded program, as the kernel runs it."""

    id: int
    tag: str  # hexadecimal: a hash of the instructions as they were loaded
    name: str  # 15 characters at most; "" where its loader gave none
    instructions: bytes  # struct bpf_insn after struct bpf_insn, 8 bytes each, after the verifier


def cgroup_programs(cgroup: int, attach_type: int, *, effective: bool) -> tuple[int, ...]:
    """The ids of the programs on a cgroup.

    Args:
        cgroup: descriptor of its directory in cgroup v2.
        attach_type: BPF_CGROUP_…
        effective: all that run for its processes, rather than those attached to this very cgroup.

    Raises:
        OSError: the kernel's answer. EPERM: CAP_NET_ADMIN is lacking; EINVAL: the kernel has no such programs.
    """
    room = _GUESS
    while True:
        ids = (ctypes.c_uint32 * room)()
        attributes = ctypes.create_string_buffer(_ATTRIBUTES)
        flags = _QUERY_EFFECTIVE if effective else 0
        _QUERY.pack_into(attributes, 0, cgroup, attach_type, flags, 0, ctypes.addressof(ids), room)
        try:
            syscalls.call("bpf", _PROG_QUERY, attributes, _PASSED)
        except OSError as error:
            count = _QUERY.unpack_from(attributes)[5]
            if error.errno != errno.ENOSPC or not room < count <= _MOST:
                raise
            room = count
        else:
            return tuple(ids[: _QUERY.unpack_from(attributes)[5]])


def program(ident: int) -> Program:
    """A loaded program by its id.

    Raises:
        OSError: the kernel's answer. ENOENT: it is no longer loaded; EPERM: CAP_SYS_ADMIN is lacking, or the
            kernel keeps the instructions back (net.core.bpf_jit_harden with kernel.kptr_restrict).
    """
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    struct.pack_into("=III", attributes, 0, ident, 0, 0)
    fd = syscalls.call("bpf", _PROG_GET_FD_BY_ID, attributes, _PASSED)
    try:
        length = _information(fd, None)[4]
        if length > _LARGEST:
            raise OSError(errno.EFBIG, f"a program of {length} bytes")
        instructions = ctypes.create_string_buffer(max(length, 1))
        _, number, tag, _, shown, _, pointer, _, _, _, _, name = _information(fd, instructions)
    finally:
        os.close(fd)
    if not pointer or not shown:
        reason = "its instructions are kept back, by net.core.bpf_jit_harden with kernel.kptr_restrict"
        raise OSError(errno.EPERM, reason)
    text = name.partition(b"\0")[0].decode("ascii", "replace")
    return Program(number, tag.hex(), text, instructions.raw[: min(length, shown)])


def _information(fd: int, instructions: ctypes.Array[ctypes.c_char] | None) -> tuple[Any, ...]:
    room, address = (len(instructions), ctypes.addressof(instructions)) if instructions else (0, 0)
    information = ctypes.create_string_buffer(_INFO.size)
    _INFO.pack_into(information, 0, 0, 0, b"", 0, room, 0, address, 0, 0, 0, 0, b"")
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    struct.pack_into("=IIQ", attributes, 0, fd, _INFO.size, ctypes.addressof(information))
    syscalls.call("bpf", _OBJ_GET_INFO_BY_FD, attributes, _PASSED)
    return _INFO.unpack_from(information)
