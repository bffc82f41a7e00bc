"""The gate: what a policy demands of a scan as a whole, and the exit code that says whether it was given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.errors import EXIT_DONE, EXIT_GATE_FAILED, EXIT_INCOMPLETE, EXIT_NOTHING_TO_AUDIT
from isoaudit.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.policy import Policy
    from isoaudit.report import Report, Section

_DECIDED = (Verdict.PASS.value, Verdict.FAIL.value, Verdict.NOT_APPLICABLE.value)


class Reach(NamedTuple):
    """How far a scan got."""

    containers: int  # that were judged
    inside: int  # verdicts on them that are decided
    decided: int  # verdicts on anything that are
    verdicts: int

    @property
    def percent(self) -> float:
        """The share of verdicts that are decided; of none, none are."""
        return 100 * self.decided / self.verdicts if self.verdicts else 0.0

    def covers(self, percent: float) -> bool:
        """Whether that share is as high as demanded."""
        return not percent or (self.verdicts > 0 and 100 * self.decided >= percent * self.verdicts)


def reach(sections: Iterable[Section]) -> Reach:
    """How far a scan with these sections got."""
    containers = inside = decided = verdicts = 0
    for section in sections:
        own = sum(section.tally.get(word, 0) for word in _DECIDED)
        decided += own
        verdicts += sum(section.tally.get(word.value, 0) for word in Verdict)
        if section.container is not None and not section.container.get("vanished"):
            containers += 1
            inside += own
    return Reach(containers, inside, decided, verdicts)


def word(policy: Policy, got: Reach, *, blocked: bool, expired: bool) -> str:
    """The gate as the report's summary has it: "none" where nothing was demanded, "passed" or "failed".

    Args:
        policy: what is demanded.
        got: how far the scan got.
        blocked: whether a finding counts against it.
        expired: whether a waiver has expired.
    """
    demands = (
        (policy.fail_on is not None, blocked),
        (policy.expired_fail, expired),
        (policy.require_containers, not got.inside),
    )
    if any(demanded and missed for demanded, missed in demands):
        return "failed"
    return "passed" if any(demanded for demanded, _ in demands) else "none"


def notices(policy: Policy, got: Reach) -> list[str]:
    """What a policy demands and did not get, in words."""
    said = []
    if policy.require_containers and not got.containers:
        said.append("no container was found, and the policy requires some")
    elif policy.require_containers and not got.inside:
        said.append("no check of a container was decided, and the policy requires some")
    if not got.covers(policy.min_coverage):
        share = math.floor(got.percent * 10) / 10  # rounded, it might claim to be what it is not
        said.append(
            f"{share:g} % of the verdicts are decided, and the policy demands {policy.min_coverage:g} %"
        )
    return said


def exit_code(report: Report) -> int:
    """What a finished report makes the command end with."""
    policy = report.scan.get("policy", {})
    got = reach(report.sections)
    if policy.get("require_containers") and not got.containers:
        return EXIT_NOTHING_TO_AUDIT
    if policy.get("require_containers") and not got.inside:
        return EXIT_INCOMPLETE
    if report.summary["gate"] == "failed":
        return EXIT_GATE_FAILED
    complete = report.scan["complete"] or not policy.get("require_complete")
    demanded = policy.get("min_coverage")
    covered = not isinstance(demanded, (int, float)) or got.covers(demanded)
    return EXIT_DONE if complete and covered else EXIT_INCOMPLETE
