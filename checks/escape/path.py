"""Gaps of this container combine to take over the host.

## What it detects
Everything that one documented way from a container to the host needs was seen on this container: gaps that
other checks found, as grave as the way needs them, and where it matters a system call that the seccomp filter
of a process lets through and an LSM that confines nothing. `isoaudit/data/escape_paths.json` lists the ways
with what each needs. A way is known as well as its weakest part. Where one part could not be decided and the
others are there, this check could not be decided either.

## Why it matters
One gap may look like a small exception, two like a bad habit; together they are root on the host. Whoever takes
over a process inside, by a hole in the application alone, has the host and every other container.

## Remediation
Close one step of each way: the one that the workload does not need.

- see the remediation of the gaps that the steps name
- for workloads that need such rights: a virtual machine of their own

## When it is fine
Agents whose work is to manage the host (a CNI plugin, a node agent, a backup) are part of the host: treat them
as such, and let nobody else run anything in them.

## References
- MITRE ATT&CK T1611 "Escape to Host"
- NIST SP 800-190, 3.4.3 and 4.4.3
- the references of each way in the data
"""

from isoaudit import Basis, Evidence, Outcome, check, fail, passed, unknown
from isoaudit.escape import Routes
from isoaudit.facts.processes import listed
from isoaudit.facts.units import count

_SHOWN = 4


@check(severity="critical")
def path(routes: Routes) -> Outcome:
    if routes.open:
        best = min((route.basis for route in routes.open), key=list(Basis).index)
        titles = [route.title for route in routes.open]
        seen = {finding.check: finding for route in routes.open for finding in route.seen}
        return fail(
            f"it can take over the host by {listed(titles[:_SHOWN], len(titles))}",
            [Evidence(finding.check, finding.message) for finding in seen.values()],
            basis=best,
            remediation=" ".join(
                dict.fromkeys(route.seen[0].remediation for route in routes.open if route.seen)
            ),
            reproduce="; ".join(
                dict.fromkeys(finding.reproduce for finding in seen.values() if finding.reproduce)
            ),
        )
    if routes.doubts:
        first = routes.doubts[0]
        more = f" ({count(len(routes.doubts) - 1, 'other way')} in doubt too)" if len(routes.doubts) > 1 else ""
        return unknown(f"{first.title} may lead to the host{more}: {first.reason}", first.source)
    return passed(f"of {routes.rules} documented ways to the host none is open")
