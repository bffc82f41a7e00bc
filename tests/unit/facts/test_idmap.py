from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.idmap import IDENTITY, IdRange, outside_of, parse_id_map

ranges = st.lists(
    st.builds(IdRange, st.integers(0, 2**16), st.integers(0, 2**16), st.integers(1, 2**16)), max_size=5
).map(tuple)


def test_the_initial_map() -> None:
    assert parse_id_map(b"         0          0 4294967295\n") == IDENTITY


def test_rootless_podman() -> None:
    assert parse_id_map(b"         0       1001          1\n         1     100000      65536\n") == (
        IdRange(0, 1001, 1),
        IdRange(1, 100000, 65536),
    )


def test_a_map_nobody_has_written() -> None:
    assert parse_id_map(b"") == ()


@pytest.mark.parametrize("raw", [b"0 0", b"0 0 0 0", b"a b c", b"\n", b"0 0 " + b"9" * 5000, b"\xff \xfe \xfd"])
def test_malformed(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  int() words it
        parse_id_map(raw)


@given(st.binary())
def test_nothing_but_value_error(raw: bytes) -> None:
    try:
        parse_id_map(raw)
    except ValueError:
        return


@given(ranges)
def test_what_is_written_is_read(written: tuple[IdRange, ...]) -> None:
    assert parse_id_map("".join(f"{a:10} {b:10} {n:10}\n" for a, b, n in written).encode()) == written


def test_outside() -> None:
    id_map = parse_id_map(b"0 1001 1\n1 100000 65536\n")
    assert [outside_of(id_map, inside) for inside in (0, 1, 65536, 65537)] == [1001, 100000, 165535, None]
    assert outside_of((), 0) is None
