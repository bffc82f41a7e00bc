"""`isoaudit collect`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options


def run(
    *,
    target: Annotated[
        str, typer.Argument(metavar="[PID|NAME|ID]", help="One container; without it, the host and all.")
    ] = "",
    output: options.OutputPath = "",
    probes: options.Probes = None,
    no_ptrace: options.NoPtrace = False,
    include_sandboxes: options.Sandboxes = False,
    proc: options.ProcPath = "/proc",
    sys_path: options.SysPath = "/sys",
    quiet: options.Quiet = False,
) -> None:
    """Read the facts into a snapshot, without judging."""
    from isoaudit import scan, snapshot
    from isoaudit.cli.output import STANDARD_OUTPUT, OutputFile, progress, write_stdout

    request = options.request_of(
        target=target,
        probes=probes,
        sandboxes=include_sandboxes,
        no_ptrace=no_ptrace,
        proc=proc,
        sys_path=sys_path,
    )
    file = OutputFile(output) if output not in ("", STANDARD_OUTPUT) else None
    try:
        text = snapshot.dumps(scan.collect(request, progress(quiet=quiet)))
        if file is None:
            write_stdout([text])
        else:
            file.write([text])
    finally:
        if file is not None:
            file.discard()
