"""Processes and threads that are less confined than their container, made as people make them; and engines."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.live import Docker, Process, Run, Start, isoaudit, need

CONFINED = ("--cap-drop=ALL", "--user=1000", "--security-opt=no-new-privileges")
DRIFT = "identity-process-drift"

# capset(2) and PR_SET_NO_NEW_PRIVS bind the calling thread alone.
DROP_IN_MAIN = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
libc = ctypes.CDLL(None, use_errno=True)
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.syscall({"x86_64": 126, "aarch64": 91}[platform.machine()], header, sets) == 0
assert libc.prctl(38, 1, 0, 0, 0) == 0
time.sleep(1000)
"""


def execute(docker: Docker, name: str, *flags: str) -> None:
    """Start a second process, and wait until the runtime has become it."""
    docker("exec", "-d", *flags, name, "sleep", "1000")
    for _ in range(100):
        if docker("top", name, "-o", "pid,comm").split().count("sleep") == 2:
            return
        time.sleep(0.02)
    raise AssertionError(f"no second process in {name}")


def drift(name: str) -> dict[str, Any]:
    run: Run = isoaudit("container", name, "-f", "json", "--probes", "none")
    assert run.code == 0, run.err
    return run.findings(name)[DRIFT]


def test_a_process_of_its_own(container: Start, docker: Docker) -> None:
    name = container("iso-drift-none", *CONFINED)
    execute(docker, name)
    found = drift(name)
    assert found["outcome"] == "pass", found["message"]


def test_exec_as_another_user(container: Start, docker: Docker) -> None:
    name = container("iso-drift-user", *CONFINED)
    execute(docker, name, "--user=0")
    found = drift(name)
    assert found["outcome"] == "fail"
    assert found["severity"] == "medium"
    assert "(sleep) is the host's root" in found["message"]


def test_nsenter_into_its_mounts(container: Start, docker: Docker, spawn: Callable[..., Process]) -> None:
    need("nsenter")
    name = container("iso-drift-nsenter", *CONFINED)
    pid = docker("inspect", "-f", "{{.State.Pid}}", name)
    entered = spawn("nsenter", "--target", pid, "--mount", "/bin/sleep", "1000")
    for _ in range(100):
        if Path(f"/proc/{entered.pid}/ns/mnt").readlink() == Path(f"/proc/{pid}/ns/mnt").readlink():
            break
        time.sleep(0.02)
    found = drift(name)
    assert found["severity"] == "high"
    for part in ("no seccomp filter", "lacks no_new_privs", "in the host's pid, net"):
        assert part in found["message"], found["message"]
    sources = {evidence["source"].rpartition("/")[2] for evidence in found["evidence"]}
    assert {"status", "pid", "net", "cgroup"} <= sources


def test_a_thread_that_kept_what_the_first_one_dropped(spawn: Callable[..., Process]) -> None:
    need("unshare")
    process = spawn("unshare", "-pfmu", "--mount-proc", sys.executable, "-c", DROP_IN_MAIN)
    inside = process.child(Path(sys.executable).name[:15])
    for _ in range(100):
        threads = [int(tid) for tid in os.listdir(f"/proc/{inside}/task")]
        if len(threads) > 1 and "CapEff:\t0000000000000000" in Path(f"/proc/{inside}/status").read_text():
            break
        time.sleep(0.02)
    (other,) = (tid for tid in threads if tid != inside)
    run = isoaudit("container", str(inside), "-f", "json", "--probes", "none")
    (entry,) = run.report["containers"]
    found = run.findings(entry["key"])
    assert f"thread {other} (" in found[DRIFT]["message"], found[DRIFT]
    assert found["capability-sys-admin"]["outcome"] == "fail", found["capability-sys-admin"]


def test_a_daemon_without_walls(docker: Docker, container: Start) -> None:
    container("iso-engine")
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
    found = run.findings("host")
    assert "docker (" in found["engine-rootful"]["message"]
    for check in ("engine-userns-off", "engine-no-new-privileges-off"):
        assert found[check]["outcome"] == "fail", found[check]
    assert found["engine-userns-off"]["basis"] == "observed"
    os.chmod(docker.socket.removeprefix("unix://"), 0o666)  # noqa: S103  for a moment, in a folder of root's
    try:
        opened = isoaudit("scan", "--host", "-f", "json", "--probes", "none").findings("host")
    finally:
        os.chmod(docker.socket.removeprefix("unix://"), 0o660)
    above = subprocess.run(
        ["namei", "-m", docker.socket.removeprefix("unix://")], capture_output=True, text=True, check=True
    ).stdout
    # pytest's folders are root's alone, which keeps even an open socket shut.
    shut = any(line.split()[0].endswith("---") and line.startswith(" d") for line in above.splitlines()[1:])
    assert (docker.socket.removeprefix("unix://") in opened["engine-socket-exposed"]["message"]) is not shut
