"""Which containers share what: a namespace with the host, or with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.namespaces import TYPES, missing_type
from isoaudit.model import Known

if TYPE_CHECKING:
    from isoaudit.facts.host import Host
    from isoaudit.facts.peers import Peers


class Shared(NamedTuple):
    """One thing that several subjects have in common."""

    what: str  # "namespace-net", …, as walls are called
    with_host: bool
    containers: tuple[str, ...]  # their keys, in the order of the scan


def sharing(host: Host, peers: Peers) -> tuple[Shared, ...]:
    """Everything that two or more containers share, or one shares with the host; the host's first.

    What could not be read of a container is in no group: its walls say "unknown".
    """
    found: list[Shared] = []
    for kind in TYPES:
        ours = host.namespaces.of(kind)
        groups: dict[int, list[str]] = {}
        everybody: list[str] = []  # of a kind that the kernel does not have
        for peer in peers.all:
            theirs = peer.namespaces.of(kind)
            if isinstance(theirs, Known):
                groups.setdefault(theirs.value, []).append(peer.identity.key)
            elif missing_type(theirs):
                everybody.append(peer.identity.key)
        if everybody:
            found.append(Shared(f"namespace-{kind}", with_host=True, containers=tuple(everybody)))
        for inode, keys in groups.items():
            with_host = isinstance(ours, Known) and ours.value == inode
            if with_host or len(keys) > 1:
                found.append(Shared(f"namespace-{kind}", with_host, tuple(keys)))
    return tuple(sorted(found, key=lambda one: not one.with_host))
