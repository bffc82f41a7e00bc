"""No seccomp filter.

## What it detects
A process inside runs without seccomp (`Seccomp: 0` in `/proc/PID/status`). Which engine started it proves
nothing: containerd's `ctr`, plain runc and LXC without its common configuration set no filter at all.

## Why it matters
Every system call of the kernel is open to it, with those that few programs need and in which most kernel bugs
lie: keyctl, bpf, userfaultfd, io_uring, clone with new user namespaces, mount.

## Remediation
Run the container under the engine's default seccomp profile, or a tighter one.

- docker, podman: leave out `--security-opt seccomp=unconfined` and `--privileged`
- compose: remove `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`, or the kubelet's `seccompDefault: true`
- ctr: `--seccomp`; LXC: `lxc.include = /usr/share/lxc/config/common.conf`
- systemd: `SystemCallFilter=@system-service`; bubblewrap: `--seccomp FD`

## When it is fine
Hardly ever: sandboxes of another kind (gVisor's own processes) and debuggers.

## References
- seccomp(2); Documentation/userspace-api/seccomp_filter.rst
- CIS Docker Benchmark 1.6.0, 5.22
- Kubernetes Pod Security Standards, restricted: Seccomp
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import matching
from isoaudit.facts.processes import line_evidence, named
from isoaudit.facts.status import SECCOMP_DISABLED


@check(severity="high")
def absent(container: Container) -> Outcome:
    free = matching(container, lambda status: require(status.seccomp) == SECCOMP_DISABLED)
    if free:
        evidence = [line_evidence(free[0], "Seccomp:\t0", "Seccomp:\t2")]
        return fail(f"processes run without a seccomp filter: {named(free)}", evidence)
    return passed("all its processes run under seccomp")
