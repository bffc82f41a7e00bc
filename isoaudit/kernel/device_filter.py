"""Putting device programs (BPF_PROG_TYPE_CGROUP_DEVICE) on a cgroup of our own (include/uapi/linux/bpf.h).

What is attached goes away with the cgroup.
"""

from __future__ import annotations

import ctypes
import os
import struct

from isoaudit.kernel import syscalls
from isoaudit.kernel.bpf import CGROUP_DEVICE

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ALLOW_MULTI = 2  # BPF_F_ALLOW_MULTI: beside what is there
# prog_type, insn_cnt, insns, license; log_level, log_size, log_buf; kern_version, prog_flags, prog_name
_LOAD = struct.Struct("=IIQQIIQII16s")
# target_fd, attach_bpf_fd, attach_type, attach_flags
_ATTACH = struct.Struct("=IIII")
_ATTRIBUTES = 128  # more than any kernel writes back
_PASSED = 64
_INSTRUCTION = 8  # bytes of struct bpf_insn


def attach(directory: str, instructions: str) -> None:
    """Load a program and attach it to a cgroup.

    Args:
        directory: of the cgroup, in a v2 hierarchy.
        instructions: hexadecimal, struct bpf_insn after struct bpf_insn.

    Raises:
        OSError: the kernel's answer. EPERM: a right is lacking, or a cgroup above forbids more programs;
            EINVAL: the verifier refuses it, or the kernel has no such programs.
    """
    raw = bytes.fromhex(instructions)
    text, licence = ctypes.create_string_buffer(raw, len(raw)), ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    addresses = ctypes.addressof(text), ctypes.addressof(licence)
    _LOAD.pack_into(
        attributes,
        0,
        _PROG_TYPE_CGROUP_DEVICE,
        len(raw) // _INSTRUCTION,
        *addresses,
        *(0, 0, 0),
        *(0, 0),
        b"isoaudit",
    )
    loaded = syscalls.call("bpf", _PROG_LOAD, attributes, _PASSED)
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attributes = ctypes.create_string_buffer(_ATTRIBUTES)
            _ATTACH.pack_into(attributes, 0, cgroup, loaded, CGROUP_DEVICE, _ALLOW_MULTI)
            syscalls.call("bpf", _PROG_ATTACH, attributes, _PASSED)
        finally:
            os.close(cgroup)
    finally:
        os.close(loaded)
