"""Kernel settings are writable.

## What it detects
/proc/sys, or a part of it that no namespace divides, stands on a writable procfs inside, and a process has uid
0 of the host. Capabilities do not matter there: uid 0 with none at all may write. That the container can mount
a fresh procfs or take the read-only mount away counts as well: by the probe `mount`, or by CAP_SYS_ADMIN over
the host under a seccomp filter that lets mount(2) or umount2(2) through.

If probes ran, a test container with the same walls tried it (`sysctl-write`, vm.swappiness opened for
writing, without a write).

## Why it matters
Most of /proc/sys is one for the whole kernel: memory overcommit, panic on oops, limits on files and processes,
address space randomisation. Whoever writes it takes walls and limits away from everybody.

## Remediation
Keep /proc/sys read-only, or give the container a user namespace of its own.

- docker: leave out `--privileged` and `--security-opt systempaths=unconfined`; set what it needs by `--sysctl`
- podman: leave out `--security-opt unmask=…`; set what it needs by `--sysctl`
- Kubernetes: `securityContext.procMount: Default`; `securityContext.sysctls`
- LXC: `lxc.mount.auto = proc:mixed`
- systemd: `ProtectKernelTunables=yes`

## When it is fine
Nowhere but in tools that configure the host, and are part of it.

## References
- proc_sys(5)
- fs/proc/proc_sysctl.c, test_perm
"""

from collections.abc import Sequence

from isoaudit import Basis, Container, Outcome, check, fail, passed, require
from isoaudit.facts.container import Process
from isoaudit.facts.masks import (
    PROC,
    KernelFile,
    Place,
    behind_profile,
    below,
    mount_evidence,
    places,
    shown,
    tree_of,
    unless,
    writers,
)
from isoaudit.facts.mounts import within
from isoaudit.facts.opening import UNCOVER, Undoing, hint, undoing
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Opened, confirmed

_SETTINGS = KernelFile(PROC, "/sys")
# Divided by network and IPC namespace: engines leave these writable on request, and that is fine.
_NAMESPACED = ("/sys/net", "/sys/fs/mqueue", "/sys/user")


@check(severity="high")
def sysctl_writable(container: Container) -> Outcome:
    tree = tree_of(require(container.mounts))
    standing = [
        place
        for place in (*places(tree, _SETTINGS), *below(tree, _SETTINGS))
        if not place.mount.read_only and not any(within(place.mount.root, part) for part in _NAMESPACED)
    ]
    way = None if standing else undoing(container, UNCOVER)
    who = writers(container, sysctl=True) if standing or way else ()
    return confirmed(
        container,
        Opened("sysctl-write", ("/proc/sys",), standing, who),
        _by_state(container, standing, way, who),
        gap="it can write settings of the whole kernel",
        wall="/proc/sys is on a writable mount, but its settings cannot be opened for writing",
    )


def _by_state(
    container: Container, standing: Sequence[Place], way: Undoing | None, who: Sequence[Process]
) -> Outcome:
    if not standing and way is None:
        return passed(f"no setting that is the whole kernel's is writable inside{hint(container, UNCOVER)}")
    evidence = mount_evidence(container, standing, "a read-only mount")
    if not who:
        return passed(
            "kernel settings are writable to the host's uid 0 only, as which nothing inside runs", evidence
        )
    if standing:
        paths = shown(standing)
        return fail(
            f"kernel settings of the whole host are writable at {paths} for {named(who)}{unless(container)}",
            evidence,
            severity=behind_profile("high", container),
        )
    return fail(
        f"/proc/sys is read-only, but {named(who)} can mount a fresh procfs, where it is not",
        way.evidence if way else (),
        basis=way.basis if way else Basis.OBSERVED,
        remediation="Take CAP_SYS_ADMIN away, or give it a user namespace of its own.",
    )
