"""Huge pages are not limited.

## What it detects
The host has a pool of huge pages of some size, and neither the container's cgroup nor any ancestor limits
how many of them it takes (`hugetlb.SIZE.limit_in_bytes` on v1, `hugetlb.SIZE.max` on v2).

## Why it matters
Huge pages are set aside for a purpose, such as a database or virtual machines. Any process may map them, so
one container can take them all; what they were meant for then does not start.

## Remediation
Limit huge pages to what the container was given, 0 for most.

- OCI runtimes: `linux.resources.hugepageLimits` in config.json
- Kubernetes: `resources.limits.hugepages-2Mi: 128Mi`; pods without it get 0
- docker, podman, compose: no option; set the file of the container's cgroup, or of its `--cgroup-parent`

## When it is fine
Where only one container uses huge pages.

## References
- cgroup-v1/hugetlb.rst, cgroup-v2.rst "HugeTLB Interface Files"
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.limits import hugetlb_bytes


@check(severity="low")
def hugetlb_unlimited(host: Host, container: Container) -> Outcome:
    sizes = require(host.hugepage_sizes)
    if not sizes:
        return not_applicable("the host has no pool of huge pages")
    cgroup = require(container.cgroup)
    limits = {size: require(hugetlb_bytes(cgroup, size)) for size in sizes}
    unlimited = [size for size, limit in limits.items() if limit.amount is None]
    evidence = [Evidence(limit.source, limit.observed, "a limit") for limit in limits.values()]
    if unlimited:
        why = cgroup.obstacle("hugetlb") or "it can take the whole pool"
        return fail(f"nothing limits its huge pages of {' and '.join(unlimited)}: {why}", evidence)
    return passed("its huge pages are limited", evidence)
