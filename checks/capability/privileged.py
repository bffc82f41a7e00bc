"""As good as privileged.

## What it detects
What `--privileged` means, however it was configured: a process inside has nearly all capabilities in effect
in the initial user namespace, SYS_ADMIN among them, and either the device policy allows every device or no
seccomp filter is a wall: there is none on it, or it lets through what every engine's profile refuses even to
who has all capabilities. Nearly all: five may be missing, as older engines do not know the newest three.

## Why it matters
It is root on the host: it mounts the host's disk, loads modules, writes /proc/sys. No bug is needed.

## Remediation
Run the container without the flag and grant the one thing that it was given for.

- docker, podman: in place of `--privileged`, `--device`, `--cap-add` or `--volume` for what is needed
- compose: remove `privileged: true` and long `cap_add` lists
- Kubernetes: `securityContext.privileged: false`
- LXC: `lxc.cap.keep`, `lxc.cgroup2.devices.deny = a`, an idmap; systemd-nspawn: no `--capability=all`

## When it is fine
Installers of node agents, and Docker in Docker on machines that hold nothing else. Treat what runs there as
the host's root.

## References
- capabilities(7), seccomp(2)
- CIS Docker Benchmark 1.6.0, 5.5
- MITRE ATT&CK T1611, Escape to Host
"""

from isoaudit import Container, Evidence, Known, Outcome, check, fail, passed, require
from isoaudit.facts.calls import Call, letting
from isoaudit.facts.confinement import matching, over_host
from isoaudit.facts.container import Process
from isoaudit.facts.exposure import policy
from isoaudit.facts.processes import line_evidence, named
from isoaudit.facts.status import SECCOMP_DISABLED, Status
from isoaudit.kernel.capability import NAMES, bit

_ALL = (1 << len(NAMES)) - 1
_MAY_LACK = 5
# All of them together: the last two no engine's profile lets through, whatever capabilities there are.
_UNFILTERED = (tuple(Call(name) for name in ("mount", "init_module", "bpf", "swapon", "kexec_load")),)


@check(severity="critical")
def privileged(container: Container) -> Outcome:
    holders = matching(container, _has_nearly_all)
    if not holders:
        return passed("none of its processes has nearly all capabilities")
    holders = tuple(process for process in holders if over_host(container, process))
    if not holders:
        return passed("its capabilities are over a user namespace of its own")
    status = require(holders[0].status)
    evidence = [line_evidence(holders[0], f"CapEff:\t{status.cap_effective:016x}", "a few")]
    answers = letting(container, holders, _UNFILTERED)
    free = answers.processes
    rules = policy(container)
    open_devices = isinstance(rules, Known) and rules.value.unrestricted
    if free:
        evidence += answers.evidence
    if isinstance(rules, Known) and open_devices:
        evidence.append(Evidence(rules.value.source, "allows every device", "a list of devices"))
    if free or open_devices:
        walls = " and ".join(
            text for text, gone in ((_filter(free), free), ("all devices allowed", open_devices)) if gone
        )
        return fail(
            f"it is as good as privileged: nearly all capabilities, {walls}: {named(holders)}", evidence
        )
    require(rules)
    answers.decided()
    return passed(f"it has nearly all capabilities, but a seccomp filter and a device policy: {named(holders)}")


def _filter(free: tuple[Process, ...]) -> str:
    if any(require(require(process.status).seccomp) == SECCOMP_DISABLED for process in free):
        return "no seccomp filter"
    return "a seccomp filter that lets everything of that through"


def _has_nearly_all(status: Status) -> bool:
    lacking = (_ALL & ~status.cap_effective).bit_count()
    return lacking <= _MAY_LACK and bool(status.cap_effective & bit("CAP_SYS_ADMIN"))
