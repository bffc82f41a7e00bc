"""Cgroups that systemd manages: scopes, a user's own containers, units with cgroups of their own below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vm.conftest import Seen

LIMITED = (
    "cgroup-memory-unlimited",
    "cgroup-cpu-unlimited",
    "cgroup-pids-unlimited",
    "cgroup-cpu-weight-default",
)


def evidence(seen: Seen, name: str, check: str) -> tuple[str, str]:
    finding = seen.findings(name)[check]
    assert finding["outcome"] == "pass", finding
    return finding["evidence"][0]["source"], finding["evidence"][0]["observed"]


def test_a_scope_of_docker(systemd: Seen) -> None:
    container = systemd.container("scoped")
    assert (container["runtime"], container["name"]) == ("docker", "scoped")
    scope = f"/sys/fs/cgroup/system.slice/docker-{container['id']}.scope"
    assert evidence(systemd, "scoped", "cgroup-memory-unlimited") == (f"{scope}/memory.max", str(64 << 20))
    assert evidence(systemd, "scoped", "cgroup-pids-unlimited") == (f"{scope}/pids.max", "50")
    assert not systemd.failing("scoped").intersection((*LIMITED, "cgroup-shared", "cgroup-writable"))


def test_a_rootless_container_below_its_users_own_manager(systemd: Seen) -> None:
    container = systemd.container("rootless")
    assert container["runtime"] == "podman"
    below = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-"
    for check, amount in (("memory", 64 << 20), ("pids", 40)):
        source, observed = evidence(systemd, "rootless", f"cgroup-{check}-unlimited")
        assert source.startswith(f"{below}{container['id']}.scope/")
        assert observed == str(amount)
    # --cpu-shares stands on the scope, and the process in a cgroup below it.
    assert evidence(systemd, "rootless", "cgroup-cpu-weight-default")[1] != "100"
    assert systemd.findings("rootless")["cgroup-cpu-unlimited"]["outcome"] == "fail"
    # io is not among what systemd delegates to users.
    assert "io controller is not enabled" in systemd.findings("rootless")["cgroup-io-unlimited"]["message"]


def test_a_delegated_unit_with_a_cgroup_below(systemd: Seen) -> None:
    unit = "/sys/fs/cgroup/machine.slice/delegated.service"
    assert evidence(systemd, "delegated", "cgroup-memory-unlimited") == (f"{unit}/memory.max", str(56 << 20))


def test_nothing_is_undecided(systemd: Seen) -> None:
    assert systemd.report["host"]["cgroup"] == "v2"
    for name in ("scoped", "rootless", "delegated"):
        assert not systemd.undecided(name, "cgroup-"), name
