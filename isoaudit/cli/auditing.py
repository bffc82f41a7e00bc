"""What `scan`, `container` and `demo` do alike: audit, write, and answer with the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit import frameworks, scan
from isoaudit.cli import options
from isoaudit.cli.output import Output, progress
from isoaudit.gate import exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoaudit.policy import Policy
    from isoaudit.request import Request


def audit(
    request: Request,
    policy: Policy,
    formats: Sequence[str],
    output: str,
    *,
    checks_dir: str | None = None,
    quiet: bool = False,
    color: bool = True,
) -> int:
    """Audit and write the report; the exit code.

    Raises:
        UsageError, NothingToAuditError: bad input; nothing was written.
    """
    with Output(formats, output, color=color, quiet=quiet) as out:
        with scan.without_gc():  # which loading the catalogue would keep busy, too
            # The host first: that there is nothing to audit is found out before a hundred checks are loaded.
            scope = scan.look(request)
            catalogue = options.catalogue_of(checks_dir)
            report = scan.audit(request, catalogue, policy, frameworks.load(), progress(quiet=quiet), scope)
        out.write(report, catalogue)
    return exit_code(report)
