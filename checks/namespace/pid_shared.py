"""Container shares the host's PID namespace.

## What it detects
The first process of the container is in the PID namespace of the host's PID 1: the inode of
`/proc/PID/ns/pid` is the same. The probe `signal-host` sends signal 0, which only asks for the permission, to
a process of the host's, isoaudit itself; `process-read` asks it for memory at an address that nothing can be
mapped at, which the kernel looks at after the right to read there.

## Why it matters
Processes inside see every process of the host with its command line, can signal those that run under the same
user id, and with CAP_SYS_PTRACE read and change their memory. `/proc/1/root` is then the host's root.

## Remediation
Start the container without the host's PID namespace.

- docker, podman: leave out `--pid=host`
- compose: remove `pid: host`
- Kubernetes: `hostPID: false`
- systemd-nspawn, bubblewrap: add `--unshare-pid` (bubblewrap); nspawn always makes one

## When it is fine
Monitoring and debugging agents that must see all processes. Give them a read-only root, no capabilities and a
user id of their own.

## References
- pid_namespaces(7), kill(2)
- CIS Docker Benchmark 1.6.0, 5.16
"""

from isoaudit import Basis, Container, Evidence, Host, Known, Outcome, check, fail, passed, require


@check(severity="high")
def pid_shared(host: Host, container: Container) -> Outcome:
    reading = container.probe("process-read")
    if isinstance(reading, Known) and reading.value.succeeded:
        answer = Evidence(reading.source, f"{reading.value.call} = {reading.value.answer}", "ESRCH or EPERM")
        message = "it can read the memory of the host's processes and take their files"
        return fail(message, [answer], severity="critical", basis=Basis.PROVEN)
    probe = container.probe("signal-host")
    if isinstance(probe, Known) and probe.value.succeeded:
        answer = Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "ESRCH or EPERM")
        return fail("it can signal processes of the host", [answer], basis=Basis.PROVEN)
    ours, theirs = require(host.namespaces.pid), require(container.namespaces.pid)
    evidence = [Evidence(container.namespaces.pid.source, f"pid:[{theirs}]", f"not the host's pid:[{ours}]")]
    if ours == theirs:
        return fail("it is in the host's PID namespace and sees every process", evidence)
    return passed("its PID namespace is its own", evidence)
