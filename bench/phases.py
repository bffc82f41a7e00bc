"""Runs isoaudit's own command in this process, and tells on standard error where time went or what it read.

Usage: phases.py time|count ARGUMENTS...

`time` wraps the engine's steps in clocks: JSON with seconds of CPU by phase. `count` wraps the functions that
ask the kernel: JSON with how often each was called, how many bytes it gave, and the seconds of CPU in them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

clock = time.process_time


class Phases:
    """Seconds of CPU by phase. A phase within a phase is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Replace a function or method by one that is clocked."""
        function: Callable[..., Any] = getattr(owner, name)

        @wraps(function)
        def clocked(*arguments: Any, **keywords: Any) -> Any:
            self._inner.append(0.0)
            start = clock()
            try:
                return function(*arguments, **keywords)
            finally:
                whole = clock() - start
                self.seconds[phase] = self.seconds.get(phase, 0.0) + whole - self._inner.pop()
                self._inner[-1] += whole

        setattr(owner, name, clocked)


def clocked_phases() -> Phases:
    """Import the engine and wrap its steps."""
    phases = Phases()
    before = clock()
    from isoaudit import audit, judgement, report, scan
    from isoaudit.cli import app, auditing, options, output
    from isoaudit.collect.containers import ContainerReader

    phases.seconds["python"] = before
    phases.seconds["imports"] = clock() - before
    phases.wrap(options, "catalogue_of", "catalogue")
    phases.wrap(scan, "read_host", "host")
    phases.wrap(scan, "discover", "discovery")
    phases.wrap(scan, "identify", "discovery")
    phases.wrap(scan, "_peer", "reading")
    phases.wrap(ContainerReader, "read", "reading")
    phases.wrap(audit.Judge, "container", "judging")
    phases.wrap(audit.Judge, "host", "judging")
    phases.wrap(judgement, "walls", "judging")
    phases.wrap(report.FindingEncoder, "section", "encoding")
    phases.wrap(output.Output, "write", "output")
    phases.wrap(auditing, "audit", "rest")
    phases.wrap(app, "app", "command line")
    return phases


class Counts:
    """Calls, bytes and seconds by kind of question to the kernel."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.bytes = 0
        self.seconds = 0.0

    def wrap(self, owner: Any, name: str, kind: str) -> None:
        """Replace a function by one that is counted."""
        function: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.calls[kind] = self.calls.get(kind, 0) + 1
            start = clock()
            try:
                result = function(*arguments, **keywords)
            finally:
                self.seconds += clock() - start
            if kind == "read":
                self.bytes += len(result)
            return result

        setattr(owner, name, counted)


def counted_calls() -> Counts:
    """Import the engine and wrap what it asks the kernel with."""
    from isoaudit.cli import app  # noqa: F401  its own files are not the host's
    from isoaudit.kernel import syscalls

    counts = Counts()
    for name in ("open", "close", "read", "pread", "readlink", "listdir", "stat", "fstat"):
        counts.wrap(os, name, {"pread": "read", "fstat": "stat"}.get(name, name))
    counts.wrap(syscalls, "openat2", "open")
    return counts


def main() -> int:
    """Run the command; its exit code."""
    mode, *arguments = sys.argv[1:]
    sys.argv = ["isoaudit", *arguments]
    measured: dict[str, Any]
    if mode == "time":
        phases = clocked_phases()
        from isoaudit.cli.app import run

        code = run()
        measured = {"phases": phases.seconds}
    else:
        counts = counted_calls()
        from isoaudit.cli.app import run

        code = run()
        measured = {"calls": counts.calls, "bytes": counts.bytes, "seconds": counts.seconds}
    sys.stderr.write(json.dumps(measured) + "\n")
    return code


sys.exit(main())
