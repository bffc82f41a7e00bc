"""Effective limits on pure cgroup v2, and the file that sets each: what a whole kernel really answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vm.conftest import Seen

TOP = "/sys/fs/cgroup"


@pytest.mark.parametrize(
    ("name", "check", "file", "observed"),
    [
        ("nested", "memory", "nested/middle/memory.max", "104857600"),
        ("nested", "cpu", "nested/cpu.max", "50000 100000"),
        ("nested", "pids", "nested/middle/leaf/pids.max", "20"),
        ("above", "memory", "above/memory.max", "67108864"),
        ("threaded", "memory", "domain/memory.max", "83886080"),
        ("threaded", "cpu", "domain/thread/cpu.max", "20000 100000"),
        ("hidden", "memory", "hidden/memory.max", "94371840"),
        ("odd", "memory", r"odd \xff:name (deleted)/memory.max", "73400320"),
        ("promised", "memory", "promised/leaf/memory.max", "134217728"),
        ("given", "memory", "given/memory.max", "50331648"),
    ],
)
def test_the_tightest_limit_and_its_file(
    cgroups: Seen, name: str, check: str, file: str, observed: str
) -> None:
    finding = cgroups.findings(name)[f"cgroup-{check}-unlimited"]
    assert finding["outcome"] == "pass", finding
    (evidence,) = finding["evidence"]
    assert (evidence["source"], evidence["observed"]) == (f"{TOP}/{file}", observed)


def test_one_container_by_its_pid_says_the_same(cgroups: Seen) -> None:
    alone = cgroups.answer.json("nested.json")
    (container,) = alone["containers"]
    assert container["pid"] == cgroups.pid("nested")
    theirs = {f["check"]: f for f in alone["findings"] if f["subject"]["key"] == container["key"]}
    for check in ("cgroup-memory-unlimited", "cgroup-cpu-unlimited", "cgroup-pids-unlimited"):
        assert theirs[check]["evidence"] == cgroups.findings("nested")[check]["evidence"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unlimited", "it can take all of the host's"),
        ("disabled", "the memory controller is not enabled down to its cgroup"),
        ("slowed", "memory.high of 50 MiB slows it down and does not stop it"),
    ],
)
def test_no_limit_and_why(cgroups: Seen, name: str, says: str) -> None:
    finding = cgroups.findings(name)["cgroup-memory-unlimited"]
    assert finding["outcome"] == "fail"
    assert says in finding["message"]


def test_a_cgroup_namespace_hides_the_path_from_the_inside_only(cgroups: Seen) -> None:
    assert (cgroups.answer.folder / "hidden.seen").read_text() == "0::/hidden/leaf\n"
    assert (cgroups.answer.folder / "hidden.inside").read_text() == "0::/\n"


def test_what_is_given_away_with_nsdelegate_is_no_more_than_that(cgroups: Seen) -> None:
    finding = cgroups.findings("hidden")["cgroup-writable"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "low"), finding
    finding = cgroups.findings("given")["cgroup-writable"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "info"), finding
    finding = cgroups.findings("nested")["cgroup-writable"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "high"), finding


def test_two_containers_in_one_cgroup(cgroups: Seen) -> None:
    for one, other in (("first", "second"), ("second", "first")):
        finding = cgroups.findings(one)["cgroup-shared"]
        assert finding["outcome"] == "fail"
        assert f"in one cgroup with {cgroups.container(other)['key']}" in finding["message"]
    assert cgroups.findings("nested")["cgroup-shared"]["outcome"] == "pass"


def test_a_promise_that_the_parent_does_not_back(cgroups: Seen) -> None:
    finding = cgroups.findings("promised")["cgroup-limit-ineffective"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "low")
    assert "memory.low of 32 MiB is worth 0 B" in finding["message"]


def test_nothing_is_undecided(cgroups: Seen) -> None:
    for path in cgroups.answer.folder.glob("*.pid"):
        assert not cgroups.undecided(path.stem, "cgroup-"), path.stem


def test_the_host(cgroups: Seen) -> None:
    assert cgroups.report["host"]["cgroup"] == "v2"
    host = cgroups.findings()
    assert host["cgroup-v1-in-use"]["outcome"] == "pass"
    assert "cpuset" in host["cgroup-controller-missing"]["message"]  # User-Mode Linux has none
    overcommitted = host["cgroup-memory-overcommitted"]
    assert overcommitted["outcome"] == "fail"
    for name in ("unlimited", "disabled", "slowed"):
        assert cgroups.container(name)["key"] in overcommitted["message"]
