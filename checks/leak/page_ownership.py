"""Whose each page of memory is can be read.

## What it detects
/proc/kpagecgroup, kpagecount or kpageflags, which a process inside may read: no mount covers them, and it is
the host's root or has a capability over the host that overrides their mode of 0400. The kernel asks for no
capability besides.

## Why it matters
kpagecgroup gives, for every page of the machine's memory, the memory cgroup that it is charged to: how much
memory each container of the host has, page by page, and when it takes or gives some. The flags and counts
tell which pages are files, anonymous, huge or shared, and help to place what an attack needs to place.
Engines do not mask these files.

## Remediation
Run the workload as a user other than the host's root, or in a user namespace.

- docker: `--user 1000 --cap-drop DAC_OVERRIDE`, or `userns-remap`
- podman: rootless, `--userns=auto`, or `--security-opt
  mask=/proc/kpagecgroup:/proc/kpagecount:/proc/kpageflags`
- compose: `user:`, `cap_drop: [DAC_OVERRIDE]`
- Kubernetes: `runAsNonRoot: true`, `hostUsers: false`
- systemd: `ProcSubset=pid`, `User=`

## When it is fine
Tools that measure memory for the host's owner (page-types).

## References
- Documentation/admin-guide/mm/pagemap.rst; fs/proc/page.c
"""

from __future__ import annotations

from isoaudit import Container, Host, Outcome, check, fail, passed, unknown
from isoaudit.facts.leaks import evidence, pages, shown, visible


@check(severity="medium")
def page_ownership(host: Host, container: Container) -> Outcome:
    found = visible(host, container, pages())
    if found.seen:
        what = "; ".join(one.leak.tells for one in found.seen)
        return fail(f"it can read {shown(found.seen)}: {what}", evidence(container, found.seen))
    if found.undecided is not None:
        return unknown(found.undecided.reason, found.undecided.source)
    return passed("it cannot read whose each page of memory is")
