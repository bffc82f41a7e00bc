"""`isoaudit judge`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options


def run(
    *,
    path: Annotated[
        str, typer.Argument(metavar="SNAPSHOT", help="What `isoaudit collect` wrote; - is standard input.")
    ],
    formats: options.Formats = None,
    output: options.OutputPath = "",
    fail_on: options.FailOn = None,
    min_coverage: options.MinCoverage = None,
    baseline: options.Baseline = None,
    policy_path: options.PolicyPath = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    checks_dir: options.ChecksFolder = None,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Judge a snapshot, anywhere."""
    from isoaudit import frameworks, gate, judgement, snapshot
    from isoaudit.cli.output import Output
    from isoaudit.cli.reading import read_text

    policy = options.policy_of(
        policy_path, fail_on, select, ignore, baseline=baseline, min_coverage=min_coverage
    )
    facts = snapshot.loads(read_text(path), path)
    catalogue = options.catalogue_of(checks_dir)
    with Output(formats or [], output, color=not no_color, quiet=quiet) as out:
        report = judgement.judge_snapshot(facts, catalogue, policy, frameworks.load())
        out.write(report, catalogue)
    raise typer.Exit(gate.exit_code(report))
