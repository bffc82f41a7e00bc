from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoaudit.collect.kubelet import Kubelet
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths
from isoaudit.facts.runtimes import Made

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

ID = "0123456789abcdef" * 4
UID = "15d8a527-4ecf-4e81-bbdf-ea1a8498ecf3"
STATIC = "ab" * 16  # a static pod's: a hash of its manifest
PATHS = Paths("/p", "/s", "/")
MADE = Made("containerd", ID, "", UID)


def complete(made: Made) -> Made:
    return Kubelet(PATHS).complete(made, 100)


def test_nothing_is_told(fs: FakeFilesystem) -> None:
    assert complete(MADE) == MADE


@pytest.mark.parametrize("uid", [UID, STATIC])
def test_the_folder_of_a_pods_logs(fs: FakeFilesystem, uid: str) -> None:
    fs.create_dir(f"/var/log/pods/kube-system_etcd-node-1.example.org_{uid}")
    fs.create_dir("/var/log/pods/default_other_00000000-0000-4000-8000-000000000000")
    fs.create_file("/var/log/pods/stray")
    assert complete(MADE._replace(pod=uid)).pod == "kube-system/etcd-node-1.example.org"


def test_the_link_to_a_containers_log(fs: FakeFilesystem) -> None:
    fs.create_file(f"/var/log/containers/web-0_default_side-car-{ID}.log")
    made = complete(MADE)
    assert (made.pod, made.name) == ("default/web-0", "side-car")


def test_the_termination_log_that_is_mounted_inside(fs: FakeFilesystem) -> None:
    root = f"/lib/kubelet/pods/{UID}/containers/app/7c0ffee1"
    fs.create_file(
        "/p/100/mountinfo", contents=f"91 90 254:1 {root} /dev/termination-log rw - ext4 /dev/vda rw\n"
    )
    assert complete(MADE).name == "app"
    fs.remove_object("/p/100/mountinfo")
    fs.create_file("/p/100/mountinfo", contents="91 90 254:1 /x /dev/termination-log rw - ext4 /dev/vda rw\n")
    assert complete(MADE).name == ""
    fs.remove_object("/p/100/mountinfo")
    fs.create_file("/p/100/mountinfo", contents="broken\n")
    assert complete(MADE).name == ""


@pytest.mark.parametrize(("comm", "name"), [("pause", "pause"), ("nginx", "")])
def test_a_sandbox_has_no_logs_but_a_name(fs: FakeFilesystem, comm: str, name: str) -> None:
    fs.create_file("/p/100/comm", contents=f"{comm}\n")
    assert complete(MADE).name == name


@pytest.mark.parametrize(
    ("docker", "name"),
    [(f"k8s_app_web-0_default_{UID}_12", "app"), (f"k8s_POD_web-0_default_{UID}_0", "pause")],
)
def test_containers_of_docker(fs: FakeFilesystem, docker: str, name: str) -> None:
    made = complete(Made("docker", ID, docker, UID))
    assert (made.name, made.pod) == (name, "default/web-0")


def test_what_a_bundle_told_stays(fs: FakeFilesystem) -> None:
    fs.create_dir(f"/var/log/pods/default_other_{UID}")
    told = Made("containerd", ID, "app", "default/web-0")
    assert complete(told) == told


def test_hostile_names_are_not_taken(fs: FakeFilesystem) -> None:
    for name in (f"a_b_c_{UID}", f"a\x1b_b_{UID}", f"_b_{UID}", f"a_b_{UID}\n"):
        fs.create_dir(f"/var/log/pods/{name}")
    assert complete(MADE).pod == UID


def test_names_ask_the_kubelet_where_no_bundle_tells(fs: FakeFilesystem) -> None:
    fs.create_file(f"/var/log/containers/web-0_default_app-{ID}.log")
    for runtime in ("containerd", "cri-o", "unknown"):
        made, _ = Names(PATHS).complete(MADE._replace(runtime=runtime), 100, 7)
        assert (made.pod, made.name) == ("default/web-0", "app")
