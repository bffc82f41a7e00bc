"""What a twin's cgroups are to allow: what its container's do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts import limits
from isoaudit.facts.cgroup import Cgroup, parse_cpu_list
from isoaudit.facts.device_program import ProgramRules, program_rules
from isoaudit.facts.devices import parse_devices_list
from isoaudit.model import Known, Reading, Unknown

if TYPE_CHECKING:
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host


class Limits(NamedTuple):
    """What the container's cgroups allow it; None or "" where nothing limits."""

    cpu: tuple[int, int] | None = None  # quota and period in microseconds
    memory: int | None = None  # bytes
    memory_and_swap: int | None = None  # bytes, v1
    swap: int | None = None  # bytes, v2
    pids: int | None = None
    rt_runtime: int | None = None  # microseconds, v1; None: it has no cpu cgroup of its own
    cpus: str = ""
    memory_nodes: str = ""
    devices: tuple[str, ...] | None = None  # lines of devices.list, v1; None: any device
    device_programs: tuple[str, ...] = ()  # of v2, as in `DeviceProgram`: all of them must agree
    # Whose its cgroups are if not root's: controller, uid of the directory, uid of the files that limit.
    owners: tuple[tuple[str, int, int], ...] = ()
    freezer: bool = False  # whether it has a cgroup of its own to be frozen in


def cgroup_limits(host: Host, container: Container, not_copied: list[str]) -> tuple[Limits, dict[str, str]]:
    """What limits a container, and by probe of a limit why there is nothing to measure.

    Args:
        host: its CPUs and memory nodes, to tell a restriction from none.
        container: whose cgroups to follow.
        not_copied: gets what the twin's will differ in.
    """
    unlimited: dict[str, str] = {}
    if isinstance(container.cgroup, Unknown):
        reason = f"its cgroups could not be read: {container.cgroup.reason}"
        not_copied.append("cgroup limits: they could not be read")
        return Limits(), dict.fromkeys(("cpu-quota", "memory-limit", "pids-limit", "freezer"), reason)
    cgroup = container.cgroup.value

    def amount(probe: str, reading: Reading[limits.Limit]) -> float | None:
        if isinstance(reading, Unknown):
            unlimited[probe] = f"its limit could not be read: {reading.source}: {reading.reason}"
            return None
        if reading.value.amount is None:
            unlimited[probe] = "it has no limit to measure"
        return reading.value.amount

    cpus = amount("cpu-quota", limits.cpu_count(cgroup))
    memory = amount("memory-limit", limits.memory_bytes(cgroup))
    pids = amount("pids-limit", limits.pids_count(cgroup))
    place = cgroup.place("freezer")
    frozen = isinstance(place, Known) and place.value is not None and place.value.own
    if isinstance(place, Unknown):
        unlimited["freezer"] = f"its cgroup could not be told: {place.source}: {place.reason}"
    elif not frozen:
        unlimited["freezer"] = "it has no cgroup of its own to be frozen in"
    return (
        Limits(
            # The tightest level may have any period: a quota is put over the kernel's default one.
            cpu=(max(round(cpus * _PERIOD), 1000), _PERIOD) if cpus is not None else None,
            memory=_whole(memory),
            memory_and_swap=_whole(_amount(limits.memory_and_swap_bytes(cgroup))),
            swap=_whole(_amount(limits.swap_bytes(cgroup))),
            pids=_whole(pids),
            rt_runtime=_rt_runtime(cgroup),
            cpus=_subset(cgroup.leaf("cpuset.effective_cpus", "cpuset.cpus.effective"), host.cpus),
            memory_nodes=_subset(
                cgroup.leaf("cpuset.effective_mems", "cpuset.mems.effective"), host.memory_nodes
            ),
            devices=_devices(cgroup),
            device_programs=device_programs(cgroup)[0],
            owners=_owners(cgroup),
            freezer=frozen,
        ),
        unlimited,
    )


_PERIOD = 100_000  # microseconds, as the kernel's default (kernel/sched/fair.c)


def _amount(reading: Reading[limits.Limit]) -> float | None:
    return reading.value.amount if isinstance(reading, Known) else None


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)


def _rt_runtime(cgroup: Cgroup) -> int | None:
    reading = cgroup.leaf("cpu.rt_runtime_us")
    if isinstance(reading, Unknown) or cgroup.path("cpu") in (None, "/"):
        return None
    return int(reading.value)


def _subset(reading: Reading[str], online: Reading[frozenset[int]]) -> str:
    """A cpuset list if it is a real restriction, else ""."""
    if isinstance(reading, Unknown) or isinstance(online, Unknown) or not reading.value:
        return ""
    return "" if parse_cpu_list(reading.value) >= online.value else reading.value


def _devices(cgroup: Cgroup) -> tuple[str, ...] | None:
    """The rules of the container's own devices cgroup; the kernel keeps them within its ancestors'."""
    readings = cgroup.readings("devices.list")
    if not readings or isinstance(readings[0], Unknown):
        return None
    lines = tuple(readings[0].value.splitlines())
    if any(rule.kind == "a" for rule in parse_devices_list(readings[0].value)):
        return None
    return lines


def device_programs(cgroup: Cgroup) -> tuple[tuple[str, ...], str]:
    """The device programs of v2 that bind the container, and why they could not be copied; "" if they can.

    Only what was taken apart whole is ever loaded again.
    """
    if cgroup.path("") in (None, "/"):
        return (), ""
    if isinstance(cgroup.device_programs, Unknown):
        return (), f"device program of cgroup v2 (if it has one): {cgroup.device_programs.reason}"
    found = dict.fromkeys(program.instructions for program in cgroup.device_programs.value)
    for instructions in found:
        rules = program_rules(instructions)
        if not isinstance(rules, ProgramRules):
            return (), f"device program of cgroup v2, which is not followed: {rules}"
    return tuple(found), ""


def _owners(cgroup: Cgroup) -> tuple[tuple[str, int, int], ...]:
    found = []
    for controller, whose in cgroup.owners.items():
        if (whose.directory or whose.limits) and cgroup.path(controller) not in (None, "/"):
            found.append((controller.removeprefix("name="), whose.directory, whose.limits))
    return tuple(found)
