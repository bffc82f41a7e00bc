"""`isoaudit list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from isoaudit.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    include_sandboxes: options.Sandboxes = False,
    proc: options.ProcPath = "/proc",
    sys_path: options.SysPath = "/sys",
) -> None:
    """List the containers on this host."""
    from isoaudit import scan
    from isoaudit.cli.output import say, write_stdout
    from isoaudit.facts.units import count

    request = options.request_of(probes="none", sandboxes=include_sandboxes, proc=proc, sys_path=sys_path)
    scope = scan.look(request)
    rows = [
        {
            "key": named.identity.key,
            "pid": named.identity.pid,
            "runtime": named.identity.runtime,
            "id": named.identity.id or None,
            "name": named.identity.name or None,
            "image": named.identity.image or None,
            "pod": named.identity.pod or None,
            "sandbox": named.identity.sandbox,
            "processes": len(named.candidate.processes),
        }
        for named in scope.named
    ]
    if as_json:
        import json

        write_stdout([json.dumps(rows, indent=1), "\n"])
        return
    write_stdout([_table(rows)])
    if not rows:
        say("no container is running")
    if scope.hidden:
        say(f"{count(scope.hidden, 'process')} could not be looked into: run as root to see them")


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    from isoaudit.render.visible import visible

    columns = ("key", "pid", "runtime", "image", "processes", "id")
    cells = [[visible(str(row[column] or "-")) for column in columns] for row in rows]
    for line in cells:
        line[-1] = line[-1][:12]
    table = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[column]) for line in table) for column in range(len(columns))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in table
    )
