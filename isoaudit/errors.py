"""What can go wrong in a way that the user can mend, each with its documented exit code."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1  # isoaudit itself failed: a defect
EXIT_USAGE = 2
EXIT_NOTHING_TO_AUDIT = 3
EXIT_INCOMPLETE = 4
EXIT_GATE_FAILED = 10
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class IsoauditError(Exception):
    """A failure with one line for the user: what was wrong and what to do."""

    exit_code = EXIT_FAILED


class UsageError(IsoauditError):
    """Bad input: an option, a policy, a snapshot or a report that cannot be used."""

    exit_code = EXIT_USAGE


class NothingToAuditError(IsoauditError):
    """There is no such container."""

    exit_code = EXIT_NOTHING_TO_AUDIT
