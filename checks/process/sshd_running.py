"""An SSH server runs inside.

## What it detects
A process inside is called as OpenSSH's or Dropbear's server is. A name can mislead, so the verdict is
inferred.

## Why it matters
It is a second way in, with keys, accounts and updates of its own, past the engine's or Kubernetes' access
control and audit log.

## Remediation
Take the SSH server out of the image.

- docker, podman: `docker exec`, `podman exec` for a shell
- Kubernetes: `kubectl exec`, `kubectl debug`
- systemd-nspawn, LXC: `machinectl shell`, `lxc-attach`

## When it is fine
Containers whose service is SSH (a Git server, an SFTP drop), and system containers that are used like
machines.

## References
- CIS Docker Benchmark 1.6.0, 5.7
"""

from isoaudit import Basis, Container, Outcome, check, fail, passed, require
from isoaudit.facts.confinement import matching
from isoaudit.facts.processes import line_evidence, named

# sshd-session and sshd-auth: what OpenSSH 9.8 and 10.0 split off.
_SERVERS = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear"})


@check(severity="low")
def sshd_running(container: Container) -> Outcome:
    servers = matching(container, lambda status: status.name in _SERVERS)
    if servers:
        evidence = [line_evidence(servers[0], f"Name:\t{require(servers[0].status).name}", "no SSH server")]
        return fail(f"an SSH server runs inside: {named(servers)}", evidence, basis=Basis.INFERRED)
    return passed("none of its processes is called as an SSH server is", basis=Basis.INFERRED)
