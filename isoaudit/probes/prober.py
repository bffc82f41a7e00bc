"""Probing containers through twins: one for all that have equal walls, several side by side."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import select
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.collect import cgroups as collected
from isoaudit.collect.paths import Paths
from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.tree import VanishedError, read_file
from isoaudit.facts.cgroup import parse_cpu_list
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.facts.namespaces import same
from isoaudit.facts.status import parse_status
from isoaudit.facts.units import binary
from isoaudit.kernel import credentials, device_filter, mounting, syscalls
from isoaudit.kernel.capability import mask, names
from isoaudit.model import Known, Unknown
from isoaudit.probes import cgroups, payloads
from isoaudit.probes.catalogue import BY_NAME, HAZARDS, LIMIT, PROBES, Probe
from isoaudit.probes.declared import clocks
from isoaudit.probes.engines import native
from isoaudit.probes.interpret import Powers, verdict
from isoaudit.probes.twin import NoTwinError, Recipe, recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.facts.probe import ProbeAnswer
    from isoaudit.model import Reading

_NEEDED = mask("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")
# What a test container may have where its original has no limit.
_OWN_PIDS = 64
_OWN_MEMORY = 128 << 20
# What a probe may use to reach a limit.
_MOST_FORKS = 200
_MOST_MEMORY = 256 << 20
_MEMORY_BEYOND = 8 << 20
_MOST_SPINNERS = 2
_DEADLINE = 5.0  # seconds for all permissions
_LIMIT_DEADLINE = 4.0  # seconds more for each limit
_WATCH = 3.0  # seconds for the memory limit to be reached
_FREEZE = 0.5  # seconds for the kernel to freeze what is a handful of processes
_STILL = 0.005  # seconds in which the counter of a process that is not frozen moves several times
_SLOTS = 8
_RLIMIT_RTPRIO = 14


def available() -> str | None:
    """Why native probes cannot run at all; None if they can."""
    if os.geteuid() != 0:
        return "test containers need root"
    if not syscalls.has_table():
        return f"the system-call numbers of {os.uname().machine} are not known"
    lacking = _NEEDED & ~credentials.permitted()
    if lacking:
        return f"test containers need {', '.join(names(lacking))}"
    try:
        syscalls.call("clone3", None, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            return f"clone3(2) answers {error.strerror}: it needs Linux 5.3 or newer and no filter against it"
    return None


def sweep() -> list[str]:
    """Remove the cgroups that killed runs left behind, and what still runs in them.

    Returns:
        The paths of what was removed.
    """
    mounts = parse_mountinfo(read_file("/proc/self/mountinfo"))
    return cgroups.sweep(one.mount_point for one in collected.hierarchies(mounts, Paths()))


class Plan(NamedTuple):
    """What a twin is to try, and why it will not try the rest."""

    names: tuple[str, ...]
    refused: Mapping[str, str]
    memory: int
    forks: int
    spinners: int


def lacking() -> dict[str, str]:
    """The probes whose calls would have this kernel look for a module, by name, and why they are not made."""
    found = {}
    for probe in PROBES:
        path, word = probe.needs
        if not path:
            continue
        try:
            shown = read_file(path).decode("ascii", "replace").split()
        except FileNotFoundError:
            found[probe.name] = f"there is no {path}: the kernel would look for a module"
        except OSError as error:
            found[probe.name] = f"{path}: {error.strerror}: whether the kernel has what it calls is not known"
            continue
        if word and word not in shown:
            found[probe.name] = f"{path} shows nothing of it: the kernel would look for a module"
    return found


def plan(
    made: Recipe,
    hazard: str,
    available_memory: int,
    cpus: int,
    v2_memory: bool,  # noqa: FBT001
    impossible: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Choose the probes for a twin.

    Args:
        made: the twin's recipe.
        hazard: the worst class that is allowed.
        available_memory: what a probe may touch, in bytes.
        cpus: how many are online.
        v2_memory: whether the memory controller is on cgroup v2.
        impossible: what this kernel must not be asked, and why.
    """
    limits = made.limits
    refused = {**dict(made.unlimited), **impossible}
    for probe in PROBES:
        if HAZARDS.index(probe.hazard) > HAZARDS.index(hazard):
            refused[probe.name] = f"it is {probe.hazard}: allow it by --probes {probe.hazard}"
    memory = (limits.memory or 0) + _MEMORY_BEYOND
    most = min(_MOST_MEMORY, available_memory)
    if limits.memory is not None and memory > most:
        refused["memory-limit"] = (
            f"its limit of {binary(limits.memory)} is larger than the {binary(most)} that the probe may use"
        )
    elif limits.memory is not None and v2_memory and hazard == "safe":
        refused["memory-limit"] = "on cgroup v2 it ends in an OOM kill, which the kernel logs: --probes visible"
    if limits.pids is not None and limits.pids >= _MOST_FORKS:
        refused["pids-limit"] = (
            f"its limit of {limits.pids} is larger than the {_MOST_FORKS} tasks that the probe may use"
        )
    spinners = 1
    if limits.cpu is not None:
        spinners = limits.cpu[0] // limits.cpu[1] + 1
        usable = min(cpus, len(parse_cpu_list(limits.cpus)) or cpus, _MOST_SPINNERS)
        if spinners > usable:
            refused["cpu-quota"] = (
                f"its quota of {limits.cpu[0] / limits.cpu[1]:.2f} CPUs is not below the {usable} "
                "that the probe may use"
            )
    return Plan(
        tuple(probe.name for probe in PROBES if probe.name not in refused),
        refused,
        memory,
        (limits.pids or 0) + 1,
        spinners,
    )


class _Outcome(NamedTuple):
    """What a twin reported, by probe; and what went wrong with it as a whole, if anything did."""

    heard: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]
    refused: Mapping[str, str]
    failed: str


class _Twin:
    """A twin that runs."""

    def __init__(self, made: Recipe, planned: Plan, group: cgroups.Group) -> None:
        self.recipe = made
        self.planned = planned
        self.group = group
        self.shared = mmap.mmap(-1, payloads.SHARED_SIZE)
        self.heard: dict[str, dict[str, Any]] = {}
        self.figures: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, str] = {}
        self.failed = ""
        limits = sum(1 for name in planned.names if BY_NAME[name].kind == LIMIT)
        self.deadline = time.monotonic() + _DEADLINE + limits * _LIMIT_DEADLINE
        self.container: native.TestContainer | None = None

    def outcome(self) -> _Outcome:
        for name, figures in self.figures.items():
            if name in self.heard:
                self.heard[name].update(figures)
        return _Outcome(self.heard, self.failures, self.planned.refused, self.failed)

    # -- its cgroups

    def confine(self) -> None:
        """What limits it from the start: its original's limits that hinder no probe, else small ones."""
        limits = self.recipe.limits
        self._try("pids", "pids", "pids.max", str(_OWN_PIDS))
        v1 = self.group.version("memory") == 1
        self._try("memory", "memory", "memory.limit_in_bytes" if v1 else "memory.max", str(_OWN_MEMORY))
        if limits.cpus:
            self._try("cpuset", "cpuset", "cpuset.cpus", limits.cpus)
        if limits.memory_nodes:
            self._try("cpuset", "cpuset", "cpuset.mems", limits.memory_nodes)
        if limits.rt_runtime is not None:
            # 0 is what a new cgroup has.
            if limits.rt_runtime:
                self._try("cpu.rt_runtime_us", "cpu", "cpu.rt_runtime_us", str(limits.rt_runtime))
            else:
                self._join("cpu")
        if limits.cpu is not None:
            self._join("cpu")
        if limits.devices is not None:
            self._try("devices", "devices", "devices.deny", "a")
            for rule in limits.devices:
                self._try("devices", "devices", "devices.allow", rule)
        for program in limits.device_programs:
            self._attach(program)
        for controller, directory, files in limits.owners:
            self._give(controller, directory, files)
        if "freezer" in self.planned.names:
            self._join("freezer" if self.group.version("freezer") else "")
        if "cpu-account" in self.planned.names:
            self._join("cpuacct" if self.group.version("cpuacct") == 1 else "")

    def _try(self, what: str, controller: str, file: str, value: str) -> None:
        try:
            self.group.set(controller, file, value)
        except OSError as error:
            self.failures.setdefault(what, f"{file}: {error.strerror}")

    def _attach(self, program: str) -> None:
        """Put a device program of its original's on its v2 cgroup."""
        try:
            device_filter.attach(self.group.join(""), program)
        except OSError as error:
            self.failures.setdefault("devices", f"bpf(2): {error.strerror}")

    def _give(self, controller: str, directory: int, files: int) -> None:
        """Let its cgroup belong to whom its original's belongs to."""
        try:
            self.group.give(controller, directory, files)
        except OSError as error:
            self.failures.setdefault("owner of its cgroup", f"{error.strerror}")

    def _join(self, controller: str) -> None:
        try:
            self.group.join(controller)
        except OSError as error:
            self.failures.setdefault(controller, str(error.strerror))

    # -- what it says and asks for

    def take(self, message: dict[str, Any]) -> None:
        """React to one message."""
        if "want" in message:
            self._grant(message["want"])
        elif "lacks" in message:
            self.failures[message["lacks"]] = message["reason"]
        elif "name" in message:
            name = message["name"]
            self.heard[name] = message
            self._after(name)
        else:
            self.failed = message["failed"]

    def _grant(self, name: str) -> None:
        assert self.container is not None  # noqa: S101  who else should have asked
        payloads.shared_set(self.shared, payloads.STOP, 0)
        payloads.shared_set(self.shared, payloads.DONE, 0)
        try:
            _BEFORE[name](self)
        except OSError as error:
            self.container.reply(error.errno or errno.EIO)
            return
        self.container.reply(0)
        watch = _WATCHES.get(name)
        if watch is None:
            return
        try:
            self.figures[name] = watch(self)
        except OSError as error:
            # Without figures the verdict is "unknown", and says so.
            self.failures[name] = str(error.strerror)
        finally:
            payloads.shared_set(self.shared, payloads.STOP)

    def _after(self, name: str) -> None:
        after = _AFTER.get(name)
        if after is not None and "failed" not in self.heard[name]:
            try:
                after(self)
            except OSError as error:
                self.failures[name] = str(error.strerror)

    def silent(self, seconds: float) -> bool:
        """Wait; whether it has said nothing until then."""
        assert self.container is not None  # noqa: S101
        poll = select.poll()
        poll.register(self.container.answers, select.POLLIN)
        return not poll.poll(seconds * 1000)


def _limit_memory(twin: _Twin) -> None:
    limits, group = twin.recipe.limits, twin.group
    if group.version("memory") == 1:
        # Who goes beyond waits instead of being killed, which the kernel would log (cgroup-v1/memory.rst).
        group.set("memory", "memory.oom_control", "1")
        group.set("memory", "memory.limit_in_bytes", str(limits.memory))
        if limits.memory_and_swap is not None:
            group.set("memory", "memory.memsw.limit_in_bytes", str(limits.memory_and_swap))
    else:
        group.set("memory", "memory.max", str(limits.memory))
        if limits.swap is not None:
            group.set("memory", "memory.swap.max", str(limits.swap))


def _watch_memory(twin: _Twin) -> dict[str, Any]:
    """Until the limit stops it, or it is through; then let it go on, so that it can say how far it came."""
    group = twin.group
    if group.version("memory") != 1:
        twin.silent(_WATCH)
        kills = group.number("memory", "memory.events", "oom_kill")
        return {"oom_kill": kills, "touched": payloads.shared_get(twin.shared, payloads.COUNTER)}
    stopped = False
    until = time.monotonic() + _WATCH
    while time.monotonic() < until and not payloads.shared_get(twin.shared, payloads.DONE):
        if group.number("memory", "memory.oom_control", "under_oom"):
            stopped = True
            break
        if not twin.silent(0.001):
            break
    peak = int(group.get("memory", "memory.max_usage_in_bytes"))
    payloads.shared_set(twin.shared, payloads.STOP)
    if twin.recipe.limits.memory_and_swap is not None:
        group.set("memory", "memory.memsw.limit_in_bytes", "-1")
    group.set("memory", "memory.limit_in_bytes", str((twin.recipe.limits.memory or 0) + _OWN_MEMORY))
    group.set("memory", "memory.oom_control", "0")
    return {"stopped": stopped, "peak": peak}


def _throttled(twin: _Twin) -> int:
    return twin.group.number("cpu", "cpu.stat", "nr_throttled")


def _limit_cpu(twin: _Twin) -> None:
    assert twin.recipe.limits.cpu is not None  # noqa: S101  it would not have been planned
    quota, period = twin.recipe.limits.cpu
    if twin.group.version("cpu") == 1:
        twin.group.set("cpu", "cpu.cfs_period_us", str(period))
        twin.group.set("cpu", "cpu.cfs_quota_us", str(quota))
    else:
        twin.group.set("cpu", "cpu.max", f"{quota} {period}")
    twin.figures["cpu-quota"] = {"before": _throttled(twin)}


def _release_cpu(twin: _Twin) -> None:
    figures = twin.figures["cpu-quota"]
    figures["throttled"] = _throttled(twin) - figures["before"]
    if twin.group.version("cpu") == 1:
        twin.group.set("cpu", "cpu.cfs_quota_us", "-1")
    else:
        twin.group.set("cpu", "cpu.max", "max")


def _limit_pids(twin: _Twin) -> None:
    twin.group.set("pids", "pids.max", str(twin.recipe.limits.pids))


def _release_pids(twin: _Twin) -> None:
    twin.group.set("pids", "pids.max", str(_OWN_PIDS))


def _ready_to_freeze(twin: _Twin) -> None:
    twin.group.join("freezer" if twin.group.version("freezer") == 1 else "")


def _watch_frozen(twin: _Twin) -> dict[str, Any]:
    """Freeze it, look whether its counter stands still, thaw it."""
    v1 = twin.group.version("freezer") == 1
    controller, file = ("freezer", "freezer.state") if v1 else ("", "cgroup.freeze")
    until = time.monotonic() + _FREEZE
    while not payloads.shared_get(twin.shared, payloads.COUNTER) and time.monotonic() < until:
        time.sleep(0.0005)
    try:
        twin.group.set(controller, file, "FROZEN" if v1 else "1")
        frozen = False
        while not frozen and time.monotonic() < until:
            frozen = (
                twin.group.get(controller, file) == "FROZEN"
                if v1
                else twin.group.number("", "cgroup.events", "frozen") == 1
            )
        before = payloads.shared_get(twin.shared, payloads.COUNTER)
        time.sleep(_STILL)
        moved = payloads.shared_get(twin.shared, payloads.COUNTER) - before
    finally:
        twin.group.set(controller, file, "THAWED" if v1 else "0")
    return {"frozen": frozen and before > 0, "moved": moved, "file": file}


def _look_at_clocks(twin: _Twin) -> None:
    twin.figures["clock-shared"] = {"before": clocks.now()}


def _look_again(twin: _Twin) -> None:
    twin.figures["clock-shared"]["after"] = clocks.now()


def _look_at_pids(twin: _Twin) -> None:
    assert twin.container is not None  # noqa: S101  it has just been heard
    status = parse_status(read_file(f"/proc/{twin.container.pid}/status"), "status")
    pids = status.ns_pids
    twin.figures["namespace-pid-map"] = {"ns_pids": pids.value if isinstance(pids, Known) else ()}


def _cpu_time(twin: _Twin) -> int:
    """The CPU time that its cgroup has counted, in nanoseconds."""
    if twin.group.version("cpuacct") == 1:
        return int(twin.group.get("cpuacct", "cpuacct.usage"))
    return twin.group.number("", "cpu.stat", "usage_usec") * 1000


def _count_cpu(twin: _Twin) -> None:
    twin.group.join("cpuacct" if twin.group.version("cpuacct") == 1 else "")
    twin.figures["cpu-account"] = {"counted": -_cpu_time(twin)}


def _counted_cpu(twin: _Twin) -> None:
    twin.figures["cpu-account"]["counted"] += _cpu_time(twin)


_BEFORE: Mapping[str, Callable[[_Twin], None]] = {
    "clock-shared": _look_at_clocks,
    "cpu-account": _count_cpu,
    "freezer": _ready_to_freeze,
    "memory-limit": _limit_memory,
    "cpu-quota": _limit_cpu,
    "pids-limit": _limit_pids,
}
_WATCHES: Mapping[str, Callable[[_Twin], dict[str, Any]]] = {
    "freezer": _watch_frozen,
    "memory-limit": _watch_memory,
}
_AFTER: Mapping[str, Callable[[_Twin], None]] = {
    "clock-shared": _look_again,
    "cpu-account": _counted_cpu,
    "cpu-quota": _release_cpu,
    "namespace-pid-map": _look_at_pids,
    "pids-limit": _release_pids,
}


class Prober:
    """Probes containers. Use as a context manager: on leaving it, all that it made is gone.

    Must be used from a process with one thread, as it forks without exec.

    Args:
        host: the host's facts.
        hazard: the worst class of probes that is allowed: "safe", "visible" or "disruptive".
        progress: told how many twins are done, of how many.
        shared: (kind, inode) of the namespaces that more than one container is in.
    """

    def __init__(
        self,
        host: Host,
        *,
        hazard: str = "safe",
        progress: Callable[[int, int], None] | None = None,
        shared: Collection[tuple[str, int]] = (),
    ) -> None:
        self._host = host
        self._shared = shared
        self._hazard = hazard
        self._progress = progress or (lambda _done, _total: None)
        hierarchies = host.hierarchies.value if isinstance(host.hierarchies, Known) else ()
        self._cgroups = cgroups.RunCgroups(hierarchies)
        self._memo: dict[Recipe, _Outcome] = {}
        self._verdicts: dict[Recipe, tuple[tuple[str, Reading[ProbeAnswer]], ...]] = {}
        self._running: list[_Twin] = []
        self._containers: list[native.TestContainer] = []
        self._made = 0
        self._devices: int | None = None
        self._impossible = lacking()
        self._powers = Powers(credentials.permitted(), _own_rtprio())
        self._cpus = len(host.cpus.value) if isinstance(host.cpus, Known) else 1
        self._slots = min(2 * self._cpus, _SLOTS)
        self._obstacle = _outside(host.namespaces)

    def __enter__(self) -> Prober:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._devices is not None and self._devices >= 0:
            os.close(self._devices)
            self._devices = None
        self._cgroups.close()

    def probe(self, containers: Sequence[Container]) -> dict[str, dict[str, Reading[ProbeAnswer]]]:
        """Probe the twins of containers.

        Returns:
            By the container's key, then by the probe's name. What could not be found out is `Unknown`.
        """
        recipes: dict[str, Recipe | str] = {}
        for container in containers:
            recipes[container.key] = self._recipe(container)
        wanted = [made for made in recipes.values() if isinstance(made, Recipe)]
        queue = [made for made in dict.fromkeys(wanted) if made not in self._memo]
        try:
            self._run(queue)
        finally:
            self._stop()
        return {key: self._answers(key, made) for key, made in recipes.items()}

    def _recipe(self, container: Container) -> Recipe | str:
        if self._obstacle:
            return self._obstacle
        try:
            return recipe(self._host, container, self._shared)
        except NoTwinError as error:
            return str(error)
        except ValueError as error:
            return f"a fact that its twin needs was not understood: {error}"

    def _answers(self, key: str, made: Recipe | str) -> dict[str, Reading[ProbeAnswer]]:
        if isinstance(made, str):
            return {probe.name: Unknown(f"probe {probe.name}", made) for probe in PROBES}
        if made not in self._verdicts:
            outcome = self._memo[made]
            self._verdicts[made] = tuple(
                (probe.name, self._answer(probe, key, made, outcome)) for probe in PROBES
            )
        # What the twin of many says is told of each by its own name.
        return {name: _of(key, name, reading) for name, reading in self._verdicts[made]}

    def _answer(self, probe: Probe, key: str, made: Recipe, outcome: _Outcome) -> Reading[ProbeAnswer]:
        if probe.name in outcome.refused:
            return Unknown(f"probe {probe.name}", outcome.refused[probe.name])
        heard = outcome.heard.get(probe.name)
        if heard is None:
            reason = outcome.failed or "its twin ended before it"
            return Unknown(f"probe {probe.name} in a twin of {key}", reason)
        return verdict(probe.name, key, made, heard, self._powers, outcome.failures)

    # -- twins

    def _run(self, queue: list[Recipe]) -> None:
        total, waiting = len(queue), list(reversed(queue))
        poll = select.poll()
        by_fd: dict[int, _Twin] = {}
        while waiting or self._running:
            while waiting and len(self._running) < self._slots:
                twin = self._start(waiting.pop())
                if twin.container is None:
                    self._finish(twin)
                else:
                    by_fd[twin.container.answers] = twin
                    poll.register(twin.container.answers, select.POLLIN)
            if not self._running:
                continue
            patience = min(twin.deadline for twin in self._running) - time.monotonic()
            for fd, _ in poll.poll(max(patience, 0) * 1000):
                if not self._hear(by_fd[fd]):
                    poll.unregister(fd)
                    self._finish(by_fd.pop(fd))
            for twin in list(self._running):
                if time.monotonic() > twin.deadline and twin.container is not None:
                    twin.failed = twin.failed or "its twin was not through in time, and was killed"
                    poll.unregister(twin.container.answers)
                    del by_fd[twin.container.answers]
                    self._finish(twin)
            self._progress(total - len(waiting) - len(self._running), total)

    @staticmethod
    def _hear(twin: _Twin) -> bool:
        """Take what a twin has said; whether there is more to come."""
        assert twin.container is not None  # noqa: S101  only those are polled
        messages, more = twin.container.hear()
        for message in messages:
            twin.take(message)
        return more

    def _start(self, made: Recipe) -> _Twin:
        memory = _available_memory() // 8 // self._slots
        v2_memory = self._cgroups.version("memory") == 2
        planned = plan(made, self._hazard, memory, self._cpus, v2_memory, self._impossible)
        self._made += 1
        twin = _Twin(made, planned, self._cgroups.group(str(self._made)))
        self._running.append(twin)
        devices = self._device_directory()
        assignment = payloads.Assignment(
            planned.names, os.getpid(), devices, twin.shared, planned.memory, planned.forks, planned.spinners
        )
        confinement = made.confinement
        if "user" not in confinement.namespaces:
            confinement = confinement._replace(
                capabilities=confinement.capabilities.within(self._powers.capabilities)
            )
        try:
            twin.confine()
            twin.container = native.start(
                confinement,
                twin.group,
                lambda channel: payloads.run(channel, assignment),
                register=self._containers.append,
                keep=[devices] if devices >= 0 else [],
            )
            twin.failures.update(twin.container.lacking)
        except OSError as error:
            twin.failed = f"its twin could not be made: {error.strerror}"
            twin.group.remove()
        return twin

    def _finish(self, twin: _Twin) -> None:
        if twin.container is not None:
            twin.container.end()
            self._containers.remove(twin.container)
        self._running.remove(twin)
        self._memo[twin.recipe] = twin.outcome()
        twin.shared.close()

    def _stop(self) -> None:
        """End every twin that runs, as after an interrupt."""
        while self._containers:
            self._containers[-1].end()
            self._containers.pop()
        self._running.clear()

    def _device_directory(self) -> int:
        """A directory, mounted nowhere, with a device node that everybody may open as far as its mode goes."""
        if self._devices is None:
            try:
                self._devices = mounting.detached_tmpfs()
                kind, major, minor = payloads.DEVICE
                os.mknod(payloads.DEVICE_NAME, kind, os.makedev(major, minor), dir_fd=self._devices)
                os.chmod(payloads.DEVICE_NAME, 0o666, dir_fd=self._devices)  # noqa: S103  only twins reach it
            except OSError:
                if self._devices is not None:
                    os.close(self._devices)
                self._devices = -1
        return self._devices


def _of(key: str, name: str, reading: Reading[ProbeAnswer]) -> Reading[ProbeAnswer]:
    source = f"probe {name} in a twin of {key}"
    if isinstance(reading, Known):
        return Known(reading.value, source)
    return reading if reading.source == f"probe {name}" else Unknown(source, reading.reason)


def _own_rtprio() -> int | None:
    hard = resource.getrlimit(_RLIMIT_RTPRIO)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _outside(host: Namespaces) -> str:
    """Why twins made here could not share the host's namespaces; "" where they can."""
    try:
        with ProcessDirectory("/proc", os.getpid()) as directory:
            ours = directory.namespaces()
    except VanishedError:
        return "/proc does not show isoaudit itself: it is another PID namespace's"
    for kind in ("user", "pid", "net", "ipc", "uts"):
        if same(host.of(kind), ours.of(kind)) is False:
            return f"isoaudit itself does not run in the host's {kind} namespace"
    return ""


def _available_memory() -> int:
    for line in read_file("/proc/meminfo").splitlines():
        if line.startswith(b"MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
