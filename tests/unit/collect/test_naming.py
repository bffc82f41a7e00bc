from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths
from isoaudit.facts.runtimes import Made

ID = "0123456789abcdef" * 4
DOCKER = f"var/lib/docker/containers/{ID}/config.v2.json"
STORAGE = "var/lib/containers/storage/overlay-containers/containers.json"
BUNDLE = f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
CRIO = f"run/containers/storage/overlay-containers/{ID}/userdata/config.json"
RUNC = "run/runc/web/state.json"
CRUN = "run/crun/web/status"

HOSTILE: tuple[Any, ...] = (
    None, [], {}, 5, "text", [[]], [None], {"Name": 5, "Config": []}, {"Config": {"Image": {}}}, {"Name": None},
    {"annotations": []}, {"annotations": {"io.kubernetes.cri.container-name": ["x"]}}, {"annotations": 1},
    [{"id": 5, "names": 5, "metadata": 5}], [{"id": ID, "names": {}, "metadata": "{"}], [{"id": ID, "names": [5]}],
    [{"id": ID, "metadata": "[" * 100_000}], {"init_process_pid": "x"}, {"pid": [], "init_process_start": {}},
    {"init_process_pid": 100, "init_process_start": None},
)  # fmt: skip


def put(folder: Path, path: str, content: object) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content if isinstance(content, str) else json.dumps(content))
    return target


def complete(folder: Path, made: Made, pid: int = 100, started: int = 7) -> tuple[Made, str]:
    return Names(Paths(str(folder / "proc"), "/sys", str(folder))).complete(made, pid, started)


def test_docker(tmp_path: Path) -> None:
    put(tmp_path, DOCKER, {"Name": "/web", "Config": {"Image": "nginx:1"}})
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID, "web"), "nginx:1")


def test_docker_of_a_configured_root(tmp_path: Path) -> None:
    put(tmp_path, "etc/docker/daemon.json", {"data-root": "/srv/docker"})
    put(tmp_path, f"srv/docker/containers/{ID}/config.v2.json", {"Name": "/web", "Config": {"Image": "i"}})
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID, "web"), "i")


def test_docker_of_a_root_that_only_its_mounts_tell(tmp_path: Path) -> None:
    put(tmp_path, f"disk/engine/containers/{ID}/config.v2.json", {"Name": "/web", "Config": {"Image": "i"}})
    put(tmp_path, "proc/self/mountinfo", "27 1 254:0 / / rw - ext4 a rw\n30 27 254:1 / /disk rw - ext4 b rw\n")
    put(
        tmp_path,
        "proc/100/mountinfo",
        f"90 80 0:9 / / rw - overlay o rw\n91 90 254:1 /engine/containers/{ID}/hostname /etc/hostname rw - ext4 b rw\n",
    )
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID, "web"), "i")
    # A container may mount whatever it likes there.
    put(tmp_path, "proc/100/mountinfo", "91 90 254:1 /etc/hostname /etc/hostname rw - ext4 b rw\n")
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID), "")
    put(tmp_path, "proc/100/mountinfo", "broken\n")
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID), "")


@pytest.mark.parametrize(
    "storage", ["var/lib/containers/storage", "root/.local/share/containers/storage", "home/u/.local/share/containers/storage"]
)  # fmt: skip
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_podman(tmp_path: Path, storage: str, driver: str) -> None:
    entry = {"id": ID, "names": ["web"], "metadata": json.dumps({"image-name": "localhost/bb"})}
    put(tmp_path, f"{storage}/{driver}-containers/containers.json", [{"id": "other"}, entry])
    assert complete(tmp_path, Made("podman", ID)) == (Made("podman", ID, "web"), "localhost/bb")
    assert complete(tmp_path, Made("podman", "f" * 64, "conmon-told")) == (
        Made("podman", "f" * 64, "conmon-told"),
        "",
    )


def test_links_in_a_users_home_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "secret/overlay-containers/containers.json", [{"id": ID, "names": ["forged"]}])
    (tmp_path / "home/u/.local/share/containers").mkdir(parents=True)
    (tmp_path / "home/u/.local/share/containers/storage").symlink_to(tmp_path / "secret")
    (tmp_path / "home/v").symlink_to(tmp_path / "home/u")
    (tmp_path / "home/file").write_text("")
    assert complete(tmp_path, Made("podman", ID)) == (Made("podman", ID), "")


def test_kubernetes_by_containerd(tmp_path: Path) -> None:
    annotations = {
        "io.kubernetes.cri.container-name": "app",
        "io.kubernetes.cri.sandbox-name": "web-0",
        "io.kubernetes.cri.sandbox-namespace": "default",
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1",
    }
    put(tmp_path, BUNDLE, {"annotations": annotations})
    made, image = complete(tmp_path, Made("containerd", ID, "", "uid"))
    assert made == Made("containerd", ID, "app", "default/web-0")
    assert image == "docker.io/library/nginx:1"


def test_the_pause_container_of_a_pod(tmp_path: Path) -> None:
    annotations = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-name": "web-0"}
    put(tmp_path, BUNDLE, {"annotations": annotations})
    made, _ = complete(tmp_path, Made("containerd", ID))
    assert (made.name, made.pod) == ("pause", "/web-0")


def test_kubernetes_by_cri_o(tmp_path: Path) -> None:
    annotations = {
        "io.kubernetes.container.name": "app",
        "io.kubernetes.pod.name": "web-0",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.cri-o.ImageName": "nginx:1",
    }
    put(tmp_path, CRIO, {"annotations": annotations})
    assert complete(tmp_path, Made("cri-o", ID)) == (Made("cri-o", ID, "app", "default/web-0"), "nginx:1")


def test_the_pause_container_of_a_pod_by_cri_o(tmp_path: Path) -> None:
    annotations = {
        "io.kubernetes.cri-o.ContainerType": "sandbox",
        "io.kubernetes.container.name": "POD",
        "io.kubernetes.pod.name": "web-0",
        "io.kubernetes.pod.namespace": "default",
    }
    put(tmp_path, CRIO, {"annotations": annotations})
    assert complete(tmp_path, Made("cri-o", ID)) == (Made("cri-o", ID, "pause", "default/web-0"), "")


def test_containerd_whose_state_is_elsewhere(tmp_path: Path) -> None:
    # The shim stands in the bundle of the pod's sandbox; the pod's other containers lie beside it.
    bundle = f"/disk/state/k8s.io/{ID[::-1]}"
    annotations = {"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "web-0"}
    put(tmp_path, f"disk/state/k8s.io/{ID}/config.json", {"annotations": annotations})
    made, _ = complete(tmp_path, Made("containerd", ID, bundle=bundle))
    assert (made.name, made.pod) == ("app", "/web-0")


def test_podman_whose_storage_is_elsewhere(tmp_path: Path) -> None:
    other = "f" * 64
    storage = "/disk/storage/overlay-containers"
    entries = [{"id": ID, "names": ["web"]}, {"id": other, "names": ["db"]}]
    listed = put(tmp_path, f"{storage[1:]}/containers.json", entries)
    names = Names(Paths(str(tmp_path / "proc"), "/sys", str(tmp_path)))
    made = Made("podman", ID, bundle=f"{storage}/{ID}/userdata")
    assert names.complete(made, 100, 7)[0].name == "web"
    listed.unlink()  # it is read once
    assert names.complete(made._replace(id=other), 101, 7)[0].name == "db"
    assert names.complete(made._replace(id="e" * 64), 102, 7)[0].name == ""


def test_ctr_keeps_the_name_that_its_shim_tells(tmp_path: Path) -> None:
    put(tmp_path, "run/containerd/io.containerd.runtime.v2.task/lab/web/config.json", {"annotations": {}})
    assert complete(tmp_path, Made("containerd", "web", "web")) == (Made("containerd", "web", "web"), "")


@pytest.mark.parametrize(
    ("path", "state", "runtime"),
    [
        (RUNC, {"init_process_pid": 100, "init_process_start": 7}, "runc"),
        (CRUN, {"pid": 100, "process-start-time": 7}, "crun"),
        (CRUN, {"pid": 100}, "crun"),
    ],
)
def test_bare_runc_and_crun(tmp_path: Path, path: str, state: object, runtime: str) -> None:
    put(tmp_path, path, state)
    assert complete(tmp_path, Made())[0] == Made(runtime, "web", "web")
    assert complete(tmp_path, Made(), pid=101)[0] == Made()


def test_the_state_of_a_container_whose_pid_was_given_away(tmp_path: Path) -> None:
    put(tmp_path, RUNC, {"init_process_pid": 100, "init_process_start": 6})
    assert complete(tmp_path, Made())[0] == Made()


MADE = {
    DOCKER: Made("docker", ID),
    "etc/docker/daemon.json": Made("docker", ID),
    STORAGE: Made("podman", ID),
    "home/u/.local/share/containers/storage/vfs-containers/containers.json": Made("podman", ID),
    BUNDLE: Made("containerd", ID),
    CRIO: Made("cri-o", ID),
    RUNC: Made(),
    CRUN: Made(),
}


@pytest.mark.parametrize("path", MADE)
def test_hostile_contents(tmp_path: Path, path: str) -> None:
    for content in (*HOSTILE, "", "{", "[" * 200_000, "\ufeff{}", "9" * 5000, '{"a":' * 50_000, "NaN"):
        put(tmp_path, path, content)
        made, image = complete(tmp_path, MADE[path])
        assert (made.runtime, made.id, image) == (MADE[path].runtime, MADE[path].id, "")
    (tmp_path / path).write_bytes(b"\xff\xfe\x00")
    assert complete(tmp_path, MADE[path]) == (MADE[path], "")


@pytest.mark.parametrize("path", MADE)
def test_what_is_no_regular_file_does_not_hang(tmp_path: Path, path: str) -> None:
    target = put(tmp_path, path, "")
    target.unlink()
    os.mkfifo(target)
    assert complete(tmp_path, MADE[path]) == (MADE[path], "")
    target.unlink()
    target.mkdir()
    assert complete(tmp_path, MADE[path]) == (MADE[path], "")
    target.rmdir()
    target.symlink_to("/dev/zero")
    assert complete(tmp_path, MADE[path]) == (MADE[path], "")


def test_a_huge_file_is_left_alone(tmp_path: Path) -> None:
    target = put(tmp_path, DOCKER, {"Name": "/web"})
    with target.open("a") as file:
        file.truncate(1 << 40)
    assert complete(tmp_path, Made("docker", ID)) == (Made("docker", ID), "")


@pytest.mark.parametrize("ident", ["../../etc", "..", ".", "a/b", "-x", "a\n", "é"])
def test_an_id_is_never_a_way_out(tmp_path: Path, ident: str) -> None:
    put(tmp_path, "var/lib/docker/config.v2.json", {"Name": "/forged"})
    put(tmp_path, "etc/config.v2.json", {"Name": "/forged"})
    assert complete(tmp_path, Made("docker", ident)) == (Made("docker", ident), "")


def test_a_lone_surrogate_does_not_reach_the_report(tmp_path: Path) -> None:
    put(tmp_path, DOCKER, '{"Name": "/a\\ud800b", "Config": {"Image": "\\udfff"}}')
    made, image = complete(tmp_path, Made("docker", ID))
    assert (made.name, image) == ("a\\ud800b", "\\udfff")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "Name",
        "Config",
        "Image",
        "id",
        "names",
        "metadata",
        "annotations",
        "pid",
        "init_process_pid",
        "data-root",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    content=st.dictionaries(fields, json_values) | st.lists(st.dictionaries(fields, json_values), max_size=3)
)
def test_any_json_gives_text(tmp_path: Path, content: object) -> None:
    for path, made in MADE.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
        told, image = complete(tmp_path, made)
        for value in (*told, image):
            assert isinstance(value, str)
            value.encode()
