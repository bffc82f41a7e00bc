"""Containers' user namespaces map to the same host ids.

## What it detects
The container has a user namespace of its own, and a range of `/proc/PID/uid_map` covers host uids that the
map of another container's user namespace covers too. Containers that share one user namespace are judged by
`namespace-peer-shared`.

## Why it matters
To the kernel the two run as the same users. A process that gets out of one owns the files of the other, may
signal and trace its processes, and uses up the quotas that are counted by uid (inotify, keys, pending
signals).

## Remediation
Give each container a range of host ids that no other one has.

- docker: `userns-remap` gives one range to all containers; run untrusted ones under another daemon
- podman: `--userns=auto` chooses a range for each container
- Kubernetes: `hostUsers: false` chooses a range for each pod
- LXC: `lxc.idmap` with ranges that differ; systemd-nspawn: `--private-users=pick`

## When it is fine
Containers of one tenant that trust each other; a container nested in another, whose range lies in its
parent's.

## References
- user_namespaces(7), subuid(5)
- docker documentation, "Isolate containers with a user namespace"
"""

from itertools import islice

from isoaudit import (
    Container,
    Evidence,
    Host,
    Outcome,
    Peers,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)

_SHOWN = 4


@check(severity="medium")
def user_map_overlap(host: Host, container: Container, peers: Peers) -> Outcome:
    ours, theirs = require(host.namespaces.user), require(container.namespaces.user)
    if ours == theirs:
        return not_applicable("it has no user namespace of its own")
    ranges = require(container.uid_map)
    found = list(islice(peers.overlapping(ranges, (ours, theirs)), _SHOWN + 1))
    shown = "; ".join(f"{r.inside} {r.outside} {r.length}" for r in ranges)
    evidence = [Evidence(container.uid_map.source, shown, "host ids that no other container has")]
    if found:
        names = [f"{first} to {last} with {peer.identity.key}" for peer, (first, last) in found[:_SHOWN]]
        rest = " and others" if len(found) > _SHOWN else ""
        return fail(f"it shares host uids: {', '.join(names)}{rest}", evidence)
    refused = peers.unread.get("uid_map") or peers.unread.get("user")
    if refused:
        return unknown(refused.reason, refused.source)
    return passed("no other container's user namespace maps to its host uids", evidence)
