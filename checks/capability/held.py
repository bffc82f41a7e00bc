"""Capabilities that engines do not grant, or that are worth more than they look.

## What it detects
A process inside has the capability in its effective or permitted set in the initial user namespace. Where it
is in the bounding or inheritable set only, executing a file gives it: any program to a process that runs as
root, which is a step less grave; a set-user-ID root program or one with file capabilities to others, which is
two. With no_new_privs set no file gives it, and over a user namespace of the container's own it does not
reach the host: both pass. Where the seccomp filter of whoever has it refuses every call that it is for
(SYS_BOOT, SYS_PACCT, BPF, MKNOD), little is left of it. If probes ran, a test container with the same walls
tried what some of them are for.

## Why it matters
What each gives over the host:

- SYS_ADMIN: mounts, namespaces, BPF, swap, quotas; a new mount of proc undoes the read-only /proc/sys
- SYS_MODULE: any code into the kernel; SYS_RAWIO: I/O ports, /dev/mem, /proc/kcore, raw commands to disks
- DAC_READ_SEARCH: opens any file of a mounted filesystem by its handle, outside the container too ("Shocker")
- SYS_PTRACE: reads and writes all processes that it sees: with the host's PID namespace, the host's
- SYS_TIME: sets the one clock; SYS_BOOT: kexec, and reboots the host where the PID namespace is the host's
- MAC_ADMIN, MAC_OVERRIDE: change or pass over the security module's policy
- BPF, PERFMON: programs in the kernel, and its events; both together read kernel memory
- NET_ADMIN, NET_RAW: interfaces, routes, filters; forged and captured packets, of its network namespace
- CHECKPOINT_RESTORE: chooses pids, reads others' mappings; SYS_RESOURCE: passes quotas and resource limits
- SYSLOG: kernel log and addresses; AUDIT_CONTROL, AUDIT_READ: turn auditing off, read its stream
- SYS_NICE: real-time priority, which starves others; IPC_LOCK: locks memory; IPC_OWNER: others' IPC objects
- SYS_PACCT, SYS_TTY_CONFIG, LINUX_IMMUTABLE, LEASE: process accounting, terminals, inode flags, leases
- WAKE_ALARM, BLOCK_SUSPEND: wake the host, keep it awake; NET_BROADCAST: nothing yet
- MKNOD: device nodes, which the device policy then guards; SETFCAP: file capabilities on volumes

## Remediation
Drop all capabilities and add those that the workload is known to need.

- docker, podman: `--cap-drop ALL --cap-add NET_BIND_SERVICE`
- compose: `cap_drop: [ALL]` and `cap_add`
- Kubernetes: `securityContext.capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}`
- systemd: `CapabilityBoundingSet=`, `AmbientCapabilities=`; LXC: `lxc.cap.keep`

## When it is fine
A container whose work it is: the one that keeps the time needs SYS_TIME, a network plugin NET_ADMIN.

## References
- capabilities(7), user_namespaces(7)
- CIS Docker Benchmark 1.6.0, 5.4
- Kubernetes Pod Security Standards, baseline and restricted: Capabilities
"""

from isoaudit import Basis, Container, Host, Outcome, Variant, fail, family, passed
from isoaudit.facts.calls import Way, ways
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.namespaces import same
from isoaudit.facts.processes import Nearest, Reach, lowered, named, nearest, set_evidence, sets_with
from isoaudit.facts.tried import tried
from isoaudit.kernel.capability import bit
from isoaudit.model import Severity, at_least

# All but the eleven that every engine grants and that reach nothing outside. What a filter or a device policy
# leaves of some of them, time-clock-settable and the like judge.
_SEVERITIES: dict[str, str] = {
    "dac_read_search": "critical",
    "sys_admin": "critical",
    "sys_module": "critical",
    "sys_rawio": "critical",
    "sys_time": "critical",
    "bpf": "high",
    "mac_admin": "high",
    "mac_override": "high",
    "sys_boot": "high",
    "sys_ptrace": "high",
    "audit_control": "medium",
    "checkpoint_restore": "medium",
    "net_admin": "medium",
    "perfmon": "medium",
    "sys_nice": "medium",
    "sys_resource": "medium",
    "sys_tty_config": "medium",
    "syslog": "medium",
    "audit_read": "low",
    "block_suspend": "low",
    "ipc_lock": "low",
    "ipc_owner": "low",
    "lease": "low",
    "linux_immutable": "low",
    "mknod": "low",
    "net_broadcast": "low",
    "net_raw": "low",
    "setfcap": "low",
    "sys_pacct": "low",
    "wake_alarm": "low",
}
# What makes one worth more: the host's namespace of a type.
_RAISED: dict[str, tuple[str, str]] = {
    "sys_ptrace": ("pid", "critical"),
    "sys_boot": ("pid", "critical"),
    "ipc_owner": ("ipc", "medium"),
    "net_admin": ("net", "high"),
    "net_raw": ("net", "high"),
}

# By what probe it is seen to be of use over the host, where no setting could have granted the same.
_PROBES: dict[str, str] = {
    "audit_control": "audit-control",
    "dac_read_search": "open-by-handle",
    "net_admin": "network-admin",
    "sys_admin": "mount",
    "sys_boot": "reboot",
    "sys_module": "module-load",
    "sys_pacct": "account",
    "sys_ptrace": "process-read",
    "sys_rawio": "io-port",
    "sys_time": "clock-set",
    "wake_alarm": "wake-alarm",
}

# The capabilities that give nothing but some system calls; the others also count when files are opened.
_CALLS: dict[str, tuple[Way, ...]] = {
    "bpf": ways("bpf"),
    "mknod": ways("mknod", "mknodat"),
    "sys_boot": ways("reboot", "kexec_load", "kexec_file_load"),
    "sys_pacct": ways("acct"),
}


def _variants() -> tuple[Variant, ...]:
    return tuple(
        Variant(gap, severity, f"CAP_{gap.upper()} is held", bit(f"CAP_{gap.upper()}"))
        for gap, severity in _SEVERITIES.items()
    )


@family(_variants())
def held(host: Host, container: Container, *, variant: Variant) -> Outcome:
    holders = nearest(container, variant.value)
    name = f"CAP_{variant.gap.upper()}"
    if holders is None:
        return passed(f"no process has {name} in any set")
    who = named(holders.processes)
    if holders.reach is Reach.CONFINED:
        return passed(f"{name} is over a user namespace of its own, not over the host: {who}")
    if holders.reach is Reach.KEPT:
        return passed(f"{name} is in the bounding set only, and no_new_privs keeps it there: {who}")
    severity, why = _severity(host, container, variant)
    if _refused(container, variant):
        severity = Severity.LOW if at_least(severity, Severity.MEDIUM) else Severity.INFO
        why += ", but its seccomp filter refuses every call that it is for"
    sets = ", ".join(sets_with(holders.processes[0], variant.value))
    evidence = [set_evidence(holders.processes[0], variant.value, f"without {name} ({variant.value:016x})")]
    found = tried(container, _PROBES[variant.gap]) if variant.gap in _PROBES else None
    used = found is not None and found.succeeded and holders.reach is Reach.HELD
    return fail(
        f"{name} is {_how(holders)} ({sets}){why}: {who}",
        [*evidence, *(found.evidence if found and used else ())],
        severity=lowered(severity, holders.reach),
        basis=Basis.PROVEN if used else Basis.OBSERVED,
    )


def _refused(container: Container, variant: Variant) -> bool:
    """Whether nobody who has it is known to be able to use it."""
    calls = _CALLS.get(variant.gap, ())
    return bool(calls) and not isinstance(granted(container, variant.value, calls, presume=True), Grant)


def _how(holders: Nearest) -> str:
    if holders.reach is Reach.HELD:
        return "held"
    if holders.reach is Reach.EXECUTION:
        return "given by executing any program"
    return "given by executing a set-user-ID root program"


def _severity(host: Host, container: Container, variant: Variant) -> tuple[Severity, str]:
    usual = Severity(variant.severity)
    kind, raised = _RAISED.get(variant.gap, ("", ""))
    if kind and same(host.namespaces.of(kind), container.namespaces.of(kind)) and not at_least(usual, raised):
        return Severity(raised), f", with the host's {kind} namespace"
    return usual, ""
