"""The kernel's log can be read.

## What it detects
A process gets at the one kernel log by syslog(2), as far as its seccomp filter lets it, by a /dev/kmsg that its
device policy lets it read, or by /proc/kmsg. Where `kernel.dmesg_restrict` is 0, the first two are open to
everybody; otherwise they take CAP_SYSLOG over the host, or before Linux 6.9 CAP_SYS_ADMIN, as /proc/kmsg always
does.

If probes ran, a test container with the same walls tried it (`kernel-log-read`, the question how large the
log is).

## Why it matters
The log names the host's devices, disks, file systems, processes that crashed and programs that were killed in
other containers, and at times addresses of the kernel that an exploit needs. It has no namespace. With the
capability it can be emptied as well.

## Remediation
Restrict the log to who has CAP_SYSLOG, and drop that.

- host: `sysctl kernel.dmesg_restrict=1`
- docker, podman: leave out `--cap-add SYSLOG`, `--device /dev/kmsg` and `--security-opt seccomp=unconfined`
- compose: remove `SYSLOG` from `cap_add` and /dev/kmsg from `devices`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`, `seccompProfile.type: RuntimeDefault`
- systemd: `ProtectKernelLogs=yes`

## When it is fine
Log collectors of the host's.

## References
- syslog(2), capabilities(7) "CAP_SYSLOG"
- Documentation/admin-guide/sysctl/kernel.rst, dmesg_restrict
- Documentation/ABI/testing/dev-kmsg
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.devices import CHARACTER
from isoaudit.facts.exposure import exposed_nodes, permitted
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.masks import PROC, KernelFile, Place, mount_evidence, places, shown, tree_of
from isoaudit.facts.processes import Reach, lowered, named, nearest
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit, mask

_SETTING = "kernel.dmesg_restrict"
_READ = ways(Call("syslog", ((0, 3),)))  # SYSLOG_ACTION_READ_ALL
_TRIED = Attempt(("kernel-log-read",), (Call("syslog", ((0, 10),)),), mask("CAP_SYSLOG", "CAP_SYS_ADMIN"))
_KMSG = KernelFile(PROC, "/kmsg")
_KMSG_NODE = (CHARACTER, 1, 11)
_ADMIN_UNTIL = (6, 9)  # CAP_SYS_ADMIN stood for CAP_SYSLOG before (check_syslog_permissions)


@check(severity="low")
def log_readable(host: Host, container: Container) -> Outcome:
    if host.sysctl_absent(_SETTING):
        return not_applicable("this kernel keeps no log")
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="it can read the kernel's log",
        wall="it cannot read the kernel's log",
    )


def _by_state(host: Host, container: Container) -> Outcome:
    setting = host.sysctl(_SETTING)
    if require(setting) == "0":
        return _by_everybody(container, Evidence(setting.source, "0", "1"))
    # Where the kernel's age cannot be read, the newer rule stands: it asks for less.
    older = isinstance(host.kernel, Known) and host.kernel.value.series < _ADMIN_UNTIL
    capabilities = mask("CAP_SYSLOG", "CAP_SYS_ADMIN") if older else bit("CAP_SYSLOG")
    holders = nearest(container, capabilities)
    if holders and holders.reach is Reach.HELD:
        files = _log_files(container)
        if files and any(0 in require(process.status).uids for process in holders.processes):
            return fail(
                f"the kernel's log is readable at {shown(files)} by {named(holders.processes)}",
                mount_evidence(container, files, "a mask on kmsg"),
                severity="medium",
            )
    grant = granted(container, capabilities, _READ)
    if isinstance(grant, Grant):
        return fail(
            f"{grant.capability} lets it read and empty the kernel's log: {grant.who}",
            grant.evidence,
            severity=lowered("medium", grant.holders.reach),
            basis=grant.basis,
        )
    return passed(
        f"reading the kernel's log takes a capability: {grant.message}",
        [Evidence(setting.source, require(setting), "1"), *grant.evidence],
        basis=grant.basis,
    )


def _by_everybody(container: Container, setting: Evidence) -> Outcome:
    answers = letting(container, container.tasks, _READ)
    if answers.processes:
        return fail(
            f"it can read the kernel's log by syslog: {named(answers.processes)}",
            [setting, *answers.evidence],
            basis=answers.basis,
        )
    if any((node.kind, node.major, node.minor) == _KMSG_NODE for node in require(container.devices)):
        for node, access in exposed_nodes(container):
            if (
                (node.kind, node.major, node.minor) == _KMSG_NODE
                and "r" in access
                and permitted(container, node)
            ):
                evidence = Evidence(
                    container.devices.source, f"{node.path} {node.number} {access}", "no such node"
                )
                return fail(f"it can read the kernel's log at {node.path}", [setting, evidence])
    answers.decided()
    return passed("its seccomp filter refuses syslog", answers.evidence, basis=answers.basis)


def _log_files(container: Container) -> tuple[Place, ...]:
    return places(tree_of(require(container.mounts)), _KMSG)
