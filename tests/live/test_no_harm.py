"""What a scan with probes leaves of itself: nothing, however it ends, and a host as it was."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.live import Process, isoaudit

from isoaudit.kernel import syscalls

KILLS = 200
# Settings that the kernel itself moves: counters, random numbers, how full something is.
MOVING = re.compile(
    r"/(random/(uuid|entropy_avail|boot_id)|fs/(dentry-state|inode-nr|inode-state|file-nr|aio-nr)"
    r"|kernel/(ns_last_pid|pty/nr|perf_event_max_sample_rate|perf_cpu_time_max_percent|sched_domain.*)"
    r"|net/netfilter/nf_conntrack_count|kernel/random/.*|fs/quota/.*)$"
)
# What reading does something (a dump of statistics, a flush) is never read.
ACTING = re.compile(r"/(route/flush|stat_refresh|compact_memory|drop_caches)$")
SCAN = ("scan", "--host", "-f", "json", "-o", "/dev/null", "-q")


@pytest.fixture
def contained(spawn: Callable[..., Process]) -> int:
    """A container for the twins to resemble: its own namespaces, ours of everything else."""
    return spawn("unshare", "-pfmuin", "--mount-proc", "sleep", "1000").child("sleep")


def settings() -> dict[str, str]:
    found = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = f"{folder}/{name}"
            if not MOVING.search(path) and not ACTING.search(path):
                try:
                    found[path] = Path(path).read_text(errors="replace")
                except OSError as error:
                    found[path] = str(error.errno)
    return found


def keyrings() -> list[str]:
    """Keys by type and description; how long each still lives moves."""
    return sorted(line.split(None, 7)[-1] for line in Path("/proc/keys").read_text().splitlines())


def namespaces() -> set[str]:
    """Every namespace that a process outside of this test's own is in."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                continue
    return found


def host() -> dict[str, Any]:
    clock = syscalls.read_adjtimex()
    return {
        "settings": settings(),
        # What engines of other tests mount for themselves is not ours.
        "mounts": sorted(
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/pytest-of-" not in line
        ),
        "cgroups": sorted(folder for folder, _, _ in os.walk("/sys/fs/cgroup")),
        "modules": Path("/proc/modules").read_text() if Path("/proc/modules").exists() else "",
        "devices": sorted(
            (path.name, path.stat().st_rdev, path.stat().st_mode) for path in Path("/dev").iterdir()
        ),
        "clock": (clock.state, clock.status),
        "keys": keyrings(),
        "swaps": Path("/proc/swaps").read_text(),
        "namespaces": namespaces(),
        "hostname": os.uname().nodename,
    }


def test_the_host_is_the_same_after_a_scan_with_safe_probes(contained: int) -> None:
    assert isoaudit(*SCAN, "--probes", "safe").code == 0  # what only the first scan makes is in both
    before = host()
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "safe")
    assert run.code == 0, run.err
    assert any(f["basis"] == "proven" for f in run.report["findings"]), "probes ran"
    assert changed(before, host()) == {}


def test_after_kills_at_random_moments_nothing_remains(contained: int) -> None:
    """SIGKILL leaves nobody to clean up: test containers die by themselves, cgroups go with the next run."""
    before = host()
    chance = random.Random(4)  # noqa: S311  moments, not secrets
    probing = 0
    for _ in range(KILLS):
        running = subprocess.Popen(
            [sys.executable, "-m", "isoaudit", "container", str(contained), "-f", "json", "-q"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.05, 0.8))
        probing += bool(list(Path("/sys/fs/cgroup").glob(f"*/isoaudit-{running.pid}-*")))
        running.send_signal(signal.SIGKILL)
        running.wait()
        until = time.monotonic() + 5
        while children(running.pid) and time.monotonic() < until:
            time.sleep(0.005)
        assert children(running.pid) == [], "test containers die with whoever made them"
    assert probing > KILLS // 20, f"only {probing} of {KILLS} were killed while they probed"
    assert isoaudit("container", str(contained), *SCAN[2:]).code == 0
    # Two minutes of a whole host: others' things may have changed, so only what carries our name counts.
    found = changed(before, host())
    ours = [one for what in ("cgroups", "mounts", "keys") for one in found.get(what, ()) if "isoaudit-" in one]
    assert ours == []
    assert not {"clock", "swaps", "hostname"} & found.keys()


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is new or different. Of lists only what is new: engines of other tests tidy up behind themselves."""
    found: dict[str, Any] = {}
    for what, was in before.items():
        now = after[what]
        if isinstance(was, dict):
            found[what] = {k: (was.get(k), now.get(k)) for k in was | now if was.get(k) != now.get(k)}
        elif isinstance(was, list):
            found[what] = sorted((Counter(now) - Counter(was)).elements())
        elif isinstance(was, set):
            found[what] = now - was
        elif now != was:
            found[what] = (was, now)
    return {what: difference for what, difference in found.items() if difference}


def children(run: int) -> list[int]:
    """Processes in the cgroups of a run."""
    return [
        int(pid)
        for path in Path("/sys/fs/cgroup").glob(f"*/isoaudit-{run}-*/**/cgroup.procs")
        for pid in path.read_text().split()
    ]


def test_what_is_left_behind_would_be_noticed() -> None:
    before = host()
    top = Path("/sys/fs/cgroup/pids")
    folder = (top if top.exists() else top.parent) / "isoaudit-test-left-behind"
    folder.mkdir()
    try:
        assert changed(before, host()).get("cgroups") == [str(folder)]
    finally:
        folder.rmdir()
