from __future__ import annotations

from typing import Any

import pytest
from support.facts import (
    HOST_INODES,
    OWN_INODES,
    PID,
    denied,
    filters,
    known,
    make_container,
    make_host,
    make_status,
    namespaces,
)

from isoaudit.audit import Finding, Judge, peers_of
from isoaudit.escape import Doubt, Route, Rule, _follow, needed, routes, rules
from isoaudit.facts.container import Container
from isoaudit.model import Basis, Severity, Subject, Verdict, require
from isoaudit.policy import Policy
from isoaudit.registry import Catalogue, load
from isoaudit.resources import bundled

RULES = {rule.id: rule for rule in rules()}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(bundled("checks"))


def finding(check: str, **changes: Any) -> Finding:
    fine = Finding(
        check,
        Subject("container", "web-1"),
        Verdict.FAIL,
        Severity.INFO,  # what a policy made of it
        Basis.PROVEN,
        inherent=False,
        message=f"{check} was seen",
        evidence=(),
        remediation="Close it.",
        reproduce="",
        fingerprint=f"of {check}",
        weight=Severity.CRITICAL,
    )
    return fine._replace(**changes)


def all_of(rule: Rule) -> dict[str, Finding]:
    return {need.check: finding(need.check) for need in rule.needs if need.check}


def open_to_all() -> Container:
    """A container whose facts meet every condition that is no finding."""
    return make_container(lsm_label=known("unconfined"), filters=filters(deny=("kexec_load",)))


def test_every_check_of_a_way_exists(catalogue: Catalogue) -> None:
    ids = {check.id for check in catalogue.checks}
    assert needed() <= ids, needed() - ids


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_way_with_all_its_parts_is_open(rule: Rule) -> None:
    found = _follow(rule, make_host(), open_to_all(), all_of(rule))
    assert isinstance(found, Route)
    assert [step.text for step in found.steps] == [*(need.step for need in rule.needs), rule.end]
    with_findings = [step.finding for step in found.steps if step.finding]
    assert with_findings == [f"of {need.check}" for need in rule.needs if need.check]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_without_any_one_part_it_is_not(rule: Rule) -> None:
    for check in all_of(rule):
        for changes in ({"outcome": Verdict.PASS}, {"weight": Severity.LOW}):
            without = {**all_of(rule), check: finding(check, **changes)}
            assert _follow(rule, make_host(), open_to_all(), without) is None, (check, changes)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_was_not_seen_leaves_it_in_doubt(rule: Rule) -> None:
    for check in all_of(rule):
        for changes in ({"outcome": Verdict.UNKNOWN}, {"outcome": Verdict.ERROR}):
            found = _follow(
                rule, make_host(), open_to_all(), {**all_of(rule), check: finding(check, **changes)}
            )
            assert isinstance(found, Doubt)
            assert check in found.reason
        left = {name: one for name, one in all_of(rule).items() if name != check}
        assert isinstance(_follow(rule, make_host(), open_to_all(), left), Doubt)


def test_a_doubt_does_not_hide_that_a_part_is_missing() -> None:
    rule = RULES["setns"]
    first, second, *_ = all_of(rule)
    found = {**all_of(rule), first: finding(first, outcome=Verdict.UNKNOWN)}
    assert isinstance(_follow(rule, make_host(), open_to_all(), found), Doubt)
    found[second] = finding(second, outcome=Verdict.PASS)
    assert _follow(rule, make_host(), open_to_all(), found) is None


def test_a_way_is_known_as_well_as_its_weakest_part() -> None:
    rule = RULES["kexec"]
    one, other = all_of(rule)
    parts = {one: finding(one), other: finding(other, basis=Basis.INFERRED)}
    found = _follow(rule, make_host(), open_to_all(), parts)
    assert isinstance(found, Route)
    assert found.basis is Basis.INFERRED
    found = _follow(rule, make_host(), open_to_all(), all_of(rule))
    assert isinstance(found, Route)
    assert found.basis is Basis.PROVEN


def test_conditions_are_asked_of_the_facts() -> None:
    rule = RULES["ptrace"]
    parts = all_of(rule)
    forbidden = open_to_all()._replace(filters=filters(deny=("ptrace",)))
    assert _follow(rule, make_host(), forbidden, parts) is None
    unread = open_to_all()._replace(filters=denied())
    assert isinstance(_follow(rule, make_host(), unread, parts), Doubt)
    labelled = open_to_all()._replace(lsm_label=known("docker-default (enforce)"))
    doubt = _follow(rule, make_host(), labelled, parts)
    assert isinstance(doubt, Doubt)
    assert "docker-default" in doubt.reason


def test_the_filesystem_for_handles_must_be_the_hosts() -> None:
    rule = RULES["open-by-handle"]
    container = open_to_all()
    kept = tuple(mount for mount in require(container.mounts) if mount.device != "254:0")
    alone = container._replace(mounts=known(kept))
    assert _follow(rule, make_host(), alone, all_of(rule)) is None


def test_policy_and_selection_do_not_hide_a_way(catalogue: Catalogue) -> None:
    status = make_status(uids=(0, 0, 0, 0), cap_effective=1 << 19, cap_permitted=1 << 19, cap_bounding=1 << 19)
    container = make_container(
        namespaces=namespaces(PID, **{**OWN_INODES, "pid": HOST_INODES["pid"]}),
        status=status,
        lsm_label=known("unconfined"),
        filters=filters(deny=("mount",)),
    )
    selected = catalogue.selected(("escape",))
    policy = Policy(severities={"capability-sys-ptrace": Severity.INFO, "namespace-pid-shared": Severity.INFO})
    judge = Judge(selected, make_host(), peers_of([container]), policy.severities, behind=catalogue)
    judged = judge.container(container)
    assert [finding.check for finding in judged.findings] == ["escape-path"]
    assert judged.findings[0].outcome is Verdict.FAIL
    assert judged.routes is not None
    assert "ptrace" in {route.rule for route in judged.routes.open}
    assert routes(make_host(), container, {}).open == ()
