"""Every check against its cases, and the catalogue's own rules."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
import support.cases
from support.cases import Case

from isoaudit.audit import Judge, peers_of
from isoaudit.model import Verdict
from isoaudit.registry import Catalogue, load
from isoaudit.resources import bundled

CASES: tuple[Case, ...] = tuple(
    case
    for module in pkgutil.iter_modules(support.cases.__path__)
    for case in import_module(f"support.cases.{module.name}").CASES
)
# Checks whose answer cannot come out in some way, each with the reason; everything else needs all three.
NEVER: dict[tuple[str, Verdict], str] = {
    reason: why
    for module in pkgutil.iter_modules(support.cases.__path__)
    for reason, why in getattr(import_module(f"support.cases.{module.name}"), "NEVER", {}).items()
}
HEADINGS = ("What it detects", "Why it matters", "Remediation", "When it is fine", "References")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(bundled("checks"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, catalogue: Catalogue) -> None:
    check = catalogue.get(case.check)
    assert check is not None, f"no check is called {case.check}"
    peers = case.peers or peers_of([case.container])
    judge = Judge(Catalogue((check,), ""), case.host, peers, behind=catalogue)
    (finding,) = judge.host() if check.subject == "host" else judge.container(case.container).findings
    assert finding.outcome is case.outcome, finding
    if case.severity is not None:
        assert finding.severity is case.severity, finding
    if case.basis is not None:
        assert finding.basis is case.basis, finding
    if finding.outcome is Verdict.FAIL:
        assert finding.inherent is case.inherent, finding
        assert finding.inherent or finding.remediation, "a gap that can be closed says how"
        assert finding.inherent or finding.evidence, "a gap shows what was seen"
    for part in case.says:
        assert part in finding.message


def test_every_check_has_all_three_cases(catalogue: Catalogue) -> None:
    covered = {(case.check, case.outcome) for case in CASES}
    needed = {
        (check.id, verdict)
        for check in catalogue.checks
        for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN)
    }
    missing = sorted(f"{check} {verdict.value}" for check, verdict in needed - covered - set(NEVER))
    assert not missing
    assert not [pair for pair in NEVER if pair in covered], "NEVER lists what happens all the same"


def test_every_page_is_whole(catalogue: Catalogue) -> None:
    for check in catalogue.checks:
        assert tuple(check.page.sections) == HEADINGS, f"{check.id}: {tuple(check.page.sections)}"
        assert all(check.page.sections.values()), check.id
        assert check.page.remediation, check.id
