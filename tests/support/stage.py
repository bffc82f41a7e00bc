"""Starting the containers of `support.scenarios` side by side, and taking them away."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from support.live import Docker
from support.runtimes import (
    IMAGE,
    Bundles,
    CannotRunError,
    Commands,
    Containerd,
    Lxc,
    Nspawn,
    Podman,
    image_archive,
    remove_cgroups,
    wrapped,
)
from support.scenarios import TWINS, Key, Scenario

# Weaker than any engine's own profile: everything but one call that nobody needs.
WEAK = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
PARENT = "isos-limited"
# As tight as the twin's own.
LIMITS = {"memory/memory.limit_in_bytes": 64 << 20, "cpu/cpu.cfs_quota_us": 50000, "pids/pids.max": 64}
LIMITS_V2 = {"memory.max": 64 << 20, "cpu.max": "50000 100000", "pids.max": 64}
# Beside Docker's: whom others join.
COMPANIONS = (
    Scenario("docker", "peer", ("--ipc=shareable",)),
    Scenario("docker", "hostnet", ("--network=host",), without=("--network",)),
)


class Runtime(Protocol):
    """What starts containers, and stops all that it has started."""

    def start(self, name: str, *flags: str, command: tuple[str, ...] = ...) -> int:
        """The pid of a process inside."""

    def stop(self) -> None:
        """Take everything away."""


class DockerRuntime:
    """A daemon of our own as one of them."""

    def __init__(self, folder: Path, image: Path) -> None:
        runtime = f"--add-runtime=here={wrapped(folder, 'runc')}"
        self.engine = Docker(folder, runtime, "--default-runtime=here")
        if not self.engine.wait():
            self.engine.stop()
            raise CannotRunError(f"dockerd does not start: {(folder / 'log').read_text()[-300:]}")
        self.engine("load", "--input", str(image))

    def start(self, name: str, *flags: str, command: tuple[str, ...] = ()) -> int:
        try:
            self.engine("run", "--detach", f"--name={name}", *flags, IMAGE, *command)
        except AssertionError as error:
            raise CannotRunError(str(error)[-300:]) from error
        return int(self.engine("inspect", "--format={{.State.Pid}}", name))

    def stop(self) -> None:
        started = self.engine("ps", "--all", "--quiet").split()
        _side_by_side(partial(self.engine, "rm", "--force", "--volumes", one) for one in started)
        self.engine.stop()


def _side_by_side(calls: Iterable[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def _disk() -> str:
    for path in sorted(Path("/dev").iterdir()):
        if stat.S_ISBLK(path.stat().st_mode) and not path.name.startswith(("loop", "ram", "zram")):
            return str(path)
    return "/dev/absent"


class Stage:
    """All containers of some scenarios.

    Args:
        folder: for everything.
        root: the root filesystem of all containers.

    Attributes:
        pids: of a process of each that runs.
        refused: those that could not be started here, and why.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.pids: dict[Key, int] = {}
        self.refused: dict[Key, str] = {}
        self._folder = folder
        self._engines: dict[str, Runtime] = {}
        self._undo = ExitStack()
        image = image_archive(root, folder / "image.tar", IMAGE)
        (folder / "weak.json").write_text(json.dumps(WEAK))
        self._tokens = {
            "@STATE": str(folder / "d"),
            "@DISK": _disk(),
            "@NODE": "/dev/mem" if os.path.exists("/dev/mem") else "/dev/kmsg",
            "@SHARED": str(self._shared()),
            "@WEAK": f"{folder}/weak.json",
            "@PEER": "isos-peer",
            "@HOSTNET": "isos-hostnet",
        }
        self._limit_parent()
        self._listen()
        self._makers: dict[str, Callable[[], Runtime]] = {
            "docker": lambda: DockerRuntime(self._below("d"), image),
            "podman": lambda: Podman(self._below("p"), image),
            "containerd": lambda: Containerd(self._below("c"), image),
            "runc": lambda: Bundles(self._below("r"), root),
            "lxc": lambda: Lxc(self._below("l"), root),
            "systemd-nspawn": lambda: Nspawn(self._below("n"), root),
            "bubblewrap": lambda: Commands("bwrap", "--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev"),
            "unshare": lambda: Commands("unshare", "--mount", "--fork", f"--root={root}", "--mount-proc"),
            "firejail": lambda: Commands("firejail", "--quiet", "--noprofile", "--private"),
        }  # fmt: skip

    def _below(self, name: str) -> Path:
        (self._folder / name).mkdir()
        return self._folder / name

    def _shared(self) -> Path:
        """A folder on a mount whose changes propagate: the host's own root is often private."""
        mount = self._below("shared")
        subprocess.run(["mount", "-t", "tmpfs", "isos", str(mount)], check=True)
        self._undo.callback(subprocess.run, ["umount", "--lazy", str(mount)], check=True)
        subprocess.run(["mount", "--make-shared", str(mount)], check=True)
        (mount / "data").mkdir()
        return mount / "data"

    def _listen(self) -> None:
        """An abstract socket of the host's, as most machines have one; nobody is ever let in."""
        listener = self._undo.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(f"\0isos-{os.getpid()}")
        listener.listen()

    def _limit_parent(self) -> None:
        """A cgroup that limits, for containers without limits of their own."""
        top = Path("/sys/fs/cgroup")
        limits: dict[Path, object] = {top / PARENT / name: value for name, value in LIMITS_V2.items()}
        if not (top / "cgroup.controllers").exists():
            limits = {}
            for name, limit in LIMITS.items():
                controller, _, file = name.partition("/")
                limits[top / controller / PARENT / file] = limit
        self._undo.callback(remove_cgroups, PARENT)
        for path, value in limits.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(value))

    def begin(self, scenarios: Iterable[Scenario]) -> None:
        """Start them all. Two of Docker's at a time: it takes most of the time, and nobody waits for another."""
        by_runtime: dict[str, list[Scenario]] = {}
        for scenario in scenarios:
            by_runtime.setdefault(scenario.runtime, []).append(scenario)
        _side_by_side(partial(self._make, one) for one in by_runtime)
        first = [one for one in COMPANIONS if one.runtime in by_runtime]
        first += [Scenario(runtime, "twin") for runtime in by_runtime]
        self._start_all(first)
        docker = by_runtime.pop("docker", [])
        halves = [docker[::2], docker[1::2]]
        others = [one for scenarios in by_runtime.values() for one in scenarios]
        _side_by_side(partial(self._start_all, some) for some in (*halves, others))
        for key, pid in list(self.pids.items()):
            if not os.path.exists(f"/proc/{pid}/ns/mnt"):
                del self.pids[key]
                self.refused[key] = "it has ended at once"

    def _make(self, runtime: str) -> None:
        try:
            self._engines[runtime] = self._makers[runtime]()
        except CannotRunError as error:
            self.refused[runtime, ""] = str(error)

    def _start_all(self, scenarios: Iterable[Scenario]) -> None:
        for scenario in scenarios:
            why = self.refused.get((scenario.runtime, "")) or self.refused.get((scenario.runtime, "twin"))
            if why:
                self.refused[scenario.key] = why
                continue
            options: dict[str, Any] = {"command": scenario.command} if scenario.command else {}
            try:
                self.pids[scenario.key] = self._engines[scenario.runtime].start(
                    f"isos-{scenario.name}", *self._flags(scenario), **options
                )
            except CannotRunError as error:
                self.refused[scenario.key] = str(error)

    def _flags(self, scenario: Scenario) -> list[str]:
        left_out = scenario.without or ("\0",)
        flags = [flag for flag in TWINS[scenario.runtime] if not flag.startswith(left_out)]
        for flag in scenario.flags:
            for token, value in self._tokens.items():
                flag = flag.replace(token, value)  # noqa: PLW2901  one token after the other
            flags.append(flag)
        return flags

    def end(self) -> None:
        """Take everything away, whatever fails."""
        with self._undo:
            _side_by_side([engine.stop for engine in self._engines.values()])
