"""Kernel memory is not counted.

## What it detects
What the kernel keeps for the container (stacks, page tables, dentries, inodes, sockets) is charged to
nobody: no memory controller holds it in a cgroup of its own, v1 has no `memory.kmem.usage_in_bytes` there,
or that file says 0, as it does after `cgroup.memory=nokmem`. On v2 it is always counted unless the kernel
was booted with that option, which `/proc/cmdline` shows.

## Why it matters
A container makes the kernel allocate far more than its limit: millions of files or sockets cost it nothing,
until the host has no memory left. cgroup v1's separate kernel limit is gone; what counts is that the memory
limit includes it.

## Remediation
Boot without `cgroup.memory=nokmem`, with a kernel that has CONFIG_MEMCG_KMEM, and give the container a
cgroup.

- host: remove `cgroup.memory=nokmem` from the kernel's command line; prefer cgroup v2
- docker, podman: `--memory` then limits both; `--kernel-memory` is obsolete

## When it is fine
On kernels where the accounting is known to be broken (before Linux 4.5, RHEL 7).

## References
- cgroup-v1/memory.rst, "Kernel Memory Extension"; cgroup-v2.rst, "Memory Ownership"
- kernel-parameters.txt, `cgroup.memory=`
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, passed, require

_USAGE = "memory.kmem.usage_in_bytes"


@check(severity="low")
def memory_kernel_uncounted(host: Host, container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    place = require(cgroup.place("memory"))
    if place is None or not place.own:
        why = "it is in the host's memory cgroup" if place else cgroup.obstacle("memory")
        shown = place.path if place else "no memory controller"
        evidence = [Evidence(container.cgroup.source, shown, "a memory cgroup of its own")]
        return fail(f"its kernel memory is not counted apart: {why}", evidence)
    if place.version == 2:
        booted = require(host.command_line)
        evidence = [Evidence(container.cgroup.source, place.path)]
        for argument in booted.split():
            name, _, options = argument.partition("=")
            if name == "cgroup.memory" and "nokmem" in options.split(","):
                evidence = [Evidence(host.command_line.source, argument, "no nokmem")]
                return fail("the host was booted not to count kernel memory", evidence)
        return passed("cgroup v2 counts its kernel memory", evidence)
    if not cgroup.readings(_USAGE):
        return fail(
            "this kernel does not count its kernel memory", [Evidence(_USAGE, "no such file", "a number")]
        )
    reading = cgroup.leaf(_USAGE)
    usage = require(reading)
    evidence = [Evidence(reading.source, usage, "more than 0")]
    if usage == "0":
        # Every process has a kernel stack and page tables: 0 can only mean that they are not charged.
        return fail("its kernel memory reads 0, so it is not counted", evidence, basis=Basis.INFERRED)
    return passed("its kernel memory is counted", evidence)
