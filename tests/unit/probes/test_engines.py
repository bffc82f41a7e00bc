from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoaudit.errors import EXIT_NOTHING_TO_AUDIT, UsageError
from isoaudit.probes import engines, sleeper
from isoaudit.probes.cgroups import abandoned
from isoaudit.probes.configuration import Configuration, Ulimit
from isoaudit.probes.engines import base, command, docker, podman, runc, trial
from isoaudit.probes.engines.base import Asked, Run
from isoaudit.probes.engines.command import EngineError, call
from isoaudit.render.comparison import comparison
from isoaudit.report import Report

Script = Callable[[str, str], str]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a command of that name before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(command, "_PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, body: str) -> str:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(base, "_FOLDERS", (str(place),))
    made = Run(())
    yield made
    made.close()


# -- commands


def test_a_command_that_leaves_something_running_does_not_hold_us() -> None:
    begun = time.monotonic()
    done = call(["sh", "-c", "sleep 5 & echo $!"])
    assert time.monotonic() - begun < 4
    os.kill(int(done.out), signal.SIGKILL)


def test_a_command_that_hangs_is_killed_with_what_it_started() -> None:
    with pytest.raises(EngineError, match="did not answer within 0 s, and was killed"):
        call(["sh", "-c", "sleep 54321 & wait"], seconds=0.3)
    assert subprocess.run(["pgrep", "-f", "sleep 54321"], capture_output=True, check=False).stdout == b""


def test_a_command_gets_its_input_and_its_folder(tmp_path: Path) -> None:
    done = call(["sh", "-c", "cat; pwd >&2; exit 3"], feed=b"hello", folder=str(tmp_path))
    assert (done.code, done.out, done.err) == (3, "hello", str(tmp_path))


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(EngineError, match="cannot be started: No such file"):
        call(["/no/such/command"])


def test_an_interrupt_waits_for_what_can_be_undone_then(tmp_path: Path) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        call(["sh", "-c", f"sleep 0.6; touch {tmp_path}/done"])
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("err", "said"),
    [
        ("unknown flag: --foo\n\nUsage:  docker run", "unknown flag: --foo"),
        ("Run 'docker --help'\ndocker: refused", "docker: refused"),
        ('time="2026-11-24T08:35:53Z" level=error msg="open \\"x\\": no"', 'open "x": no'),
        ("", "it ended with exit code 1"),
    ],
)
def test_what_a_command_gives_as_its_reason(err: str, said: str) -> None:
    assert command.Done(1, "", err).said() == said


# -- the sleeper


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_sleeper_is_an_executable_of_one_segment(machine: str, number: int) -> None:
    content = sleeper.program(machine)
    kind, cpu, _, entry, headers = struct.unpack_from("<HHIQQ", content, 16)
    assert (kind, cpu, headers) == (2, number, 64)
    _, flags, offset, start, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", content, 64)
    assert (flags, offset, size) == (5, 0, len(content))
    assert entry == start + 120
    assert struct.unpack("<qq", content[-16:]) == (sleeper.LONGEST, 0)


def test_there_is_no_sleeper_for_every_machine() -> None:
    with pytest.raises(ValueError, match="no program for a test container on s390x"):
        sleeper.program("s390x")


@pytest.mark.skipif(os.uname().machine not in sleeper._CODE, reason="no program for this machine")
def test_the_sleeper_sleeps_and_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleeper, "LONGEST", 1)
    base.fill(str(tmp_path / "root"), sleeper.program())
    begun = time.monotonic()
    done = subprocess.run([f"{tmp_path}/root/isoaudit-sleep", "x"], check=False, timeout=20)
    assert done.returncode == 0
    assert time.monotonic() - begun > 0.9


# -- runs


def test_a_runs_folder_goes_with_it(run: Run) -> None:
    root = Path(run.fill(f"{run.folder()}/rootfs"))
    assert os.access(root / "isoaudit-sleep", os.X_OK)
    assert re.fullmatch(r"isoaudit-\d+-\d+-[0-9a-f]{8}", root.parent.name)
    assert run.close() == []
    assert not root.parent.exists()


def test_folders_of_runs_that_were_killed_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_FOLDERS", (str(tmp_path), "/no/such/folder"))
    gone, ours, other = "isoaudit-1-1-01234567", Run(()).name, "isoaudit-reports"
    for name in (gone, ours, other):
        (tmp_path / name / "x").mkdir(parents=True)
    assert base.sweep_folders() == [str(tmp_path / gone)]
    assert {path.name for path in tmp_path.iterdir()} == {ours, other}


def test_whose_run_is_over() -> None:
    assert abandoned("isoaudit-1-1-01234567-0-docker")
    assert not abandoned(Run(()).name + "-0-docker")
    assert not abandoned("isoaudit-web")


def test_programs_may_run_from_no_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_FOLDERS", ())
    with pytest.raises(EngineError, match="no root filesystem could be made"):
        run.folder()


def test_a_pid_on_another_machine_is_told_from_ours() -> None:
    assert base.verified("docker", os.getpid(), sys.argv[0]) == os.getpid()
    with pytest.raises(EngineError, match="not on this host"):
        base.verified("docker", 1 << 22, "run")


# -- engines that fail


def test_docker_without_a_daemon(script: Script, run: Run) -> None:
    script("docker", "echo 'Client: 28'; echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    engine = docker.Docker(run)
    assert engine.obstacle() == "docker cannot be used: Cannot connect to the Docker daemon"


def test_docker_whose_daemon_hangs(script: Script, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "_ANSWER", 0.3)
    script("docker", "sleep 100")
    assert "did not answer within" in docker.Docker(run).obstacle()


def test_an_engine_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PATH", "/no/such/folder")
    for name in ("docker", "podman", "runc", "crun"):
        assert engines.engine(name, run).obstacle() == f"{name} is not installed"


def test_a_flag_that_docker_does_not_know_is_the_users_fault(script: Script, run: Run) -> None:
    script("docker", 'case "$1" in run) echo "unknown flag: --x" >&2; exit 125;; esac')
    with pytest.raises(UsageError, match="docker: unknown flag: --x"):
        docker.Docker(run).start(Asked("it", Configuration()))


def test_docker_takes_away_what_it_started_and_its_image(script: Script, run: Run, tmp_path: Path) -> None:
    script("docker", f'echo "$@" >> {tmp_path}/calls; case "$1" in run) echo "no space" >&2; exit 125;; esac')
    engine = docker.Docker(run)
    with pytest.raises(EngineError, match="docker refuses the container: no space") as error:
        engine.start(Asked("it", Configuration(cap_add=("CAP_SYS_TIME",))))
    assert error.value.exit_code == EXIT_NOTHING_TO_AUDIT
    assert engine.stop() == []
    assert engine.stop() == []
    flags = "--cap-add=CAP_SYS_TIME --network=none"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"import - {run.name}:probe",
        f"run --detach --rm --name it {flags} {run.name}:probe /isoaudit-sleep {run.name}",
        "rm --force --volumes it",
        f"image rm --force {run.name}:probe",
    ]


def test_what_docker_cannot_remove_is_told(script: Script, run: Run) -> None:
    script("docker", 'case "$1" in rm) echo "device busy" >&2; exit 1;; run) exit 1;; esac')
    engine = docker.Docker(run)
    with pytest.raises(EngineError):
        engine.start(Asked("it", Configuration()))
    assert engine.stop() == ["docker container it: device busy"]


def test_docker_sweeps_only_what_runs_that_are_over_left(script: Script, run: Run, tmp_path: Path) -> None:
    ours = f"{run.name}-0-docker"
    script(
        "docker",
        f'echo "$@" >> {tmp_path}/calls; case "$1 $2" in "ps --all") echo isoaudit-1-1-01234567-0-docker;'
        f' echo {ours}; echo isoaudit-web;; "image ls") echo isoaudit-1-1-01234567; echo {run.name};; esac',
    )
    assert docker.Docker(run).sweep() == [
        "docker container isoaudit-1-1-01234567-0-docker",
        "docker image isoaudit-1-1-01234567",
    ]
    calls = (tmp_path / "calls").read_text()
    assert ours not in calls
    assert "isoaudit-web" not in calls


def test_podman_falls_back_to_runc_and_says_so(
    script: Script, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "_kept_limits", lambda _: (Ulimit("nproc", 1, 1),))
    monkeypatch.setattr("isoaudit.probes.engines.docker.verified", lambda _engine, pid, _run: pid)
    script("runc", "exit 0")
    script(
        "podman",
        f'echo "$@" >> {tmp_path}/calls; case "$*" in *runtime=runc*inspect*) echo 7;; '
        '*runtime=runc*) exit 0;; *run*) echo "cgroups in hybrid mode not supported" >&2; exit 126;; esac',
    )
    started = podman.Podman(run).start(Asked("it", Configuration(network="host")))
    assert started.pid == 7
    assert started.notices == (
        "limits that Podman would raise, and root lacks CAP_SYS_RESOURCE for here: nproc 1",
        "run by runc: crun says that cgroups in hybrid mode are not supported",
    )
    assert f"--ulimit=nproc=1:1 --rootfs {run.folder()}/it" in (tmp_path / "calls").read_text()


def test_bundles_are_not_for_docker_and_podman(run: Run) -> None:
    for engine in (docker.Docker(run), podman.Podman(run)):
        with pytest.raises(UsageError, match="takes no bundle"):
            engine.start(Asked("it", Configuration(), {}))


def test_a_runtime_that_refuses(script: Script, run: Run, tmp_path: Path) -> None:
    script(
        "runc",
        f'echo "$@" >> {tmp_path}/calls; case "$1" in spec) cat > config.json <<E\n'
        '{"process": {"capabilities": {}}, "root": {}, "linux": {"namespaces": []}}\nE\n'
        'exit 0;; esac; case "$*" in *delete*) exit 0;; esac; echo "refused" >&2; exit 1',
    )
    engine = runc.OciRuntime("runc", run)
    with pytest.raises(EngineError, match="runc refuses the container: refused"):
        engine.start(Asked("it", Configuration()))
    assert engine.stop() == []
    assert (tmp_path / "calls").read_text().splitlines()[-1].endswith("delete --force it")


# -- trials


class FakeEngine:
    def __init__(self, name: str, *, obstacle: str = "", refuses: bool = False) -> None:
        self.name = name
        self._obstacle = obstacle
        self._refuses = refuses
        self.stopped = 0

    def obstacle(self) -> str:
        return self._obstacle

    def sweep(self) -> list[str]:
        return []

    def start(self, asked: Asked) -> base.Started:
        if self._refuses:
            raise EngineError(f"{self.name} refuses")
        return base.Started(7, ("a notice",))

    def stop(self) -> list[str]:
        self.stopped += 1
        return []


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeEngine]:
    made = {
        "docker": FakeEngine("docker", obstacle="docker is not installed"),
        "podman": FakeEngine("podman"),
        "runc": FakeEngine("runc"),
        "crun": FakeEngine("crun", refuses=True),
        "native": FakeEngine("native"),
    }
    monkeypatch.setattr(engines, "engine", lambda name, _run: made[name])
    monkeypatch.setattr(trial, "sweep", list)
    monkeypatch.setattr(trial, "sweep_folders", list)
    return made


def wanted(*names: str, **fields: Any) -> list[Any]:
    from isoaudit.probes.configuration import Wanted

    return [Wanted(Configuration(**fields), name) for name in names or ("",)]


def test_all_engines_side_by_side(fakes: dict[str, FakeEngine]) -> None:
    with trial.Trial(trial.ALL) as one:
        tried = one.start(wanted())
    assert [t.key for t in tried] == ["probe-native", "probe-runc", "probe-podman"]
    assert "left out: docker is not installed" in one.notices
    assert "probe-crun: crun refuses" in one.notices
    assert "probe-podman: a notice" in one.notices
    assert [fakes[name].stopped for name in fakes] == [0, 1, 1, 1, 1]


def test_the_first_engine_that_can_is_taken(fakes: dict[str, FakeEngine]) -> None:
    with trial.Trial() as one:
        tried = one.start(wanted("web", "db"))
    assert [t.key for t in tried] == ["probe-podman-web", "probe-podman-db"]
    assert "run by podman" in one.notices


def test_bundles_are_for_those_that_take_them(fakes: dict[str, FakeEngine]) -> None:
    for name, keys in ((trial.ALL, ["probe-native", "probe-runc"]), ("", ["probe-runc"])):
        with trial.Trial(name) as one:
            assert [t.key for t in one.start(wanted(), {})] == keys


def test_an_engine_that_was_asked_for_must_do(fakes: dict[str, FakeEngine]) -> None:
    for name, message in (("docker", "not installed"), ("crun", "crun refuses")):
        with pytest.raises(EngineError, match=message), trial.Trial(name) as one:
            one.start(wanted())
    assert fakes["crun"].stopped == 1


def test_what_is_not_on_this_host_is_left_out_and_said(fakes: dict[str, FakeEngine]) -> None:
    from isoaudit.probes.flags import parse_flags

    asked = parse_flags("-v /no/such:/x -v /:/y --device /dev/nosuch")
    with trial.Trial("runc") as one:
        assert one._possible(asked).flags() == ("--volume=/:/y",)
    assert [notice for notice in one.notices if "left out" in notice] == [
        "the mount of /no/such: there is no such path here, it was left out",
        "the device /dev/nosuch: it is not here, it was left out",
    ]


# -- the matrix


def finding(
    check: str, key: str, outcome: str, severity: str = "high", basis: str = "observed"
) -> dict[str, Any]:
    return {
        "check": check,
        "subject": {"kind": "container", "key": key},
        "outcome": outcome,
        "severity": severity,
        "basis": basis,
        "inherent": False,
        "waiver": None,
    }


def test_the_matrix_has_a_line_for_each_gap_that_somebody_has() -> None:
    containers = [{"key": "probe-docker"}, {"key": "probe-runc"}]
    findings = [
        finding("low-gap", "probe-docker", "fail", "low", "inferred"),
        finding("low-gap", "probe-runc", "unknown"),
        finding("bad-gap", "probe-docker", "fail", "critical", "proven"),
        finding("bad-gap", "probe-runc", "pass"),
        finding("no-gap", "probe-docker", "pass"),
    ]
    report = Report.from_dict(
        {
            "tool": {},
            "scan": {},
            "host": {},
            "containers": containers,
            "findings": findings,
            "escape_paths": [],
            "summary": {"gate": "none"},
        }
    )
    assert comparison(report).splitlines()[:3] == [
        "GAP      SEVERITY  docker  runc",
        "bad-gap  critical  ●       ·",
        "low-gap  low       ◌       ?",
    ]
