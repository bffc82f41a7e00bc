"""Device programs that engines and systemd attach on pure cgroup v2."""

from __future__ import annotations

import pytest
from support.facts import CAPTURED_PROGRAMS
from vm.conftest import Seen, seen

POLICY = "cgroup-devices-unrestricted"


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return seen(tmp_path_factory.mktemp("devices"), "devices", systemd=True)


@pytest.mark.parametrize(
    ("name", "captured"),
    [
        ("plain", "docker"),
        ("ruled", "docker_device_rules"),
        ("pod-runc", "runc"),
        ("pod-crun", "crun"),
        ("allowing", "systemd_device_allow"),
    ],
)
def test_a_program_reads_back_as_the_rules_that_it_was_made_from(
    devices: Seen, name: str, captured: str
) -> None:
    finding = devices.findings(name)[POLICY]
    assert finding["outcome"] == "pass"
    # Below systemd there may be a program of its own beside an engine's.
    shown = [evidence["observed"].splitlines() for evidence in finding["evidence"]]
    assert list(CAPTURED_PROGRAMS[captured]["rules"]) in shown


def test_privileged_is_a_program_that_allows_everything(devices: Seen) -> None:
    for name in ("privileged", "pod-privileged"):
        finding = devices.findings(name)[POLICY]
        assert (finding["outcome"], finding["severity"]) == ("fail", "critical")
        assert finding["evidence"][-1]["observed"] == "b *:* rwm\nc *:* rwm"
        assert finding["reproduce"].startswith("bpftool prog dump xlated id ")
        assert "capability-privileged" in devices.failing(name)


def test_a_unit_without_a_policy_has_no_program(devices: Seen) -> None:
    finding = devices.findings("open")[POLICY]
    assert finding["outcome"] == "fail"
    assert finding["evidence"][-1]["observed"] == "no device program"


def test_a_slices_program_applies_below_it(devices: Seen) -> None:
    finding = devices.findings("below")[POLICY]
    assert finding["outcome"] == "pass"
    own, above = finding["evidence"]
    assert own["source"].endswith("/closed.slice/below.service")
    assert above["source"].endswith("/closed.slice")
    assert "c 1:11 rw" in own["observed"].splitlines()
    assert "c 1:11 rw" not in above["observed"].splitlines()
    assert devices.findings("below")["device-kmsg-exposed"]["outcome"] == "pass"


def test_what_capability_and_program_let_be_made(devices: Seen) -> None:
    assert "c 10:200" in devices.findings("plain")["device-tun-exposed"]["message"]
    assert "b 7:0" in devices.findings("ruled")["device-loop-exposed"]["message"]
    kmsg = devices.findings("ruled")["device-kmsg-exposed"]
    assert "/dev/kmsg" in kmsg["message"]
    assert devices.findings("plain")["device-block-exposed"]["outcome"] == "pass"
    # podman takes CAP_MKNOD away.
    assert devices.findings("pod-runc")["device-tun-exposed"]["outcome"] == "pass"


def test_nothing_about_devices_is_undecided(devices: Seen) -> None:
    for path in devices.answer.folder.glob("*.pid"):
        assert not devices.undecided(path.stem, "device-"), path.stem


def test_an_ordinary_user_is_told_that_it_takes_root(devices: Seen) -> None:
    report = devices.answer.json("user.json")
    (finding,) = [f for f in report["findings"] if f["check"] == POLICY]
    assert finding["outcome"] == "unknown"
    assert "run isoaudit as root" in finding["message"]
