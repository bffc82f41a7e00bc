"""`isoaudit checks` and `isoaudit explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options
from isoaudit.errors import UsageError


def checks(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    select: options.Select = None,
    checks_dir: options.ChecksFolder = None,
) -> None:
    """List the catalogue."""
    from isoaudit.cli.output import write_stdout

    chosen = options.catalogue_of(checks_dir).selected(options.words(select)).checks
    if as_json:
        import json

        from isoaudit import frameworks

        controls = frameworks.load()
        rows = [
            {
                "id": check.id,
                "title": check.page.title,
                "subject": check.subject,
                "severity": check.severity,
                "frameworks": controls.get(check.id, {}),
            }
            for check in chosen
        ]
        write_stdout([json.dumps(rows, indent=1), "\n"])
        return
    width = max(len(check.id) for check in chosen)
    write_stdout(
        f"{check.id.ljust(width)}  {check.subject:9}  {check.severity.value:8}  {check.page.title}\n"
        for check in chosen
    )


def explain(
    ident: Annotated[str, typer.Argument(metavar="ID", help="A check's id, as `isoaudit checks` shows it.")],
    checks_dir: options.ChecksFolder = None,
) -> None:
    """Show the page of a check."""
    from isoaudit import frameworks
    from isoaudit.cli.output import write_stdout

    catalogue = options.catalogue_of(checks_dir)
    check = catalogue.get(ident)
    if check is None:
        import difflib

        near = difflib.get_close_matches(ident, [known.id for known in catalogue.checks], n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "`isoaudit checks` lists them"
        raise UsageError(f"no check is called {ident!r}: {hint}")
    controls = frameworks.load().get(ident, {})
    lines = [
        f"{check.id}  ({check.subject}, {check.severity.value})",
        "",
        check.page.title,
    ]
    for heading, body in check.page.sections.items():
        lines += ["", heading, *(f"  {line}".rstrip() for line in body.splitlines())]
    if controls:
        lines += ["", "Frameworks", *(f"  {name}: {', '.join(ids)}" for name, ids in sorted(controls.items()))]
    write_stdout(line + "\n" for line in lines)
