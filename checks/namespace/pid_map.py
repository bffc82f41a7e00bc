"""Process numbers inside and outside.

## What it detects
Nothing that could be wrong. It shows for the container's processes the pid inside and the pid on the host, as
the kernel keeps both: the `NSpid` line of `/proc/PID/status` has one number for each PID namespace, outermost
first. If probes ran, a test container compared the two of its own (`namespace-pid-map`).

## Why it matters
Who reads a log from inside, and who looks at the host, talk of the same process by different numbers.

## Remediation
There is nothing to do.

## When it is fine
Always.

## References
- pid_namespaces(7), proc_pid_status(5) "NSpid"
"""

from isoaudit import Basis, Container, Evidence, Known, Outcome, check, passed, require
from isoaudit.facts.processes import listed
from isoaudit.facts.tried import tried

_SHOWN = 8


@check(severity="info")
def pid_map(container: Container) -> Outcome:
    pids = require(require(container.status).ns_pids)
    source = container.status.source
    found = tried(container, "namespace-pid-map", expected="")
    evidence = [Evidence(source, "NSpid:\t" + "\t".join(map(str, pids))), *(found.evidence if found else ())]
    basis = Basis.PROVEN if found else Basis.OBSERVED
    level = len(pids) - 1  # of the container's PID namespace, counted from ours
    if level == 0:
        return passed("it has no PID namespace of its own: its pids are the host's", evidence, basis=basis)
    shown = []
    for process in container.processes[:_SHOWN]:
        status = process.status
        if isinstance(status, Known) and isinstance(status.value.ns_pids, Known):
            levels = status.value.ns_pids.value
            inside = f"{levels[level]} inside" if len(levels) > level else "outside its PID namespace"
        else:
            inside = "unreadable"
        shown.append(f"{inside} is {process.pid} on the host")
    return passed(listed(shown, len(container.processes)), evidence, basis=basis)
