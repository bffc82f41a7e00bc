"""Prints what isoaudit reads as C tables for the yardstick, so that the two cannot drift apart unnoticed."""

# ruff: noqa: SLF001  what the collectors keep to themselves is what has to be equal
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of the host, beside its settings; read once.
_HOST = (
    "/proc/meminfo",
    "/proc/version",
    "/proc/cpuinfo",
    "/proc/cgroups",
    "/proc/devices",
    "/proc/net/unix",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random/boot_id",
    "/proc/1/cgroup",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/node/online",
    "/sys/kernel/security/lsm",
    "/sys/kernel/security/lockdown",
    "/etc/os-release",
)


def _strings(name: str, values: Iterable[str]) -> str:
    return f"static const char *{name}[] = {{{', '.join(map(_quoted, values))}}};\n"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header() -> str:
    """The text of tables.h."""
    from isoaudit.collect import cgroupfiles, host, userland

    # C fills the machine in with printf.
    def formats(paths: Iterable[str]) -> list[str]:
        return [path.format(machine="%s") for path in paths]

    libraries = [f"{folder}/libc.so.6" for folder in formats(userland._GLIBC_FOLDERS)]
    rows = ", ".join(
        f"{{{_quoted(controller)}, {_quoted(file)}}}"
        for controller, files in cgroupfiles.V1_FILES.items()
        for file in files
    )
    return "".join(
        (
            f"static const struct {{ const char *controller, *file; }} V1_FILES[] = {{{rows}}};\n",
            _strings("V2_FILES", cgroupfiles.V2_FILES),
            _strings("LEAF_ONLY", sorted(cgroupfiles.OWN_ONLY)),
            _strings("HOST_FILES", (*_HOST, *(f"/proc/sys/{name.replace('.', '/')}" for name in host.SYSCTLS))),
            _strings("OS_RELEASE", userland._OS_RELEASE),
            _strings("LIBRARIES", (*libraries, *formats([userland._MUSL]))),
            _strings("SYSTEMD_FOLDERS", formats(userland._SYSTEMD_FOLDERS)),
        )
    )


sys.stdout.write(header())
