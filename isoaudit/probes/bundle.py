"""OCI bundles: a runtime's defaults, and somebody's bundle made fit for a test (runtime-spec config.md)."""

from __future__ import annotations

import copy
import json
import os
import resource
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.kernel import capability, credentials
from isoaudit.probes import sleeper
from isoaudit.probes.configuration import Configuration
from isoaudit.probes.settings import Document, with_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

# What `runc spec` and `crun spec` write, for the engine that is none of them.
_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_MASKED = (
    "acpi",
    "asound",
    "kcore",
    "keys",
    "latency_stats",
    "timer_list",
    "timer_stats",
    "sched_debug",
    "scsi",
)
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_FILES = {"network": "net", "mount": "mnt"}  # in /proc/PID/ns, where they are called otherwise


def defaults() -> Document:
    """A bundle as `runc spec` writes it, with what matters here."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "capabilities": {name: list(_CAPABILITIES) for name in _SETS if name != "inheritable"},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "isoaudit",
        "mounts": [],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": [*(f"/proc/{name}" for name in _MASKED), "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in _READ_ONLY],
        },
    }


def load(folder: str) -> Document:
    """The config.json of somebody's bundle.

    Raises:
        UsageError: there is none, or it is no such document.
    """
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise UsageError(f"--oci-bundle: cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: line {error.lineno}: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("process"), dict):
        raise UsageError(f"{path}: not an OCI bundle: it has no process")
    if not isinstance(document.get("linux"), dict):
        raise UsageError(f"{path}: not a bundle for Linux: it has no `linux`")
    return document


def harmless(document: Document) -> tuple[Document, list[str]]:
    """A bundle without what would run its programs or reach into what runs already, and what that was.

    Raises:
        UsageError: it is not built as the specification says.
    """
    try:
        made, notices = _harmless(document)
        # Whatever is not as it should be is found out now, not when a container is being made.
        fitted(with_configuration(made, Configuration())[0], "", "")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"--oci-bundle: a broken bundle: {type(error).__name__}: {error}") from error
    return made, notices


def _harmless(document: Document) -> tuple[Document, list[str]]:
    made = copy.deepcopy(document)
    notices: list[str] = []
    linux = made["linux"]
    for holder, key in ((made, "hooks"), (linux, "intelRdt"), (linux, "rootfsPropagation")):
        if holder.pop(key, None):
            notices.append(f"the bundle's {key}: left out")
    if (linux.get("seccomp") or {}).pop("listenerPath", None):
        notices.append("the bundle's seccomp listener: left out")
    kept = []
    for one in linux.get("namespaces") or ():
        kind, path = one.get("type"), one.pop("path", None)
        if path and _is_hosts(kind, path):
            notices.append(f"the {kind} namespace of {path} is the host's")
            continue
        if path:
            notices.append(f"the {kind} namespace of {path}: not joined, it is taken as the container's own")
        kept.append(one)
    linux["namespaces"] = kept
    made["mounts"] = list(_present(made.get("mounts") or (), notices))
    made["root"] = {"path": "rootfs", "readonly": bool((made.get("root") or {}).get("readonly"))}
    made["process"].pop("consoleSize", None)
    return made, notices


def _is_hosts(kind: str, path: str) -> bool:
    try:
        ours, theirs = os.stat(f"/proc/1/ns/{_FILES.get(kind, kind)}"), os.stat(path)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _present(mounts: Any, notices: list[str]) -> Iterator[Document]:
    """Mounts, without those of what does not exist here."""
    for mount in mounts:
        bound = {"bind", "rbind"} & {*(mount.get("options") or ())} or mount.get("type") == "bind"
        if bound and not os.path.exists(mount.get("source") or ""):
            notices.append(f"the mount of {mount.get('source')}: there is no such path here")
            continue
        yield mount


def fitted(document: Document, cgroup: str, run: str) -> tuple[Document, list[str]]:
    """A bundle that sleeps, in a cgroup of ours, and asks for no more than we can give.

    Args:
        document: what is wanted.
        cgroup: its path in every hierarchy.
        run: the run's name, which the process carries as its argument.
    """
    made = copy.deepcopy(document)
    notices: list[str] = []
    process = made["process"]
    process.update(terminal=False, args=[sleeper.PATH, run], cwd="/", env=["PATH=/"])
    made["linux"]["cgroupsPath"] = cgroup
    if not any(one["type"] == "uts" for one in made["linux"]["namespaces"]):
        for name in ("hostname", "domainname"):  # they would be the host's
            made.pop(name, None)
    ours = credentials.permitted()
    sets = process.get("capabilities") or {}
    lacking = {name for names in sets.values() for name in names if not _held(name, ours)}
    if lacking:
        notices.append(f"left out, as root has it not here: {', '.join(sorted(lacking))}")
        for names in sets.values():
            names[:] = [name for name in names if name not in lacking]
    if not ours & capability.bit("CAP_SYS_RESOURCE"):
        notices += _within_ours(process)
    return made, notices


def _held(name: str, ours: int) -> bool:
    return name in capability.NUMBERS and bool(ours & capability.bit(name))


def _within_ours(process: Document) -> list[str]:
    """Keep what only CAP_SYS_RESOURCE could raise to what it is."""
    notices = []
    for one in process.get("rlimits") or ():
        number = getattr(resource, one["type"], None)
        hard = resource.getrlimit(number)[1] if number is not None else resource.RLIM_INFINITY
        if hard != resource.RLIM_INFINITY and one["hard"] > hard:
            notices.append(f"{one['type']} of {one['hard']}: {hard}, as root lacks CAP_SYS_RESOURCE here")
            one["hard"], one["soft"] = hard, min(one["soft"], hard)
    if (process.get("oomScoreAdj") or 0) < 0:
        notices.append(f"oomScoreAdj {process['oomScoreAdj']}: 0, as root lacks CAP_SYS_RESOURCE here")
        process["oomScoreAdj"] = 0
    return notices
