"""What an earlier report knew, and whether a later one can be held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.errors import UsageError
from isoaudit.model import Verdict

if TYPE_CHECKING:
    from isoaudit.report import Report


class Terms(NamedTuple):
    """What a report's findings depend on beside the host."""

    mode: str
    catalogue: str
    select: frozenset[str]
    ignore: frozenset[str]

    def differences(self, other: Terms) -> list[str]:
        """In what two reports are no measure for each other."""
        named = {
            "the scope (one container, or the host)": self.mode != other.mode,
            "the catalogue of checks": self.catalogue != other.catalogue,
            "the selection of checks": (self.select, self.ignore) != (other.select, other.ignore),
        }
        return [what for what, differs in named.items() if differs]


class Baseline(NamedTuple):
    """A report whose gaps are known."""

    name: str
    known: frozenset[str]  # fingerprints of what failed there, and was not waived
    terms: Terms


def terms_of(report: Report) -> Terms:
    """The terms of a report.

    Raises:
        KeyError, TypeError, AttributeError: it is not by the contract.
    """
    policy = report.scan.get("policy", {})
    chosen = [frozenset(map(str, policy.get(name, ()))) for name in ("select", "ignore")]
    return Terms(str(report.scan["mode"]), str(report.tool["catalogue"]), *chosen)


def baseline_of(report: Report, name: str) -> Baseline:
    """A report as a baseline. What was waived there is not known: its waiver may have ended since.

    Raises:
        UsageError: it is not by the contract.
    """
    try:
        known = frozenset(
            str(finding["fingerprint"])
            for finding in report.findings()
            if finding["outcome"] == Verdict.FAIL and finding["waiver"] is None
        )
        return Baseline(name, known, terms_of(report))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{name}: broken report: {type(error).__name__}: {error}") from error
