"""Twins on this kernel: they answer as their originals do, and leave nothing behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.live import Process, need
from support.reading import read

from isoaudit.collect.host import HostReading
from isoaudit.facts.container import Container
from isoaudit.facts.probe import ProbeAnswer
from isoaudit.facts.status import Status
from isoaudit.model import Known, Reading, Unknown
from isoaudit.probes import payloads, prober
from isoaudit.probes.cgroups import Group, RunCgroups
from isoaudit.probes.demo import demo_containers
from isoaudit.probes.engines import native
from isoaudit.probes.interpret import interpret
from isoaudit.probes.prober import Prober, available, sweep
from isoaudit.probes.twin import Confinement

Spawn = Callable[..., Process]
Answers = dict[str, Reading[ProbeAnswer]]

CGROUPS = Path("/sys/fs/cgroup")
# What is tried in the original itself: the very calls, without a twin.
CALLS = ("clock-set", "hostname-set", "mount", "user-namespace-create", "signal-host", "realtime-schedule")
IN_ORIGINAL = """
import mmap, os, sys, time
from isoaudit.probes import payloads
from isoaudit.probes.engines.native import Channel
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
assignment = payloads.Assignment(sys.argv[3:], int(sys.argv[2]), -1, mmap.mmap(-1, 4096))
payloads.run(Channel(fd, -1), assignment)
os.write(fd, b'{"name": "end"}\\n')
time.sleep(60)
"""
PYTHON = Path(sys.executable).name


@pytest.fixture(autouse=True)
def _can_probe() -> None:
    reason = available()
    if reason:
        pytest.skip(f"NOT TESTED: {reason}")


def state_of_the_host() -> dict[str, Any]:
    """What no probe may change."""
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "hostname": os.uname().nodename,
        "sysctls": {
            name: Path("/proc/sys", name).read_text()
            for name in (
                "kernel/core_pattern",
                "kernel/sched_rt_runtime_us",
                "user/max_user_namespaces",
                "kernel/printk",
            )
        },
        "timezone": time.tzname,
        "scheduler": os.sched_getscheduler(0),
        "modules": [line.split()[0] for line in Path("/proc/modules").read_text().splitlines()]
        if Path("/proc/modules").exists()
        else [],
    }


def left_over(pid: int) -> list[str]:
    """Cgroups and children of a run."""
    found = [str(path) for top in ("", "*/") for path in CGROUPS.glob(f"{top}isoaudit-{pid}-*")]
    for children in Path("/proc").glob(f"{pid}/task/*/children"):
        found += children.read_text().split()
    return found


@pytest.fixture
def clean() -> Iterator[None]:
    before, children = state_of_the_host(), set(left_over(os.getpid()))
    yield
    assert set(left_over(os.getpid())) <= children
    assert state_of_the_host() == before


def probed(reading: HostReading, container: Container) -> Answers:
    with Prober(reading.host) as engine:
        return engine.probe([container])[container.key]


def succeeded(answers: Answers, name: str) -> bool:
    answer = answers[name]
    assert isinstance(answer, Known), f"{name}: {answer}"
    return answer.value.succeeded


DROPPED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
NOTHING_NEW = ("setpriv", "--no-new-privs")
SETTINGS = {
    "allowed": (("-mpi",), ()),
    "denied by capability": (("-mpiun",), DROPPED),
    "one capability": (("-mpi",), ("setpriv", "--bounding-set=-all,+sys_time", "--inh-caps=-all")),
    "an ordinary user": (
        ("-mpi",),
        ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"),
    ),
    "user namespace": (("-Urmpiun",), ()),
    "no new privileges": (("-mpi",), (*NOTHING_NEW, "--bounding-set=-sys_admin", "--inh-caps=-all")),
    "host's processes": (("-mi",), ()),
}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_twin_answers_as_the_original_does(spawn: Spawn, tmp_path: Path, setting: str) -> None:
    need("unshare", "setpriv")
    namespaces, privileges = SETTINGS[setting]
    heard = tmp_path / "heard"
    heard.touch()
    heard.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    inner = [*privileges, sys.executable, "-c", IN_ORIGINAL, str(heard), str(os.getpid()), *CALLS]
    started = spawn("unshare", *namespaces, "-f", *inner, env={**os.environ, "PYTHONPATH": os.getcwd()})
    truth = wait_for(heard)
    if not truth and "--reuid=65534" in privileges:
        pytest.skip("NOT TESTED: the interpreter is out of an ordinary user's reach")
    pid = started.child(PYTHON)
    reading, containers = read(pid)
    container = containers[pid]
    assert isinstance(container.status, Known)
    answers = probed(reading, container)
    for name in CALLS:
        original, twin = truth[name], answers[name]
        assert isinstance(twin, Known), f"{name}: {twin}"
        expected = interpret(name, original["errno"]) and not original.get("inside")
        if not twin.value.answer.endswith("namespace owns") and not twin.value.answer.endswith("UTS namespace"):
            assert twin.value.succeeded == expected, f"{name}: {original} but {twin}"
    lacking: Status = container.status.value
    assert succeeded(answers, "clock-set") == bool(
        lacking.cap_effective >> 25 & 1 and "user namespace" not in setting
    )


def wait_for(heard: Path) -> dict[str, dict[str, Any]]:
    for _ in range(250):
        messages = [json.loads(line) for line in heard.read_text().splitlines()]
        if messages and messages[-1]["name"] == "end":
            return {message["name"]: message for message in messages}
        time.sleep(0.02)
    return {}


@pytest.fixture(scope="module")
def demonstrated() -> Iterator[tuple[HostReading, dict[str, Container]]]:
    with demo_containers() as made:
        reading, containers = read(*(one.pid for one in made))
        yield reading, {one.name: containers[one.pid] for one in made}


Demonstrated = tuple[HostReading, dict[str, Container]]


def test_the_demo_is_found_and_named(demonstrated: Demonstrated) -> None:
    for name, container in demonstrated[1].items():
        assert (container.identity.runtime, container.identity.name, container.identity.sandbox) == (
            "isoaudit",
            name,
            False,
        )
        assert isinstance(container.userland, Known)
    assert len(demonstrated[1]) == 3


@pytest.mark.usefixtures("clean")
def test_the_demo_differs_as_it_should(demonstrated: Demonstrated) -> None:
    reading, containers = demonstrated
    with Prober(reading.host) as engine:
        answers = engine.probe(list(containers.values()))
    for name in ("clock-set", "hostname-set", "mount", "device-mknod", "device-open", "signal-host"):
        assert succeeded(answers["full-of-gaps"], name)
        assert not succeeded(answers["hardened"], name)
    for name in ("clock-set", "mount", "device-open", "signal-host"):
        assert not succeeded(answers["default-like"], name)
    # Both have a filter, which their twins run under too.
    assert succeeded(answers["default-like"], "device-mknod")
    assert not succeeded(answers["hardened"], "user-namespace-create")


@pytest.mark.usefixtures("clean")
def test_limits_are_measured(demonstrated: Demonstrated) -> None:
    reading, containers = demonstrated
    answers = probed(reading, containers["hardened"])
    for name, least, most in (
        ("memory-limit", 32 << 20, 64 << 20),
        ("cpu-quota", 0.1, 0.75),
        ("pids-limit", 32, 32),
        ("freezer", 0, 0),
    ):
        answer = answers[name]
        if isinstance(answer, Unknown):
            pytest.skip(f"NOT MEASURED: {name}: {answer.reason}")
        assert not answer.value.succeeded
        assert answer.value.measured is not None
        assert least <= answer.value.measured <= most, answer


@pytest.mark.usefixtures("clean")
def test_a_limit_that_does_not_hold_is_seen(
    demonstrated: Demonstrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten(_: object) -> None:
        """Nothing is set, as on a kernel that would not enforce it."""

    reading, containers = demonstrated
    limitless = dict.fromkeys(("memory-limit", "pids-limit"), forgotten)
    monkeypatch.setattr(prober, "_BEFORE", {**prober._BEFORE, **limitless})
    answers = probed(reading, containers["hardened"])
    assert succeeded(answers, "pids-limit")
    assert succeeded(answers, "memory-limit")


@pytest.mark.usefixtures("clean")
def test_a_process_that_is_not_frozen_is_seen(
    demonstrated: Demonstrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, containers = demonstrated
    real = Group.set

    def thawing(group: Any, controller: str, file: str, value: str) -> None:
        if value not in ("FROZEN", "1") or file not in ("freezer.state", "cgroup.freeze"):
            real(group, controller, file, value)

    monkeypatch.setattr(Group, "set", thawing)
    answer = probed(reading, containers["hardened"])["freezer"]
    assert isinstance(answer, Unknown)
    assert "did not report it as frozen" in answer.reason


@pytest.mark.usefixtures("clean")
def test_alike_containers_cost_one_twin(demonstrated: Demonstrated) -> None:
    reading, containers = demonstrated
    one = containers["full-of-gaps"]
    many = [one._replace(identity=one.identity._replace(key=f"copy-{number}")) for number in range(500)]
    told: list[tuple[int, int]] = []
    with Prober(reading.host, progress=lambda done, total: told.append((done, total))) as engine:
        answers = engine.probe(many)
        assert engine._made == 1
        engine.probe(many)
        assert engine._made == 1
    assert len(answers) == 500
    assert answers["copy-7"]["clock-set"].source == "probe clock-set in a twin of copy-7"
    assert told[-1] == (1, 1)


@pytest.mark.usefixtures("clean")
def test_one_container_without_facts_does_not_end_the_others(demonstrated: Demonstrated) -> None:
    reading, containers = demonstrated
    one = containers["full-of-gaps"]
    blind = one._replace(identity=one.identity._replace(key="blind"), status=Unknown("s", "EACCES"))
    with Prober(reading.host) as engine:
        answers = engine.probe([blind, one])
    assert all(isinstance(answer, Unknown) for answer in answers["blind"].values())
    assert succeeded(answers[one.key], "clock-set")


@pytest.mark.usefixtures("clean")
def test_a_twin_that_hangs_is_killed(demonstrated: Demonstrated, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, containers = demonstrated
    monkeypatch.setattr(prober, "_DEADLINE", 0.2)
    monkeypatch.setattr(prober, "_LIMIT_DEADLINE", 0.0)
    monkeypatch.setattr(payloads, "run", lambda _channel, _assignment: time.sleep(60))
    begun = time.monotonic()
    answers = probed(reading, containers["full-of-gaps"])
    assert time.monotonic() - begun < 5
    answer = answers["clock-set"]
    assert isinstance(answer, Unknown)
    assert "not through in time" in answer.reason


@pytest.mark.usefixtures("clean")
def test_a_twin_that_breaks_says_why(demonstrated: Demonstrated, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_channel: object, _assignment: object) -> None:
        raise ZeroDivisionError("oh")

    reading, containers = demonstrated
    monkeypatch.setattr(payloads, "run", broken)
    answer = probed(reading, containers["full-of-gaps"])["clock-set"]
    assert isinstance(answer, Unknown)
    assert "ZeroDivisionError: oh" in answer.reason


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("after", [0.001, 0.004, 0.01, 0.03, 0.06, 0.12, 0.3, 0.5])
def test_nothing_is_left_after_an_interrupt(demonstrated: Demonstrated, after: float) -> None:
    reading, containers = demonstrated
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def interrupted() -> None:
        with Prober(reading.host) as engine:
            signal.setitimer(signal.ITIMER_REAL, after)
            engine.probe(list(containers.values()))
            time.sleep(1)

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


KILLED = """
import sys, time
from isoaudit.probes.demo import demo_containers
with demo_containers() as made:
    print(*(one.pid for one in made), flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_leaves_is_swept() -> None:
    before = state_of_the_host()
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 3
        assert not [path for path in sweep() if f"isoaudit-{run.pid}-" in path], "it still runs"
        run.kill()
        run.wait()
        for _ in range(250):
            if not any(alive(pid) for pid in pids):
                break
            time.sleep(0.02)
        assert not any(alive(pid) for pid in pids)
        assert left_over(run.pid)
        assert {Path(path).name.split("-")[1] for path in sweep()} == {str(run.pid)}
        assert not left_over(run.pid)
    assert state_of_the_host() == before


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.usefixtures("clean")
def test_the_demo_ends_on_an_interrupt() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        run.send_signal(signal.SIGINT)
        run.wait(10)
        assert not any(alive(pid) for pid in pids)
        assert not left_over(run.pid)


@pytest.mark.usefixtures("clean")
def test_a_container_that_cannot_be_made_leaves_nothing() -> None:
    made: list[native.TestContainer] = []
    with RunCgroups(()) as run:
        # No id map: nothing may be written in a user namespace in which nobody has an id.
        container = native.start(
            Confinement(frozenset({"user", "mnt"})), run.group("x"), lambda _: None, register=made.append
        )
        messages, _ = container.hear()
        assert messages[0]["errno"] in (errno.EOVERFLOW, errno.EPERM, errno.EINVAL)
        container.end()
        container.end()
