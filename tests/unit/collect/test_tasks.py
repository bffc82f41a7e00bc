from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support.facts import HOST_INODES
from support.hosts import OVERLAY_ROOT, Tree, refuse

from isoaudit.collect import tasks
from isoaudit.collect.tasks import complete
from isoaudit.collect.tree import VanishedError
from isoaudit.facts.container import Process
from isoaudit.model import Known, Unknown

LABEL = Known("docker-default (enforce)", "/proc/100/attr/current")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A container of two processes."""
    tree = Tree(tmp_path)
    own = tree.inodes("mnt", "pid", "net")
    for pid, inside in ((100, 1), (101, 2)):
        tree.add(pid, "app", own=own, cgroup=("/docker/x",), mounts=OVERLAY_ROOT, ns_pids=(inside,))
        (tree.proc / f"{pid}/attr").mkdir()
        (tree.proc / f"{pid}/attr/current").write_bytes(b"docker-default (enforce)\n\0")
    return tree


def completed(tree: Tree, label: Known[str] = LABEL) -> tuple[Process, ...]:
    (candidate,) = tree.discover().candidates
    return complete(tree.paths.proc, candidate, label, "attr/current")


def threads(tree: Tree, pid: int, *numbers: int, differing: tuple[int, ...] = ()) -> None:
    """Give a process threads beside its first one; those that differ have no_new_privs."""
    status = (tree.proc / f"{pid}/status").read_text().replace("Threads:\t1", f"Threads:\t{len(numbers) + 1}")
    (tree.proc / f"{pid}/status").write_text(status)
    for tid in (pid, *numbers):
        folder = tree.proc / f"{pid}/task/{tid}"
        folder.mkdir(parents=True)
        own = status.replace(f"\nPid:\t{pid}", f"\nPid:\t{tid}").replace("Name:\tapp", f"Name:\tt{tid}")
        (folder / "status").write_text(own.replace("NoNewPrivs:\t0", f"NoNewPrivs:\t{int(tid in differing)}"))


def relink(tree: Tree, number: int, /, **namespaces: int) -> None:
    for kind, inode in namespaces.items():
        link = tree.proc / f"{number}/ns/{kind}"
        link.unlink()
        link.symlink_to(f"{kind}:[{inode}]")


def test_alike(tree: Tree) -> None:
    first, second = completed(tree)
    proc = tree.paths.proc
    assert first.lsm_label == LABEL
    assert first.threads == Known((), f"{proc}/100/task")
    assert first.other_namespaces == Known({}, f"{proc}/100/ns")
    assert second.threads == Known((), f"{proc}/101/task")
    assert second.other_namespaces == Known({}, f"{proc}/101/ns")
    assert second.lsm_label == Known("docker-default (enforce)", f"{proc}/101/attr/current")
    assert isinstance(first.memberships, Known)
    assert second.memberships == Known(first.memberships.value, f"{proc}/101/cgroup")


def test_apart(tree: Tree) -> None:
    relink(tree, 101, net=HOST_INODES["net"])
    (tree.proc / "101/cgroup").write_text("0::/\n")
    (tree.proc / "101/attr/current").write_bytes(b"unconfined\n")
    _, second = completed(tree)
    assert second.other_namespaces == Known({"net": HOST_INODES["net"]}, f"{tree.paths.proc}/101/ns")
    assert isinstance(second.memberships, Known)
    assert [one.path for one in second.memberships.value] == ["/"]
    assert second.lsm_label == Known("unconfined", f"{tree.paths.proc}/101/attr/current")


def test_labels_are_not_read_where_no_module_labels(tree: Tree) -> None:
    none = Known("", "/proc/100/attr/current")
    _, second = completed(tree, none)
    assert second.lsm_label == none


def test_threads_that_differ(tree: Tree) -> None:
    threads(tree, 100, 110, 111, 112, differing=(111,))
    threads(tree, 101, 120)
    first, second = completed(tree)
    assert isinstance(first.threads, Known)
    (thread,) = first.threads.value
    assert thread.tid == 111
    assert isinstance(thread.status, Known)
    assert thread.status.value.name == "t111"
    assert thread.status.value.no_new_privs == Known(True, f"{tree.paths.proc}/100/task/111/status")
    assert [task.pid for task in first.tasks] == [100, 111]
    assert second.threads == Known((), f"{tree.paths.proc}/101/task")
    assert second.tasks == (second,)


def test_threads_that_end_or_cannot_be_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    threads(tree, 100, 110, 111, 112)
    (tree.proc / "100/task/110/status").unlink()
    (tree.proc / "100/task/112/status").write_text("no status\nUid:\t0\n")
    refuse(monkeypatch, lambda path: errno.EACCES if path.endswith("/111/status") else 0)
    first, _ = completed(tree)
    assert isinstance(first.threads, Known)
    by_tid = {thread.tid: thread.status for thread in first.threads.value}
    assert by_tid.keys() == {111, 112}
    assert all(isinstance(status, Unknown) for status in by_tid.values())


def test_more_threads_than_are_compared(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST_THREADS", 5)
    threads(tree, 100, 110, 111, 112)
    threads(tree, 101, 120, 121)
    first, second = completed(tree)
    assert isinstance(first.threads, Known)
    assert isinstance(second.threads, Unknown)
    assert "not all were compared" in second.threads.reason
    assert isinstance(second.tasks[1].status, Unknown)


def test_hidden_threads(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    threads(tree, 101, 120)
    refuse(monkeypatch, lambda path: errno.EACCES if path.endswith("/task/101/status") else 0)
    _, second = completed(tree)
    assert isinstance(second.threads, Unknown)


@pytest.mark.parametrize("name", ["ns/net", "cgroup", "attr/current", "task"])
def test_a_process_that_ends_meanwhile_goes(tree: Tree, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads(tree, 101, 120)
    (candidate,) = tree.discover().candidates
    refuse(monkeypatch, lambda path: errno.ESRCH if path.startswith(f"{tree.paths.proc}/101/{name}") else 0)
    assert [process.pid for process in complete(tree.paths.proc, candidate, LABEL, "attr/current")] == [100]


def test_a_first_process_that_ends_meanwhile(tree: Tree) -> None:
    threads(tree, 100, 110)
    (candidate,) = tree.discover().candidates
    os.rename(tree.proc / "100", tree.proc / "gone")
    with pytest.raises(VanishedError):
        complete(tree.paths.proc, candidate, LABEL, "attr/current")


def test_a_number_that_was_given_to_a_process_of_the_hosts(tree: Tree) -> None:
    (candidate,) = tree.discover().candidates
    relink(tree, 101, mnt=HOST_INODES["mnt"], pid=HOST_INODES["pid"])
    assert len(complete(tree.paths.proc, candidate, LABEL, "attr/current")) == 1


@pytest.mark.parametrize(
    ("name", "field"),
    [("ns/net", "other_namespaces"), ("cgroup", "memberships"), ("attr/current", "lsm_label")],
)
def test_what_is_refused_is_unknown(tree: Tree, name: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (candidate,) = tree.discover().candidates
    refuse(monkeypatch, lambda path: errno.EACCES if path == f"{tree.paths.proc}/101/{name}" else 0)
    _, second = complete(tree.paths.proc, candidate, LABEL, "attr/current")
    assert isinstance(getattr(second, field), Unknown)


def test_nonsense_is_unknown(tree: Tree) -> None:
    (candidate,) = tree.discover().candidates
    (tree.proc / "101/cgroup").write_text("nonsense\n")
    (tree.proc / "101/ns/net").unlink()
    (tree.proc / "101/ns/net").symlink_to("nonsense")
    _, second = complete(tree.paths.proc, candidate, LABEL, "attr/current")
    assert isinstance(second.memberships, Unknown)
    assert isinstance(second.other_namespaces, Unknown)
