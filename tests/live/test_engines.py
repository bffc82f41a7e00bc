"""`isoaudit probe` on real engines, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live import Docker, Run, isoaudit, missing, need

ENGINES = ("native", "runc", "crun", "podman", "docker")
OURS = re.compile(r"isoaudit-\d+-\d+-[0-9a-f]{8}")


def probe(*arguments: str) -> Run:
    return isoaudit("probe", "-f", "json", *arguments)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """An engine that works here."""
    name = str(request.param)
    if name == "docker":
        request.getfixturevalue("on_docker")
    elif name != "native":
        need(name)
        if name in ("crun", "podman"):
            tried = probe("--engine", name, "--probes", "none", "--select", "identity-root")
            if tried.code == 3:
                missing(tried.err.strip())
    return name


@pytest.fixture
def on_docker(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setenv("DOCKER_HOST", docker.socket)
    return docker


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def ours_on_this_host() -> set[str]:
    """Whatever bears the name of a run that started in this test's process or a child of it."""
    found = {path for top in ("/var/lib", "/run", "/var/tmp") for path in os.listdir(top)}
    for top in ("/sys/fs/cgroup", *(f"/sys/fs/cgroup/{name}" for name in os.listdir("/sys/fs/cgroup"))):
        if os.path.isdir(top):
            found |= set(os.listdir(top))
    found |= set(said("docker", "ps", "--all", "--format", "{{.Names}}").split())
    found |= set(said("docker", "image", "ls", "--format", "{{.Repository}}").split())
    found |= set(said("podman", "ps", "--all", "--format", "{{.Names}}").split())
    found |= set(re.findall(r"isoaudit-[^ /]*", Path("/proc/self/mountinfo").read_text()))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found |= set(Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
        except (OSError, UnicodeDecodeError):
            continue
    return {name for name in found if OURS.match(name)}


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other runs of isoaudit may be under way: only what a test adds, and stays, is its fault.

    It asks for monkeypatch so that Docker is still asked where a test's containers are.
    """
    before = ours_on_this_host()
    yield
    for _ in range(20):
        left = ours_on_this_host() - before
        if not left:
            break
        time.sleep(0.5)
    assert not {name for name in left if not running(name)}


def running(name: str) -> bool:
    """Whether the run with this name goes on: it is somebody else's."""
    return Path(f"/proc/{name.split('-')[1]}").exists()


def key(engine: str, name: str = "") -> str:
    return f"probe-{engine}-{name}" if name else f"probe-{engine}"


# -- what an engine's containers can do here


def test_the_clock_is_settable_only_where_that_was_asked_for(engine: str) -> None:
    default = probe("--engine", engine)
    assert default.code == 0, default.err
    assert [one["key"] for one in default.report["containers"]] == [key(engine)]
    assert default.report["containers"][0]["runtime"] == engine
    assert default.findings(key(engine))["time-clock-settable"]["outcome"] == "pass"
    asked = probe("--engine", engine, "--with", "--cap-add SYS_TIME")
    assert asked.code == 0, asked.err
    finding = asked.findings(key(engine))["time-clock-settable"]
    assert (finding["outcome"], finding["basis"]) == ("fail", "proven")


def test_flags_mean_the_same_to_every_engine(engine: str) -> None:
    done = probe(
        *("--engine", engine),
        *("--with", "--cap-drop ALL --security-opt no-new-privileges --read-only --user 1000:1000"),
        *("--with", "--memory 64m --cpus 0.5 --pids-limit 50 --pid host --network host --uts host"),
    )
    assert done.code == 0, done.err
    failing = done.failing(key(engine))
    assert {"namespace-pid-shared", "namespace-net-shared", "namespace-uts-shared"} <= failing
    assert not failing & {
        "identity-no-new-privileges-unset",
        "cgroup-memory-unlimited",
        "cgroup-pids-unlimited",
        "cgroup-cpu-unlimited",
        "mount-rootfs-writable",
    }
    assert not {check for check in failing if check.startswith("capability-")}


def test_all_engines_side_by_side(on_docker: Docker) -> None:
    need("runc")
    done = isoaudit("probe", "--engine", "all")
    assert done.code == 0, done.err
    header = next(line for line in done.out.splitlines() if line.startswith("GAP "))
    assert header.split()[2:4] == ["native", "runc"]
    assert header.split()[-1] == "docker"
    row = next(line for line in done.out.splitlines() if line.startswith("seccomp-absent "))
    assert row.split()[2:4] == ["○", "○"]
    assert row.split()[-1] == "·"


# -- before it is deployed


def test_a_bundle(tmp_path: Path) -> None:
    need("runc")
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    document = json.loads((tmp_path / "config.json").read_text())
    for names in document["process"]["capabilities"].values():
        names.append("CAP_SYS_TIME")
    document["hooks"] = {"prestart": [{"path": "/bin/touch", "args": ["touch", f"{tmp_path}/hooked"]}]}
    document["process"]["args"] = ["/bin/touch", f"{tmp_path}/run"]
    (tmp_path / "config.json").write_text(json.dumps(document))
    for engine in ("runc", "native"):
        done = probe("--oci-bundle", str(tmp_path), "--engine", engine)
        assert done.code == 0, done.err
        assert done.findings(key(engine))["time-clock-settable"]["basis"] == "proven"
        assert "the bundle's hooks: left out" in done.report["scan"]["notices"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]


COMPOSE = """
services:
  tight:
    image: registry.example/web
    cap_drop: [ALL]
    read_only: true
    user: "1000"
    security_opt: ["no-new-privileges:true"]
    mem_limit: 64m
    pids_limit: 50
    cpus: 0.5
  loose:
    image: registry.example/agent
    cap_add: [SYS_TIME, SYS_ADMIN]
    pid: host
    network_mode: host
    security_opt: ["seccomp:unconfined"]
    volumes: ["/:/host", "./not-there:/x"]
"""


def test_compose_services(tmp_path: Path, engine: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    done = probe("--compose", str(tmp_path / "compose.yaml"), "--engine", engine, "--fail-on", "critical")
    assert done.code == 10, done.err
    loose = done.failing(key(engine, "loose"))
    assert {"time-clock-settable", "mount-host-root", "namespace-pid-shared", "seccomp-absent"} <= loose
    tight = done.failing(key(engine, "tight"))
    assert not tight & {"time-clock-settable", "cgroup-memory-unlimited", "identity-no-new-privileges-unset"}
    assert not (tmp_path / "not-there").exists(), "an engine makes a bind's missing source"
    only = probe(
        *("--compose", str(tmp_path / "compose.yaml"), "--service", "tight"),
        *("--engine", engine, "--fail-on", "critical"),
    )
    assert (only.code, [one["key"] for one in only.report["containers"]]) == (0, [key(engine)])


POD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "it"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "restricted",
                        "securityContext": {
                            "runAsNonRoot": True,
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
                    },
                    {"name": "privileged", "securityContext": {"privileged": True}},
                ]
            }
        }
    },
}


def test_a_pods_containers(tmp_path: Path, engine: str) -> None:
    (tmp_path / "pod.json").write_text(json.dumps(POD))
    restricted = probe("--pod", str(tmp_path / "pod.json"), "--container", "restricted", "--engine", engine)
    assert restricted.code == 0, restricted.err
    good = restricted.failing(key(engine))
    privileged = probe("--pod", str(tmp_path / "pod.json"), "--container", "privileged", "--engine", engine)
    if privileged.code == 3:
        missing(privileged.err.strip())  # a root that lacks capabilities cannot give them all
    bad = privileged.failing(key(engine))
    for check in ("time-clock-settable", "capability-sys-admin", "identity-no-new-privileges-unset"):
        assert check in bad
        assert check not in good


# -- what goes wrong


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{\n]")
    (tmp_path / "compose.json").write_text('{"services": {"web": {}}}')
    for arguments, message in (
        (("--engine", "rkt"), "there is no 'rkt'"),
        (("--with", "--cap-ad X"), "unknown flag '--cap-ad'"),
        (("--pod", f"{tmp_path}/broken.json"), "broken.json: line 2"),
        (("--compose", f"{tmp_path}/compose.json", "--service", "db"), "no service 'db', only web"),
        (("--compose", "a", "--pod", "b"), "not several"),
        (("--oci-bundle", str(tmp_path)), "cannot read"),
    ):
        done = probe(*arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert message in done.err
        assert done.err.count("\n") == 1


def test_docker_without_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    need("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    done = probe("--engine", "docker")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "docker cannot be used" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(engine: str, number: int) -> None:
    for delay in (0.5, 1.0, 1.6):
        process = start(engine)
        time.sleep(delay)
        process.send_signal(number)
        # Before its handlers stand, a signal ends any program.
        assert process.wait(60) in (0, 128 + number, -number)


def start(engine: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "isoaudit", "probe", "--engine", engine],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_the_next_run_removes_what_a_killed_one_left(engine: str) -> None:
    process = start(engine)
    until = time.monotonic() + 60
    # Killed when its container runs, which every engine but native starts as no child of ours.
    while not any(name.split("-")[1] == str(process.pid) for name in ours_on_this_host()):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    if engine != "native":  # which is through and has tidied up by then
        time.sleep(0.3)
    process.kill()
    process.wait()
    done = probe("--engine", engine, "--probes", "none")
    assert done.code == 0, done.err
    assert any("left over from an earlier run, removed" in one for one in done.report["scan"]["notices"])
