"""Container shares the host's cgroup namespace.

## What it detects
The first process of the container is in the cgroup namespace of the host's PID 1: the inode of
`/proc/PID/ns/cgroup` is the same, or the kernel has no cgroup namespaces (before Linux 4.6).

## Why it matters
`/proc/self/cgroup` shows its real path, with the engine's name and the container's id, and a cgroup mount
made inside begins at the host's root: with `release_agent` in it on v1, and every other container's limits.

## Remediation
Give the container a cgroup namespace of its own.

- docker: `--cgroupns=private`, or `"default-cgroupns-mode": "private"` in daemon.json (the default on cgroup
  v2)
- podman: `--cgroupns=private` (the default on cgroup v2)
- compose: `cgroup: private`
- Kubernetes: private where the node runs cgroup v2
- systemd-nspawn always makes one; bubblewrap: `--unshare-cgroup`

## When it is fine
Resource monitors (cAdvisor) that read the whole tree, mounted read-only.

## References
- cgroup_namespaces(7)
- CVE-2022-0492: release_agent without CAP_SYS_ADMIN
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.namespaces import missing_type


@check(severity="low")
def cgroup_shared(host: Host, container: Container) -> Outcome:
    if missing_type(container.namespaces.cgroup):
        evidence = [Evidence(container.namespaces.cgroup.source, "no such file", "Linux 4.6 or newer")]
        return fail("this kernel has no cgroup namespaces: it sees the host's cgroup tree", evidence)
    ours, theirs = require(host.namespaces.cgroup), require(container.namespaces.cgroup)
    evidence = [
        Evidence(container.namespaces.cgroup.source, f"cgroup:[{theirs}]", f"not the host's cgroup:[{ours}]")
    ]
    if ours == theirs:
        return fail(
            "it is in the host's cgroup namespace and sees where it stands in the host's tree", evidence
        )
    return passed("its cgroup namespace is its own", evidence)
