"""Which of the host's devices a container can use: by a node, or the right to make one, and by its policy."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.confinement import holds_over_host, matching
from isoaudit.facts.device_program import ProgramRules, program_rules
from isoaudit.facts.devices import (
    BLOCK,
    DEFAULT_NODES,
    DeviceNode,
    DevicePolicy,
    RuleList,
    classify,
    parse_devices_list,
    sample_numbers,
)
from isoaudit.facts.latest import latest, latest_of
from isoaudit.facts.seccomp import lets
from isoaudit.kernel.capability import bit
from isoaudit.model import Evidence, FactMissing, Known, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.devices import DeviceProgram
    from isoaudit.model import Reading


_MOST_SHOWN = 64  # rules of one program in evidence


class Exposure(NamedTuple):
    """A node inside that its processes may open, as far as the device policy is concerned."""

    node: DeviceNode
    access: str  # "r", "w" or "rw"


def policy(container: Container) -> Reading[DevicePolicy]:
    """The device policy in force: v1's devices.list of its cgroup and of every ancestor, and v2's programs.

    Both apply where both are there. Without any hierarchy that could hold a policy there is none, and
    everything is allowed.
    """
    return _policy(container.cgroup)


@latest
def _policy(reading: Reading[Cgroup]) -> Reading[DevicePolicy]:
    if not isinstance(reading, Known):
        return reading
    cgroup = reading.value
    lists = cgroup.readings("devices.list")
    if not lists and cgroup.path("devices") is not None:
        return Unknown("devices.list", "no such file on this container's cgroup")
    levels: list[RuleList | ProgramRules] = []
    missing: Unknown | None = None
    source = reading.source
    for one in lists:
        level = _list(one)
        if isinstance(level, Unknown):
            return level
        levels.append(level)
        source = lists[0].source
    if cgroup.path("") is None:
        pass  # v2 was never mounted, so that there is nothing to attach a program to
    elif isinstance(cgroup.device_programs, Unknown):
        missing = cgroup.device_programs
    else:
        for program in cgroup.device_programs.value:
            rules = program_rules(program.instructions)
            if isinstance(rules, ProgramRules):
                levels.append(rules)
                source = source if lists else _place(program)
            else:
                missing = Unknown(_place(program), f"the program is not understood: {rules}")
    # Where nothing that is known denies anything, all depends on what is not.
    if missing is not None and all(level.unrestricted for level in levels):
        return missing
    return Known(DevicePolicy(tuple(levels), source, missing), source)


def _list(reading: Reading[str]) -> RuleList | Unknown:
    if isinstance(reading, Unknown):
        return reading
    try:
        return RuleList(parse_devices_list(reading.value))
    except ValueError as error:
        return Unknown(reading.source, str(error))


def _place(program: DeviceProgram) -> str:
    """Where a program stands; without its id, which is another one after each start of the container."""
    return f"device program of cgroup {program.cgroup}"


def policy_evidence(container: Container) -> list[Evidence]:
    """What the device policy says: the container's own devices.list, and each program as rules."""
    cgroup, expected = require(container.cgroup), "a list of devices"
    evidence = [
        Evidence(one.source, one.value, expected)
        for one in cgroup.readings("devices.list")[:1]
        if isinstance(one, Known)
    ]
    programs = cgroup.device_programs.value if isinstance(cgroup.device_programs, Known) else ()
    for program in programs:
        rules = program_rules(program.instructions)
        if isinstance(rules, ProgramRules):
            lines = rules.rules or ("nothing",)
            if len(lines) > _MOST_SHOWN:
                lines = (*lines[:_MOST_SHOWN], f"and {len(lines) - _MOST_SHOWN} more")
            evidence.append(Evidence(_place(program), "\n".join(lines), expected))
    if evidence:
        return evidence
    if cgroup.path("") is not None:
        return [Evidence(cgroup.device_programs.source, "no device program", expected)]
    return [Evidence(container.cgroup.source, "no hierarchy that could hold a policy", expected)]


def policy_command(container: Container) -> str:
    """A command that shows the programs of a device policy; "" where there are none."""
    programs = require(container.cgroup).device_programs
    idents = [program.id for program in programs.value] if isinstance(programs, Known) else []
    return "; ".join(f"bpftool prog dump xlated id {ident}" for ident in idents)


@latest
def foreign_nodes(container: Container) -> tuple[DeviceNode, ...]:
    """The nodes beyond the default ones, on mounts without nodev.

    Raises:
        FactMissing: the nodes are not known.
    """
    return tuple(
        [
            node
            for node in require(container.devices)
            if not node.nodev and (node.kind, node.major, node.minor) not in DEFAULT_NODES
        ]
    )


@latest
def exposed_nodes(container: Container) -> tuple[Exposure, ...]:
    """The nodes on a mount without nodev that the policy lets be read or written.

    Raises:
        FactMissing: the nodes or the policy are not known.
    """
    nodes, rules = require(container.devices), require(policy(container))
    exposed = []
    for node in nodes:
        access = "" if node.nodev else rules.access(node.kind, node.major, node.minor).replace("m", "")
        if access:
            exposed.append(Exposure(node, access))
    return tuple(exposed)


@latest_of(3)
def makeable(
    rules: DevicePolicy, names: tuple[tuple[str, int, str], ...], disks: tuple[tuple[int, int], ...]
) -> Mapping[str, Exposure]:
    """What a policy lets whoever has CAP_MKNOD make and then open: by class, an example (without a path).

    Where a level of the policy is missing, its other levels let these be made.

    Args:
        rules: the policy.
        names: rows of the host's /proc/devices.
        disks: major and minor numbers of the host's mounted block devices.
    """
    return _makeable(rules.levels, names, disks)


@lru_cache(maxsize=256)
def _makeable(
    levels: tuple[RuleList | ProgramRules, ...],
    names: tuple[tuple[str, int, str], ...],
    disks: tuple[tuple[int, int], ...],
) -> Mapping[str, Exposure]:
    rules = DevicePolicy(levels, "")
    # A policy that names one number knows better than we what there is.
    named = [number for level in levels for number in level.named]
    found: dict[str, Exposure] = {}
    for kind, major, minor in (*((BLOCK, *disk) for disk in disks), *named, *sample_numbers(names)):
        access = rules.access(kind, major, minor)
        if "m" in access and access != "m":
            node = DeviceNode("", kind, major, minor, 0, 0, 0, nodev=False)
            found.setdefault(classify(kind, major, minor, names), Exposure(node, access.replace("m", "")))
    return found


@latest
def makers(container: Container) -> tuple[Process, ...]:
    """The processes that may make device nodes: CAP_MKNOD over the host, and no filter that refuses mknod(2).

    A filter that is not known is taken for one that lets it through.

    Raises:
        FactMissing: no process is known to have the capability, and one could not be read.
    """
    holders = holds_over_host(container, bit("CAP_MKNOD"))
    if not holders:
        return ()
    found: dict[int, Process] = {}
    for call in ("mknod", "mknodat"):
        try:
            found.update({process.pid: process for process in lets(container, holders, call)})
        except FactMissing:
            return holders
    return tuple(found.values())


def may_mknod(container: Container) -> bool:
    """Whether any process may make device nodes.

    Raises:
        FactMissing: as `makers`.
    """
    return bool(makers(container))


def permitted(container: Container, node: DeviceNode) -> bool:
    """Whether a node's owner and mode let any process inside open it in some way.

    The rules of the filesystem, capabilities(7): CAP_DAC_OVERRIDE counts over a node whose owner and group
    exist in the container's user namespace. A group that a process is in beyond its own one is not known
    here, so any group's right counts.

    Raises:
        FactMissing: no process is known to, and one could not be read.
    """
    if node.mode & 0o066:
        return True
    ours = _mapped(container, node)
    override = bit("CAP_DAC_OVERRIDE")
    return bool(
        matching(
            container,
            lambda status: (
                (node.mode & 0o600 != 0 and node.uid in status.uids)
                or (ours and bool((status.cap_effective | status.cap_permitted) & override))
            ),
        )
    )


def _mapped(container: Container, node: DeviceNode) -> bool:
    """Whether a node's owner and group exist in the container's user namespace."""
    return all(
        any(first <= ident < first + length for _, first, length in require(ranges))
        for ranges, ident in ((container.uid_map, node.uid), (container.gid_map, node.gid))
    )
