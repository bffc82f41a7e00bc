"""`isoaudit render`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options


def run(
    *,
    path: Annotated[str, typer.Argument(metavar="REPORT", help="A report in JSON; - is standard input.")],
    formats: options.Formats = None,
    output: options.OutputPath = "",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Draw a saved report in another format."""
    from isoaudit.cli.output import Output
    from isoaudit.cli.reading import read_text
    from isoaudit.report import Report

    report = Report.from_json(read_text(path), path)
    with Output(formats or [], output, color=not no_color, quiet=quiet) as out:
        out.write(report, options.catalogue_of() if out.needs_catalogue() else None)
