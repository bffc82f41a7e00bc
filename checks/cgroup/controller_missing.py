"""The host lacks a cgroup controller.

## What it detects
A controller that limits or accounts containers (cpu, cpuacct, cpuset, memory, devices, freezer, blkio or
io, pids) is bound to no mounted hierarchy: the kernel was built or booted without it, or nothing mounted
it.

## Why it matters
Engines accept the option for such a limit and drop it, at most with a warning: every container of the host
then runs without.

## Remediation
Use cgroup v2, or mount the missing controllers, with a kernel that has them.

- kernel's command line: remove `cgroup_disable=…`; add `cgroup_enable=memory` where a distribution turns it off
- cgroup v2: `systemd.unified_cgroup_hierarchy=1`; controllers appear in `/sys/fs/cgroup/cgroup.controllers`
- cgroup v1: `mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids`
- kernel configuration: CONFIG_MEMCG, CONFIG_CGROUP_PIDS, CONFIG_CFS_BANDWIDTH, CONFIG_BLK_CGROUP, …

## When it is fine
Where no container needs the limits of that controller.

## References
- cgroups(7), /proc/cgroups; cgroup-v2.rst, "Controllers"
"""

from collections.abc import Mapping

from isoaudit import Evidence, Host, Known, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.cgroup import V2_IMPLICIT, V2_NAMES

_NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
# Without these a container can take down the host or its neighbours.
_VITAL = frozenset({"cpu", "memory", "devices", "pids"})


@check(severity="medium")
def controller_missing(host: Host) -> Outcome:
    hierarchies = require(host.hierarchies)
    bound = {name for hierarchy in hierarchies for name in hierarchy.controllers}
    unified = any(hierarchy.version == 2 for hierarchy in hierarchies)
    missing = [
        name
        for name in _NEEDED
        if name not in bound and V2_NAMES.get(name) not in bound and not (unified and name in V2_IMPLICIT)
    ]
    if not missing:
        return passed("every controller that limits containers is mounted")
    # A controller that one hierarchy has is there, whatever another does not tell.
    hidden = next((hierarchy for hierarchy in hierarchies if hierarchy.refused), None)
    if hidden is not None:
        return unknown(
            f"whether v2 has {', '.join(missing)} is not seen: {hidden.refused}",
            f"{hidden.mount_point}/cgroup.controllers",
        )
    in_kernel = host.controllers.value if isinstance(host.controllers, Known) else None
    evidence = [
        Evidence(
            host.hierarchies.source, f"no hierarchy with {name}{_why(name, in_kernel)}", "a mounted hierarchy"
        )
        for name in missing
    ]
    return fail(
        f"nothing can be limited by {', '.join(missing)}",
        evidence,
        severity=None if _VITAL.intersection(missing) else "low",
    )


def _why(name: str, in_kernel: Mapping[str, bool] | None) -> str:
    if in_kernel is None:
        return ""
    if name not in in_kernel:
        return "; not in this kernel's /proc/cgroups"
    return "; not mounted" if in_kernel[name] else "; disabled at boot"
