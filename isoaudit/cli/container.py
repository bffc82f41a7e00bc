"""`isoaudit container`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options


def run(
    *,
    target: Annotated[str, typer.Argument(metavar="PID|NAME|ID", help="A process inside, or its name or id.")],
    formats: options.Formats = None,
    output: options.OutputPath = "",
    fail_on: options.FailOn = None,
    min_coverage: options.MinCoverage = None,
    baseline: options.Baseline = None,
    policy_path: options.PolicyPath = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    probes: options.Probes = None,
    no_ptrace: options.NoPtrace = False,
    checks_dir: options.ChecksFolder = None,
    proc: options.ProcPath = "/proc",
    sys_path: options.SysPath = "/sys",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Audit one container."""
    from isoaudit.cli.auditing import audit

    request = options.request_of(
        target=target, probes=probes, no_ptrace=no_ptrace, proc=proc, sys_path=sys_path
    )
    policy = options.policy_of(
        policy_path, fail_on, select, ignore, baseline=baseline, min_coverage=min_coverage
    )
    raise typer.Exit(
        audit(request, policy, formats or [], output, checks_dir=checks_dir, quiet=quiet, color=not no_color)
    )
