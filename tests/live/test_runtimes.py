"""Containers of other runtimes, and what is none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.live import Process, isoaudit, missing, need

Spawn = Callable[..., Process]


def entry_of(pid: int) -> dict[str, object] | None:
    run = isoaudit("list", "--json")
    assert run.code == 0, run.err
    return next((row for row in json.loads(run.out) if row["pid"] == pid), None)


def test_bare_unshare(spawn: Spawn) -> None:
    process = spawn("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sleep", "1000")
    pid = process.child("sleep")
    entry = entry_of(pid)
    assert entry is not None
    assert entry["runtime"] == "unshare"
    run = isoaudit("container", str(pid), "-f", "json")
    assert run.code == 0, run.err
    failing = {f["check"] for f in run.report["findings"] if f["outcome"] == "fail"}
    assert {
        "namespace-net-shared",
        "namespace-ipc-shared",
        "cgroup-memory-unlimited",
        "mount-host-root",
    } <= failing
    assert "namespace-pid-shared" not in failing


def test_private_mounts_alone_are_no_container(spawn: Spawn) -> None:
    process = spawn("unshare", "--mount", "sleep", "1000")
    assert entry_of(process.pid) is None
    run = isoaudit("list", "--json", "--include-sandboxes")
    rows = {row["pid"]: row for row in json.loads(run.out)}
    assert rows[process.pid]["sandbox"] is True


def test_chroot_alone_is_no_container_but_can_be_audited(spawn: Spawn, busybox_root: Path) -> None:
    process = spawn("chroot", str(busybox_root), "/bin/sleep", "1000")
    assert entry_of(process.pid) is None
    run = isoaudit("container", str(process.pid), "-f", "json", "--probes", "none")
    assert run.code == 0, run.err
    failing = {f["check"] for f in run.report["findings"] if f["outcome"] == "fail"}
    assert "namespace-mnt-shared" in failing


def test_bubblewrap(spawn: Spawn) -> None:
    need("bwrap")
    process = spawn(
        "bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "sleep", "1000"
    )
    entry = entry_of(process.child("sleep"))
    # bwrap's own first process inside may be the first one of the PID namespace.
    if entry is None:
        rows = json.loads(isoaudit("list", "--json").out)
        entry = next((row for row in rows if row["runtime"] == "bubblewrap"), None)
    assert entry is not None
    assert entry["runtime"] == "bubblewrap"


@pytest.fixture
def runc(tmp_path: Path, busybox_root: Path) -> Iterator[tuple[str, int]]:
    """A container that runc alone has started."""
    need("runc")
    subprocess.run(
        ["runc", "spec"],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
    )
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/sleep", "1000"], rlimits=[])
    config["root"] = {"path": str(busybox_root), "readonly": True}
    config["linux"]["cgroupsPath"] = "/iso-runc"
    config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    (tmp_path / "config.json").write_text(json.dumps(config))
    started = subprocess.run(
        ["runc", "run", "--detach", "--pid-file", str(tmp_path / "pid"), "iso-runc"],
        cwd=tmp_path,
        capture_output=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
    )
    if started.returncode:
        missing("runc cannot start a container here")
    yield "iso-runc", int((tmp_path / "pid").read_text())
    subprocess.run(
        ["runc", "delete", "--force", "iso-runc"],
        check=True,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
    )


def test_runc(runc: tuple[str, int]) -> None:
    name, pid = runc
    entry = entry_of(pid)
    assert entry is not None
    assert (entry["runtime"], entry["name"]) == ("runc", name)
    run = isoaudit("container", name, "-f", "json")
    assert run.code == 0, run.err
    failing = run.failing(name)
    assert "cgroup-memory-unlimited" not in failing
    assert "mount-rootfs-writable" not in failing
    assert "identity-no-new-privileges-unset" not in failing
    assert "seccomp-absent" in failing
