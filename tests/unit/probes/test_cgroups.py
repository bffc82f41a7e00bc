from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from isoaudit.facts.cgroup import Hierarchy
from isoaudit.probes.cgroups import RunCgroups, own_start_time, sweep


def test_a_run_is_named_after_its_process() -> None:
    assert RunCgroups(()).name.startswith(f"isoaudit-{os.getpid()}-{own_start_time()}-")


def test_what_no_hierarchy_has_is_an_error() -> None:
    group = RunCgroups(()).group("1")
    with pytest.raises(OSError, match="no cgroup hierarchy") as caught:
        group.join("memory")
    assert caught.value.errno == errno.ENODEV


def test_no_cgroup_is_joined_once_the_process_is_in_the_others(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    run = RunCgroups(
        [Hierarchy(1, ("pids",), "", f"{tmp_path}/pids"), Hierarchy(1, ("cpu",), "", f"{tmp_path}/cpu")]
    )
    group = run.group("1")
    directory = group.join("pids")
    Path(directory, "cgroup.procs").touch()
    group.add(1)
    assert Path(directory, "cgroup.procs").read_text() == "1"
    with pytest.raises(OSError, match="not put into"):
        group.join("cpu")


def test_sweep_takes_only_what_is_dead_and_ours(tmp_path: Path) -> None:
    mine = f"isoaudit-{os.getpid()}-{own_start_time()}-0123abcd"
    reused = f"isoaudit-{os.getpid()}-1-0123abcd"
    for name in (mine, reused, "isoaudit-1-2", "docker", "isoaudit-x-1-0123abcd"):
        (tmp_path / name).mkdir()
    (tmp_path / reused / "1").mkdir()
    assert sweep([str(tmp_path)]) == [f"{tmp_path}/{reused}"]
    assert sorted(os.listdir(tmp_path)) == ["docker", "isoaudit-1-2", mine, "isoaudit-x-1-0123abcd"]
