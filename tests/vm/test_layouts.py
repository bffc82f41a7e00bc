"""cgroup v1 and hybrid on a real kernel: which layout it is called, and limits from both sides of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vm.conftest import Seen


def sources(seen: Seen, *names: str) -> dict[str, str]:
    findings = [seen.findings("box")[f"cgroup-{name}-unlimited"] for name in names]
    assert [finding["outcome"] for finding in findings] == ["pass"] * len(names), findings
    return {name: finding["evidence"][0]["source"] for name, finding in zip(names, findings, strict=True)}


def test_v1(v1: Seen) -> None:
    assert v1.report["host"]["cgroup"] == "v1"
    assert v1.findings()["cgroup-v1-in-use"]["outcome"] == "fail"
    assert sources(v1, "memory", "pids", "cpu") == {
        "memory": "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
        "pids": "/sys/fs/cgroup/pids/box/pids.max",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct/box/leaf/cpu.cfs_quota_us",
    }
    assert not v1.undecided("box", "cgroup-")


def test_a_v1_throttle_on_the_parent_binds_nobody_below(v1: Seen) -> None:
    assert v1.findings("box")["cgroup-io-unlimited"]["outcome"] == "fail"


def test_hybrid(hybrid: Seen) -> None:
    assert hybrid.report["host"]["cgroup"] == "hybrid"
    assert sources(hybrid, "memory", "pids", "cpu") == {
        "memory": "/sys/fs/cgroup/unified/box/memory.max",
        "pids": "/sys/fs/cgroup/pids/box/pids.max",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct/box/leaf/cpu.cfs_quota_us",
    }
    assert not hybrid.undecided("box", "cgroup-")


def test_kernel_memory_that_the_command_line_left_out(hybrid: Seen) -> None:
    finding = hybrid.findings("box")["cgroup-memory-kernel-uncounted"]
    assert finding["outcome"] == "fail"
    assert finding["evidence"][0]["observed"] == "cgroup.memory=nosocket,nokmem"
