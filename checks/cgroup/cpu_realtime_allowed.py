"""Real-time scheduling allowed.

## What it detects
Processes inside can get a real-time policy. They need CAP_SYS_NICE in the initial user namespace or a
real-time priority limit above 0 (RLIMIT_RTPRIO); where the kernel has real-time group scheduling, run time
granted in `cpu.rt_runtime_us` of their v1 cgroup, which binds SCHED_FIFO and SCHED_RR but not SCHED_DEADLINE;
and a seccomp filter, if any, that lets sched_setscheduler(2) or sched_setattr(2) through, as which one counts
that could not be read. The probe `realtime-schedule` asks for SCHED_FIFO in a test container.

## Why it matters
A real-time process runs before everything else on its CPU, other containers' and the host's processes, for
as long as it wants, up to `kernel.sched_rt_runtime_us` of every second. CPU quotas and weights do not bind
it.

## Remediation
Take away CAP_SYS_NICE, the real-time priority limit and the cgroup's real-time run time.

- docker, podman: leave out `--cap-add SYS_NICE`, `--ulimit rtprio=…` and `--cpu-rt-runtime`
- compose: remove `SYS_NICE` from `cap_add`, `rtprio` from `ulimits` and `cpu_rt_runtime`
- Kubernetes: remove `SYS_NICE` from `securityContext.capabilities.add`
- systemd, quadlet: `LimitRTPRIO=0`, `RestrictRealtime=yes`

## When it is fine
Audio, telephony, robotics and packet processing that were given CPUs of their own.

## References
- sched(7), scheduler/sched-rt-group.rst, scheduler/sched-deadline.rst
- CAP_SYS_NICE in capabilities(7), RLIMIT_RTPRIO in getrlimit(2)
"""

from isoaudit import Basis, Container, Evidence, Host, Known, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.confinement import holds_over_host
from isoaudit.kernel.capability import bit

_RTPRIO = "Max realtime priority"
_RUNTIME = "cpu.rt_runtime_us"
_WAYS = ways(Call("sched_setscheduler", ((1, 1),)), "sched_setattr")  # 1: SCHED_FIFO


@check(severity="medium")
def cpu_realtime_allowed(host: Host, container: Container) -> Outcome:
    # Without the share that the host keeps free, one such process stops a CPU for good.
    share = host.sysctl("kernel.sched_rt_runtime_us")
    severity = "high" if isinstance(share, Known) and share.value == "-1" else None
    probe = container.probe("realtime-schedule")
    evidence = []
    if isinstance(probe, Known):
        evidence.append(Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM"))
        if probe.value.succeeded:
            message = "it can run before everything else: a test container got SCHED_FIFO"
            return fail(message, evidence, severity=severity, basis=Basis.PROVEN)
    answers = letting(container, holds_over_host(container, bit("CAP_SYS_NICE")), _WAYS)
    nice = answers.processes or answers.undecided
    evidence += [Evidence(process.status.source, "CAP_SYS_NICE", "not held") for process in nice[:1]]
    if isinstance(probe, Known) and not nice:
        return passed("a test container was refused SCHED_FIFO", evidence, basis=Basis.PROVEN)
    cgroup = require(container.cgroup)
    granted = ""
    if cgroup.readings(_RUNTIME):
        reading = cgroup.leaf(_RUNTIME)
        granted = require(reading)
        evidence.append(Evidence(reading.source, granted, "0"))
    if isinstance(probe, Known):
        if granted == "0":
            message = "it holds CAP_SYS_NICE: its cgroup refuses SCHED_FIFO, but no cgroup binds SCHED_DEADLINE"
            return fail(message, evidence, severity=severity)
        return passed("a test container was refused SCHED_FIFO", evidence, basis=Basis.PROVEN)
    if nice:
        return fail("CAP_SYS_NICE lets it run before everything else", evidence, severity=severity)
    priority = require(container.rlimits).get(_RTPRIO)
    if priority is None:
        return unknown(f"no row {_RTPRIO!r}", container.rlimits.source)
    if priority.hard != 0:
        shown = "unlimited" if priority.hard is None else priority.hard
        evidence.append(Evidence(container.rlimits.source, f"{_RTPRIO} {shown}", f"{_RTPRIO} 0"))
        answers = letting(container, container.tasks, _WAYS)
        if not answers.processes and not answers.missing:
            return passed(
                "its seccomp filter refuses real-time policies", answers.evidence, basis=answers.basis
            )
        if granted != "0":
            message = "its real-time priority limit lets it run before everything else"
            return fail(message, evidence, severity=severity)
    if granted not in ("", "0"):
        message = "its cgroup has real-time run time, though nothing inside may use it yet"
        return fail(message, evidence, severity="low")
    return passed("nothing inside may get a real-time policy", evidence)
