"""`isoaudit demo`."""

from __future__ import annotations

import typer

from isoaudit.cli import options
from isoaudit.errors import UsageError


def run(
    *,
    formats: options.Formats = None,
    output: options.OutputPath = "",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Start three test containers, audit them, remove them."""
    from isoaudit.cli.auditing import audit
    from isoaudit.policy import Policy
    from isoaudit.probes.demo import demo_containers
    from isoaudit.probes.prober import available

    reason = available()
    if reason:
        raise UsageError(f"the demo needs to start containers, and cannot: {reason}")
    # Without being told, leave a report that can be looked at.
    chosen = formats or ["text,html,json"]
    with demo_containers() as containers:
        pids = tuple(container.pid for container in containers)
        code = audit(
            options.request_of(probes=None)._replace(only=pids),
            Policy(),
            chosen,
            output or ("" if formats else "."),
            quiet=quiet,
            color=not no_color,
        )
    raise typer.Exit(code)
