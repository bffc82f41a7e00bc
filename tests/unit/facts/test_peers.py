"""The index over containers, against comparing them pair by pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.facts import HOST_INODES, make_container, make_identity, namespaces

from isoaudit.audit import peers_of
from isoaudit.facts.cgroup import Cgroup, Membership, Place
from isoaudit.facts.container import Container
from isoaudit.facts.idmap import IdRange
from isoaudit.model import Known, Unknown

RANGES = st.lists(
    st.builds(IdRange, st.just(0), st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=3
).map(tuple)


def mapped(number: int, ranges: tuple[IdRange, ...]) -> Container:
    return make_container(
        identity=make_identity(key=f"c{number}"),
        namespaces=namespaces(number + 1, **{**HOST_INODES, "user": 4026532000 + number}),
        uid_map=Known(ranges, "uid_map"),
    )


def covered(ranges: tuple[IdRange, ...]) -> set[int]:
    return {number for _, outside, length in ranges for number in range(outside, outside + length)}


@given(RANGES, st.lists(RANGES, max_size=6))
def test_overlapping_finds_what_comparing_pairs_finds(
    ours: tuple[IdRange, ...], theirs: list[tuple[IdRange, ...]]
) -> None:
    peers = peers_of([make_container(), *(mapped(number, ranges) for number, ranges in enumerate(theirs))])
    found = {peer.identity.key: ids for peer, ids in peers.overlapping(ours, ())}
    assert set(found) == {
        f"c{number}" for number, ranges in enumerate(theirs) if covered(ours) & covered(ranges)
    }
    for key, (first, last) in found.items():
        ids = set(range(first, last + 1))
        assert ids
        assert ids <= covered(ours) & covered(theirs[int(key[1:])])


def placed(number: int, path: str, **files: str) -> Container:
    settings = {name.replace("__", "."): (Known(value, name),) for name, value in files.items()}
    cgroup = Known(Cgroup((Membership(0, (), path),), settings, {}), "cgroup")
    return make_container(identity=make_identity(key=f"c{number}"), cgroup=cgroup)


def test_who_is_held_in_one_cgroup() -> None:
    peers = peers_of(
        [
            placed(0, "/a", cgroup__controllers="memory"),
            placed(1, "/a", cgroup__controllers="memory"),
            placed(2, "/b", cgroup__controllers="memory"),
            make_container(identity=make_identity(key="c3")),
            make_container(identity=make_identity(key="c4"), cgroup=Unknown("cgroup", "EACCES")),
        ]
    )
    found = peers.at_place("memory", Place(2, "/a", own=True), but="c0")
    assert [peer.identity.key for peer in found] == ["c1"]
    assert peers.at_place("memory", Place(1, "/a", own=True), but="c0") == ()
    assert peers.at_place("pids", Place(2, "/a", own=True), but="c0") == ()
