"""Seccomp profiles in Docker's notation, resolved as an engine does before it hands them to a runtime."""

from __future__ import annotations

import json
import os
from typing import Any

from isoaudit.errors import UsageError

# Docker's names of architectures (profiles/seccomp): its own words in conditions, the kernel's in `uname -m`.
_WORDS = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


def profile(path: str, capabilities: list[str]) -> dict[str, Any]:
    """The `linux.seccomp` of a bundle from a profile's file.

    Args:
        path: the file: Docker's notation or the runtime's.
        capabilities: of the container, for rules that depend on them.

    Raises:
        UsageError: it cannot be read, or is no profile.
    """
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        return _resolved(document, {*capabilities}, os.uname())
    except OSError as error:
        raise UsageError(f"seccomp profile {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"seccomp profile {path}: line {error.lineno}: {error.msg}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"seccomp profile {path}: not a profile: {type(error).__name__}: {error}") from error


def _resolved(document: Any, capabilities: set[str], system: os.uname_result) -> dict[str, Any]:
    word, own = _WORDS.get(system.machine, system.machine), _ARCHITECTURES.get(system.machine)
    release = tuple(int(part) for part in system.release.split("-")[0].split(".")[:2])
    made: dict[str, Any] = {"defaultAction": document["defaultAction"]}
    if "defaultErrnoRet" in document:
        made["defaultErrnoRet"] = document["defaultErrnoRet"]
    architectures = list(document.get("architectures") or ())
    for one in document.get("archMap") or ():
        if one["architecture"] == own:
            architectures += [own, *(one.get("subArchitectures") or ())]
    if architectures:
        made["architectures"] = architectures
    made["syscalls"] = []
    for rule in document.get("syscalls") or ():
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if not _all(includes, capabilities, word, release) or _any(excludes, capabilities, word, release):
            continue
        made["syscalls"].append(
            {
                "names": rule.get("names") or [rule["name"]],
                "action": rule["action"],
                **{key: rule[key] for key in ("args", "errnoRet") if rule.get(key) is not None},
            }
        )
    return made


def _all(when: Any, capabilities: set[str], word: str, release: tuple[int, ...]) -> bool:
    return (
        capabilities >= {*(when.get("caps") or ())}
        and (not when.get("arches") or word in when["arches"])
        and (not when.get("minKernel") or release >= _kernel(when["minKernel"]))
    )


def _any(when: Any, capabilities: set[str], word: str, release: tuple[int, ...]) -> bool:
    return (
        bool(capabilities & {*(when.get("caps") or ())})
        or word in (when.get("arches") or ())
        or bool(when.get("minKernel") and release >= _kernel(when["minKernel"]))
    )


def _kernel(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])
