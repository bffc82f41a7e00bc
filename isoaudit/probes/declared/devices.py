"""Device nodes: making one and opening one that no container needs."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from isoaudit.kernel import syscalls
from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, Call, Probe, answer, ask

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

# A number for "local/experimental use" (Documentation/admin-guide/devices.txt), with no driver: only a policy
# that lets any block device through lets this one through. access(2) asks the policy without opening it.
DEVICE = (stat.S_IFBLK, 60, 0)
DEVICE_NAME = "b60:0"


def _mknod(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    kind, major, minor = DEVICE
    path = "/tmp/node"  # noqa: S108  of the test container's own, private tree
    call = Call("", lambda _: os.mknod(path, kind | 0o600, os.makedev(major, minor)))
    error = answer(call, assignment)
    if not error:
        os.unlink(path)
    channel.say({"name": probe.name, "call": f"mknod(S_IFBLK, {major}:{minor})", "errno": error})


def _open(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    if assignment.devices < 0:
        channel.say({"name": probe.name, "call": probe.calls[0].shown, "failed": errno.ENOSYS})
    else:
        ask(channel, assignment, probe)


PROBES = (
    Probe(
        "device-mknod",
        PERMISSION,
        "make a device node that no container needs",
        "vfs_mknod() in fs/namei.c",
        "a node in a tmpfs of its own, of a number without a driver",
        "the node is removed",
        capabilities=mask("CAP_MKNOD"),
        run=_mknod,
    ),
    Probe(
        "device-open",
        PERMISSION,
        "open a device that no container needs",
        "devcgroup_inode_permission() in include/linux/device_cgroup.h",
        "no device: access(2) asks the policy and opens nothing, and no driver has the number",
        calls=(
            Call(
                f"access(b {DEVICE[1]}:{DEVICE[2]}, R_OK)",
                lambda assignment: syscalls.call(
                    "faccessat", assignment.devices, DEVICE_NAME.encode(), os.R_OK
                ),
            ),
        ),
        # After the permission: no driver behind the number.
        permitted=(0, errno.ENXIO, errno.ENODEV),
        run=_open,
    ),
)
