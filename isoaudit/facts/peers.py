"""What containers have in common: the index that checks between containers ask."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.lsm import parse_label
from isoaudit.facts.namespaces import INITIAL, TYPES, Namespaces, missing_type
from isoaudit.facts.quotas import NO_ACCOUNTS, Account, Accounts
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from isoaudit.facts.cgroup import Cgroup, Place
    from isoaudit.facts.container import Identity
    from isoaudit.facts.idmap import IdRange
    from isoaudit.model import Reading


class Peer(NamedTuple):
    """The little of a container that its neighbours are compared with."""

    identity: Identity
    namespaces: Namespaces
    uid_map: Reading[tuple[IdRange, ...]]
    lsm_label: Reading[str]
    accounts: Accounts = NO_ACCOUNTS
    # Where it is and what limits its memory; not more, as it is read ahead of all else.
    cgroup: Reading[Cgroup] = Unknown("/proc/PID/cgroup", "it was not read")


class _Ranges:
    """Host id ranges of user namespaces, sorted, so that a thousand maps are not compared pair by pair."""

    def __init__(self, maps: Iterable[tuple[int, Peer]]) -> None:
        self._rows = sorted(
            (
                (outside, outside + length, inode, peer)
                for inode, peer in maps
                if isinstance(peer.uid_map, Known)
                for _, outside, length in peer.uid_map.value
            ),
            key=lambda row: row[:3],
        )
        self._starts = [row[0] for row in self._rows]
        # The largest end up to a row: below the range that is asked for, no earlier row can reach it.
        self._ends = list(accumulate((row[1] for row in self._rows), max))

    def overlapping(
        self, ranges: Iterable[IdRange], but: Collection[int]
    ) -> Iterator[tuple[Peer, tuple[int, int]]]:
        seen = set(but)
        for _, first, length in ranges:
            index = bisect_left(self._starts, first + length)
            while index and self._ends[index - 1] > first:
                index -= 1
                start, end, inode, peer = self._rows[index]
                if end > first and inode not in seen:
                    seen.add(inode)
                    yield peer, (max(start, first), min(end, first + length) - 1)


class Peers:
    """All containers of a scan, by namespace."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self.all: tuple[Peer, ...] = tuple(peers)
        self._by_namespace: dict[tuple[str, int], list[Peer]] = {}
        self._by_level: dict[str, list[Peer]] = {}
        self._by_account: dict[Account, list[Peer]] = {}
        self._charged: dict[Account, list[Peer]] = {}
        self._by_uid: dict[int, list[Peer]] = {}
        self.unread: dict[str, Unknown] = {}  # of a kind of namespace, "uid_map", "label": one that refused
        maps: dict[int, Peer] = {}
        for peer in self.all:
            for kind in TYPES:
                reading = peer.namespaces.of(kind)
                if isinstance(reading, Known):
                    self._by_namespace.setdefault((kind, reading.value), []).append(peer)
                elif not missing_type(reading):
                    self.unread.setdefault(kind, reading)
            user = peer.namespaces.user
            if isinstance(user, Known) and user.value != INITIAL["user"]:
                maps.setdefault(user.value, peer)
            if isinstance(peer.uid_map, Unknown):
                self.unread.setdefault("uid_map", peer.uid_map)
            if isinstance(peer.lsm_label, Unknown):
                self.unread.setdefault("label", peer.lsm_label)
            elif (label := parse_label(peer.lsm_label.value)) and label.level:
                self._by_level.setdefault(label.level, []).append(peer)
            for account in peer.accounts.own:
                self._by_account.setdefault(account, []).append(peer)
            for account in peer.accounts.own | peer.accounts.owners:
                self._charged.setdefault(account, []).append(peer)
            for uid in {account.uid for account in peer.accounts.own}:
                self._by_uid.setdefault(uid, []).append(peer)
            if peer.accounts.missing is not None:
                self.unread.setdefault("accounts", peer.accounts.missing)
        self._ranges = _Ranges(maps.items())
        self._places: dict[str, dict[tuple[int, str], list[Peer]]] = {}  # by controller

    def in_namespace(self, kind: str, inode: int, but: str) -> tuple[Peer, ...]:
        """The containers in a namespace, leaving out the one with the key `but`."""
        return tuple(p for p in self._by_namespace.get((kind, inode), ()) if p.identity.key != but)

    def at_level(self, level: str, but: str) -> tuple[Peer, ...]:
        """The containers with an SELinux level, leaving out the one with the key `but`."""
        return tuple(p for p in self._by_level.get(level, ()) if p.identity.key != but)

    def at_place(self, controller: str, place: Place, but: str) -> tuple[Peer, ...]:
        """The containers that a controller holds in a cgroup, leaving out the one with the key `but`."""
        if controller not in self._places:
            index = self._places[controller] = {}
            for peer in self.all:
                found = peer.cgroup.value.place(controller) if isinstance(peer.cgroup, Known) else peer.cgroup
                if isinstance(found, Known) and found.value is not None:
                    index.setdefault((found.value.version, found.value.path), []).append(peer)
        held = self._places[controller].get((place.version, place.path), ())
        return tuple(peer for peer in held if peer.identity.key != but)

    def overlapping(
        self, ranges: Iterable[IdRange], but: Collection[int]
    ) -> Iterator[tuple[Peer, tuple[int, int]]]:
        """The host ids that maps have in common: one container of each user namespace but the initial one.

        Args:
            ranges: the map to compare with.
            but: the inodes of user namespaces to leave out.
        """
        return self._ranges.overlapping(ranges, but)

    # All containers of a host may run as its root: these are not copied for each of them.
    def with_account(self, account: Account) -> Sequence[Peer]:
        """The containers, whoever asks among them, with a process of a user in a user namespace."""
        return self._by_account.get(account, ())

    def charged_to(self, account: Account) -> Sequence[Peer]:
        """Those too of which only the user namespace was made by that account."""
        return self._charged.get(account, ())

    def with_uid(self, uid: int) -> Sequence[Peer]:
        """The containers, whoever asks among them, with a process of a host uid."""
        return self._by_uid.get(uid, ())

    def others(self, but: str) -> tuple[Peer, ...]:
        """All containers but the one with that key."""
        return tuple(peer for peer in self.all if peer.identity.key != but)
