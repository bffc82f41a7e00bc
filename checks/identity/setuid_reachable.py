"""Programs that raise privileges can be executed.

## What it detects
Set-user-ID and set-group-ID programs and programs with file capabilities in the usual program directories of
the container, on a mount without `nosuid`, while a process inside runs without no_new_privs. Programs whose
user or group does not exist in the container's user namespace are left out, as the kernel ignores their bits.
Only names, modes and the attribute security.capability are looked at.

## Why it matters
A process that runs as an ordinary user becomes root inside by one flaw in any of them: su, mount, passwd,
pkexec (CVE-2021-4034), sudo (CVE-2021-3156). With the container's root comes all of its bounding set.

## Remediation
Set no_new_privs; where a program must raise privileges, take the bits from all others.

- docker, podman: `--security-opt no-new-privileges`
- compose: `security_opt: ["no-new-privileges:true"]`
- Kubernetes: `securityContext.allowPrivilegeEscalation: false`
- systemd: `NoNewPrivileges=yes`; for volumes and root filesystems `nosuid`
- images: `RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +`

## When it is fine
Where every process is root already (worth knowing, no more), and in a user namespace in which the host's root
does not exist: then they give no more than that namespace has.

## References
- execve(2), capabilities(7) "File capabilities", prctl(2) PR_SET_NO_NEW_PRIVS
- CIS Docker Benchmark 1.6.0, 4.8 and 5.26
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from isoaudit import Container, Evidence, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.confinement import maps_host_root, presumed
from isoaudit.facts.files import SET_GID, SET_UID, PrivilegedFile, may_gain
from isoaudit.facts.processes import listed, named
from isoaudit.model import Known

if TYPE_CHECKING:
    from isoaudit.facts.container import Process

_SHOWN, _LINES = 6, 10


@check(severity="low")
def setuid_reachable(container: Container) -> Outcome:
    able = [task for task in container.tasks if may_gain(task)]
    if not able:
        return passed("no_new_privs keeps every process from gaining anything by executing a file")
    sure = [task for task in able if isinstance(task.status, Known)]
    if not sure:
        require(able[0].status)
    files = [file for file in require(container.privileged_files) if _counts(container, file)]
    if not files:
        return passed("no program in the usual directories raises privileges")
    paths = list(dict.fromkeys(file.path for file in files))
    what = (
        f"{listed(paths[:_SHOWN], len(paths))}, which raise privileges"
        if len(paths) > 1
        else f"{paths[0]}, which raises privileges"
    )
    users = [task for task in sure if not _is_root(container, task)]
    who = f"{named(users)} may execute" if users else "its processes, all of them root already, may execute"
    contained = not presumed(maps_host_root, container)
    return fail(
        f"{who} {what}" + (", within its own user namespace" if contained else ""),
        [_line(container, file) for file in files[:_LINES]],
        severity=Severity.LOW if users and not contained else Severity.INFO,
        reproduce=f"ls -l {shlex.quote(_line(container, files[0]).source)}",
    )


def _counts(container: Container, file: PrivilegedFile) -> bool:
    """Whether the kernel honours it: the user or group exists in the container's user namespace."""
    ranges = require(container.gid_map if file.gives == SET_GID else container.uid_map)
    if file.gives not in (SET_UID, SET_GID):
        # Capabilities for the root of one user namespace count in that one (and those made in it).
        return file.id == 0 or any(inside == 0 and outside == file.id for inside, outside, _ in ranges)
    return any(outside <= file.id < outside + length for _, outside, length in ranges)


def _is_root(container: Container, task: Process) -> bool:
    """Whether it is root of the container's user namespace."""
    roots = {outside for inside, outside, length in require(container.uid_map) if inside == 0 and length}
    return require(task.status).uids[1] in roots


def _line(container: Container, file: PrivilegedFile) -> Evidence:
    to = f" {file.id}" if file.gives in (SET_UID, SET_GID) else ""
    return Evidence(
        f"{container.privileged_files.source}{file.path}", f"{file.gives}{to}", "nosuid, or no such bit"
    )
