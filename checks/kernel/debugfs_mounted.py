"""debugfs or tracefs is visible inside.

## What it detects
A mount of debugfs or tracefs in the container's mount table that nothing covers.

## Why it matters
Both are written for kernel developers, not against attackers: they show and change the internals of drivers and
schedulers, trace every process of the host with the arguments of its calls, and have had flaws of their own.

## Remediation
Mount neither into the container.

- docker, podman: leave out `-v /sys/kernel/debug:…`, `-v /sys/kernel/tracing:…` and a recursive bind of /sys
- Kubernetes: no hostPath on /sys or below
- host: boot with `debugfs=off`, which the kernel's lockdown implies

## When it is fine
Tracing agents, which see all of the host by design. Mount only /sys/kernel/tracing, read-only.

## References
- Documentation/filesystems/debugfs.rst
- Documentation/trace/ftrace.rst
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.masks import KernelFile, below, mount_evidence, places, shown, tree_of, unless, writers
from isoaudit.facts.processes import named

_TYPES = ("debugfs", "tracefs")


@check(severity="high")
def debugfs_mounted(container: Container) -> Outcome:
    tree = tree_of(require(container.mounts))
    roots = [KernelFile(fstype, "/") for fstype in _TYPES]
    standing = [place for root in roots for place in (*places(tree, root), *below(tree, root))]
    if not standing:
        return passed("neither debugfs nor tracefs is mounted inside")
    evidence = mount_evidence(container, standing, "neither debugfs nor tracefs")
    kinds = " and ".join(sorted({place.mount.fstype for place in standing}))
    paths = f"{kinds} at {shown(standing)}"
    who = writers(container, sysctl=False)
    if not who:
        # Their roots are the host's root's alone (mode 0700), unless somebody chose otherwise.
        return fail(f"{paths}, though nothing inside acts as the host's uid 0", evidence, severity="low")
    return fail(f"{paths} can be used by {named(who)}{unless(container)}", evidence)
