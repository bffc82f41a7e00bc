"""Identifiers of confidential virtual machines are not limited.

## What it detects
The host has a resource of the misc controller (`sev`, `sev_es`, `tdx`: keys of encrypted virtual machines),
and `misc.max` of the container's cgroup and of every ancestor leaves it at `max`; or the container has
`/dev/sev` and no misc cgroup.

## Why it matters
There are few such keys. A container that may start virtual machines can take all of them; nobody else then
starts an encrypted one.

## Remediation
Limit the resource for every container that may start virtual machines.

- host: `echo "sev 4" > …/misc.max` of the container's cgroup or of its parent
- docker, podman, Kubernetes: no option; keep `/dev/kvm` and `/dev/sev` out of containers that do not need them

## When it is fine
Where the container has no `/dev/kvm`, so that it cannot use the resource.

## References
- cgroup-v1/misc.rst, cgroup-v2.rst "Misc"
"""

from isoaudit import Container, Evidence, Known, Outcome, check, fail, not_applicable, passed, require, unknown
from isoaudit.facts.limits import NO_CONTROLLER, pool_limits


@check(severity="low")
def misc_unlimited(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    readings = cgroup.readings("misc.max")
    if not readings:
        nodes = {node.path for node in require(container.devices)}
        why = cgroup.obstacle("misc") or "its cgroup has no misc.max"
        if "/dev/sev" in nodes:
            return fail(
                f"nothing limits what it takes of /dev/sev: {why}", [Evidence("misc.max", NO_CONTROLLER)]
            )
        if "/dev/kvm" in nodes:
            return unknown(
                f"whether the host has keys of encrypted virtual machines is not seen: {why}", "misc.max"
            )
        return not_applicable("it cannot start virtual machines, and no cgroup would limit their keys")
    pools = require(pool_limits(readings))
    if not pools:
        return not_applicable("the host has no resource of the misc controller")
    unlimited = [name for name, limited in pools.items() if not limited]
    evidence = [Evidence(r.source, r.value, "a number for each") for r in readings if isinstance(r, Known)]
    if unlimited:
        return fail(f"nothing limits its {', '.join(unlimited)}", evidence)
    return passed("its misc resources are limited", evidence)
