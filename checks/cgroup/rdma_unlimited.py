"""RDMA resources are not limited.

## What it detects
The host has an RDMA device, and `rdma.max` of the container's cgroup and of every ancestor leaves one of
its resources at `max`; or the container has a node under `/dev/infiniband` and no rdma cgroup.

## Why it matters
Handles and objects of an RDMA device are few, and one container can take all of them: others then cannot
open it.

## Remediation
Limit handles and objects of each RDMA device.

- docker, podman, compose: no option; set `rdma.max` of the container's cgroup or of its parent
- OCI runtimes: `linux.resources.rdma` in config.json
- host: `echo "mlx5_0 hca_handle=2 hca_object=2000" > …/rdma.max`

## When it is fine
Where only one container uses the device.

## References
- cgroup-v1/rdma.rst, cgroup-v2.rst "RDMA Interface Files"
"""

from isoaudit import Container, Evidence, Known, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.limits import NO_CONTROLLER, pool_limits


@check(severity="low")
def rdma_unlimited(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    readings = cgroup.readings("rdma.max")
    if not readings:
        nodes = [node.path for node in require(container.devices) if "/infiniband/" in node.path]
        if not nodes:
            return not_applicable("it has no RDMA device, and no cgroup that would list one")
        why = cgroup.obstacle("rdma") or "its cgroup has no rdma.max"
        return fail(f"nothing limits what it takes of {nodes[0]}: {why}", [Evidence("rdma.max", NO_CONTROLLER)])
    pools = require(pool_limits(readings))
    if not pools:
        return not_applicable("the host has no RDMA device")
    unlimited = [name for name, limited in pools.items() if not limited]
    evidence = [Evidence(r.source, r.value, "a number for each") for r in readings if isinstance(r, Known)]
    if unlimited:
        return fail(f"nothing limits its {', '.join(unlimited)}", evidence)
    return passed("its RDMA resources are limited", evidence)
