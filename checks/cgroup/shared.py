"""No cgroup of its own.

## What it detects
The container's processes are, for some controller, in a cgroup that holds the host's processes too: the root
cgroup, the one of PID 1, a slice, or a login session. On v2 it is the nearest cgroup upwards in which the
controller is enabled that counts.

## Why it matters
What has no cgroup of its own can be neither limited nor accounted nor stopped apart from the host: a limit
would bind the host as well, and the out-of-memory killer cannot tell them apart.

## Remediation
Start it through an engine that makes a cgroup, or in a unit of its own.

- docker, podman, containerd: they make one unless run with `--cgroups=disabled` (podman, crun)
- Kubernetes: the kubelet makes one for every pod
- bubblewrap, unshare, chroot: `systemd-run --scope -p MemoryMax=512M -p TasksMax=200 COMMAND`
- systemd-nspawn: leave out `--keep-unit`; LXC: leave `lxc.cgroup.dir` unset

## When it is fine
Short-lived sandboxes that are trusted not to use many resources.

## References
- cgroups(7), /proc/PID/cgroup
- systemd.resource-control(5)
"""

from isoaudit import Container, Evidence, Outcome, check, fail, passed, require
from isoaudit.facts.cgroup import CONTROLLERS

_MAIN = frozenset({"cpu", "memory", "pids", "blkio", "devices", "freezer"})
# On v2 these are often not enabled on purpose, and have checks of their own where that matters.
_OPTIONAL = frozenset({"cpuset", "hugetlb", "rdma", "misc"})


@check(severity="medium")
def shared(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    places = {name: require(cgroup.place(name)) for name in CONTROLLERS}
    held = {
        name: place
        for name, place in places.items()
        if place is not None and (place.version == 1 or name not in _OPTIONAL)
    }
    ours = [name for name, place in held.items() if not place.own]
    evidence = [
        Evidence(
            container.cgroup.source, f"{path} ({', '.join(n for n in ours if held[n].path == path)})", "its own"
        )
        for path in dict.fromkeys(held[name].path for name in ours)
    ]
    if not held:
        return fail(
            "no cgroup hierarchy holds it, so that nothing can be limited",
            [Evidence(container.cgroup.source, "no line with a controller", "a cgroup")],
        )
    if not ours:
        return passed("it has a cgroup of its own for every controller")
    return fail(
        f"it is in the host's cgroup for {', '.join(ours)}",
        evidence,
        severity=None if _MAIN.intersection(ours) else "low",
    )
