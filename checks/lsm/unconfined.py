"""Not confined by AppArmor, SELinux or Smack.

## What it detects
The label of a process (`/proc/PID/attr/current`, or `attr/apparmor/current` where modules are stacked) is one
that the active security module does not confine: AppArmor's `unconfined` or a profile in that mode; an SELinux
type such as `unconfined_t`, `spc_t` or `container_runtime_t`; Smack's floor label `_`. Where no such module is
active on the host the question does not arise: see `lsm-none-active`. What a process forbids itself by Landlock
cannot be seen from outside.

## Why it matters
The security module is the wall behind the others. A profile forbids mounting, writing to /proc and /sys, and
ptrace across containers, even to a root with too many capabilities.

## Remediation
Run the container under the engine's default profile or type.

- docker, podman: leave out `--security-opt apparmor=unconfined`, `label=disable` and `--privileged`
- compose: remove them from `security_opt`
- Kubernetes: `securityContext.appArmorProfile.type: RuntimeDefault`; no `seLinuxOptions.type: spc_t`
- LXC: `lxc.apparmor.profile = generated`
- systemd: `AppArmorProfile=`, `SELinuxContext=`

## When it is fine
Containers that manage the host and are trusted with it.

## References
- proc_pid_attr(5), apparmor(7), selinux(8)
- CIS Docker Benchmark 1.6.0, 5.2 and 5.3
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.confinement import having
from isoaudit.facts.lsm import MAJOR, parse_label
from isoaudit.facts.processes import named


@check(severity="medium")
def unconfined(host: Host, container: Container) -> Outcome:
    if isinstance(host.lsms, Known) and not MAJOR.intersection(host.lsms.value):
        return not_applicable("no security module that confines processes is active on the host")
    raw = require(container.lsm_label)
    label = parse_label(raw)
    if label is None:
        return not_applicable("no security module labels processes on this host")
    evidence = [Evidence(container.lsm_label.source, raw, "a confining label")]
    if label.unconfined:
        return fail(f"{label.module} does not confine it: its label is {raw}", evidence)
    free = having(container, lambda other: other.unconfined)
    if free:
        source = free[0].lsm_label
        return fail(
            f"{label.module} does not confine processes of it: {named(free)}",
            [Evidence(source.source, require(source), f"{raw}, as the first process")],
        )
    return passed(f"{label.module} labels it {raw}", evidence)
