"""Starting real runtimes, and running isoaudit as its user would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# On a machine that must be able to run everything, a missing runtime is a failure, not a skip.
DEMAND_ALL = os.environ.get("ISOAUDIT_LIVE") == "all"


def missing(reason: str) -> None:
    """Skip, or fail where everything is demanded."""
    if DEMAND_ALL:
        pytest.fail(f"ISOAUDIT_LIVE=all, but {reason}")
    pytest.skip(reason)


def need(*commands: str) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for command in commands:
        if shutil.which(command, path=path) is None:
            missing(f"{command} is not installed (tests/live/setup.sh installs it)")


class Run(NamedTuple):
    """A finished run of isoaudit."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def findings(self, key: str) -> dict[str, dict[str, Any]]:
        """Findings on one container (or "host"), by check."""
        return {f["check"]: f for f in self.report["findings"] if f["subject"]["key"] == key}

    def failing(self, key: str) -> set[str]:
        """Ids of the checks that failed on a container."""
        return {check for check, f in self.findings(key).items() if f["outcome"] == "fail"}


def isoaudit(*arguments: str, timeout: float = 120, **options: Any) -> Run:
    """Run isoaudit as its user would."""
    done = subprocess.run(
        [sys.executable, "-m", "isoaudit", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    return Run(done.returncode, done.stdout, done.stderr)


class Docker:
    """A Docker daemon of our own: private data, no bridge, no firewall rules, no registry.

    Args:
        folder: for its state.
        options: of dockerd's, more than these.
        namespace: of `ip netns`, for its network; ours when empty.
        path: where it finds its commands before all others.
    """

    def __init__(self, folder: Path, *options: str, namespace: str = "", path: str = "") -> None:
        self.folder = folder
        self.socket = f"unix://{folder}/docker.sock"
        self.log = (folder / "log").open("wb")
        self.daemon = subprocess.Popen(
            [
                *(("nsenter", f"--net=/run/netns/{namespace}") if namespace else ()),
                "dockerd",
                f"--data-root={folder}/root",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host={self.socket}",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                *options,
            ],
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{path or '/usr/sbin'}:{os.environ['PATH']}:/usr/sbin:/sbin"},
        )

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", f"--host={self.socket}", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"docker {arguments}: {done.stderr}"
        return done.stdout.strip()

    def wait(self) -> bool:
        for _ in range(300):
            if self.daemon.poll() is not None:
                return False
            probe = subprocess.run(
                ["docker", f"--host={self.socket}", "version"], capture_output=True, check=False
            )
            if probe.returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()
        # It leaves the mount of its network namespace (netns/default): nobody could remove the folder.
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            target = line.split()[4]
            if target.startswith(f"{self.folder}/"):
                subprocess.run(["umount", target], check=True)


Start = Callable[..., str]


def _told(path: str) -> str:
    """A file of a process; "" of one that has ended: tools start helpers that are gone in a moment."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Process:
    """A process that a test has started, and what runs below it."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def child(self, name: str) -> int:
        """The pid of its first descendant with that command name, once there is one."""
        for _ in range(200):
            for pid in self._below(self.pid):
                if _told(f"/proc/{pid}/comm").strip() == name:
                    return pid
            time.sleep(0.02)
        raise AssertionError(f"no {name} below {self.process.args!r}")

    def _below(self, pid: int) -> list[int]:
        children = _told(f"/proc/{pid}/task/{pid}/children").split()
        return [below for child in map(int, children) for below in (child, *self._below(child))]

    def stop(self) -> None:
        for pid in [*self._below(self.pid)]:
            with suppress(ProcessLookupError):  # the first one's end may have ended the others
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
