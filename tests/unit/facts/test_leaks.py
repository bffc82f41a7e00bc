from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.facts import MOUNTINFO

from isoaudit.facts.leaks import activity, identity, pages, paths, standing, twins
from isoaudit.facts.masks import masked_paths
from isoaudit.facts.mounts import parse_mountinfo


def test_every_twin_is_of_a_path_that_engines_mask() -> None:
    assert {twin.masked for twin in twins()} <= {listed.path for listed in masked_paths()}


@pytest.mark.parametrize("leak", [*activity(), *identity(), *pages()], ids=lambda leak: leak.path)
def test_this_kernel_gives_the_modes_that_are_assumed(leak: object) -> None:
    path, root_only = leak.path, leak.root_only  # type: ignore[attr-defined]
    if not os.path.exists(path):
        pytest.skip("this kernel does not have it")
    info = os.stat(path)
    if stat.S_ISDIR(info.st_mode):
        files = [file for file in Path(path).glob("*/*" if root_only else "*") if file.is_file()]
        readable = [file for file in files if file.stat().st_mode & 0o444]
        assert not root_only or not any(file.name == "objects" and file.stat().st_mode & 4 for file in readable)
    else:
        assert bool(info.st_mode & 0o004) is not root_only


def test_what_is_masked_does_not_stand() -> None:
    found = standing(parse_mountinfo(MOUNTINFO)).first
    assert "/proc/keys" not in found
    assert found["/proc/stat"] == ("/proc/stat", 1)
    assert paths() - found.keys() == {"/proc/keys", "/proc/timer_list"}


def test_tables_of_one_shape_but_other_ids_are_one() -> None:
    first = parse_mountinfo(MOUNTINFO)
    moved = tuple(
        mount._replace(id=mount.id + 1000, parent=mount.parent + 1000, device="0:7") for mount in first
    )
    assert standing(moved) is standing(first)


def test_another_shape_is_another() -> None:
    second = parse_mountinfo(MOUNTINFO + b"130 100 0:51 / /p ro - proc proc rw\n")
    assert standing(second).first["/proc/keys"] == ("/p/keys", len(second) - 1)
