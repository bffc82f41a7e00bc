"""Processes can gain privileges by executing a file.

## What it detects
A process inside does not have the no_new_privs attribute (`NoNewPrivs: 0` in `/proc/PID/status`).

## Why it matters
A set-user-ID root file, or one with file capabilities, in the image or in a volume makes root of an
unprivileged process, with all capabilities of its bounding set.

## Remediation
Set no_new_privs.

- docker, podman: `--security-opt no-new-privileges`; `"no-new-privileges": true` in daemon.json for all
- compose: `security_opt: [no-new-privileges:true]`
- Kubernetes: `securityContext.allowPrivilegeEscalation: false`
- systemd: `NoNewPrivileges=yes`
- setpriv: `--no-new-privs`; bubblewrap always sets it

## When it is fine
Images that need sudo, su, ping or the like to work as they do elsewhere.

## References
- PR_SET_NO_NEW_PRIVS(2const); Documentation/userspace-api/no_new_privs.rst
- CIS Docker Benchmark 1.6.0, 5.26 and 2.14
"""

from isoaudit import Container, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import matching
from isoaudit.facts.processes import line_evidence, named


@check(severity="medium")
def no_new_privileges_unset(container: Container) -> Outcome:
    without = matching(container, lambda status: not require(status.no_new_privs))
    if without:
        evidence = [line_evidence(without[0], "NoNewPrivs:\t0", "NoNewPrivs:\t1")]
        return fail(f"processes can gain privileges by executing set-user-ID files: {named(without)}", evidence)
    return passed("no_new_privs is set on all its processes")
