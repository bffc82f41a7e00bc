"""An OCI runtime that calls a real one, after taking out of a bundle what this root could not give.

    python oci_runtime.py runc|crun ARGUMENT…

Root in a container or a small virtual machine may lack CAP_SYS_RESOURCE: then no limit can be raised, and
engines that give all capabilities away (`--privileged`) fail. And crun refuses cgroup v1 with controllers in
the unified hierarchy: it runs in a mount namespace in which that one is covered. Elsewhere this changes nothing.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

UNIFIED = "/sys/fs/cgroup/unified"
COVERED = f'mount -t tmpfs none {UNIFIED} && exec "$@"'
SYS_RESOURCE = 24


def bounding() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapBnd")).split()[1], 16)


def reduce(process: dict[str, Any]) -> None:
    """Leave in a process's description only what can be given."""
    for names in (process.get("capabilities") or {}).values():
        names[:] = [name for name in names if name != "CAP_SYS_RESOURCE"]
    for limit in process.get("rlimits") or ():
        hard = resource.getrlimit(getattr(resource, limit["type"]))[1]
        if hard != resource.RLIM_INFINITY:
            limit["hard"] = min(limit["hard"], hard)
            limit["soft"] = min(limit["soft"], limit["hard"])
    process["oomScoreAdj"] = max(process.get("oomScoreAdj") or 0, 0)


def option(arguments: list[str], *names: str) -> str:
    for index, argument in enumerate(arguments):
        if argument in names:
            return arguments[index + 1]
        name, _, value = argument.partition("=")
        if name in names:
            return value
    return ""


def main(name: str, *rest: str) -> None:
    arguments = list(rest)
    if not bounding() >> SYS_RESOURCE & 1:
        path, whole = "", True
        if {"create", "run"} & set(arguments):
            path = f"{option(arguments, '-b', '--bundle') or '.'}/config.json"
        elif "exec" in arguments:
            path, whole = option(arguments, "-p", "--process"), False
        if path:
            document = json.loads(Path(path).read_text())
            reduce(document["process"] if whole else document)
            Path(path).write_text(json.dumps(document))
    real = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin") or name
    command = [real, *arguments]
    if name == "crun" and os.path.ismount(UNIFIED):
        command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", COVERED, "sh", *command]
    os.execvp(command[0], command)  # noqa: S606  an argument list is what we want


if __name__ == "__main__":
    main(*sys.argv[1:])
