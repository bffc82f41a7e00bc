"""Performance events cannot be counted apart.

## What it detects
The container has no cgroup of its own by which perf could count: neither in v1's perf_event hierarchy nor
on v2, or the kernel lacks the controller.

## Why it matters
Who looks for a container that misses caches or switches too often can only count whole CPUs: its events are
mixed with the host's.

## Remediation
Mount the perf_event controller or cgroup v2, and start the container in a cgroup of its own.

- docker, podman, Kubernetes: their containers have one wherever the hierarchy is mounted
- host: cgroup v2, or `mount -t cgroup -o perf_event cgroup /sys/fs/cgroup/perf_event`

## When it is fine
Where nobody profiles containers from the host.

## References
- perf-record(1), `--cgroup`
- cgroup-v2.rst, "perf_event"
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require


@check(severity="info")
def perf_event_shared(host: Host, container: Container) -> Outcome:
    if not require(host.controllers).get("perf_event"):
        evidence = [Evidence(host.controllers.source, "no perf_event that is enabled", "perf_event 1")]
        return fail("this kernel cannot count events by cgroup", evidence)
    place = require(require(container.cgroup).place("perf_event"))
    if place is not None and place.own:
        return passed("its events can be counted apart", [Evidence(container.cgroup.source, place.path)])
    shown = place.path if place is not None else "neither perf_event nor v2"
    evidence = [Evidence(container.cgroup.source, shown, "a cgroup of its own")]
    return fail("its performance events are counted with the host's", evidence)
