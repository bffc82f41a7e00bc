"""Parity: what the kernel says of a twin is what it says of its original, or the recipe lists the difference."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOENT
from pathlib import Path
from typing import Any

import pytest
from support.ebpf import BLOCK, CHARACTER, MKNOD, READ, WRITE, Entry, attach, load, program
from support.live import Process, Start, missing, need
from support.reading import read
from support.runtimes import Bundles, Podman

from isoaudit.collect.process import ProcessDirectory
from isoaudit.facts.container import Container
from isoaudit.facts.host import Host
from isoaudit.facts.mounts import Mount, parse_mountinfo, reachable, within
from isoaudit.facts.namespaces import TYPES
from isoaudit.facts.rlimits import parse_limits
from isoaudit.facts.scheduling import parse_scheduling
from isoaudit.kernel import bpf
from isoaudit.kernel.ptrace import Tracer
from isoaudit.model import Known
from isoaudit.probes import prober
from isoaudit.probes.cgroups import RunCgroups, remove_tree
from isoaudit.probes.engines import native
from isoaudit.probes.prober import Prober, available
from isoaudit.probes.twin import Recipe, recipe

Spawn = Callable[..., Process]
Make = Callable[[Callable[[], Any]], Any]

STATUS = (
    *("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
)
OPTIONS = {"ro", "nosuid", "nodev", "noexec"}
V1_LIMITS = (
    *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "devices.list"),
    *("cpu.rt_runtime_us", "cpuset.effective_cpus", "cpuset.effective_mems"),
)
V2_LIMITS = ("memory.max", "memory.swap.max", "pids.max", "cpuset.cpus.effective", "cpuset.mems.effective")
MEMORY = ("memory.limit_in_bytes", "memory.max")
LACK = "the lack of a limit of memory or tasks: a test container always has its own"
# What a difference is about, and the words by which a recipe lists it, where they are not the same.
LISTED = {
    "limit Max address space": "address space",
    "limit Max cpu time": "CPU time",
    "limit Max data size": "data",
    "limit Max resident set": "resident memory",
    "limit Max stack size": "stack",
    "setgroups": "setgroups(2)",
    "Seccomp": "seccomp filter",
    "Seccomp_filters": "seccomp filter",
}


@pytest.fixture(autouse=True)
def _can_probe() -> None:
    reason = available()
    if reason:
        missing(reason)


class Twin:
    """A twin that only waits, with its cgroups limited as its probes would have them."""

    def __init__(self, host: Host, container: Container, run: RunCgroups) -> None:
        self.recipe: Recipe = recipe(host, container)
        planned = prober.plan(self.recipe, "disruptive", 1 << 40, 64, v2_memory=False)
        self._twin = prober._Twin(self.recipe, planned, run.group("twin"))
        self._twin.confine()
        self.container = native.start(self.recipe.confinement, self._twin.group, wait, register=lambda _: None)
        self.failures = {**self._twin.failures, **self.container.lacking}
        while True:
            messages, more = self.container.hear()
            assert more, "it ended"
            assert not [message for message in messages if "failed" in message], messages
            self.failures |= {one["lacks"]: one["reason"] for one in messages if "lacks" in one}
            if {"ready": True} in messages:
                break
        for name, limit in prober._BEFORE.items():
            if name in ("memory-limit", "cpu-quota", "pids-limit") and name in planned.names:
                limit(self._twin)


def wait(channel: native.Channel) -> None:
    channel.say({"ready": True})
    while True:
        signal.pause()


@contextmanager
def twin_of(pid: int) -> Iterator[tuple[Host, int, Twin]]:
    reading, containers = read(pid)
    hierarchies = reading.host.hierarchies
    assert isinstance(hierarchies, Known)
    with RunCgroups(hierarchies.value) as run:
        twin = Twin(reading.host, containers[pid], run)
        try:
            yield reading.host, containers[pid].identity.pid, twin
        finally:
            twin.container.end()


def seen(host: Host, pid: int) -> dict[str, Any]:
    """What the kernel says of a process, by what it is about."""
    base = Path(f"/proc/{pid}")
    status = dict(line.partition(":\t")[::2] for line in (base / "status").read_text().splitlines())
    found: dict[str, Any] = {name: status[name].split() for name in STATUS if name in status}
    for name in ("uid_map", "gid_map"):
        found[name] = (base / name).read_text().split()
    for name in ("oom_score_adj", "setgroups"):
        found[name] = (base / name).read_text().strip()
    for name, limit in parse_limits((base / "limits").read_bytes()).items():
        found[f"limit {name}"] = limit
    with ProcessDirectory("/proc", pid) as directory:
        namespaces = directory.namespaces()
    for kind in TYPES:
        found[f"{kind} namespace"] = "the host's" if namespaces.of(kind) == host.namespaces.of(kind) else "own"
        ours, theirs = host.namespaces.of(kind), namespaces.of(kind)
        if isinstance(ours, Known) and isinstance(theirs, Known):
            found[f"{kind} namespace"] = "the host's" if ours.value == theirs.value else "own"
    try:
        found["LSM label"] = (base / "attr/current").read_text()
    except OSError as error:
        found["LSM label"] = error.errno
    found["scheduling"] = parse_scheduling((base / "stat").read_bytes())
    found["seccomp filter"] = filters(pid) if status["Seccomp"] == "2" else ()
    found |= mounts(host, pid)
    return found | cgroups(host, pid)


def filters(pid: int) -> object:
    with Tracer() as tracer:
        try:
            return tracer.read(pid)
        except OSError as error:
            # A kernel without CONFIG_CHECKPOINT_RESTORE tells none.
            if error.errno != EINVAL:
                raise
            return EINVAL


def paths(pid: int) -> dict[str, str]:
    """The path of a process's cgroup by controller."""
    rows = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {name: path for _, names, path in rows for name in names.removeprefix("name=").split(",")}


def mounts(host: Host, pid: int) -> dict[str, Any]:
    """The mounts of the kernel's filesystems: what is mounted, and with which flags."""
    table = reachable(parse_mountinfo(Path(f"/proc/{pid}/mountinfo").read_bytes()))
    areas = [one.target for one in table if one.fstype in ("proc", "sysfs")]
    own = set(paths(pid).values())
    assert isinstance(host.mounts, Known)
    shared = {one.device for one in host.mounts.value if one.fstype in ("proc", "sysfs")}

    def shown(mount: Mount) -> tuple[Any, ...]:
        if mount.fstype in ("cgroup", "cgroup2"):
            place = "its own" if mount.root in own and mount.root != "/" else mount.root
            return (mount.fstype, place, *sorted({"name=systemd", "memory", "pids"} & {*mount.super_options}))
        if mount.fstype in ("proc", "sysfs"):
            return mount.fstype, mount.root, mount.device in shared, "ro" in mount.super_options
        return ("nothing",) if mount.fstype in ("tmpfs", "devtmpfs") else (mount.fstype, mount.root)

    return {
        one.target: (*shown(one), *sorted(OPTIONS & {*one.options}))
        for one in table
        if one.target != "/"
        and (one.fstype in ("cgroup", "cgroup2") or any(within(one.target, area) for area in areas))
    }


def cgroups(host: Host, pid: int) -> dict[str, Any]:
    """What the files of its cgroups say of limits, where it has a cgroup of its own."""
    assert isinstance(host.hierarchies, Known)
    found: dict[str, Any] = {"device program": []}
    where = paths(pid)
    for hierarchy in host.hierarchies.value:
        v1 = hierarchy.version == 1
        path = where.get((hierarchy.controllers or (hierarchy.name,))[0] if v1 else "", "/")
        directory = Path(hierarchy.mount_point + path)
        if path == "/":
            continue
        for file in V1_LIMITS if v1 else V2_LIMITS:
            if file.partition(".")[0] in hierarchy.controllers and (directory / file).exists():
                says = (directory / file).read_text().strip()
                # All there is is no limit, and who has none needs no cgroup of its own for it.
                if "effective" not in file or says != Path(hierarchy.mount_point, file).read_text().strip():
                    found[file] = says
        for files in (("cpu.cfs_quota_us", "cpu.cfs_period_us"), ("cpu.max",)):
            if (directory / files[0]).exists():
                quota, period = " ".join((directory / file).read_text() for file in files).split()
                found["CPUs"] = None if quota in ("-1", "max") else int(quota) / int(period)
        if not v1:
            found["device program"] = programs(directory)
    return found


def programs(directory: Path) -> list[bytes]:
    fd = os.open(directory, os.O_RDONLY)
    try:
        return [
            bpf.program(one).instructions for one in bpf.cgroup_programs(fd, bpf.CGROUP_DEVICE, effective=True)
        ]
    finally:
        os.close(fd)


def differences(original: dict[str, Any], twin: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    nothing = "nothing"
    return {
        name: (original.get(name, nothing), twin.get(name, nothing))
        for name in {**original, **twin}
        if original.get(name, nothing) != twin.get(name, nothing)
    }


def unlisted(pid: int, *also: str) -> dict[str, tuple[Any, Any]]:
    """The differences between a process and its twin that the recipe does not list; the others are printed."""
    with twin_of(pid) as (host, leader, twin):
        found = differences(seen(host, leader), seen(host, twin.container.pid))
        listed = [*twin.recipe.not_copied, *(f"{what}: {why}" for what, why in twin.failures.items()), *also]
        lines = (f"not copied of {pid}:", *sorted({*listed}), "which differ:", *found)
        sys.stdout.write("\n  ".join(lines) + "\n")
        limits = twin.recipe.limits
        for files, limit in ((MEMORY, limits.memory), (("pids.max",), limits.pids)):
            for file in files if limit is None and LACK in listed else ():
                found.pop(file, None)
        places = [one.partition(":")[0] for one in listed if one.startswith("/")]
        return {
            name: pair
            for name, pair in found.items()
            if not any(LISTED.get(name, name.removeprefix("limit ")) in one for one in listed)
            and not any(within(name, place) for place in places)
        }


DOCKER = {
    "default": (),
    "user": ("--user", "1000:1000", "--group-add", "1234"),
    "capabilities": ("--cap-drop", "ALL", "--cap-add", "SYS_TIME", "--cap-add", "NET_ADMIN"),
    "no new privileges": ("--security-opt", "no-new-privileges", "--user", "7"),
    "no seccomp": ("--security-opt", "seccomp=unconfined"),
    "limits": ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "30", "--cpuset-cpus", "0"),
    "ulimits": ("--ulimit", "nofile=900:1000", "--ulimit", "core=0", "--ulimit", "nproc=500"),
    "few files": ("--ulimit", "nofile=20:20"),
    "devices": ("--device", "/dev/kmsg", "--device-cgroup-rule", "b 7:* rwm"),
    "namespaces of the host": ("--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host"),
    "cgroup namespace": ("--cgroupns", "private"),
    "unmasked": ("--security-opt", "systempaths=unconfined"),
    "trees of the host": ("-v", "/proc:/host/proc", "-v", "/sys:/host/sys:ro", "-v", "/proc/sys:/mnt/sys"),
}


@pytest.mark.parametrize("setting", DOCKER)
def test_dockers(container: Start, docker: Any, setting: str) -> None:
    name = container(f"twin-{setting.replace(' ', '-')}", *DOCKER[setting])
    assert not unlisted(int(docker("inspect", "--format={{.State.Pid}}", name)))


def test_a_profile_of_ones_own(container: Start, docker: Any, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rules = [{"names": ["mknod", "mknodat", "unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOENT}]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    name = container("twin-profile", "--security-opt", f"seccomp={profile}")
    assert not unlisted(int(docker("inspect", "--format={{.State.Pid}}", name)))


KINDS = ("user", "pid", "mount", "network", "ipc", "uts", "cgroup")
IDS = [{"containerID": 0, "hostID": 200000, "size": 65536}]
STRICT = ["nosuid", "noexec", "nodev"]


def mounted(destination: str, fstype: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": fstype, "source": fstype, "options": options}


BUNDLES: dict[str, dict[str, Any]] = {
    "default": {},
    "nothing masked": {"linux.maskedPaths": [], "linux.readonlyPaths": []},
    "a procfs with hidepid": {"mounts": [mounted("/proc", "proc", "nosuid", "hidepid=2")]},
    "a user namespace": {
        "linux.namespaces": [{"type": kind} for kind in KINDS],
        "linux.uidMappings": IDS,
        "linux.gidMappings": IDS,
    },
    "cgroups to write": {
        "mounts": [
            mounted("/proc", "proc"),
            mounted("/sys", "sysfs", *STRICT, "ro"),
            mounted("/sys/fs/cgroup", "cgroup", "nosuid", "nodev", "rw"),
        ]
    },
}


@pytest.mark.parametrize("setting", BUNDLES)
def test_bundles(runtime: Make, open_folder: Path, busybox_root: Path, setting: str) -> None:
    folder = open_folder / f"bundles-{setting.replace(' ', '-')}"
    folder.mkdir()
    # A user of a user namespace's cannot look into pytest's own folders.
    root = shutil.copytree(busybox_root, folder / "root", symlinks=True)
    root.chmod(0o755)
    bundles = runtime(lambda: Bundles(folder, root))
    assert not unlisted(
        bundles.start("twin", *(f"{path}={json.dumps(value)}" for path, value in BUNDLES[setting].items()))
    )


def test_podman(runtime: Make, tmp_path: Path, image: Path) -> None:
    podman = runtime(lambda: Podman(tmp_path, image))
    assert not unlisted(podman.start("twin-podman", "--network=none", "--memory=40m", "--pids-limit=40"))


def test_rootless_podman(runtime: Make, open_folder: Path, image: Path) -> None:
    folder = open_folder / "twin-rootless"
    folder.mkdir()
    podman = runtime(lambda: Podman(folder, image, rootless=True))
    assert not unlisted(podman.start("twin-rootless", "--network=none"))


BARE = {
    "bubblewrap": (
        *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *("--unshare-user", "--unshare-pid", "--unshare-net"),
    ),
    "bubblewrap with the host's": ("bwrap", "--bind", "/", "/", "--unshare-user"),
    "unshare": ("unshare", "-mpuinf", "--mount-proc"),
    "a niced one": ("nice", "-n", "7", "unshare", "-mpf", "--mount-proc"),
    "a batch": ("chrt", "--batch", "0", "unshare", "-mpf", "--mount-proc"),
    "an idle one": ("chrt", "--idle", "0", "unshare", "-mpf", "--mount-proc"),
}


@pytest.mark.parametrize("setting", BARE)
def test_bare_processes(spawn: Spawn, setting: str) -> None:
    need(BARE[setting][0])
    process = spawn(*BARE[setting], "sleep", "1000")
    assert not unlisted(process.child("sleep"))


@pytest.fixture
def programmed() -> Iterator[Path]:
    """A cgroup of v2 with two device programs, one on it and one above."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    tops = [fields[4] for fields in lines if " - cgroup2 " in " ".join(fields) and fields[3] == "/"]
    if not tops:
        missing("cgroup v2 is not mounted")
    group = Path(tops[0]) / f"isoaudit-test-{os.getpid()}"
    (group / "inner").mkdir(parents=True)
    try:
        for folder, text in (
            (group, program([Entry(BLOCK, 60, 0, READ, 0)], default=1)),
            (group / "inner", program([Entry(CHARACTER, None, None, MKNOD | READ | WRITE)])),
        ):
            fd, loaded = os.open(folder, os.O_RDONLY), load(text)
            attach(fd, loaded)
            os.close(fd)
            os.close(loaded)
        yield group / "inner"
    finally:
        for folder in (group / "inner", group):
            remove_tree(str(folder))


def test_device_programs(spawn: Spawn, programmed: Path) -> None:
    process = spawn("unshare", "-mpf", "--mount-proc", "sleep", "1000")
    pid = process.child("sleep")
    (programmed / "cgroup.procs").write_text(str(pid))
    with twin_of(pid) as (host, _, twin):
        theirs, ours = cgroups(host, pid)["device program"], cgroups(host, twin.container.pid)["device program"]
        assert len(theirs) == 2
        assert sorted(ours) == sorted(theirs)
        assert not twin.failures
    reading, containers = read(pid)
    container = containers[pid]
    with Prober(reading.host) as engine:
        answers = engine.probe([container])[container.key]
    for name in ("device-open", "device-mknod"):
        answer = answers[name]
        assert isinstance(answer, Known), answer
        assert not answer.value.succeeded


FILES = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/net/core/somaxconn",
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "/proc/keys",
    "/proc/acpi/wakeup",
    "/proc/irq/default_smp_affinity",
    "/sys/fs/cgroup/memory/cgroup.procs",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)


def opened(channel: native.Channel) -> None:
    """Open the files as the shell does: no file is written to, or read."""
    answers = []
    for path in FILES:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC))
            answers.append(0)
        except OSError as error:
            answers.append(error.errno or -1)
    channel.say({"opened": answers})


@pytest.mark.parametrize("setting", ["default", "user", "unmasked", "cgroup namespace", "trees of the host"])
def test_files_open_in_the_twin_as_in_the_original(container: Start, docker: Any, setting: str) -> None:
    name = container(f"twin-files-{setting.replace(' ', '-')}", *DOCKER[setting])
    pid = int(docker("inspect", "--format={{.State.Pid}}", name))
    reading, containers = read(pid)
    hierarchies = reading.host.hierarchies
    assert isinstance(hierarchies, Known)
    with RunCgroups(hierarchies.value) as run:
        made = recipe(reading.host, containers[pid])
        twin = native.start(made.confinement, run.group("twin"), opened, register=lambda _: None)
        answers: list[int] = []
        more = True
        while more and not answers:
            messages, more = twin.hear()
            answers = next((message["opened"] for message in messages if "opened" in message), [])
        twin.end()
    expected = [
        docker("exec", name, "sh", "-c", f"(exec 3>>{path}) 2>&1 || true").rpartition(": ")[2] for path in FILES
    ]
    # How busybox puts ENOENT when it would have made the file.
    expected = [one.replace("nonexistent directory", os.strerror(ENOENT)).lower() for one in expected]
    assert [os.strerror(one).lower() if one else "" for one in answers] == expected


def test_a_mount_that_is_left_out_is_seen(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: a twin that differs without a word is told."""
    honest = recipe

    def forgetful(host: Host, container: Container) -> Recipe:
        made = honest(host, container)
        confinement = made.confinement._replace(mounts=(), groups=(4,), no_new_privs=True)
        return made._replace(confinement=confinement)

    monkeypatch.setitem(globals(), "recipe", forgetful)
    process = spawn("unshare", "-mpf", "--mount-proc", "sleep", "1000")
    assert {"/proc", "Groups", "NoNewPrivs"} <= unlisted(process.child("sleep")).keys()
