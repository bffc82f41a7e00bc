from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.facts import MOUNTINFO

from isoaudit.facts import mount_shapes
from isoaudit.facts.masks import PROC, KernelFile, MountTree, places
from isoaudit.facts.mount_shapes import of_shape
from isoaudit.facts.mounts import Mount, parse_mountinfo, reachable

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = parse_mountinfo(MOUNTINFO)
KEYS = KernelFile(PROC, "/keys")


def counted(table: tuple[Mount, ...]) -> bool:
    """Whether a table is of a shape that no table had before it."""
    calls = []

    @of_shape
    def look(mounts: Sequence[Mount]) -> None:
        calls.append(mounts)

    look(TABLE)
    look(table)
    return len(calls) == 2


def changed(at: str, /, **fields: object) -> tuple[Mount, ...]:
    assert any(mount.target == at for mount in TABLE)
    return tuple(m._replace(**fields) if m.target == at else m for m in TABLE)  # type: ignore[arg-type]


def test_numbers_devices_and_the_roots_of_files_of_the_hosts_are_not_of_the_shape() -> None:
    moved = tuple(m._replace(id=m.id + 7, parent=m.parent + 7, device="0:9", source="x") for m in TABLE)
    assert not counted(moved)
    assert not counted(changed("/etc/resolv.conf", root="/var/lib/docker/containers/ff/resolv.conf"))


@pytest.mark.parametrize(
    "table",
    [
        changed("/proc", root="/sys"),
        changed("/proc", super_options=("rw", "subset=pid")),
        changed("/proc", fstype="tmpfs"),
        changed("/etc/resolv.conf", target="/etc/hosts"),
        changed("/etc/resolv.conf", parent=next(m.id for m in TABLE if m.target == "/proc")),
        TABLE[:-1],
        (*TABLE[:-1], TABLE[-1]._replace(id=TABLE[0].id)),
    ],
)
def test_what_decides_is(table: tuple[Mount, ...]) -> None:
    assert counted(table)


def test_a_flood_of_shapes_is_forgotten() -> None:
    for number in range(200):
        reachable((*TABLE, TABLE[-1]._replace(id=10_000, target=f"/{number}")))
    assert len(mount_shapes._shapes) <= 64


def test_places_of_a_shape_are_on_the_mounts_of_the_table_that_is_asked() -> None:
    """A second table of one shape gets its own mounts, with its own numbers and devices."""
    for shift in (0, 5000):
        table = tuple(m._replace(id=m.id + shift, parent=m.parent + shift, device=f"{shift}:1") for m in TABLE)
        found = places(MountTree(table), KernelFile(PROC, "/stat"))
        assert [place.mount for place in found] == [m for m in table if m.target == "/proc"]
        assert not places(MountTree(table), KEYS)
        assert set(reachable(table)) <= set(table)
