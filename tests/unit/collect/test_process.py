from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hosts import Tree, refuse

from isoaudit.collect.process import ProcessDirectory, is_kernel_thread, start_time
from isoaudit.collect.tree import VanishedError
from isoaudit.errors import UsageError
from isoaudit.model import Known, Unknown

STAT = b"12 (%b) S 1 2 3 0 -1 4194560 8 9 10 11 12 13 14 15 20 0 1 0 77 0 0\n"


@pytest.mark.parametrize("name", [b"sleep", b"", b") Z 1 (", b"a b c", b")", b"\xff\n"])
def test_stat_is_read_after_the_last_bracket(name: bytes) -> None:
    assert start_time(STAT % name) == 77
    assert not is_kernel_thread(STAT % name)
    assert is_kernel_thread(STAT.replace(b"4194560", b"2129984") % name)


@given(st.binary())
def test_a_broken_stat_is_bad_input(raw: bytes) -> None:
    for read in (start_time, is_kernel_thread):
        try:
            read(raw)
        except UsageError:
            continue


def test_this_process() -> None:
    with ProcessDirectory("/proc", os.getpid()) as directory:
        namespaces = directory.namespaces()
        assert isinstance(namespaces.mnt, Known)
        assert namespaces.mnt.source == f"/proc/{os.getpid()}/ns/mnt"
        assert directory.start_time() > 0
        assert not directory.ended()
        assert directory.read("oom_score_adj", int).source.endswith("/oom_score_adj")


def test_there_is_no_such_process(tmp_path: Path) -> None:
    with pytest.raises(VanishedError, match="77"):
        ProcessDirectory(str(tmp_path), 77)


def test_no_more_descriptors_is_no_vanished_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    refuse(monkeypatch, lambda path: errno.EMFILE)
    with pytest.raises(OSError, match="Too many"):
        ProcessDirectory(tree.paths.proc, 1)


def test_a_process_that_ends_while_it_is_read() -> None:
    child = subprocess.Popen(["sleep", "60"])
    with ProcessDirectory("/proc", child.pid) as directory:
        child.kill()
        child.wait()
        assert directory.ended()
        with pytest.raises(VanishedError):
            directory.namespaces()
        with pytest.raises(VanishedError):
            directory.start_time()
        assert not isinstance(_tried(directory), Known)


def _tried(directory: ProcessDirectory) -> object:
    try:
        return directory.read("status", bytes)
    except VanishedError as error:
        return error


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen(["true"])
    try:
        with ProcessDirectory("/proc", child.pid) as directory:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert directory.ended()
            with pytest.raises(VanishedError):
                directory.namespace("mnt")
    finally:
        child.wait()


def test_a_namespace_that_this_kernel_lacks(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    os.unlink(tree.proc / "1/ns/time")
    with ProcessDirectory(tree.paths.proc, 1) as directory:
        time = directory.namespaces().time
    assert isinstance(time, Unknown)
    assert time.reason == "this kernel has no such namespace"


@pytest.mark.parametrize("target", ["", "pid", "pid:[]", "pid:[12", "pid:[twelve]"])
def test_an_odd_link_is_unknown(tmp_path: Path, target: str) -> None:
    tree = Tree(tmp_path)
    os.unlink(tree.proc / "1/ns/pid")
    os.symlink(target or " ", tree.proc / "1/ns/pid")
    with ProcessDirectory(tree.paths.proc, 1) as directory:
        assert isinstance(directory.namespace("pid"), Unknown)


def test_a_refusal_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    refuse(monkeypatch, lambda path: errno.EACCES if path.endswith(("/ns/mnt", "/status")) else 0)
    with ProcessDirectory(tree.paths.proc, 1) as directory:
        for reading in (directory.namespace("mnt"), directory.read("status", bytes)):
            assert isinstance(reading, Unknown)
            assert "EACCES" in reading.reason


def test_esrch_means_that_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path)
    refuse(monkeypatch, lambda path: errno.ESRCH if path.endswith(("/ns/mnt", "/status")) else 0)
    with ProcessDirectory(tree.paths.proc, 1) as directory:
        with pytest.raises(VanishedError):
            directory.namespace("mnt")
        with pytest.raises(VanishedError):
            directory.read("status", bytes)
