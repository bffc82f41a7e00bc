"""No cgroup of its own.

## What it detects
The container's processes are, for some controller, in a cgroup that holds the host's processes too: the root
cgroup, the one of PID 1, a slice, or a login session. Or another container's processes are in it as well. On v2
it is the nearest cgroup upwards in which the controller is enabled that counts.

A pod's containers may share the pod's cgroup. Of a container and one inside it, only the inner one is reported:
the cgroup that bears the outer one's name is its own.

## Why it matters
What has no cgroup of its own can be neither limited nor accounted nor stopped apart from the host: a limit
would bind the host as well, and the out-of-memory killer cannot tell them apart. Two containers in one cgroup
share every limit, and each can use it up for the other.

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

from isoaudit import Container, Evidence, Outcome, Peers, check, fail, passed, require
from isoaudit.facts.cgroup import CONTROLLERS, Place, called_after

_MAIN = frozenset({"cpu", "memory", "pids", "blkio", "devices", "freezer"})
# On v2 these are often not enabled on purpose, and have checks of their own where that matters.
_OPTIONAL = frozenset({"cpuset", "hugetlb", "rdma", "misc"})


@check(severity="medium")
def shared(container: Container, peers: Peers) -> Outcome:
    cgroup = require(container.cgroup)
    places = {name: require(cgroup.place(name)) for name in CONTROLLERS}
    held = {
        name: place
        for name, place in places.items()
        if place is not None and (place.version == 1 or name not in _OPTIONAL)
    }
    if not held:
        return fail(
            "no cgroup hierarchy holds it, so that nothing can be limited",
            [Evidence(container.cgroup.source, "no line with a controller", "a cgroup")],
        )
    with_host = [name for name, place in held.items() if not place.own]
    others: dict[str, list[str]] = {}
    for name, place in held.items():
        if place.own:
            for key in _neighbours(container, peers, name, place):
                others.setdefault(key, []).append(name)
    if not with_host and not others:
        return passed("it has a cgroup of its own for every controller")
    clauses = [f"in the host's cgroup for {', '.join(with_host)}"] if with_host else []
    clauses += [f"in one cgroup with {key} for {', '.join(names)}" for key, names in list(others.items())[:3]]
    if len(others) > 3:
        clauses.append(f"in one cgroup with {len(others) - 3} more containers")
    common = [*with_host, *(name for names in others.values() for name in names)]
    evidence = []
    for path in dict.fromkeys(held[name].path for name in common):
        there = ", ".join(dict.fromkeys(name for name in common if held[name].path == path))
        evidence.append(Evidence(container.cgroup.source, f"{path} ({there})", "its own"))
    return fail(f"it is {'; '.join(clauses)}", evidence, severity=None if _MAIN.intersection(common) else "low")


def _neighbours(container: Container, peers: Peers, controller: str, place: Place) -> list[str]:
    """Keys of the containers that share a cgroup of its own with it."""
    us = container.identity
    if called_after(place.path, (us.id, us.name)):
        return []
    return [
        peer.identity.key
        for peer in peers.at_place(controller, place, but=us.key)
        if not peer.identity.sandbox and not (us.pod and us.pod == peer.identity.pod)
    ]
