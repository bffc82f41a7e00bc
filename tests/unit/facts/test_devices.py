from __future__ import annotations

import os

import pytest
from support.facts import DOCKER_DEVICES

from isoaudit.facts.devices import (
    DevicePolicy,
    DeviceRule,
    RuleList,
    classify,
    parse_devices_list,
    parse_proc_devices,
    sample_numbers,
)
from isoaudit.model import FactMissing, Unknown


def policy(*lists: str) -> DevicePolicy:
    return DevicePolicy(tuple(RuleList(parse_devices_list(one)) for one in lists), "test")


DOCKER, OPEN = policy(DOCKER_DEVICES), policy("a *:* rwm")


def test_parse_devices_list() -> None:
    assert parse_devices_list("c 136:* rw\nb 8:0 m\n") == (
        DeviceRule("c", 136, None, "rw"),
        DeviceRule("b", 8, 0, "m"),
    )
    assert parse_devices_list("") == ()
    with pytest.raises(ValueError, match="not a device rule"):
        parse_devices_list("everything")


def test_what_dockers_policy_allows() -> None:
    assert DOCKER.access("c", 1, 3) == "rwm"
    assert DOCKER.access("b", 8, 0) == "m"
    assert DOCKER.access("c", 10, 200) == "rwm"
    assert DOCKER.access("c", 136, 77) == "rwm"
    assert not DOCKER.unrestricted


def test_every_level_must_agree() -> None:
    assert OPEN.unrestricted
    both = DevicePolicy((*OPEN.levels, *DOCKER.levels), "test")
    assert not both.unrestricted
    assert both.access("b", 8, 0) == "m"


def test_no_level_restricts_nothing() -> None:
    none = DevicePolicy((), "test")
    assert none.unrestricted
    assert none.access("b", 8, 0) == "rwm"


def test_all_of_both_kinds_is_everything() -> None:
    assert policy("b *:* rw\nc *:* rw").unrestricted
    assert not policy("b *:* rw\nc *:* m").unrestricted


def test_one_rule_must_grant_a_whole_request() -> None:
    parts = policy("c 1:* r\nc 1:3 w")
    assert not parts.allows("c", 1, 3, "rw")
    assert parts.access("c", 1, 3) == "rw", "one after the other"


def test_levels_must_agree_to_the_same_request() -> None:
    parts = policy("c 1:* r\nc 1:3 w", "c 1:3 w")
    assert parts.access("c", 1, 3) == "w"


def test_a_missing_level_leaves_denials() -> None:
    doubtful = DOCKER._replace(missing=Unknown("bpf(2)", "EPERM"))
    assert not doubtful.unrestricted
    assert not doubtful.allows("b", 8, 0, "r")
    with pytest.raises(FactMissing, match="EPERM"):
        doubtful.allows("c", 1, 3, "r")
    with pytest.raises(FactMissing, match="EPERM"):
        doubtful.access("b", 8, 0)


@pytest.mark.parametrize(
    ("kind", "major", "minor", "stem"),
    [
        ("b", 8, 0, "block"),
        ("b", 7, 3, "loop"),
        ("c", 10, 237, "loop"),
        ("c", 1, 1, "memory"),
        ("c", 202, 1, "memory"),
        ("c", 1, 3, "default"),
        ("c", 136, 5, "default"),
        ("c", 5, 1, "console"),
        ("c", 4, 64, "console"),
        ("c", 13, 63, "input"),
        ("c", 226, 128, "gpu"),
        ("c", 10, 200, "tun"),
        ("c", 10, 241, "vhost"),
        ("c", 21, 0, "block"),
        ("c", 245, 0, "input"),
        ("c", 244, 0, "block"),
        ("c", 250, 0, "rtc"),
        ("c", 116, 0, "other"),
    ],
)
def test_classify(kind: str, major: int, minor: int, stem: str) -> None:
    names = (("c", 245, "hidraw"), ("c", 244, "nvme"), ("c", 250, "ptp"), ("b", 116, "hidraw"))
    assert classify(kind, major, minor, names) == stem


def test_samples_show_every_class_and_driver() -> None:
    samples = sample_numbers((("b", 254, "virtblk"), ("c", 245, "hidraw"), ("c", 116, "alsa")))
    assert ("b", 254, 0) in samples
    assert ("c", 245, 0) in samples
    assert ("c", 116, 0) not in samples
    assert {"tun", "fuse", "kvm", "memory", "console", "input", "gpu"} <= {classify(*one) for one in samples}


def test_parse_proc_devices() -> None:
    raw = b"Character devices:\n  1 mem\n  4 /dev/vc/0\n\nBlock devices:\n254 virtblk\n"
    assert parse_proc_devices(raw) == (("c", 1, "mem"), ("c", 4, "/dev/vc/0"), ("b", 254, "virtblk"))


def test_the_numbers_are_this_kernels() -> None:
    for path, stem in (
        ("/dev/kmsg", "kmsg"),
        ("/dev/fuse", "fuse"),
        ("/dev/kvm", "kvm"),
        ("/dev/null", "default"),
    ):
        if os.path.exists(path):
            number = os.stat(path).st_rdev
            assert classify("c", os.major(number), os.minor(number)) == stem
