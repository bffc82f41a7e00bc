"""The seccomp profile that a runtime noted for a container, from its state on the host; no daemon is asked.

A file counts only for the process that it names: by its pid and, where the runtime notes it, its start time.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.collect.tree import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.collect.discovery import Candidate
    from isoaudit.collect.paths import Paths

_MOST = 4 << 20
_DOCKER = "/run/docker"
_CONTAINERD = "/run/containerd"
_SHIM_STATE = f"{_CONTAINERD}/io.containerd.runtime.v2.task"
# Below docker's --exec-root, and as containerd itself has it.
_DOCKER_BUNDLES = "/containerd/daemon/io.containerd.runtime.v2.task/moby"


class Noted(NamedTuple):
    """What a runtime noted."""

    profile: Any  # the JSON object; None where it noted that there is none
    by_runc: bool
    source: str


def noted(paths: Paths, candidate: Candidate) -> Noted | None:
    """The profile of a container, or None where no file tells it of this very process."""
    ident = candidate.made.id
    if not ident or "/" in ident or ident in (".", ".."):
        return None
    for folder in _runc_folders(paths, candidate, ident):
        state = _json(paths, f"{folder}/state.json")
        if (
            isinstance(state, dict)
            and state.get("init_process_pid") == candidate.leader
            and state.get("init_process_start") == candidate.start_time
        ):
            config = state.get("config")
            profile = config.get("seccomp") if isinstance(config, dict) else None
            return Noted(profile, True, f"{folder}/state.json")
    folder = f"/run/crun/{ident}"
    status = _json(paths, f"{folder}/status")
    if (
        isinstance(status, dict)
        and status.get("pid") == candidate.leader
        and status.get("process-start-time") == candidate.start_time
    ):
        return _of_bundle(paths, folder, by_runc=False)
    for folder in _bundles(paths, candidate, ident):
        if _line(paths, f"{folder}/init.pid") == str(candidate.leader):
            return _of_bundle(paths, folder, by_runc=True)
    return None


def _runc_folders(paths: Paths, candidate: Candidate, ident: str) -> Iterator[str]:
    exec_root = candidate.made.bundle.partition(_DOCKER_BUNDLES)[0] if candidate.made.bundle else ""
    for root in dict.fromkeys((_DOCKER, exec_root)):
        if root:
            yield f"{root}/runtime-runc/moby/{ident}"
    for namespace in _listed(paths, f"{_CONTAINERD}/runc"):
        yield f"{_CONTAINERD}/runc/{namespace}/{ident}"
    yield f"/run/runc/{ident}"


def _bundles(paths: Paths, candidate: Candidate, ident: str) -> Iterator[str]:
    if candidate.made.bundle:
        yield f"{os.path.dirname(candidate.made.bundle.rstrip('/'))}/{ident}"
    for namespace in _listed(paths, _SHIM_STATE):
        yield f"{_SHIM_STATE}/{namespace}/{ident}"


def _of_bundle(paths: Paths, folder: str, *, by_runc: bool) -> Noted | None:
    config = _json(paths, f"{folder}/config.json")
    linux = config.get("linux") if isinstance(config, dict) else None
    if not isinstance(linux, dict):
        return None
    return Noted(linux.get("seccomp"), by_runc, f"{folder}/config.json")


def _listed(paths: Paths, folder: str) -> list[str]:
    try:
        return sorted(os.listdir(paths.host(folder)))
    except OSError:
        return []


def _json(paths: Paths, path: str) -> Any:
    """A state file, or None: what is not there, or not JSON, tells nothing."""
    try:
        return json.loads(read_regular(paths.host(path), _MOST))
    except (OSError, ValueError, RecursionError):
        return None


def _line(paths: Paths, path: str) -> str:
    try:
        return read_regular(paths.host(path), 64).decode("ascii", "replace").strip()
    except OSError:
        return ""
