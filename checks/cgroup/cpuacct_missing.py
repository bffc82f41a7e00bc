"""CPU time is not accounted apart.

## What it detects
The container has no cgroup of its own in a hierarchy that counts CPU time: neither with v1's cpuacct
controller nor on v2, where every cgroup counts in `cpu.stat`. If probes ran, a test container used CPU time and
the count of its cgroup was compared with it (`cpu-account`).

## Why it matters
What it used cannot be told from what the host used: neither billing nor finding a noisy neighbour works.

## Remediation
Mount the cpuacct controller or cgroup v2, and start the container in a cgroup of its own.

- docker, podman, Kubernetes: their containers have one wherever the hierarchy is mounted
- host: `systemd.unified_cgroup_hierarchy=1` on the kernel's command line, or
  `mount -t cgroup -o cpuacct cgroup /sys/fs/cgroup/cpuacct`
- systemd: `CPUAccounting=yes`

## When it is fine
Where nobody looks at such numbers.

## References
- cgroup-v1/cpuacct.rst, cgroup-v2.rst "CPU Interface Files"
"""

from isoaudit import Basis, Container, Evidence, Outcome, check, fail, passed, require
from isoaudit.facts.tried import tried


@check(severity="low")
def cpuacct_missing(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    source = container.cgroup.source
    places = [require(cgroup.place("cpuacct"))]
    if cgroup.readings("cgroup.freeze"):  # it came after cpu.stat in every v2 cgroup: Linux 5.2, 4.15
        places.append(cgroup.unified)
    for place in places:
        if place is not None and place.own:
            found = tried(container, "cpu-account", expected="as much as it used")
            evidence = [Evidence(source, place.path, "its own"), *(found.evidence if found else ())]
            if found and found.succeeded:
                message = f"its cgroup does not count its CPU time: {found.answer}"
                return fail(message, evidence, basis=Basis.PROVEN)
            return passed(
                "its CPU time is counted apart", evidence, basis=Basis.PROVEN if found else Basis.OBSERVED
            )
    shared = next((place for place in places if place is not None), None)
    if shared is None:
        return fail("no hierarchy counts its CPU time", [Evidence(source, "neither cpuacct nor v2", "either")])
    return fail(
        "its CPU time is counted with the host's", [Evidence(source, shared.path, "a cgroup of its own")]
    )
