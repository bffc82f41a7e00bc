"""`isoaudit scan`."""

from __future__ import annotations

from typing import Annotated

import typer

from isoaudit.cli import options
from isoaudit.errors import UsageError


def run(
    *,
    host: Annotated[bool, typer.Option("--host", help="This host and every container on it.")] = False,
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
    include_sandboxes: options.Sandboxes = False,
    checks_dir: options.ChecksFolder = None,
    proc: options.ProcPath = "/proc",
    sys_path: options.SysPath = "/sys",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Audit the host and every container on it."""
    if not host:
        raise UsageError("scan what? `isoaudit scan --host`; one container is `isoaudit container NAME`")
    from isoaudit.cli.auditing import audit

    request = options.request_of(
        probes=probes, sandboxes=include_sandboxes, no_ptrace=no_ptrace, proc=proc, sys_path=sys_path
    )
    policy = options.policy_of(
        policy_path, fail_on, select, ignore, baseline=baseline, min_coverage=min_coverage
    )
    raise typer.Exit(
        audit(request, policy, formats or [], output, checks_dir=checks_dir, quiet=quiet, color=not no_color)
    )
