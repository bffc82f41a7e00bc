"""The index over containers, against comparing them pair by pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.facts import HOST_INODES, make_container, make_identity, namespaces

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container
from isoaudit.facts.idmap import IdRange
from isoaudit.model import Known

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
