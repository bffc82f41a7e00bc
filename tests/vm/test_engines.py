"""Engines with cgroupfs on pure cgroup v2, and AppArmor's verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vm.conftest import Seen

LIMITS = {f"cgroup-{name}" for name in ("memory-unlimited", "cpu-unlimited", "pids-unlimited", "io-unlimited")}


@pytest.mark.parametrize("name", ["limited", "pod-limited"])
def test_every_limit_is_seen(engines: Seen, name: str) -> None:
    assert not engines.failing(name) & {*LIMITS, "cgroup-cpu-weight-default", "cgroup-shared"}
    memory = engines.findings(name)["cgroup-memory-unlimited"]
    assert memory["evidence"][0]["observed"] == str(64 << 20)
    assert engines.container(name)["id"] in memory["evidence"][0]["source"]


@pytest.mark.parametrize("name", ["privileged", "pod-bare"])
def test_every_missing_limit_is_seen(engines: Seen, name: str) -> None:
    assert engines.failing(name) >= {*LIMITS, "cgroup-cpu-weight-default"}


def test_runtimes_by_themselves(engines: Seen) -> None:
    for name, files in {"enforced": {"memory": 64 << 20}, "crunned": {"memory": 32 << 20, "pids": 9}}.items():
        for resource, amount in files.items():
            finding = engines.findings(name)[f"cgroup-{resource}-unlimited"]
            assert finding["outcome"] == "pass"
            assert finding["evidence"][0]["source"].startswith(f"/sys/fs/cgroup/made/{name}/")
            assert finding["evidence"][0]["observed"] == str(amount)


def test_a_reservation_under_docker_is_worth_nothing(engines: Seen) -> None:
    finding = engines.findings("limited")["cgroup-limit-ineffective"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "low")
    assert "memory.low of 32 MiB is worth 0 B" in finding["message"]


def test_nothing_is_undecided(engines: Seen) -> None:
    for path in engines.answer.folder.glob("*.pid"):
        assert not engines.undecided(path.stem, "cgroup-"), path.stem
        assert not engines.undecided(path.stem, "lsm-"), path.stem


def test_names_and_runtimes(engines: Seen) -> None:
    for name, runtime in {
        "limited": "docker",
        "privileged": "docker",
        "pod-limited": "podman",
        "pod-bare": "podman",
    }.items():
        container = engines.container(name)
        assert (container["runtime"], container["name"]) == (runtime, name)


def test_privileged_can_write_its_cgroup(engines: Seen) -> None:
    assert "cgroup-writable" in engines.failing("privileged")
    assert engines.findings("limited")["cgroup-writable"]["outcome"] == "pass"


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("limited", set()),
        ("enforced", set()),
        ("pod-limited", set()),
        ("privileged", {"lsm-unconfined"}),
        ("pod-bare", {"lsm-unconfined"}),
        ("complaining", {"lsm-complain"}),
    ],
)
def test_apparmor(engines: Seen, name: str, failing: set[str]) -> None:
    assert engines.failing(name) & {"lsm-unconfined", "lsm-complain"} == failing


def test_the_host_has_apparmor(engines: Seen) -> None:
    assert engines.findings()["lsm-none-active"]["outcome"] == "pass"
