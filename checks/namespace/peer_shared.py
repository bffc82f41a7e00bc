"""Containers share a namespace with each other.

## What it detects
Another container of the scan is in the same namespace of some type: the inode under `/proc/PID/ns` is the
same. Namespaces that are the host's do not count; `namespace-TYPE-shared` judges those. Containers of one pod
share on purpose, which is information.

## Why it matters
A broken container reaches its neighbour through what they share: its processes (pid), its traffic and local
sockets (net), its shared memory (ipc), its files (mnt), or as its root (user).

## Remediation
Give each container namespaces of its own, and share only what a pod needs.

- docker, podman: leave out `--pid`, `--network`, `--ipc`, `--uts` and `--userns` with `container:NAME`
- compose: remove `pid:`, `ipc:` and `network_mode:` with `service:` or `container:`
- Kubernetes: `shareProcessNamespace: false`; put what does not belong together into different pods
- nsenter, `ip netns exec`: make a namespace of its own for the second container

## When it is fine
The containers of a pod, a side-car that must see its neighbour's traffic, a debugging container.

## References
- namespaces(7), setns(2)
- NIST SP 800-190, 3.4.3 and 4.4.3
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, Peers, check, fail, passed, unknown
from isoaudit.facts.namespaces import TYPES, missing_type, same
from isoaudit.facts.peers import Peer
from isoaudit.facts.processes import listed

_SHOWN = 4


@check(severity="medium")
def peer_shared(host: Host, container: Container, peers: Peers) -> Outcome:
    found: dict[str, tuple[Peer, list[str]]] = {}
    evidence = []
    refused = None
    for kind in TYPES:
        ours, theirs = host.namespaces.of(kind), container.namespaces.of(kind)
        if missing_type(theirs):
            continue
        shared_with_host = same(ours, theirs)
        if shared_with_host is None or not isinstance(theirs, Known):
            refused = refused or (theirs if not isinstance(theirs, Known) else ours)
            continue
        if shared_with_host:
            continue
        sharers = peers.in_namespace(kind, theirs.value, container.key)
        if sharers:
            evidence.append(
                Evidence(theirs.source, f"{kind}:[{theirs.value}]", "an inode of no other container")
            )
        else:
            refused = refused or peers.unread.get(kind)
        for peer in sharers:
            found.setdefault(peer.identity.key, (peer, []))[1].append(kind)
    if not found:
        if refused and not isinstance(refused, Known):
            return unknown(refused.reason, refused.source)
        return passed("no other container is in any of its namespaces")
    outside = [key for key, (peer, _) in found.items() if not _one_pod(container, peer)]
    shown = [f"{', '.join(found[key][1])} with {key}" for key in (outside or list(found))[:_SHOWN]]
    if outside:
        return fail(f"it shares namespaces: {listed(shown, len(outside))}", evidence)
    return fail(f"it shares namespaces within its pod: {listed(shown, len(found))}", evidence, severity="info")


def _one_pod(container: Container, peer: Peer) -> bool:
    return bool(container.identity.pod) and container.identity.pod == peer.identity.pod
