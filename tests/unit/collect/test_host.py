from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from support.hosts import HOST_ROOT, Tree, lay_out, refuse, replay

from isoaudit.collect.host import SYSCTLS, read_host
from isoaudit.collect.paths import Paths
from isoaudit.facts.host import EngineSocket, Host
from isoaudit.model import Known, Reading, Unknown


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def put(tree: Tree, path: str, content: str) -> None:
    target = tree.proc.parent / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)


def value(reading: Reading[object]) -> object:
    assert isinstance(reading, Known), reading
    return reading.value


def host(tree: Tree) -> Host:
    return read_host(tree.paths).host


def test_this_machine() -> None:
    reading = read_host(Paths())
    assert value(reading.host.hostname) == socket.gethostname()
    assert value(reading.host.memory_bytes)
    assert isinstance(reading.host.clock, Known)
    assert set(reading.host.sysctls) == set(SYSCTLS)


def test_a_captured_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captured = lay_out("hybrid", tmp_path)
    replay(monkeypatch, tmp_path, captured)
    found = read_host(captured.paths).host
    assert value(found.hostname) == "host-1"
    assert value(found.cgroup_layout) == "hybrid"
    assert isinstance(found.lsms, Unknown), "its securityfs was not mounted"
    assert value(found.cpus) == frozenset({0, 1})
    assert isinstance(found.clock, Unknown), "a copy has no clock"


def test_an_empty_tree_is_unknown_throughout(tree: Tree) -> None:
    found = host(tree)
    for name in (
        "hostname",
        "kernel",
        "boot_id",
        "controllers",
        "memory_bytes",
        "cpus",
        "lsms",
        "engine_sockets",
    ):
        assert isinstance(getattr(found, name), Unknown), name
    assert all(isinstance(reading, Unknown) for reading in found.sysctls.values())


@pytest.mark.parametrize(
    ("content", "selected"),
    [
        ("[none] integrity confidentiality\n", "none"),
        ("none [integrity] confidentiality\n", "integrity"),
        ("", "none"),
    ],
)
def test_lockdown(tree: Tree, content: str, selected: str) -> None:
    put(tree, "sys/kernel/security/lockdown", content)
    assert value(host(tree).lockdown) == selected


def test_lockdown_without_a_choice_is_unknown(tree: Tree) -> None:
    put(tree, "sys/kernel/security/lockdown", "none integrity\n")
    assert isinstance(host(tree).lockdown, Unknown)


def test_memory(tree: Tree) -> None:
    put(tree, "proc/meminfo", "MemTotal:       24684096 kB\nHugePages_Total:       0\nOdd\n")
    found = host(tree)
    assert value(found.memory_bytes) == 24684096 * 1024
    assert isinstance(found.swap_bytes, Unknown)
    put(tree, "proc/meminfo", "MemTotal: many kB\n")
    assert isinstance(host(tree).memory_bytes, Unknown)


@pytest.mark.parametrize(
    ("kilobytes", "pages", "sizes"),
    [(2048, "4", ("2MB",)), (1048576, "1", ("1GB",)), (64, "1", ("64KB",)), (2048, "0", ())],
)
def test_huge_pages(tree: Tree, kilobytes: int, pages: str, sizes: tuple[str, ...]) -> None:
    put(tree, f"sys/kernel/mm/hugepages/hugepages-{kilobytes}kB/nr_hugepages", f"{pages}\n")
    assert value(host(tree).hugepage_sizes) == sizes


def test_odd_huge_pages_are_unknown(tree: Tree) -> None:
    put(tree, "sys/kernel/mm/hugepages/hugepages-manykB/nr_hugepages", "1\n")
    assert isinstance(host(tree).hugepage_sizes, Unknown)


def test_sysctls(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tree, "proc/sys/kernel/kptr_restrict", "2\n")
    put(tree, "proc/sys/kernel/sysrq", "0\n")
    refuse(monkeypatch, lambda path: errno.EACCES if path.endswith("sysrq") else 0)
    sysctls = host(tree).sysctls
    assert value(sysctls["kernel.kptr_restrict"]) == "2"
    refused, absent = sysctls["kernel.sysrq"], sysctls["kernel.yama.ptrace_scope"]
    assert isinstance(refused, Unknown)
    assert "EACCES" in refused.reason
    assert isinstance(absent, Unknown)
    assert "ENOENT" in absent.reason
    assert "kernel.yama.ptrace_scope" in host(tree).absent_sysctls
    assert "kernel.sysrq" not in host(tree).absent_sysctls


def test_looking_mounts_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    autofs = "40 22 0:30 / /proc/sys/fs/binfmt_misc rw,relatime - autofs systemd-1 rw"
    put(tree, "proc/1/mountinfo", f"{HOST_ROOT}\n{autofs}\n")
    put(tree, "proc/sys/fs/binfmt_misc/status", "enabled\n")
    refuse(monkeypatch, lambda path: pytest.fail(f"opened {path}") if "binfmt_misc" in path else 0)
    status = host(tree).sysctls["fs.binfmt_misc.status"]
    assert isinstance(status, Unknown)
    assert "would mount it" in status.reason


def test_binfmt_misc_once_it_is_mounted(tree: Tree) -> None:
    mounts = (
        "40 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw",
        "41 40 0:31 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw",
    )
    put(tree, "proc/1/mountinfo", "\n".join((HOST_ROOT, *mounts)) + "\n")
    put(tree, "proc/sys/fs/binfmt_misc/status", "enabled\n")
    assert value(host(tree).sysctls["fs.binfmt_misc.status"]) == "enabled"


UNIX = "Num       RefCount Protocol Flags    Type St Inode Path\n"


def test_engine_sockets(tree: Tree) -> None:
    put(
        tree,
        "proc/1/net/unix",
        UNIX
        + "0: 00000002 00000000 00010000 0001 01 100 /run/docker.sock\n"
        + "1: 00000003 00000000 00000000 0001 03 101 /run/docker.sock\n"
        + "2: 00000002 00000000 00000000 0001 01 102 /run/podman/podman.sock\n"  # nobody listens
        + "3: 00000002 00000000 00010000 0001 01 103 @/run/docker.sock\n"
        + "4: 00000002 00000000 00010000 0001 01 104 relative/docker.sock\n"
        + "5: 00000002 00000000 00010000 0001 01 105 /srv/my engine/containerd.sock\n"
        + "6: 00000002 00000000 00010000 0001 01 106\n"
        + "short\n",
    )
    assert value(host(tree).engine_sockets) == (
        EngineSocket("/run/docker.sock", "docker", "254:0", "/run/docker.sock"),
        EngineSocket("/srv/my engine/containerd.sock", "containerd", "254:0", "/srv/my engine/containerd.sock"),
    )


def test_distribution(tree: Tree) -> None:
    put(tree, "root/usr/lib/os-release", 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    assert value(host(tree).distribution) == "Debian GNU/Linux 13 (trixie)"
    put(tree, "root/etc/os-release", "PRETTY_NAME=Other\n")
    assert value(host(tree).distribution) == "Other"


def test_a_kernel_without_numa_has_one_node(tree: Tree) -> None:
    assert value(host(tree).memory_nodes) == frozenset({0})
    put(tree, "sys/devices/system/node/online", "0-1\n")
    assert value(host(tree).memory_nodes) == frozenset({0, 1})


def test_pid_1s_mounts_may_be_hidden(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(
        monkeypatch, lambda path: errno.EACCES if "/proc/1/ns/" in path or path.endswith("1/mountinfo") else 0
    )
    found = host(tree)
    assert found.mounts == Known(value(found.mounts), f"{tree.paths.proc}/2/mountinfo")
    assert os.path.basename(os.path.dirname(found.mounts.source)) == "2"
