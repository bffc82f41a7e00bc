"""SysRq can be triggered from inside.

## What it detects
/proc/sysrq-trigger stands on a writable procfs inside, and a process may write it: uid 0 of the host, or
another with CAP_DAC_OVERRIDE. That the container can mount a fresh procfs counts as well: by the probe `mount`,
or by CAP_SYS_ADMIN over the host under a seccomp filter that lets mount(2) or umount2(2) through.

If probes ran, a test container with the same walls tried it (`sysrq-write`, an open for writing without a
write).

## Why it matters
One byte reboots or crashes the host, kills every process, or makes all filesystems read-only. `kernel.sysrq`
does not restrict writes to this file.

## Remediation
Keep /proc/sysrq-trigger read-only, or give the container a user namespace of its own.

- docker: leave out `--privileged` and `--security-opt systempaths=unconfined`, and do not bind-mount /proc
- podman: leave out `--security-opt unmask=…`
- Kubernetes: `privileged: false`, `securityContext.procMount: Default`
- LXC: `lxc.mount.auto = proc:mixed`
- systemd: `ProtectKernelTunables=yes`

## When it is fine
Agents that exist to reboot the host.

## References
- Documentation/admin-guide/sysrq.rst
- proc_sysrq-trigger(5)
"""

from isoaudit import Basis, Container, Host, Outcome, Reading, check, fail, passed, require
from isoaudit.facts.masks import (
    PROC,
    KernelFile,
    behind_profile,
    mount_evidence,
    shown,
    unless,
)
from isoaudit.facts.opening import UNCOVER, Opening, hint, opening
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Opened, confirmed

_TRIGGER = KernelFile(PROC, "/sysrq-trigger")


@check(severity="high")
def sysrq_writable(host: Host, container: Container) -> Outcome:
    there = host.has("/proc/sysrq-trigger")
    way = opening(container, _TRIGGER)
    return confirmed(
        container,
        Opened("sysrq-write", ("/proc/sysrq-trigger",), way.places, way.writers),
        _by_state(container, way, there),
        gap="it can write to /proc/sysrq-trigger",
        wall="/proc/sysrq-trigger is on a writable mount, but it cannot be opened for writing",
    )


def _by_state(container: Container, way: Opening, there: Reading[bool]) -> Outcome:
    if not way.reachable:
        return passed(f"no writable mount inside shows /proc/sysrq-trigger{hint(container, UNCOVER)}")
    if not require(there):
        return passed("this kernel has no SysRq")
    evidence = mount_evidence(container, way.places, "a read-only mount")
    if not way.writers:
        return passed("SysRq is writable to the host's uid 0 only, as which nothing inside runs", evidence)
    if way.places:
        by = f"{named(way.writers)}{unless(container)}"
        return fail(
            f"the host can be rebooted or crashed at {shown(way.places)} by {by}",
            evidence,
            severity=behind_profile("high", container),
        )
    return fail(
        f"/proc/sysrq-trigger is read-only, but {named(way.writers)} can mount a fresh procfs, where it is not",
        way.undoing.evidence if way.undoing else (),
        basis=way.undoing.basis if way.undoing else Basis.OBSERVED,
        remediation="Take CAP_SYS_ADMIN away, or give it a user namespace of its own.",
    )
