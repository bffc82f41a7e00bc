"""`isoaudit diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options
from isoaudit.errors import EXIT_DONE, EXIT_GATE_FAILED, UsageError


def run(
    *,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The earlier report in JSON; - is standard input.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later one.")],
    kind: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    fail_on: options.FailOn = None,
) -> None:
    """Compare two saved reports: new, fixed, unchanged, incomparable."""
    from isoaudit import diff
    from isoaudit.cli.output import write_stdout
    from isoaudit.cli.reading import read_text
    from isoaudit.policy import severity
    from isoaudit.report import Report

    if kind not in ("text", "json"):
        raise UsageError(f"--format: there is no {kind!r}: use text or json")
    if old == new == "-":
        raise UsageError("only one of the two reports can come from standard input")
    threshold = severity(fail_on, "--fail-on") if fail_on else None
    before, after = (Report.from_json(read_text(path), path) for path in (old, new))
    found = diff.compare(before, after, (old, new))
    if kind == "json":
        import json

        write_stdout([json.dumps(diff.document(found), indent=1), "\n"])
    else:
        from isoaudit.render.changes import render

        write_stdout(render(found))
    raise typer.Exit(EXIT_GATE_FAILED if threshold and found.worsened(threshold) else EXIT_DONE)
