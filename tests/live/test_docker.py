"""Docker containers, each with one flag: what must be found, and what must not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from support.live import Docker, Start, isoaudit, missing


class Flag(NamedTuple):
    """One way to start a container, and the gaps that it must open or close against the default."""

    name: str
    flags: tuple[str, ...]
    opens: frozenset[str] = frozenset()
    closes: frozenset[str] = frozenset()


FLAGS = (
    Flag("pid-host", ("--pid=host",), opens=frozenset({"namespace-pid-shared"})),
    Flag("ipc-host", ("--ipc=host",), opens=frozenset({"namespace-ipc-shared"})),
    Flag("uts-host", ("--uts=host",), opens=frozenset({"namespace-uts-shared"})),
    Flag(
        "sys-time",
        ("--cap-add=SYS_TIME",),
        opens=frozenset({"time-clock-settable", "capability-sys-time", "capability-beyond-default"}),
    ),
    Flag(
        "memory",
        ("--memory=64m", "--memory-swap=64m"),
        closes=frozenset({"cgroup-memory-unlimited"}),
    ),
    Flag("cpus", ("--cpus=0.5",), closes=frozenset({"cgroup-cpu-unlimited"})),
    Flag("pids", ("--pids-limit=50",), closes=frozenset({"cgroup-pids-unlimited"})),
    Flag(
        "user",
        ("--user=1000:1000", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        closes=frozenset({"identity-root", "identity-no-new-privileges-unset"}),
    ),
    Flag("read-only", ("--read-only",), closes=frozenset({"mount-rootfs-writable"})),
    Flag("no-seccomp", ("--security-opt=seccomp=unconfined",), opens=frozenset({"seccomp-absent"})),
    Flag(
        "device-rule",
        ("--device-cgroup-rule=b *:* rwm",),
        opens=frozenset({"device-block-exposed"}),
    ),
    Flag("host-root", ("-v", "/:/host:ro"), opens=frozenset({"mount-host-root"})),
    Flag("etc", ("-v", "/etc:/x"), opens=frozenset({"mount-host-sensitive"})),
    Flag(
        "unmasked",
        ("--security-opt=systempaths=unconfined",),
        opens=frozenset({"kernel-sysctl-writable"}),
    ),
)


@pytest.fixture(scope="module")
def default(docker: Docker) -> set[str]:
    """The gaps of a default container."""
    docker("run", "-d", "--network", "none", "--name", "iso-default", "bb")
    run = isoaudit("container", "iso-default", "-f", "json")
    docker("rm", "-f", "iso-default")
    assert run.code == 0, run.err
    return run.failing("iso-default")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_one_flag(flag: Flag, container: Start, default: set[str]) -> None:
    name = container(f"iso-{flag.name}", *flag.flags)
    run = isoaudit("container", name, "-f", "json")
    assert run.code == 0, run.err
    failing = run.failing(name)
    errors = [f for f in run.report["findings"] if f["outcome"] == "error"]
    assert not errors, errors
    assert not flag.opens & default, "the default has it already: the flag proves nothing"
    assert flag.closes <= default, "the default lacks it already: the flag proves nothing"
    assert flag.opens <= failing, f"missed {flag.opens - failing}"
    assert not flag.closes & failing, f"false alarm {flag.closes & failing}"


def test_identity(container: Start, docker: Docker) -> None:
    name = container("iso-identity")
    ident, pid = docker("inspect", "-f", "{{.Id}} {{.State.Pid}}", name).split()
    for target in (name, ident, ident[:12], pid):
        run = isoaudit("container", target, "-f", "json", "--probes", "none")
        assert run.code == 0, run.err
        (entry,) = run.report["containers"]
        assert entry["runtime"] == "docker"
        assert entry["id"] == ident
        assert entry["name"] == name
        assert entry["image"] == "bb"
        assert entry["pid"] == int(pid)


def test_engine_socket_by_any_path(container: Start, docker: Docker) -> None:
    name = container("iso-socket", "-v", f"{docker.folder}:/innocent")
    run = isoaudit("container", name, "-f", "json", "--probes", "none")
    assert "mount-runtime-socket" in run.failing(name)


def test_proven_by_a_twin(container: Start) -> None:
    name = container("iso-proven", "--cap-add=SYS_TIME", "--security-opt=seccomp=unconfined")
    clock = isoaudit("container", name, "-f", "json").findings(name)["time-clock-settable"]
    assert clock["outcome"] == "fail"
    assert clock["basis"] == "proven"
    assert clock["severity"] == "critical"


def test_limits_are_proven(container: Start) -> None:
    name = container("iso-limits", "--memory=48m", "--memory-swap=48m", "--cpus=0.5", "--pids-limit=40")
    for _ in range(3):
        findings = isoaudit("container", name, "-f", "json").findings(name)
        for check in ("cgroup-memory-unlimited", "cgroup-pids-unlimited"):
            assert findings[check]["outcome"] == "pass"
            assert findings[check]["basis"] == "proven", findings[check]
        assert findings["cgroup-limit-ineffective"]["outcome"] != "fail"
        assert findings["cgroup-cpu-unlimited"]["outcome"] == "pass"
        if findings["cgroup-cpu-unlimited"]["basis"] == "proven":
            return
    missing("the machine is too busy for a container to reach its CPU quota")


def test_exec_as_root_is_drift(container: Start, docker: Docker) -> None:
    name = container("iso-drift", "--cap-drop=ALL", "--user=1000")
    docker(
        "exec", "-d", "--privileged", "--user=0", name, "sleep", "1000"
    ) if _can_exec_privileged() else docker("exec", "-d", "--user=0", name, "sleep", "1000")
    findings = isoaudit("container", name, "-f", "json", "--probes", "none").findings(name)
    assert findings["identity-root"]["outcome"] == "fail"


def _can_exec_privileged() -> bool:
    """Whether this root has every capability, so that the engine can give all of them away."""
    status = Path("/proc/self/status").read_text()
    held = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    return held == (1 << held.bit_length()) - 1


def test_host_network_and_a_peer_on_it(docker: Docker) -> None:
    docker("run", "-d", "--network", "host", "--name", "iso-net", "bb")
    docker("run", "-d", "--network", "container:iso-net", "--name", "iso-net-peer", "bb")
    try:
        run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
        for name in ("iso-net", "iso-net-peer"):
            assert "namespace-net-shared" in run.failing(name)
    finally:
        docker("rm", "-f", "iso-net", "iso-net-peer")


def test_joined_pid_namespace(container: Start) -> None:
    first = container("iso-first")
    second = container("iso-second", f"--pid=container:{first}")
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
    keys = {entry["key"] for entry in run.report["containers"]}
    assert {first, second} <= keys
    peer = run.findings(second)["namespace-peer-shared"]
    assert peer["outcome"] == "fail"
    assert first in peer["message"]


def test_hostname_and_environment_stay(container: Start) -> None:
    """A whole scan with probes leaves the host as it was."""
    container("iso-harm")

    def state() -> tuple[str, ...]:
        groups = sorted(str(p) for p in Path("/sys/fs/cgroup").glob("*/isoaudit-*"))
        return (os.uname().nodename, Path("/proc/sys/kernel/core_pattern").read_text(), *groups)

    before = state()
    assert isoaudit("scan", "--host", "-f", "json").code == 0
    assert state() == before
