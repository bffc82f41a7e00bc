from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.facts import HOST_INODES, namespaces
from support.hosts import Tree

from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.quotas import read_owners, read_quotas
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.quotas import Account, Count
from isoaudit.model import Known, Unknown

HOST = namespaces(1, **HOST_INODES)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    for name, content in {
        "sys/fs/aio-nr": "7\n",
        "sys/fs/aio-max-nr": "65536\n",
        "sys/fs/file-nr": "1057\t0\t2466193\n",
        "sys/kernel/pty/nr": "6\n",
        "sys/kernel/pty/max": "4096\n",
        "sys/kernel/pty/reserve": "1024\n",
        "sys/kernel/threads-max": "192739\n",
        "sys/kernel/pid_max": "32768\n",
        "loadavg": "0.90 0.68 0.32 2/167 24331\n",
        "meminfo": "MemTotal: 1 kB\nCommitLimit: 2048 kB\nCommitted_AS: 1024 kB\n",
        "1/net/stat/arp_cache": "entries  allocs\n000000b7 00000001\n",
        "sys/net/ipv4/neigh/default/gc_thresh3": "1024\n",
    }.items():
        (tree.proc / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.proc / name).write_text(content)
    return tree


def test_counts(tree: Tree) -> None:
    counts = read_quotas(tree.paths, HOST, 1).counts
    assert {name: reading.value for name, reading in counts.items() if isinstance(reading, Known)} == {
        "aio": Count(7, 65536),
        "files": Count(1057, 2466193),
        "terminals": Count(6, 3072),
        "threads": Count(167, 32768),
        "neighbours": Count(183, 1024),
        "commitment": Count(1 << 20, 2 << 20),
    }


def test_what_cannot_be_read_is_unknown(tree: Tree) -> None:
    (tree.proc / "sys/fs/aio-nr").unlink()
    (tree.proc / "loadavg").write_text("odd\n")
    (tree.proc / "meminfo").write_text("MemTotal: 1 kB\n")
    counts = read_quotas(tree.paths, HOST, 1).counts
    assert {name for name, reading in counts.items() if isinstance(reading, Unknown)} == {
        "aio",
        "threads",
        "commitment",
    }


def test_users_are_those_of_the_hosts_processes(tree: Tree) -> None:
    tree.add(50, uid=1000)
    tree.add(60, uid=7, own=tree.inodes("mnt"))
    users = read_quotas(tree.paths, HOST, 1).users
    assert isinstance(users, Known)
    assert users.value == {0, 1000}


def test_users_are_unknown_where_the_host_is(tree: Tree) -> None:
    refused = Unknown("/proc/1/ns/mnt", "EACCES")
    assert read_quotas(tree.paths, HOST._replace(mnt=refused), 1).users == refused


def test_nobody_made_the_initial_user_namespace(tree: Tree) -> None:
    with ProcessDirectory(str(tree.proc), 1) as leader:
        assert read_owners(leader, HOST, live=False) == Known((), f"{tree.proc}/1/ns/user")
        own = HOST._replace(user=Known(4026532900, "ns"))
        assert isinstance(read_owners(leader, own, live=False), Unknown)
        refused = Unknown("ns", "EACCES")
        assert read_owners(leader, HOST._replace(user=refused), live=True) == refused


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: user namespaces may be refused to others")
def test_who_made_a_user_namespace() -> None:
    process = subprocess.Popen(["unshare", "--user", "sleep", "60"])
    try:
        for _ in range(100):
            with ProcessDirectory("/proc", process.pid) as leader:
                found = leader.namespaces()
                if isinstance(found.user, Known) and found.user.value != INITIAL["user"]:
                    break
            if process.poll() is not None:
                pytest.skip("unshare(1) is refused here")
            time.sleep(0.02)
        with ProcessDirectory("/proc", process.pid) as leader:
            owners = read_owners(leader, found, live=True)
        assert isinstance(owners, Known)
        assert owners.value[-1] == Account(INITIAL["user"], 0)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
