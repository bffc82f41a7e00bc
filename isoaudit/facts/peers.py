"""What containers have in common: the index that checks between containers ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.namespaces import TYPES, Namespaces
from isoaudit.model import Known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.container import Identity
    from isoaudit.facts.idmap import IdRange
    from isoaudit.model import Reading


class Peer(NamedTuple):
    """The little of a container that its neighbours are compared with."""

    identity: Identity
    namespaces: Namespaces
    uid_map: Reading[tuple[IdRange, ...]]
    lsm_label: Reading[str]


class Peers:
    """All containers of a scan, by namespace."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self.all: tuple[Peer, ...] = tuple(peers)
        self._by_namespace: dict[tuple[str, int], list[Peer]] = {}
        for peer in self.all:
            for kind in TYPES:
                reading = peer.namespaces.of(kind)
                if isinstance(reading, Known):
                    self._by_namespace.setdefault((kind, reading.value), []).append(peer)

    def in_namespace(self, kind: str, inode: int, but: str) -> tuple[Peer, ...]:
        """The containers in a namespace, leaving out the one with the key `but`."""
        return tuple(p for p in self._by_namespace.get((kind, inode), ()) if p.identity.key != but)

    def others(self, but: str) -> tuple[Peer, ...]:
        """All containers but the one with that key."""
        return tuple(peer for peer in self.all if peer.identity.key != but)
