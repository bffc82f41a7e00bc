from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support.facts import HOST_INODES, denied, namespaces
from support.hosts import OVERLAY_ROOT, Tree, refuse

from isoaudit.collect.cgroups import CgroupReader
from isoaudit.collect.containers import ContainerReader, Named, identify, lsm_label
from isoaudit.collect.discovery import Candidate
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths
from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.tree import VanishedError
from isoaudit.facts.container import Identity, Process
from isoaudit.facts.runtimes import Made
from isoaudit.model import Known, Unknown


def candidate(pid: int, made: Made, *, started: int = 5, sandbox: bool = False) -> Candidate:
    process = Process(pid, denied())
    return Candidate(pid, started, (process,), namespaces(pid, **HOST_INODES), denied(), made, sandbox)


def keys(tmp_path: Path, *made: Made) -> list[str]:
    names = Names(Paths(str(tmp_path), "/sys", str(tmp_path)))
    return [
        named.identity.key for named in identify((candidate(n, one) for n, one in enumerate(made, 10)), names)
    ]


def test_keys_are_names_then_ids_then_pids(tmp_path: Path) -> None:
    assert keys(
        tmp_path, Made("docker", "a" * 64, "web"), Made("docker", "b" * 64), Made(), Made("lxc", "", "box")
    ) == ["web", "b" * 12, "pid-12", "box"]


def test_keys_are_unique_whatever_names_say(tmp_path: Path) -> None:
    made = [Made("lxc", "", name) for name in ("web~2", "web", "web", "web~2", "web")]
    assert keys(tmp_path, *made) == ["web~2", "web", "web~3", "web~2~2", "web~4"]


def test_a_pods_container_is_called_by_both(tmp_path: Path) -> None:
    assert keys(
        tmp_path, Made("containerd", "a", "app", "default/web-0"), Made("containerd", "b" * 64, "", "uid")
    ) == ["default/web-0/app", "b" * 12]


def test_identity_keeps_what_discovery_found(tmp_path: Path) -> None:
    (named,) = identify([candidate(10, Made("unshare"), started=99, sandbox=True)], Names(Paths(str(tmp_path))))
    assert named.identity == Identity("pid-10", 10, 99, "unshare", "", "", "", "", True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.add(100, own=tree.inodes("mnt", "pid"), cgroup=("/x",), mounts=OVERLAY_ROOT, ns_pids=(1,))
    for name, content in (
        ("uid_map", "0 100000 65536\n"),
        ("gid_map", "0 100000 65536\n"),
        ("oom_score_adj", "-500\n"),
        ("limits", "Limit  Soft Limit  Hard Limit  Units\nMax x  1           unlimited   y\n"),
    ):
        (tree.proc / "100" / name).write_text(content)
    (tree.proc / "100/attr").mkdir()
    (tree.proc / "100/attr/current").write_bytes(b"docker-default (enforce)\n\0")
    return tree


def reader(tree: Tree) -> ContainerReader:
    return ContainerReader(tree.paths, CgroupReader(tree.paths, (), (), ()), "x86_64")


def named(tree: Tree) -> Named:
    (one,) = identify(tree.discover().candidates, Names(tree.paths))
    return one


def test_read(tree: Tree) -> None:
    container = reader(tree).read(named(tree))
    assert container.key == "pid-100"
    assert container.oom_score_adj == Known(-500, f"{tree.paths.proc}/100/oom_score_adj")
    assert isinstance(container.uid_map, Known)
    assert container.uid_map.value[0].outside == 100000
    assert isinstance(container.rlimits, Known)
    assert container.rlimits.value["Max x"] == (1, None)
    assert container.lsm_label == Known("docker-default (enforce)", f"{tree.paths.proc}/100/attr/current")
    assert isinstance(container.mounts, Known)
    assert container.probes == {}


def test_a_pid_that_was_given_to_another_process(tree: Tree) -> None:
    one = named(tree)
    stat = tree.proc / "100/stat"
    stat.write_text(stat.read_text().replace(" 100 0 0\n", " 101 0 0\n"))
    with pytest.raises(VanishedError):
        reader(tree).read(one)


@pytest.mark.parametrize("state", ["Z", "X"])
def test_one_that_died_meanwhile(tree: Tree, state: str) -> None:
    one = named(tree)
    stat = tree.proc / "100/stat"
    stat.write_text(stat.read_text().replace(") S ", f") {state} "))
    with pytest.raises(VanishedError):
        reader(tree).read(one)


def test_one_that_is_gone(tree: Tree) -> None:
    one = named(tree)
    os.rename(tree.proc / "100", tree.proc / "gone")
    with pytest.raises(VanishedError):
        reader(tree).read(one)


def test_what_is_refused_is_unknown_and_nothing_else_is(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    one = named(tree)
    refuse(monkeypatch, lambda path: errno.EACCES if path.endswith(("mountinfo", "/limits")) else 0)
    container = reader(tree).read(one)
    for reading in (container.mounts, container.rlimits):
        assert isinstance(reading, Unknown)
        assert "EACCES" in reading.reason
    assert isinstance(container.devices, Unknown), "inside nothing is opened without the mounts"
    assert isinstance(container.userland, Unknown)
    assert isinstance(container.oom_score_adj, Known)


@pytest.mark.parametrize(
    ("number", "label"),
    [(errno.EINVAL, Known), (errno.ENOENT, Known), (errno.EACCES, Unknown), (errno.EIO, Unknown)],
)
def test_no_label_is_not_a_refused_label(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, number: int, label: type
) -> None:
    refuse(monkeypatch, lambda path: number if path.endswith("attr/current") else 0)
    with ProcessDirectory(tree.paths.proc, 100) as leader:
        reading = lsm_label(leader)
    assert isinstance(reading, label)
    assert not isinstance(reading, Known) or reading.value == ""
