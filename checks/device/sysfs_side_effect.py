"""Reading a file in /sys makes a device on the host.

## What it detects
The host has the zram driver, a sysfs is mounted inside, read-only or not, with nothing over
`class/zram-control/hot_add`, and a process inside may read files that only root may.

## Why it matters
The read itself is the action: each one makes another block device on the host, `/dev/zramN`, although /sys is
mounted read-only. It costs kernel memory that no cgroup counts, and everybody else sees the new number: a
signal from one container to all others. A program that just reads through /sys does it by accident.

## Remediation
Hide the directory inside, run without the host's root, or unload the driver where nobody needs it.

- docker, podman: `--tmpfs /sys/class/zram-control:ro`, or `--user`
- podman: `--security-opt mask=/sys/class/zram-control`
- Kubernetes: `runAsNonRoot: true`, `hostUsers: false`
- systemd: `InaccessiblePaths=/sys/class/zram-control`
- the host: `modprobe -r zram`

## When it is fine
Where the container is trusted with the host's swap.

## References
- Documentation/admin-guide/blockdev/zram.rst, "hot_add"
"""

from __future__ import annotations

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import holds_over_host, runs_as_host_root
from isoaudit.facts.masks import SYSFS, KernelFile, places, tree_of
from isoaudit.kernel.capability import mask

_HOT_ADD = KernelFile(SYSFS, "/class/zram-control/hot_add")  # mode 0400, owned by root


@check(severity="low")
def sysfs_side_effect(host: Host, container: Container) -> Outcome:
    if not any(name == "zram" for _, _, name in require(host.device_names)):
        return passed("the host has no zram driver")
    found = places(tree_of(require(container.mounts)), _HOT_ADD)
    if not found:
        return passed("class/zram-control/hot_add of sysfs is not to be seen inside")
    if not runs_as_host_root(container) and not holds_over_host(
        container, mask("CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH")
    ):
        return passed("no process of it may read files of the host's root in sysfs")
    return fail(
        f"reading {found[0].path} inside makes a block device on the host",
        [Evidence(container.mounts.source, place.line, "another mount over the directory") for place in found],
        reproduce=f"ls -l /proc/{container.identity.pid}/root{found[0].path}",  # and never a read
    )
