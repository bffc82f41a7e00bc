"""Containers of other runtimes, and what is none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.live import Docker, Process, isoaudit
from support.runtimes import IMAGE, NOBODY, Bundles, Commands, Containerd, Lxc, Nspawn, Podman

Spawn = Callable[..., Process]
Make = Callable[[Callable[[], Any]], Any]


def rows() -> list[dict[str, Any]]:
    run = isoaudit("list", "--json")
    assert run.code == 0, run.err
    listed: list[dict[str, Any]] = json.loads(run.out)
    return listed


def entry_of(pid: int) -> dict[str, Any] | None:
    """The container that a process is in, by its mount namespace."""
    inside = os.readlink(f"/proc/{pid}/ns/mnt")
    for row in rows():
        with contextlib.suppress(FileNotFoundError):  # others' containers come and go
            if os.readlink(f"/proc/{row['pid']}/ns/mnt") == inside:
                return row
    return None


def entry(pid: int) -> dict[str, Any]:
    found = entry_of(pid)
    assert found is not None, f"{pid} is in no container"
    return found


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


def test_docker_with_crun(docker: Docker) -> None:
    docker("run", "--detach", "--network=none", "--runtime=crun-here", "--name=isos-crun", "bb")
    try:
        found = entry(int(docker("inspect", "--format={{.State.Pid}}", "isos-crun")))
        assert (found["runtime"], found["name"], found["image"]) == ("docker", "isos-crun", "bb")
        assert found["id"] == docker("inspect", "--format={{.Id}}", "isos-crun")
    finally:
        docker("rm", "--force", "isos-crun")


def test_podman(runtime: Make, tmp_path: Path, image: Path) -> None:
    podman = runtime(lambda: Podman(tmp_path, image))
    found = entry(podman.start("isos-podman", "--network=none"))
    assert (found["runtime"], found["name"], found["image"]) == ("podman", "isos-podman", IMAGE)
    assert found["id"] == podman("inspect", "--format={{.Id}}", "isos-podman")
    assert found["pod"] is None


def test_a_pod_of_podmans(runtime: Make, tmp_path: Path, image: Path) -> None:
    podman = runtime(lambda: Podman(tmp_path, image))
    pod = podman.start_pod("isos-pod", "isos-a", "isos-b")[:12]
    found = {row["name"]: row for row in rows() if row["pod"] == pod}
    assert set(found) == {"isos-pod-infra", "isos-a", "isos-b"}
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
    shared = run.findings(found["isos-a"]["key"])["namespace-peer-shared"]
    assert (shared["outcome"], shared["severity"]) == ("fail", "info")


def test_rootless_podman(runtime: Make, open_folder: Path, image: Path) -> None:
    folder = open_folder / "rootless"
    folder.mkdir()
    podman = runtime(lambda: Podman(folder, image, rootless=True))
    pid = podman.start("isos-rootless", "--network=none")
    found = entry(pid)
    assert (found["runtime"], found["name"]) == ("podman", "isos-rootless")
    assert found["id"] == podman("inspect", "--format={{.Id}}", "isos-rootless")
    # Its monitor, and the process that keeps the user's namespaces, are nobody's container.
    assert [row["pid"] for row in rows() if os.stat(f"/proc/{row['pid']}").st_uid == NOBODY] == [pid]
    failing = isoaudit("container", str(pid), "-f", "json", "--probes", "none").failing(found["key"])
    assert not {"namespace-user-shared", "identity-root"} & failing


def test_ctr(runtime: Make, open_folder: Path, image: Path) -> None:
    folder = open_folder / "ctr"
    folder.mkdir()
    containerd = runtime(lambda: Containerd(folder, image))
    found = entry(containerd.start("isos-ctr"))
    assert (found["runtime"], found["id"], found["name"]) == ("containerd", "isos-ctr", "isos-ctr")


def test_kubernetes_pods(runtime: Make, open_folder: Path, image: Path) -> None:
    """Real pods, asked of containerd as a kubelet asks."""
    pytest.importorskip("grpc", reason="the extra `test` installs grpcio")
    folder = open_folder / "cri"
    folder.mkdir()
    containerd = runtime(lambda: Containerd(folder, image, pods=True))
    pods = containerd.run_pods()
    expected = {
        ident: (f"default/{pod}", name)
        for pod, containers in pods.items()
        for name, ident in containers.items()
    }
    found = {row["id"]: row for row in rows() if row["id"] in expected}
    assert {ident: (row["pod"], row["name"]) for ident, row in found.items()} == expected
    assert {row["runtime"] for row in found.values()} == {"containerd"}
    assert found[pods["web"]["app"]]["image"] == IMAGE
    assert found[pods["web"]["app"]]["key"] == "default/web/app"
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
    shared = run.findings("default/web/app")["namespace-peer-shared"]
    assert (shared["outcome"], shared["severity"]) == ("fail", "info")
    assert "default/web/pause" in shared["message"]
    assert "batch" not in shared["message"]
    limits = {
        name: run.findings(f"default/{name}")["cgroup-memory-unlimited"] for name in ("web/app", "batch/job")
    }
    assert [limit["outcome"] for limit in limits.values()] == ["pass", "fail"]


@pytest.mark.parametrize("tool", ["runc", "crun"])
def test_bundles(runtime: Make, tmp_path: Path, busybox_root: Path, tool: str) -> None:
    bundles = runtime(lambda: Bundles(tmp_path, busybox_root, tool))
    name = f"isos-{tool}"
    pid = bundles.start(name, 'linux.resources.memory={"limit": 67108864}')
    found = entry(pid)
    assert (found["runtime"], found["id"], found["name"]) == (tool, name, name)
    failing = isoaudit("container", name, "-f", "json", "--probes", "none").failing(name)
    assert "seccomp-absent" in failing
    gaps = {"cgroup-memory-unlimited", "mount-rootfs-writable", "identity-no-new-privileges-unset"}
    assert not gaps & failing


def test_lxc(runtime: Make, open_folder: Path, busybox_root: Path) -> None:
    folder = open_folder / "lxc"
    folder.mkdir()
    lxc = runtime(lambda: Lxc(folder, busybox_root))
    idmap = ("lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536")
    for name, lines in (("isos-lxc", ()), ("isos-lxc-mapped", idmap)):
        found = entry(lxc.start(name, *lines))
        assert (found["runtime"], found["name"]) == ("lxc", name)
    failing = isoaudit("container", "isos-lxc-mapped", "-f", "json", "--probes", "none").failing(
        "isos-lxc-mapped"
    )
    assert "namespace-user-shared" not in failing


def test_nspawn(runtime: Make, tmp_path: Path, busybox_root: Path) -> None:
    nspawn = runtime(lambda: Nspawn(tmp_path, busybox_root))
    found = entry(nspawn.start("isos-nspawn", "--private-network"))
    assert (found["runtime"], found["name"], found["processes"]) == ("systemd-nspawn", "isos-nspawn", 2)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("bubblewrap", ("bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all")),
        ("firejail", ("firejail", "--quiet", "--noprofile", "--net=none", "--seccomp")),
        ("unshare", ("unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc")),
    ],
)
def test_sandboxing_tools(runtime: Make, name: str, command: tuple[str, ...]) -> None:
    tool = runtime(lambda: Commands(*command))
    assert entry(tool.start(""))["runtime"] == name
