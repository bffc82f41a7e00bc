"""Two reports held against each other: what is new, what is fixed, what stays, and what cannot be told."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.baseline import Terms, terms_of
from isoaudit.errors import UsageError
from isoaudit.model import SEVERITIES, Severity, Verdict, at_least

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoaudit.report import Document, Report

SCHEMA = "isoaudit/diff/1"


class Kind(str, Enum):
    """What became of a gap."""

    NEW = "new"
    FIXED = "fixed"
    UNCHANGED = "unchanged"
    INCOMPARABLE = "incomparable"


class Gap(NamedTuple):
    """The failed findings of one report that have one fingerprint."""

    fingerprint: str
    who: str  # the subject's name, as it survives a restart
    check: str
    severity: Severity  # the worst of them
    message: str
    inherent: bool
    waived: bool  # whether each of them is
    subjects: tuple[str, ...]  # their keys


class Change(NamedTuple):
    """A gap of at least one report."""

    kind: Kind
    gap: Gap  # as the new report has it, or else the old one
    was: Severity | None  # in the old report; None where it was not failed there
    open: bool  # whether it is failed in the new report
    reason: str = ""  # why it is incomparable


class Comparison(NamedTuple):
    """What a comparison found."""

    old: Mapping[str, str]  # of which scan: "id", "started", "hostname"
    new: Mapping[str, str]
    notices: tuple[str, ...]
    changes: tuple[Change, ...]  # new ones first, the worst first

    def worsened(self, threshold: Severity) -> bool:
        """Whether a gap as bad as this is open that the old report did not have.

        That the old report could not have it (another container, a check that was not asked) is no excuse. Gaps
        that are waived, or that no setting closes, are.
        """
        return any(
            change.open
            and change.was is None
            and not change.gap.waived
            and not change.gap.inherent
            and at_least(change.gap.severity, threshold)
            for change in self.changes
        )


_DECIDED, _UNDECIDED = 1, 2


class _Side:
    """One report, indexed.

    Args:
        report: the report.
        name: what to call it in an error.

    Raises:
        UsageError: it is not by the contract.
    """

    def __init__(self, report: Report, name: str) -> None:
        self.gaps: dict[str, Gap] = {}
        self._verdicts: dict[tuple[str, str], int] = {}
        self._subjects: set[str] = set()
        try:
            self.terms: Terms = terms_of(report)
            self.scan = {
                "id": str(report.scan["id"]),
                "started": str(report.scan["started"]),
                "hostname": str(report.host["hostname"] or ""),
            }
            self._who = {c["key"]: str(c["name"] or c["image"] or c["runtime"]) for c in report.containers}
            for finding in report.findings():
                self._add(finding)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"{name}: broken report: {type(error).__name__}: {error}") from error

    def _add(self, finding: Document) -> None:
        subject, check = finding["subject"], str(finding["check"])
        # A container may call itself "host": the host's own name is one that none has.
        who = "" if subject["kind"] == "host" else self._who[subject["key"]]
        self._subjects.add(who)
        outcome = Verdict(finding["outcome"])
        decided = _UNDECIDED if outcome in (Verdict.UNKNOWN, Verdict.ERROR) else _DECIDED
        self._verdicts[who, check] = self._verdicts.get((who, check), 0) | decided
        if outcome is not Verdict.FAIL:
            return
        gap = Gap(
            str(finding["fingerprint"]),
            who,
            check,
            Severity(finding["severity"]),
            str(finding["message"]),
            bool(finding["inherent"]),
            finding["waiver"] is not None,
            (str(subject["key"]),),
        )
        seen = self.gaps.get(gap.fingerprint)
        if seen is not None:
            worse = gap if at_least(gap.severity, seen.severity) else seen
            gap = worse._replace(
                inherent=gap.inherent and seen.inherent,
                waived=gap.waived and seen.waived,
                subjects=seen.subjects + gap.subjects,
            )
        self.gaps[gap.fingerprint] = gap

    def silent(self, gap: Gap, which: str) -> str:
        """Why this report says nothing about a gap of the other; "" if it says that there is none."""
        if gap.who not in self._subjects:
            return f"not in the {which} report"
        verdicts = self._verdicts.get((gap.who, gap.check), 0)
        if not verdicts:
            return f"not asked in the {which} report"
        return f"not decided in the {which} report" if verdicts & _UNDECIDED else ""


def compare(old: Report, new: Report, names: tuple[str, str] = ("OLD", "NEW")) -> Comparison:
    """Hold two reports against each other.

    Args:
        old: the earlier one.
        new: the later one.
        names: what to call them in an error.

    Raises:
        UsageError: one of them is not by the contract.
    """
    before, after = _Side(old, names[0]), _Side(new, names[1])
    order = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    kinds = {kind: rank for rank, kind in enumerate(Kind)}
    changes = sorted(
        _changes(before, after),
        key=lambda one: (kinds[one.kind], order[one.gap.severity], one.gap.check, one.gap.who),
    )
    notices = [f"{what} differ" for what in before.terms.differences(after.terms)]
    if before.scan["hostname"] != after.scan["hostname"]:
        notices.append("the reports are of two hosts")
    return Comparison(before.scan, after.scan, tuple(notices), tuple(changes))


def _changes(before: _Side, after: _Side) -> Iterator[Change]:
    for fingerprint, gap in after.gaps.items():
        known = before.gaps.get(fingerprint)
        if known is not None:
            yield Change(Kind.UNCHANGED, gap, known.severity, open=True)
        else:
            reason = before.silent(gap, "old")
            yield Change(Kind.INCOMPARABLE if reason else Kind.NEW, gap, None, open=True, reason=reason)
    for fingerprint, gap in before.gaps.items():
        if fingerprint not in after.gaps:
            reason = after.silent(gap, "new")
            kind = Kind.INCOMPARABLE if reason else Kind.FIXED
            yield Change(kind, gap, gap.severity, open=False, reason=reason)


def document(comparison: Comparison) -> Document:
    """A comparison as JSON."""
    counts = {kind.value: sum(one.kind is kind for one in comparison.changes) for kind in Kind}
    return {
        "schema": SCHEMA,
        "old": dict(comparison.old),
        "new": dict(comparison.new),
        "notices": list(comparison.notices),
        "summary": counts,
        "changes": [
            {
                "change": one.kind.value,
                "check": one.gap.check,
                "subjects": list(one.gap.subjects),
                "severity": one.gap.severity.value,
                "was": one.was.value if one.was else None,
                "open": one.open,
                "inherent": one.gap.inherent,
                "waived": one.gap.waived,
                "message": one.gap.message,
                "reason": one.reason,
                "fingerprint": one.gap.fingerprint,
            }
            for one in comparison.changes
        ],
    }
