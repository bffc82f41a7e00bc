"""Counters of the whole machine can be read.

## What it detects
Files of /proc and /sys that have no namespace and move with what other containers do: memory, CPU time,
disks, interrupts, locks, open files, kernel objects, the TCP sockets of all network namespaces. Counted are
those of the tables of ContainerLeaks, Demons in the Shared Kernel and KIT, and newer ones, that this kernel
has, that no mount inside covers, and whose mode lets a process inside read them. None is opened: the mount
table decides.

## Why it matters
They tell whether two containers share a host, when a neighbour is busy and with what, and carry messages
between containers that no network connects. With the files of mode 0400 root inside counts every kind of
kernel object of everybody, one by one.

## Remediation
Run the workload as a user other than the host's root, which closes the files of mode 0400, and give a
neighbour that must not be watched a kernel of its own.

- docker, compose: `--user`, `user:`, or `userns-remap`; lxcfs over meminfo, stat, uptime, loadavg, diskstats
- podman: `--userns=auto`; `--security-opt mask=/proc/slabinfo:/proc/vmallocinfo:/sys/kernel/slab` and the
  like
- Kubernetes: `runAsNonRoot: true`, `hostUsers: false`; a RuntimeClass with gVisor or Kata Containers
- systemd: `ProcSubset=pid`, `ProtectKernelTunables=yes`

## When it is fine
Where all containers of a host belong to one owner, and for monitoring agents. What every user may read is
reported as inherent: the kernel has no namespace for it, and engines do not hide it.

## References
- Gao et al., "ContainerLeaks", DSN 2017; Liu et al., "KIT", ASPLOS 2023
- Yang et al., "Demons in the Shared Kernel", CCS 2021
- proc(5), sysfs(5)
"""

from __future__ import annotations

from isoaudit import Container, Host, Outcome, check, fail, passed, unknown
from isoaudit.facts.leaks import activity, evidence, shown, visible


@check(severity="low")
def host_activity(host: Host, container: Container) -> Outcome:
    found = visible(host, container, activity())
    if not found.seen:
        if found.undecided is not None:
            return unknown(found.undecided.reason, found.undecided.source)
        return passed("it sees no counter of what other containers do")
    secret = [one for one in found.seen if one.leak.root_only]
    root = f", {len(secret)} of them by its root only" if secret else ""
    # What only root may read comes first: that much a setting can close.
    ordered = [*secret, *(one for one in found.seen if not one.leak.root_only)]
    return fail(
        f"it can read {len(ordered)} of the kernel's files that tell what others do{root}: {shown(ordered)}",
        evidence(container, ordered),
        inherent=not secret,
    )
