from __future__ import annotations

import pytest
from support.facts import denied, known

from isoaudit.facts.lsm import APPARMOR, SELINUX, SMACK, Label, label_file, parse_label, parse_profiles


@pytest.mark.parametrize(
    ("raw", "label", "unconfined", "strength"),
    [
        ("unconfined", Label(APPARMOR, "unconfined", "unconfined"), True, 0),
        ("docker-default (enforce)", Label(APPARMOR, "docker-default", "enforce"), False, 2),
        ("a (b) (complain)", Label(APPARMOR, "a (b)", "complain"), False, 1),
        ("crun (unconfined)", Label(APPARMOR, "crun", "unconfined"), True, 0),
        (
            "lxd-c1_</var/lib/lxd>//&:lxd-c1_<var-lib-lxd>:unconfined (enforce)",
            Label(APPARMOR, "lxd-c1_</var/lib/lxd>//&:lxd-c1_<var-lib-lxd>:unconfined", "enforce"),
            False,
            2,
        ),
        ("system_u:system_r:container_t:s0:c1,c2", Label(SELINUX, "container_t", level="s0:c1,c2"), False, 2),
        ("system_u:system_r:spc_t:s0", Label(SELINUX, "spc_t", level="s0"), True, 0),
        ("_", Label(SMACK, "_"), True, 0),
        ("App", Label(SMACK, "App"), False, 2),
    ],
)
def test_labels(raw: str, label: Label, unconfined: bool, strength: int) -> None:  # noqa: FBT001  a parameter of the table
    assert parse_label(raw) == label
    assert label.unconfined is unconfined
    assert label.strength == strength


def test_no_label() -> None:
    assert parse_label("") is None


def test_stacked_profiles() -> None:
    assert Label(APPARMOR, "web//&:ns:base", "mixed").profiles == ("web", ":ns:base")


def test_loaded_profiles() -> None:
    raw = b"docker-default (enforce)\n/usr/bin/man//groff (complain)\na (b) (kill)\n"
    assert parse_profiles(raw) == {
        "docker-default": "enforce",
        "/usr/bin/man//groff": "complain",
        "a (b)": "kill",
    }
    assert parse_profiles(b"") == {}
    with pytest.raises(ValueError, match="no mode"):
        parse_profiles(b"docker-default\n")


def test_which_file_labels_stand_in() -> None:
    assert label_file(known(("lockdown", "capability", "apparmor"))) == "attr/current"
    assert label_file(known(("capability", "selinux"))) == "attr/current"
    assert label_file(known(("capability", "selinux", "apparmor"))) == "attr/apparmor/current"
    assert label_file(denied()) == "attr/current"
