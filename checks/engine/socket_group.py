"""Members of a group are root by way of an engine's socket.

## What it detects
The group of a socket on which an engine that runs as root listens may connect to it, is not root's, and has
members by `/etc/group`, or by their primary group in `/etc/passwd`. Users from a directory service (LDAP, SSSD)
do not stand in these files: `getent group NAME` asks for them.

## Why it matters
A member starts a privileged container with the host's root directory in it. Membership in `docker` is root
without a password, and without a line in the log of sudo.

## Remediation
Take users out of the group.

- `gpasswd --delete USER docker`; let them use `sudo docker`, or an engine of their own without root
- docker: `dockerd-rootless-setuptool.sh install`; podman runs without root from the start
- lxd, incus: members of `lxd`, `incus-admin` are root; those of `incus` are confined to a project of their own

## When it is fine
Members who are the machine's administrators anyway.

## References
- Docker Docs, "Docker daemon attack surface"
- CIS Docker Benchmark 1.6.0, 1.1.2
"""

from isoaudit import Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.engines import EngineFile, shown_owner, writers
from isoaudit.facts.processes import listed
from isoaudit.model import FactMissing

_SHOWN = 6


@check(severity="medium")
def socket_group(host: Host) -> Outcome:
    sockets = [file for file in require(host.engine_files) if file.kind == "socket"]
    if not sockets:
        return not_applicable("no engine listens on a socket of the host's")
    groups: dict[str, EngineFile] = {}
    missing = None
    for socket in sockets:
        try:
            # An ordinary user's own engine is not root to its group either.
            if any(one.startswith("group ") for one in writers(socket)) and require(socket.owner).uid == 0:
                groups.setdefault(socket.group or str(require(socket.owner).gid), socket)
        except FactMissing as error:
            missing = missing or error
    found = {name: socket for name, socket in groups.items() if socket.members}
    if found:
        users = [f"{user} ({name})" for name, socket in found.items() for user in socket.members]
        return fail(
            f"users are root by an engine's socket: {listed(users[:_SHOWN], len(users))}",
            [
                Evidence(
                    socket.path,
                    f"{shown_owner(require(socket.owner))}, group {name}",
                    "a group without members",
                )
                for name, socket in found.items()
            ],
            reproduce=f"getent group {' '.join(found)}",
        )
    if missing:
        raise missing
    if groups:
        return passed(f"the groups that may connect to engines have no members: {', '.join(groups)}")
    return passed("no group but root's may connect to an engine that runs as root")
