"""Copies what isoaudit reads of a host's /proc and /sys into one JSON file, for `support.hosts.lay_out`.

python3 tests/hosts/capture.py OUT.json [--pid PID …] [--replace OLD=NEW …] [--drop TEXT …]

It is made to leave the machine that it was made on: look through it, and replace or drop what names the machine.
"""

from __future__ import annotations

import argparse
import errno
import json
import os

PROCESS_FILES = (
    "status", "stat", "cgroup", "mountinfo", "cmdline", "uid_map", "gid_map", "limits", "attr/current", "oom_score_adj",
)  # fmt: skip
PROCESS_LINKS = (
    "root",
    *(f"ns/{kind}" for kind in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")),
)
HOST_FILES = (
    "proc/version", "proc/meminfo", "proc/cgroups", "proc/devices", "proc/filesystems",
    "proc/sys/kernel/hostname", "proc/sys/kernel/osrelease", "proc/sys/kernel/pid_max",
    "proc/sys/kernel/core_pattern", "proc/sys/kernel/dmesg_restrict", "proc/sys/kernel/kptr_restrict",
    "sys/devices/system/cpu/online", "sys/devices/system/node/online", "sys/kernel/security/lsm",
)  # fmt: skip


class Capture:
    """Files, links and refusals by path from the root of the filesystem."""

    def __init__(self, replacements: list[tuple[str, str]], dropped: list[str]) -> None:
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.errors: dict[str, int] = {}
        self._replacements = replacements
        self._dropped = dropped

    def neutral(self, content: str) -> str:
        """A text without the names that should not leave the machine."""
        lines = content.splitlines(keepends=True)
        content = "".join(line for line in lines if not any(text in line for text in self._dropped))
        for old, new in self._replacements:
            content = content.replace(old, new)
        return content

    def file(self, path: str) -> None:
        """Copy a file."""
        try:
            with open(f"/{path}", "rb") as file:
                self.files[path] = self.neutral(file.read().decode("utf-8", "surrogateescape"))
        except OSError as error:
            self.refusal(path, error)

    def link(self, path: str) -> None:
        """Copy a link."""
        try:
            self.links[path] = self.neutral(os.readlink(f"/{path}"))
        except OSError as error:
            self.refusal(path, error)

    def refusal(self, path: str, error: OSError) -> None:
        """Note an errno; what is not there is simply not there."""
        if error.errno not in (None, errno.ENOENT, errno.ESRCH):
            self.errors[path] = error.errno


def main() -> None:
    """Capture this host."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--pid", action="append", help="only these processes, and 1 and 2 (default: all)")
    parser.add_argument(
        "--replace", action="append", default=[], metavar="OLD=NEW", help="in names and contents"
    )
    parser.add_argument("--drop", action="append", default=[], metavar="TEXT", help="lines that hold it")
    arguments = parser.parse_args()
    pairs = [entry.partition("=") for entry in arguments.replace]
    capture = Capture([(old, new) for old, _, new in pairs], arguments.drop)
    for path in HOST_FILES:
        capture.file(path)
    for pid in ["1", "2", *arguments.pid] if arguments.pid else filter(str.isdigit, os.listdir("/proc")):
        for name in PROCESS_FILES:
            capture.file(f"proc/{pid}/{name}")
        for name in PROCESS_LINKS:
            capture.link(f"proc/{pid}/{name}")
    with open(arguments.out, "w", encoding="ascii") as file:
        json.dump(
            {"files": capture.files, "links": capture.links, "errors": capture.errors},
            file,
            indent=0,
            sort_keys=True,
        )


if __name__ == "__main__":
    main()
