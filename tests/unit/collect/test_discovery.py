from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.hosts import (
    HOST_ROOT,
    HOSTS,
    KERNEL_THREAD,
    OVERLAY_ROOT,
    Tree,
    discovered,
    holding,
    lay_out,
    refuse,
    replay,
)

from isoaudit.collect.containers import identify
from isoaudit.collect.discovery import Candidate, discover, host_namespaces
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths, require_proc
from isoaudit.errors import UsageError
from isoaudit.facts.runtimes import Made
from isoaudit.model import Known, Unknown

ID = "0123456789abcdef" * 4
INNER = "fedcba9876543210" * 4
POD = "15d8a527-4ecf-4e81-bbdf-ea1a8498ecf3"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def docker(tree: Tree, pid: int = 100, ident: str = ID, **own: int) -> dict[str, int]:
    """A default Docker container with its shim."""
    shim = pid + 9000
    tree.add(shim, "containerd-shim", arguments=("containerd-shim-runc-v2", "-namespace", "moby", "-id", ident))
    namespaces = tree.inodes("mnt", "net", "ipc", "uts", **(own or tree.inodes("pid")))
    cgroup = (f"/docker/{ident}",) * 2
    tree.add(pid, ppid=shim, own=namespaces, cgroup=cgroup, mounts=OVERLAY_ROOT, ns_pids=(1,))
    return namespaces


def only(tree: Tree) -> Candidate:
    (candidate,) = tree.discover().candidates
    return candidate


# --- 151 processes that were recorded under real runtimes -------------------------------------------------

RECORDS: list[dict[str, Any]] = [
    json.loads(entry) for entry in (HOSTS / "runtimes.jsonl").read_text().splitlines()
]
# Parents that live in the container themselves.
INSIDE = {"(sd-stubinit)"}
TWICE = {"bwrap", "firejail"}  # the nearer of two is the container's PID 1


class Expected(NamedTuple):
    kind: str  # "container", "sandbox", "host"
    runtime: str = "unknown"
    name: str = ""
    id: str = ""
    pod: str = ""


def hexadecimal(record: dict[str, Any]) -> str:
    found = re.findall(r"[0-9a-f]{64}", " ".join(record["cgroup"]))
    return found[-1] if found else ID


NAMED = {
    "self": Expected("host"),
    "runc-direct": Expected("container"),
    "crun-direct": Expected("container"),
    "crun-v2-here": Expected("container"),
    "crun500": Expected("container"),
    "lxc:busybox": Expected("container", "lxc", "lab-lxc1"),
    "lxc:common": Expected("container", "lxc", "lab-lxc3"),
    "lxc:unpriv": Expected("container", "lxc", "lab-lxc2"),
    "lxc:systemd": Expected("container", "lxc", "lab-lxc4"),
    "bwrap-min": Expected("container", "bubblewrap"),
    "unshare-time": Expected("host"),
    "unshare-map": Expected("sandbox"),
    "chroot": Expected("sandbox"),
    "proot": Expected("host"),
    "proot-user": Expected("host"),
    "fakechroot": Expected("host"),
    "setpriv-nnp": Expected("host"),
    "charliecloud": Expected("container"),
    "charliecloud-deb": Expected("container"),
    "udocker-x": Expected("container", "runc"),
    "udocker-current": Expected("container", "runc"),
    "apptainer:--userns": Expected("container", "apptainer"),
}
FAMILIES = {
    "bwrap": "bubblewrap",
    "firejail": "firejail",
    "unshare": "unshare",
}


def expected(record: dict[str, Any]) -> Expected:
    label = record["label"]
    if label in NAMED:
        return NAMED[label]
    family = re.split(r"[:-]", label)[0]
    if family in FAMILIES:
        return Expected("container", FAMILIES[family])
    if family == "nspawn":
        return Expected("container", "systemd-nspawn", "tree")
    if family == "ctr":
        return Expected("container", "containerd", "web", "web")
    if family == "cri":
        (path,) = record["cgroup"]
        return Expected("container", "containerd", "", hexadecimal(record), path.split("/pod")[1][:36])
    if "podman" in label:
        return Expected("container", "podman", "web", hexadecimal(record))
    assert "docker" in label, label
    return Expected("container", "docker", "", hexadecimal(record))


def monitor_arguments(comm: str, record: dict[str, Any]) -> tuple[str, ...]:
    """The command line that the recorder did not note, in the form that the runtime gives it."""
    ident = hexadecimal(record)
    if comm == "containerd-shim":
        if "docker" in record["label"]:
            return ("containerd-shim-runc-v2", "-namespace", "moby", "-id", ident, "-address", "/c.sock")
        if record["label"].startswith("cri"):
            return ("containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", INNER, "-address", "/c.sock")
        return ("containerd-shim-runc-v2", "-namespace", "lab", "-id", "web", "-address", "/c.sock")
    if comm == "conmon":
        return ("/usr/bin/conmon", "-c", ident, "-u", ident, "-r", "/usr/bin/runc", "-n", "web")
    if comm == "lxc-start":
        return ("lxc-start", "-P", "/srv/lab/lxc", "-n", record["cgroup"][0].split(".")[2].split("/")[0])
    if comm == "systemd-nspawn":
        return ("systemd-nspawn", "-q", "-D", "/srv/lab/tree", "--register=no")
    return (comm,)


def rebuild(tree: Tree, record: dict[str, Any]) -> None:
    """The recorded process and its parents; the outermost is PID 1 already."""
    own = tree.inodes(*record["own_ns"])
    comm, *parents = record["chain"]
    levels = [int(pid) for pid in record["nspid"].split()[1:]]
    chroot = record["label"] in ("chroot", "unshare-root")
    pid = record["pid"] + 40000
    above = [40000 - index for index in range(len(parents) - 1)]
    v1 = [path for path in record["cgroup"] if path not in record["cgroup_v2"]] or record["cgroup_v2"]
    tree.add(
        pid,
        comm,
        above[0] if above else 1,
        own=own,
        cgroup=(*(record["cgroup_v2"] or ["/"]), *v1),
        mounts=record["rootmount"],
        root="/srv/lab/bbroot" if chroot and "mnt" not in own else "/",
        ns_pids=levels,
        uid=int(record["uid"].split()[0]),
        started=9000,
    )
    for index, parent in enumerate(parents[:-1]):
        first = levels and levels[-1] > 1 and index == 0 and (parent in INSIDE or parent in TWICE)
        mounts_only = parent == "unshare" and "mnt" in own
        namespaces = own if first else {"mnt": own["mnt"]} if mounts_only else {}
        if parent in INSIDE and not first:
            namespaces = own
        tree.add(
            above[index],
            parent,
            above[index + 1] if index + 1 < len(above) else 1,
            own=namespaces,
            cgroup=(*(record["cgroup_v2"] or ["/"]), *v1) if namespaces is own else ("/", "/supervisor/0"),
            arguments=monitor_arguments(parent, record),
            mounts=record["rootmount"] if namespaces else HOST_ROOT,
            ns_pids=(1,) if first else (),
            started=8000 - index,
        )


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['label']}-{record['pid']}")
def test_recorded_process(tree: Tree, record: dict[str, Any]) -> None:
    rebuild(tree, record)
    discovery = tree.discover()
    candidate = holding(discovery, record["pid"] + 40000)
    want = expected(record)
    if want.kind == "host":
        assert not discovery.candidates
        return
    assert candidate is not None
    assert discovery.candidates == (candidate,), "one process makes one container"
    assert candidate.sandbox == (want.kind == "sandbox")
    assert candidate.made == Made(want.runtime, want.id, want.name, want.pod)
    assert not discovery.hidden


# --- the host's side ---------------------------------------------------------------------------------------


def test_a_host_alone_has_no_containers(tree: Tree) -> None:
    tree.add(50, "sshd")
    assert tree.discover() == ((), 3, 0)


def test_pid_1_that_even_root_may_not_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tree)
    refuse(monkeypatch, lambda path: errno.EACCES if "/proc/1/ns/" in path or path.endswith("/1/root") else 0)
    host, reference = host_namespaces(tree.paths)
    assert reference == 2
    assert isinstance(host.mnt, Known)
    discovery = tree.discover()
    assert [c.leader for c in discovery.candidates] == [100]
    assert discovery.hidden == 0


def test_without_pid_1_and_kernel_threads_our_own_initial_namespaces_are_the_hosts(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.add(70, "isoaudit")
    os.unlink(tree.proc / "self")
    os.symlink("70", tree.proc / "self")
    refuse(monkeypatch, lambda path: errno.EACCES if re.search(r"/proc/[12]/ns/", path) else 0)
    assert host_namespaces(tree.paths)[1] == 70


def test_our_own_namespaces_are_not_the_hosts_inside_a_container(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.add(70, "isoaudit", own=tree.inodes("pid", "mnt"))
    os.unlink(tree.proc / "self")
    os.symlink("70", tree.proc / "self")
    docker(tree)
    refuse(monkeypatch, lambda path: errno.EACCES if re.search(r"/proc/[12]/ns/", path) else 0)
    host, reference = host_namespaces(tree.paths)
    assert reference == 1
    assert isinstance(host.mnt, Unknown)
    assert "EACCES" in host.mnt.reason
    # Nothing can be compared: what a cgroup names is found, and what else there is is counted.
    discovery = tree.discover()
    assert [c.made.id for c in discovery.candidates] == [ID]
    assert discovery.hidden == 2  # ours and the shim


def test_pid_2_of_a_container_is_no_kernel_thread(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.proc / "2/stat").write_text("2 (sh) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n")
    os.unlink(tree.proc / "1/ns/mnt")
    os.unlink(tree.proc / "self")
    host, reference = host_namespaces(tree.paths)
    assert (reference, isinstance(host.mnt, Unknown)) == (1, True)


def test_no_pid_1_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    host, _ = host_namespaces(Paths(str(tmp_path / "proc")))
    assert isinstance(host.pid, Unknown)
    assert "no PID 1" in host.pid.reason


# --- groups ------------------------------------------------------------------------------------------------


def test_docker_with_the_hosts_pid_namespace(tree: Tree) -> None:
    docker(tree, pid=100)
    own = tree.inodes("mnt", "net")
    tree.add(200, ppid=9100, own=own, cgroup=(f"/docker/{INNER}",) * 2, mounts=OVERLAY_ROOT)
    tree.add(201, ppid=200, own=own, cgroup=(f"/docker/{INNER}",) * 2, mounts=OVERLAY_ROOT)
    found = holding(tree.discover(), 201)
    assert found is not None
    assert (found.leader, found.made.id, found.sandbox) == (200, INNER, False)


def test_pid_container_x_is_two_containers(tree: Tree) -> None:
    shared = docker(tree, pid=100)
    own = tree.inodes("mnt", "net", pid=shared["pid"])
    tree.add(200, own=own, cgroup=(f"/docker/{INNER}",) * 2, mounts=OVERLAY_ROOT, ns_pids=(7,))
    first, second = tree.discover().candidates
    assert (first.made.id, second.made.id) == (ID, INNER)
    assert first.namespaces.pid != second.namespaces.mnt


def test_rootless_pid_container_x_on_v1_is_told_by_its_monitor(tree: Tree) -> None:
    # Rootless Podman on v1 leaves every container in the caller's cgroup.
    shared = tree.inodes("mnt", "net", "pid", "user")
    for pid, ident, own in (
        (100, ID, shared),
        (200, INNER, {**tree.inodes("mnt", "net"), "pid": shared["pid"], "user": shared["user"]}),
    ):
        tree.add(pid + 1000, "conmon", arguments=("conmon", "-c", ident, "-n", f"c{pid}"), started=pid - 1)
        tree.add(pid, ppid=pid + 1000, own=own, mounts=OVERLAY_ROOT, ns_pids=(1 if pid == 100 else 9,))
    assert [c.made.name for c in tree.discover().candidates] == ["c100", "c200"]


def test_private_mounts_of_a_system_containers_services_belong_to_it(tree: Tree) -> None:
    own = tree.inodes("mnt", "pid", "uts")
    base = "/lxc.payload.box"
    tree.add(300, "systemd", own=own, cgroup=(f"{base}/init.scope", base), mounts=OVERLAY_ROOT, ns_pids=(1,))
    for pid, service in ((301, "resolved"), (302, "nginx")):
        tree.add(
            pid,
            service,
            300,
            own={**own, **tree.inodes("mnt")},
            cgroup=(f"{base}/system.slice/{service}.service", base),
            mounts=OVERLAY_ROOT,
            ns_pids=(pid - 290,),
        )
    candidate = only(tree)
    assert [process.pid for process in candidate.processes] == [300, 301, 302]
    assert candidate.made == Made("lxc", "", "box")


def test_private_mounts_of_services_in_a_docker_container_belong_to_it(tree: Tree) -> None:
    own = docker(tree)
    private = {**own, **tree.inodes("mnt")}
    cgroup = (f"/docker/{ID}/system.slice/db.service",) * 2
    tree.add(101, "db", 100, own=private, cgroup=cgroup, mounts=OVERLAY_ROOT, ns_pids=(30,))
    candidate = only(tree)
    assert [process.pid for process in candidate.processes] == [100, 101]


def test_private_mounts_in_a_container_with_the_hosts_pids_belong_to_it(tree: Tree) -> None:
    own = tree.inodes("mnt", "net")
    for pid, namespaces in ((100, own), (101, {**own, **tree.inodes("mnt")})):
        tree.add(pid, own=namespaces, cgroup=(f"/docker/{ID}",), mounts=OVERLAY_ROOT)
    assert len(only(tree).processes) == 2


def test_bwrap_inside_a_docker_container_is_a_container_of_its_own(tree: Tree) -> None:
    own = docker(tree)
    cgroup = (f"/docker/{ID}",) * 2
    tree.add(101, "bwrap", 100, own=own, cgroup=cgroup, mounts=OVERLAY_ROOT, ns_pids=(8,))
    inner = {**own, **tree.inodes("mnt", "pid", "user")}
    tree.add(102, "sh", 101, own=inner, cgroup=cgroup, mounts=OVERLAY_ROOT, ns_pids=(9, 1))
    outer, nested = tree.discover().candidates
    assert (outer.made.id, [p.pid for p in outer.processes]) == (ID, [100, 101])
    assert nested.made == Made("bubblewrap")
    assert not nested.sandbox


def test_docker_in_docker_is_named_by_the_inner_id(tree: Tree) -> None:
    own = docker(tree)
    cgroup = (f"/docker/{ID}/docker/{INNER}",) * 2
    arguments = ("containerd-shim-runc-v2", "-namespace", "moby", "-id", "forged")
    tree.add(110, "containerd-shim", 100, own=own, cgroup=(f"/docker/{ID}",), arguments=arguments, ns_pids=(9,))
    inner = {**own, **tree.inodes("mnt", "pid")}
    tree.add(111, ppid=110, own=inner, cgroup=cgroup, mounts=OVERLAY_ROOT, ns_pids=(10, 1))
    outer, nested = tree.discover().candidates
    assert outer.made.id == ID
    assert nested.made == Made("docker", INNER)


def test_a_nested_container_does_not_get_the_outer_monitors_id(tree: Tree) -> None:
    own = docker(tree)
    inner = {**own, **tree.inodes("mnt", "pid")}
    tree.add(111, ppid=100, own=inner, cgroup=("/elsewhere",), mounts=OVERLAY_ROOT, ns_pids=(10, 1))
    nested = holding(tree.discover(), 111)
    assert nested is not None
    assert nested.made == Made()


def test_rootless_podmans_own_namespaces_are_no_container(tree: Tree) -> None:
    infrastructure = tree.inodes("mnt", "user")
    scope = "/user.slice/user-1000.slice/user@1000.service/user.slice/podman-pause-1a2b.scope"
    tree.add(400, "catatonit", own=infrastructure, cgroup=(scope,), uid=1000, arguments=("catatonit", "-P"))
    conmon = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-{ID}.scope"
    arguments = ("conmon", "-c", ID, "-n", "web")
    tree.add(401, "conmon", own=infrastructure, cgroup=(conmon,), uid=1000, arguments=arguments)
    own = {**infrastructure, **tree.inodes("mnt", "pid", "net", "ipc", "uts", "cgroup")}
    payload = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
    tree.add(402, ppid=401, own=own, cgroup=(payload,), mounts=OVERLAY_ROOT, ns_pids=(1,), uid=1000)
    engine, container = tree.discover().candidates
    assert engine.sandbox
    assert [process.pid for process in engine.processes] == [400, 401]
    assert not container.sandbox
    assert container.made == Made("podman", ID, "web")


@pytest.mark.parametrize("helper", ["slirp4netns", "pasta.avx2"])
def test_rootless_network_helpers_are_called_by_name(tree: Tree, helper: str) -> None:
    tree.add(400, helper, own=tree.inodes("mnt", "user"), mounts="9 8 0:77 / / rw - tmpfs tmpfs rw", uid=1000)
    assert only(tree).made.runtime == helper.partition(".")[0]


def test_a_service_with_private_mounts_is_a_sandbox(tree: Tree) -> None:
    tree.add(500, "timesyncd", own=tree.inodes("mnt"), cgroup=("/system.slice/systemd-timesyncd.service",))
    user = "/user.slice/user-1000.slice/user@1000.service/app.slice/tracker.service"
    tree.add(501, "tracker", own=tree.inodes("mnt", "user"), cgroup=(user,))
    image = "/system.slice/portable.service"
    tree.add(502, "portable", own=tree.inodes("mnt"), cgroup=(image,), mounts=OVERLAY_ROOT)
    assert [c.sandbox for c in tree.discover().candidates] == [True, True, True]


def test_a_chroot_in_a_docker_container_stays_in_it(tree: Tree) -> None:
    own = docker(tree)
    tree.add(101, own=own, root="/srv/jail", cgroup=(f"/docker/{ID}",) * 2, ns_pids=(4,))
    assert len(only(tree).processes) == 2


def test_qemu_under_libvirt_is_no_container(tree: Tree) -> None:
    scope = "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator"
    tree.add(500, "qemu-system-x86", own=tree.inodes("mnt"), cgroup=(scope,))
    assert only(tree).sandbox


def test_flatpak_and_its_bus_proxy(tree: Tree) -> None:
    scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.app.Web-77.scope"
    tree.add(600, "bwrap", cgroup=(scope,), uid=1000)
    for pid in (601, 602):
        own = tree.inodes("mnt", "pid", "user")
        tree.add(pid, "bwrap", 600, own=own, cgroup=(scope,), mounts=OVERLAY_ROOT, ns_pids=(1,), uid=1000)
    other = scope.replace("77", "78")
    tree.add(
        603, own=tree.inodes("mnt", "pid", "user"), cgroup=(other,), mounts=OVERLAY_ROOT, ns_pids=(1,), uid=1000
    )
    made = [c.made for c in tree.discover().candidates]
    assert made == [Made("flatpak", "", "org.app.Web"), Made("bubblewrap"), Made("flatpak", "", "org.app.Web")]


def test_snap_is_a_container(tree: Tree) -> None:
    scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/snap.firefox.firefox-7b1f3a52-0000-4000-8000-000000000000.scope"
    tree.add(600, "firefox", own=tree.inodes("mnt"), cgroup=(scope,), mounts=OVERLAY_ROOT)
    candidate = only(tree)
    assert (candidate.made.runtime, candidate.made.name, candidate.sandbox) == (
        "snap",
        "firefox.firefox",
        False,
    )


def test_the_pod_of_a_kubernetes_container(tree: Tree) -> None:
    slices = "/kubepods.slice/kubepods-burstable.slice"
    pod = f"{slices}/kubepods-burstable-pod{POD.replace('-', '_')}.slice"
    tree.add(
        9000, "containerd-shim", arguments=("containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", INNER)
    )
    for pid, path in (
        (700, f"{pod}/cri-containerd-{ID}.scope"),
        (701, f"/kubepods/burstable/pod{POD}/{ID[::-1]}"),
    ):
        own = tree.inodes("mnt", "pid")
        tree.add(pid, ppid=9000, own=own, cgroup=(path,), mounts=OVERLAY_ROOT, ns_pids=(1,))
    assert [c.made for c in tree.discover().candidates] == [
        Made("containerd", ID, "", POD),
        Made("containerd", ID[::-1], "", POD),
    ]


def test_the_monitor_of_lxc_is_a_sandbox(tree: Tree) -> None:
    title = ("[lxc monitor] /var/lib/lxc box",)
    tree.add(800, "lxc-start", own=tree.inodes("mnt"), cgroup=("/lxc.monitor.box",), arguments=title)
    own = tree.inodes("mnt", "pid", "cgroup")
    tree.add(801, "init", 800, own=own, cgroup=("/",), mounts=OVERLAY_ROOT, ns_pids=(1,))
    monitor, container = tree.discover().candidates
    assert monitor.sandbox
    assert container.made == Made("lxc", "", "box")


def test_a_monitor_inside_a_container_is_not_believed(tree: Tree) -> None:
    own = tree.inodes("mnt", "pid")
    arguments = ("containerd-shim-runc-v2", "-namespace", "moby", "-id", INNER)
    tree.add(900, "containerd-shim", own=own, arguments=arguments, mounts=OVERLAY_ROOT, ns_pids=(1,))
    tree.add(901, ppid=900, own={**own, **tree.inodes("mnt")}, mounts=OVERLAY_ROOT, ns_pids=(2,))
    assert only(tree).made == Made()


def test_a_kernel_thread_with_its_own_mounts_is_nothing(tree: Tree) -> None:
    own = tree.inodes("mnt")
    tree.add(30, "kdevtmpfs", 2, own=own, flags=KERNEL_THREAD)
    assert not tree.discover().candidates
    # But it hides nobody who joined its mounts.
    tree.add(31, "sh", own=own, mounts=OVERLAY_ROOT)
    assert [process.pid for process in only(tree).processes] == [31]


def test_pid_namespace_alone(tree: Tree) -> None:
    tree.add(40, own=tree.inodes("pid"), ns_pids=(1,))
    assert not only(tree).sandbox


# --- processes that come, go and hide ----------------------------------------------------------------------


def test_a_zombie_is_nothing(tree: Tree) -> None:
    tree.add(50, state="Z", cgroup=(f"/docker/{ID}",))
    assert tree.discover() == ((), 3, 0)


def test_a_process_whose_first_thread_is_dead_does_not_hide(tree: Tree) -> None:
    tree.add(50, state="Z", cgroup=(f"/docker/{ID}",))
    tree.thread(50, 60, own=tree.inodes("mnt", "pid"), cgroup=(f"/docker/{ID}",), mounts=OVERLAY_ROOT)
    # /proc does not list threads; this copy of it does.
    shown = {process.pid for c in tree.discover().candidates for process in c.processes}
    assert shown == {60}


def test_the_thread_of_a_host_process_stays_the_hosts(tree: Tree) -> None:
    tree.add(50, state="Z")
    tree.thread(50, 60)
    assert not tree.discover().candidates


@pytest.mark.parametrize("gone", ["/ns/mnt", "/ns/pid", "/root", "/status", "/stat", "/ns/user", "/cgroup"])
@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESRCH])
def test_a_process_that_ends_while_we_look(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, gone: str, number: int
) -> None:
    docker(tree)
    tree.add(50)
    refuse(
        monkeypatch,
        lambda path: number if path.endswith((f"/proc/100{gone}", f"/proc/50{gone}")) else 0,
    )
    discovery = tree.discover()
    assert discovery.hidden == 0
    assert {c.leader for c in discovery.candidates} <= {100}


def test_the_next_process_leads_when_the_first_has_ended(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    own = docker(tree)
    tree.add(101, own=own, cgroup=(f"/docker/{ID}",), mounts=OVERLAY_ROOT, ns_pids=(5,))
    refuse(monkeypatch, lambda path: errno.ENOENT if path.endswith("/proc/100/stat") else 0)
    candidate = only(tree)
    assert [process.pid for process in candidate.processes] == [101]


def test_an_odd_refusal_is_counted(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.add(50)
    refuse(monkeypatch, lambda path: errno.EIO if path.endswith("/proc/50/ns/mnt") else 0)
    assert tree.discover().hidden == 1


def test_a_status_that_is_refused_or_malformed_keeps_its_process(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = docker(tree)
    for pid in (101, 102):
        tree.add(pid, own=own, cgroup=(f"/docker/{ID}",), mounts=OVERLAY_ROOT)
    (tree.proc / "102/status").write_bytes(b"")
    refuse(monkeypatch, lambda path: errno.EIO if path.endswith("/proc/101/status") else 0)
    first, *others = only(tree).processes
    assert isinstance(first.status, Known)
    assert [isinstance(process.status, Unknown) for process in others] == [True, True]


def test_a_status_with_very_many_groups(tree: Tree) -> None:
    own = docker(tree)
    status = tree.proc / "100/status"
    whole = status.read_text()
    status.write_text(whole.replace("NSpid:", "Groups:\t" + "4294967294 " * 65536 + "\nNSpid:"))
    assert own
    assert isinstance(only(tree).processes[0].status, Known)


def test_a_broken_copy_of_proc_is_bad_input(tree: Tree) -> None:
    docker(tree)
    (tree.proc / "100/stat").write_text("")
    with pytest.raises(UsageError, match="stat"):
        tree.discover()


# --- without root ------------------------------------------------------------------------------------------


def others(path: str) -> int:
    """What an ordinary user with the processes 60 to 69 is refused."""
    return errno.EACCES if re.search(r"/proc/(?!6\d/)\d+/(ns/|root$|mountinfo$)", path) else 0


def unprivileged(tree: Tree) -> None:
    tree.add(60, "isoaudit", uid=1000)
    os.unlink(tree.proc / "self")
    os.symlink("60", tree.proc / "self")


def test_without_root_containers_are_found_by_cgroup(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    unprivileged(tree)
    docker(tree)
    tree.add(50, "cron")
    refuse(monkeypatch, others)
    discovery = tree.discover()
    (candidate,) = discovery.candidates
    assert (candidate.leader, candidate.made.id, candidate.sandbox) == (100, ID, False)
    assert isinstance(candidate.namespaces.mnt, Unknown)
    assert discovery.hidden == 2, "cron and the shim; neither PID 1 nor kernel threads"


def test_without_root_a_container_that_is_partly_ours_is_one(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    unprivileged(tree)
    own = docker(tree)
    tree.add(61, own=own, cgroup=(f"/docker/{ID}",), mounts=OVERLAY_ROOT, ns_pids=(6,), uid=1000, started=500)
    refuse(monkeypatch, others)
    (candidate,) = tree.discover().candidates
    assert {process.pid for process in candidate.processes} == {61, 100}


def test_without_root_our_own_container_is_found_by_its_namespaces(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    unprivileged(tree)
    tree.add(61, own=tree.inodes("mnt", "pid", "user"), mounts=OVERLAY_ROOT, ns_pids=(1,), uid=1000)
    refuse(monkeypatch, others)
    (candidate,) = tree.discover().candidates
    assert candidate.leader == 61


def test_hidepid_is_no_empty_host(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    unprivileged(tree)
    for pid in ("1", "2"):
        os.rename(tree.proc / pid, tree.proc / f"hidden-{pid}")
    require_proc(tree.paths)
    discovery = tree.discover()
    assert (discovery.processes, discovery.hidden) == (1, 1)


def test_hidepid_that_shows_numbers_only(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    unprivileged(tree)
    tree.add(50)
    refuse(monkeypatch, lambda path: errno.EPERM if re.search(r"/proc/(?!60|self)\d", path) else 0)
    discovery = tree.discover()
    assert not discovery.candidates
    assert discovery.hidden == 2  # what is a kernel thread is not told either


def test_a_tree_without_processes_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mounted"):
        require_proc(Paths(str(tmp_path / "none")))
    with pytest.raises(UsageError, match="no process"):
        require_proc(Paths(str(tmp_path)))


# --- captured hosts ----------------------------------------------------------------------------------------


def test_captured_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captured = lay_out("hybrid", tmp_path)
    replay(monkeypatch, tmp_path, captured)
    host, reference = host_namespaces(captured.paths)
    assert reference == 2, "its root may not look into PID 1"
    assert discover(captured.paths, host, Unknown("mountinfo", "not read")).candidates
    discovery = discovered(captured.paths)
    names = Names(captured.paths)
    found = {
        (named.identity.runtime, named.identity.name, named.identity.sandbox)
        for named in identify(discovery.candidates, names)
    }
    assert found == {
        ("docker", "", False),
        ("systemd-nspawn", "tree", False),
        ("lxc", "box", False),
        ("bubblewrap", "", False),
        ("unshare", "", False),
        ("unshare", "", True),
        ("unknown", "", True),
    }
    assert discovery.hidden == 0


@pytest.mark.parametrize(("uid", "own", "bundle"), [(0, (), "/b"), (1000, (), ""), (0, ("mnt",), "")])
def test_only_a_monitor_of_roots_on_the_host_says_where_a_bundle_is(
    tree: Tree, uid: int, own: tuple[str, ...], bundle: str
) -> None:
    arguments = ("conmon", "-c", ID, "-n", "web", "-b", "/b")
    tree.add(401, "conmon", own=tree.inodes(*own), uid=uid, arguments=arguments)
    tree.add(402, ppid=401, own=tree.inodes("mnt", "pid"), mounts=OVERLAY_ROOT, ns_pids=(1,), uid=uid)
    found = holding(tree.discover(), 402)
    assert found is not None
    assert found.made == Made("podman", ID, "web", bundle=bundle)


def test_the_bundle_that_a_shim_stands_in(tree: Tree) -> None:
    docker(tree)
    os.symlink(f"/run/state/moby/{ID}", tree.proc / "9100/cwd")
    assert only(tree).made.bundle == f"/run/state/moby/{ID}"
