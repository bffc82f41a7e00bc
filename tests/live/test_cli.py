"""The command line as its users have it, on this kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from support.live import Docker, Process, Start, isoaudit

from isoaudit import scan
from isoaudit.policy import Policy
from isoaudit.registry import load
from isoaudit.request import Request
from isoaudit.resources import bundled, data

Spawn = Callable[..., Process]


@pytest.fixture
def contained(spawn: Spawn) -> int:
    """The pid of a bare container's first process."""
    return spawn(
        "unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--mount-proc", "sleep", "1000"
    ).child("sleep")


def test_report_is_by_the_schema(contained: int) -> None:
    run = isoaudit("scan", "--host", "-f", "json", "--include-sandboxes")
    assert run.code == 0, run.err
    jsonschema.validate(run.report, json.loads(Path(data("report.schema.json")).read_text()))
    assert any(entry["pid"] == contained for entry in run.report["containers"])
    assert run.report["summary"]["error"] == 0
    assert run.err == ""


def test_several_formats_at_once(contained: int, tmp_path: Path) -> None:
    run = isoaudit("scan", "--host", "-f", "text,html,json", "-o", str(tmp_path))
    assert run.code == 0, run.err
    assert "cgroup-memory-unlimited" in run.out
    document = json.loads((tmp_path / "isoaudit-report.json").read_text())
    assert document["schema"] == "isoaudit/report/1"
    assert (tmp_path / "isoaudit-report.html").read_text().startswith("<!doctype html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["isoaudit-report.html", "isoaudit-report.json"]


def test_gate(contained: int) -> None:
    target = ("container", str(contained), "--probes", "none", "-f", "json")
    assert isoaudit(*target).code == 0
    failed = isoaudit(*target, "--fail-on", "high")
    assert failed.code == 10
    assert failed.report["summary"]["gate"] == "failed"
    passed = isoaudit(*target, "--fail-on", "critical", "--select", "cgroup-memory-unlimited")
    assert passed.code == 0
    assert passed.report["summary"]["gate"] == "passed"


def told(findings: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """Findings without what moves from one second to the next (counters in the evidence)."""
    names = ("check", "outcome", "severity", "message", "fingerprint")
    # This one's message says how much is left of what all use at this moment.
    return [
        tuple(f[name] for name in names if (f["check"], name) != ("quota-global-cheap", "message"))
        for f in findings
    ]


def test_collect_judge_and_render_agree_with_a_scan(contained: int, spawn: Spawn, tmp_path: Path) -> None:
    spawn("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sleep", "1000").child(
        "sleep"
    )  # a neighbour
    snapshot, saved = tmp_path / "snapshot.json", tmp_path / "report.json"
    assert isoaudit("collect", str(contained), "--probes", "none", "-o", str(snapshot)).code == 0
    judged = isoaudit("judge", str(snapshot), "-f", "json")
    direct = isoaudit("container", str(contained), "--probes", "none", "-f", "json")
    assert told(judged.report["findings"]) == told(direct.report["findings"])
    saved.write_text(direct.out)
    assert isoaudit("render", str(saved), "-f", "json").report == direct.report
    assert isoaudit("render", str(saved), "-f", "html").out.startswith("<!doctype html>")


def test_a_host_process_is_no_container() -> None:
    run = isoaudit("container", str(os.getpid()))
    assert run.code == 3
    assert run.out == ""
    assert run.err.count("\n") == 1
    assert "in no container" in run.err


def test_no_such_container() -> None:
    for target in ("4194304999", "no-such-name"):
        run = isoaudit("container", target)
        assert (run.code, run.out) == (3, "")
        assert run.err.count("\n") == 1


def test_an_ambiguous_name(spawn: Spawn) -> None:
    for _ in range(2):
        spawn("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sleep", "1000").child("sleep")
    rows = json.loads(isoaudit("list", "--json").out)
    assert len([row for row in rows if row["runtime"] == "unshare"]) >= 2


def as_nobody(arguments: list[str]) -> tuple[int, str]:
    """Run isoaudit in a fork that becomes an ordinary user; the interpreter itself may lie in root's home."""
    from isoaudit.cli.app import run

    scan.audit(Request(), load(bundled("checks")), Policy(), {})  # imports all that a scan needs
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.dup2(writing, 1)
            sys.stdout = os.fdopen(1, "w")
            sys.argv = ["isoaudit", *arguments]
            code = run()
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        out = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out


def test_an_ordinary_user_passes_nothing_that_it_did_not_read(container: Start, docker: Docker) -> None:
    name = container("iso-unprivileged", "--user=0")
    code, out = as_nobody(["scan", "--host", "-f", "json"])
    assert code == 0
    report = json.loads(out)
    assert report["scan"]["complete"] is False
    assert report["scan"]["probes"] == "none"
    assert any("run isoaudit as root" in notice for notice in report["scan"]["notices"])
    # Found by its cgroup path, as its namespaces are hidden.
    (entry,) = [c for c in report["containers"] if c["id"] == docker("inspect", "-f", "{{.Id}}", name)]
    assert entry["runtime"] == "docker"
    findings = {f["check"]: f for f in report["findings"] if f["subject"]["key"] == entry["key"]}
    assert findings["namespace-pid-shared"]["outcome"] == "unknown"
    assert "run isoaudit as root" in findings["namespace-pid-shared"]["message"]
    as_root = isoaudit("container", name, "-f", "json", "--probes", "none").findings(name)
    wrong = [c for c, f in findings.items() if f["outcome"] == "pass" and as_root[c]["outcome"] == "fail"]
    assert wrong == []


def test_a_container_that_ends_in_the_middle_is_reported(spawn: Spawn) -> None:
    """Containers come and go while scans run: no error, no traceback, every one judged or vanished."""
    churn = subprocess.Popen(
        [
            "sh",
            "-c",
            "while :; do unshare --mount --pid --fork --mount-proc sleep 0.02; done",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
            assert run.code == 0, run.err
            assert run.report["summary"]["error"] == 0
            for entry in run.report["containers"]:
                judged = [f for f in run.report["findings"] if f["subject"]["key"] == entry["key"]]
                assert bool(judged) is not bool(entry.get("vanished")), entry
    finally:
        churn.kill()
        churn.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(contained: int, tmp_path: Path, number: int, code: int) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "isoaudit", "scan", "--host", "-f", "html,json", "-o", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.6)
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode in (0, code)
    assert "Traceback" not in errors
    if running.returncode:
        assert list(tmp_path.iterdir()) == []
    assert not list(Path("/sys/fs/cgroup").glob("*/isoaudit-*"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    run = isoaudit("--show-completion", shell)
    assert run.code == 0, run.err
    assert "isoaudit" in run.out.lower()


def test_demo_audits_its_own_and_removes_them(tmp_path: Path) -> None:
    run = isoaudit("demo", cwd=tmp_path)
    assert run.code == 0, run.err
    document = json.loads((tmp_path / "isoaudit-report.json").read_text())
    # Another demo may run beside this one: then the keys are told apart.
    keys = [entry["key"].partition("~")[0] for entry in document["containers"]]
    assert set(keys) == {"hardened", "default-like", "full-of-gaps"}
    worst: dict[str, set[str]] = {"hardened": set(), "full-of-gaps": set()}
    for finding in document["findings"]:
        key = finding["subject"]["key"].partition("~")[0]
        if finding["outcome"] == "fail" and key in worst:
            worst[key].add(finding["severity"])
    assert not worst["hardened"] & {"critical", "high"}
    assert "critical" in worst["full-of-gaps"]
    rows = json.loads(isoaudit("list", "--json").out)
    assert not [row for row in rows if row["runtime"] == "isoaudit"]
    assert not list(Path("/sys/fs/cgroup").glob("*/isoaudit-*"))
