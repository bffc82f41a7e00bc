"""A container for every flag that opens or closes a gap, over all runtimes, each beside its unflagged twin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.live import isoaudit, missing
from support.scenarios import SCENARIOS, Findings, Key, Scenario, judge, summary
from support.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

# What a probe in a test container with the same walls decides.
PROVEN = {"time-clock-settable", "namespace-user-creatable"}
PROBED = [one for one in SCENARIOS if PROVEN & set(one.opens)]
# It depends on all containers of the machine, and others may come and go while we look.
OF_OTHERS = frozenset({"namespace-user-map-overlap"})


class Scans(NamedTuple):
    """What one scan said of every container."""

    findings: Mapping[Key, Findings]
    pids: Mapping[Key, int]
    refused: Mapping[Key, str]

    def of(self, scenario: Scenario) -> tuple[Findings, Findings]:
        """The findings on a scenario's twin and on its container."""
        return self.findings[scenario.runtime, scenario.twin], self.findings[scenario.key]


def scanned(pids: Mapping[Key, int]) -> dict[Key, Findings]:
    """One scan of the whole machine from kernel state alone: its findings by container."""
    run = isoaudit("scan", "--host", "-f", "json", "--probes", "none")
    assert run.code == 0, run.err
    report = run.report
    names = {}
    for entry in report["containers"]:
        if os.path.exists(f"/proc/{entry['pid']}"):
            names[os.readlink(f"/proc/{entry['pid']}/ns/mnt")] = entry["key"]
    findings: dict[str, dict[str, dict[str, object]]] = {}
    for finding in report["findings"]:
        findings.setdefault(finding["subject"]["key"], {})[finding["check"]] = finding
    return {key: findings[names[os.readlink(f"/proc/{pid}/ns/mnt")]] for key, pid in pids.items()}


@pytest.fixture(scope="module")
def scans(busybox_root: Path, open_folder: Path) -> Iterator[Scans]:
    stage = Stage(open_folder, busybox_root)
    try:
        stage.begin(SCENARIOS)
        yield Scans(scanned(stage.pids), stage.pids, stage.refused)
    finally:
        stage.end()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.runtime}-{one.name}")
def test_scenario(scenario: Scenario, scans: Scans) -> None:
    if scenario.key in scans.refused:
        missing(scans.refused[scenario.key])
    judged = judge(scenario, *scans.of(scenario), apart=OF_OTHERS)
    assert not judged.missed, f"missed {judged.missed}"
    assert not judged.unexpected, "; ".join(map(str, judged.unexpected))


@pytest.mark.parametrize("scenario", PROBED, ids=lambda one: f"{one.runtime}-{one.name}")
def test_with_probes(scenario: Scenario, scans: Scans) -> None:
    """A twin that tries it finds the same, and proves it."""
    if scenario.key in scans.refused:
        missing(scans.refused[scenario.key])
    run = isoaudit("container", str(scans.pids[scenario.key]), "-f", "json", "--probes", "safe")
    assert run.code == 0, run.err
    (container,) = run.report["containers"]
    findings = run.findings(container["key"])
    for check in PROVEN & set(scenario.opens):
        assert (findings[check]["outcome"], findings[check]["basis"]) == ("fail", "proven")


def test_recall(scans: Scans, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what the whole suite found, and what docker-bench-security says of the same flags."""
    started = [one for one in SCENARIOS if one.key not in scans.refused]
    judged = [judge(one, *scans.of(one), apart=OF_OTHERS) for one in started]
    with capsys.disabled():
        print("", *summary(judged), sep="\n")  # noqa: T201  the figures are what is wanted
    passed_wrongly = [one for one in judged if one.scenario.bench]
    assert all(one.found for one in passed_wrongly), "one that docker-bench-security passed was passed here too"
