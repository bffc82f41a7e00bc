from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.runtimes import Made, from_cgroup, from_monitor, in_service

ID = "0123456789abcdef" * 4
INNER = "fedcba9876543210" * 4
POD = "15d8a527-4ecf-4e81-bbdf-ea1a8498ecf3"
UNIT = POD.replace("-", "_")
USER = "/user.slice/user-1000.slice/user@1000.service"
SLICES = "/kubepods.slice/kubepods-besteffort.slice"

PATHS = {
    # Docker: cgroupfs, systemd, a parent of one's own, embedded BuildKit
    f"/docker/{ID}": Made("docker", ID),
    f"/system.slice/docker-{ID}.scope": Made("docker", ID),
    f"/system.slice/docker-{ID}.scope/init.scope": Made("docker", ID),
    f"/lab/{ID}": Made("unknown", ID),
    "/docker/buildkit/k3q0wb6y8f4z": Made("buildkit", "k3q0wb6y8f4z"),
    # Podman: cgroupfs, systemd, a pod, rootless, split in a service; conmon is none
    f"/libpod_parent/libpod-{ID}": Made("podman", ID),
    f"/machine.slice/libpod-{ID}.scope/container": Made("podman", ID),
    f"/machine.slice/machine-libpod_pod_{INNER}.slice/libpod-{ID}.scope": Made("podman", ID, "", INNER[:12]),
    f"{USER}/user.slice/user-libpod_pod_{INNER}.slice/libpod-{ID}.scope": Made("podman", ID, "", INNER[:12]),
    f"/libpod_parent/{INNER}/libpod-{ID}": Made("podman", ID, "", INNER[:12]),
    f"/docker/{INNER}/libpod_parent/libpod-{ID}": Made("podman", ID),
    f"{USER}/user.slice/libpod-{ID}.scope/container": Made("podman", ID),
    f"/system.slice/web.service/libpod-payload-{ID}": Made("podman", ID),
    f"/machine.slice/libpod-conmon-{ID}.scope": Made(),
    # Kubernetes: containerd and CRI-O, systemd and cgroupfs, cri-dockerd, static pods, a driver mismatch, kind
    f"{SLICES}/kubepods-besteffort-pod{UNIT}.slice/cri-containerd-{ID}.scope": Made("containerd", ID, "", POD),
    f"{SLICES}/kubepods-besteffort-pod{UNIT}.slice/crio-{ID}.scope/container": Made("cri-o", ID, "", POD),
    f"{SLICES}/kubepods-besteffort-pod{UNIT}.slice/crio-conmon-{ID}.scope": Made("unknown", "", "", POD),
    f"{SLICES}/kubepods-besteffort-pod{UNIT}.slice/docker-{ID}.scope": Made("docker", ID, "", POD),
    f"/kubepods.slice/kubepods-pod{UNIT}.slice:cri-containerd:{ID}": Made("containerd", ID, "", POD),
    f"/kubepods/burstable/pod{POD}/{ID}": Made("unknown", ID, "", POD),
    f"/kubepods/pod{POD}/crio-{ID}": Made("cri-o", ID, "", POD),
    f"/kubepods/burstable/pod{'ab' * 16}/{ID}": Made("unknown", ID, "", "ab" * 16),
    f"/docker/{ID}/kubelet/kubepods/burstable/pod{POD}/{INNER}": Made("unknown", INNER, "", POD),
    f"/system.slice/docker-{ID}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNIT}.slice/cri-containerd-{INNER}.scope": Made(
        "containerd", INNER, "", POD
    ),
    # nerdctl and ctr
    f"/system.slice/nerdctl-{ID}.scope": Made("containerd", ID),
    f"/default/{ID}": Made("unknown", ID),
    "/lab/web": Made(),
    # LXC, old and new, LXD, nested
    "/lxc.payload.box": Made("lxc", "", "box"),
    "/lxc.payload/box": Made("lxc", "", "box"),
    "/lxc/box": Made("lxc", "", "box"),
    "/lxc.payload.project_box/init.scope": Made("lxc", "", "project_box"),
    "/lxc.payload.box/lxc.payload.inner": Made("lxc", "", "inner"),
    "/lxc.monitor.box": Made(),
    # machined
    r"/machine.slice/machine-my\x2dbox.scope/payload": Made("systemd-nspawn", "", "my-box"),
    "/machine.slice/systemd-nspawn@box.service/payload": Made("systemd-nspawn", "", "box"),
    r"/machine.slice/machine-lxc\x2d4711\x2dbox.scope/libvirt": Made("libvirt-lxc", "", "box"),
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator": Made(),
    r"/machine.slice/machine-gr\xc3\xbcn.scope": Made("systemd-nspawn", "", "grün"),
    r"/machine.slice/machine-\xff.scope": Made("systemd-nspawn", "", r"\xff"),
    # desktops
    f"{USER}/app.slice/app-flatpak-org.mozilla.firefox-4711.scope": Made("flatpak", "", "org.mozilla.firefox"),
    f"{USER}/app.slice/snap.firefox.firefox-{POD}.scope": Made("snap", "", "firefox.firefox"),
    "/system.slice/snap.lxd.daemon.service": Made("snap", "", "lxd.daemon"),
    # nested
    f"/docker/{ID}/docker/{INNER}": Made("docker", INNER),
    f"/system.slice/docker-{ID}.scope/docker/{INNER}": Made("docker", INNER),
    f"/lxc.payload.box/docker/{ID}": Made("docker", ID),
    f"/docker/{ID}/system.slice/db.service": Made("docker", ID),
    # no containers
    "/": Made(),
    "": Made(),
    "/system.slice/docker.service": Made(),
    f"/docker/{ID[:-1]}": Made(),
    f"/docker/{ID}0": Made(),
    f"/docker/{ID.upper()}": Made(),
    f"/docker/{ID}\n": Made(),
    "/user.slice/user-1000.slice/session-3.scope": Made(),
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.replace(ID, "ID").replace(INNER, "INNER"))
def test_path(path: str) -> None:
    assert from_cgroup([path]) == PATHS[path]


def test_a_line_with_an_id_wins_wherever_it_stands() -> None:
    # crun on v1 leaves 0::/
    assert from_cgroup(["/", "/supervisor/0", f"/libpod_parent/libpod-{ID}"]) == Made("podman", ID)
    assert from_cgroup([f"/lab/{ID}", "/"]) == Made("unknown", ID)
    assert from_cgroup([f"/lab/{ID}", "/", f"/docker/{INNER}"]) == Made("docker", INNER)
    assert from_cgroup([]) == Made()


@given(st.lists(st.text()))
def test_paths_are_anything(paths: list[str]) -> None:
    from_cgroup(paths)
    in_service(paths)


@pytest.mark.parametrize(
    "part", ["/kubepods", "-pod", "/kubepods-pod", "/app-flatpak-", "/machine-", "/snap.-1", f"/docker/{ID}"]
)
def test_a_path_of_the_largest_size_takes_no_time(part: str) -> None:
    path = part * (4096 // len(part))
    began = time.process_time()
    for _ in range(10):
        from_cgroup([path])
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/system.slice/cron.service", True),
        ("/system.slice/cron.service/sub", True),
        (f"{USER}/app.slice/tracker.service", True),
        (f"{USER}/app.slice/app-x-1.scope", False),
        ("/machine.slice/systemd-nspawn@box.service/payload", False),
        ("/system.slice/snap.lxd.daemon.service", False),
        ("/system.slice", False),
    ],
)
def test_services(path: str, *, service: bool) -> None:
    assert in_service(["/", path]) is service


@pytest.mark.parametrize(
    ("comm", "arguments", "made"),
    [
        ("containerd-shim", "shim -namespace moby -id abc -address /a", Made("docker", "abc")),
        ("containerd-shim", "shim -namespace=moby -id=abc", Made("docker", "abc")),
        ("containerd-shim", "shim -namespace default -id web", Made("containerd", "web", "web")),
        ("containerd-shim", "shim -namespace k8s.io -id sandbox", Made("containerd")),
        ("containerd-shim", "", Made("containerd")),
        ("conmon", "conmon -c abc -n web --exit-dir /run/libpod/exits", Made("podman", "abc", "web")),
        ("conmon", "conmon --cid abc --name mycrio", Made("podman", "abc", "mycrio")),
        ("conmon", "conmon -c abc -n k8s_web --exit-dir /var/run/crio/exits", Made("cri-o", "abc")),
        ("lxc-start", "lxc-start -n box", Made("lxc", "", "box")),
        ("systemd-nspawn", "systemd-nspawn -D /srv/tree/ -b", Made("systemd-nspawn", "", "tree")),
        ("systemd-nspawn", "systemd-nspawn -D /srv/tree -M box", Made("systemd-nspawn", "", "box")),
        ("systemd-nspawn", "systemd-nspawn --machine=box", Made("systemd-nspawn", "", "box")),
        ("bwrap", "bwrap --unshare-all sh", Made("bubblewrap")),
        ("starter-suid", "x", Made("apptainer")),
        ("runc:[2:INIT]", "runc init", Made("runc")),
        ("pasta.avx2", "pasta", Made("pasta")),
        ("bash", "bash -c conmon", None),
        ("", "", None),
    ],
)
def test_monitor(comm: str, arguments: str, made: Made | None) -> None:
    assert from_monitor(comm, arguments.split()) == made


def test_the_title_of_lxcs_monitor() -> None:
    assert from_monitor("lxd", ["[lxc monitor] /var/lib/lxc box"]) == Made("lxc", "", "box")


@pytest.mark.parametrize("comm", ["containerd-shim", "conmon", "lxc-start", "systemd-nspawn", "bwrap", "x"])
@given(arguments=st.lists(st.sampled_from(["-id", "-c", "-n", "-M", "-D", "--name=", "=", "-n="]) | st.text()))
def test_command_lines_are_anything(comm: str, arguments: list[str]) -> None:
    from_monitor(comm, arguments)
