"""Others than root and a group may connect to an engine's socket.

## What it detects
A socket on which an engine or a CRI runtime listens is writable for everybody, or belongs to a user other than
root though the engine runs as root. Directories above it that others may not pass keep it shut, whatever its
own mode is. The group that may connect is judged by `engine-socket-group`, containers that have the socket
mounted by `mount-runtime-socket`. Access control lists are not read: `getfacl` shows them.

## Why it matters
Whoever can connect starts a privileged container with the host's root directory in it: he is the host's root,
and nothing asks for a password.

## Remediation
Give the socket to root, and take it from everybody else.

- docker: `chown root:docker /run/docker.sock; chmod 660 /run/docker.sock`; `SocketMode=0660`, `SocketUser=root`
  in docker.socket
- containerd: `[grpc] uid = 0, gid = 0` in config.toml
- podman: the socket of `podman.socket` below /run/user/UID, which nobody else may enter

## When it is fine
Never on a machine with users, or with services that do not run as root.

## References
- unix(7), "Pathname socket ownership and permissions"; dockerd(8)
- CIS Docker Benchmark 1.6.0, 3.15, 3.16, 3.23 and 3.24
"""

from isoaudit import Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.engines import EngineFile, shown_owner, writers
from isoaudit.facts.processes import listed
from isoaudit.facts.units import count
from isoaudit.model import FactMissing

_SHOWN = 4


@check(severity="critical")
def socket_exposed(host: Host) -> Outcome:
    sockets = [file for file in require(host.engine_files) if file.kind == "socket"]
    if not sockets:
        return not_applicable("no engine listens on a socket of the host's")
    exposed: list[tuple[EngineFile, str]] = []
    missing = None
    for socket in sockets:
        try:
            found = [who for who in writers(socket) if not who.startswith("group ")]
            own = f"uid {require(socket.owner).uid}"
        except FactMissing as error:
            missing = missing or error
            continue
        # Below a directory of one's own is an engine of one's own.
        who = [
            one for one in found if one != own or not any(f"uid {above.uid}" == own for above in socket.above)
        ]
        if who:
            exposed.append((socket, " and ".join(who)))
    if exposed:
        shown = [f"{who} to {socket.path} ({socket.engine})" for socket, who in exposed[:_SHOWN]]
        return fail(
            f"engines' sockets let others connect: {listed(shown, len(exposed))}",
            [
                Evidence(socket.path, shown_owner(require(socket.owner)), "660, of root")
                for socket, _ in exposed[:_SHOWN]
            ],
            reproduce=f"stat -c '%a %u:%g %n' {exposed[0][0].path!r}",
        )
    if missing:
        raise missing
    return passed(
        f"{count(len(sockets), 'socket')} of engines let only root, a group or their own user connect"
    )
