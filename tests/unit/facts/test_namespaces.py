from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.facts import HOST_INODES, denied, namespaces

from isoaudit.facts.namespaces import INITIAL, NO_SUCH_TYPE, TYPES, Namespaces, missing_type, parse_link, same
from isoaudit.model import Known, Unknown


@pytest.mark.parametrize("target", ["pid:[4026531836]", b"pid:[4026531836]"])
def test_link(target: str | bytes) -> None:
    assert parse_link(target) == 4026531836


@pytest.mark.parametrize("target", ["", "pid:", "pid:[]", "pid:[x]", "]4[", "pid:[\udcff]", b"\xff[\xfe]"])
def test_what_is_no_link(target: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  int() words it
        parse_link(target)


@given(st.binary() | st.text())
def test_nothing_but_value_error(target: str | bytes) -> None:
    try:
        parse_link(target)
    except ValueError:
        return


def test_fields_are_the_types() -> None:
    assert Namespaces._fields == TYPES
    ours = namespaces(1, **HOST_INODES)
    assert [ours.of(kind) for kind in TYPES] == list(ours)


def test_initial_numbers_are_this_kernels() -> None:
    # pid 2 is kthreadd, which never leaves the initial namespaces; in a container it is anything.
    try:
        links = {kind: os.readlink(f"/proc/2/ns/{kind}") for kind in INITIAL if kind != "time"}
        with open("/proc/2/comm", encoding="ascii") as file:
            kernel_thread = file.read() == "kthreadd\n"
    except OSError:
        pytest.skip("the kernel's threads cannot be read here")
    if not kernel_thread:
        pytest.skip("not in the initial PID namespace")
    assert {kind: parse_link(link) for kind, link in links.items()} == {
        kind: inode for kind, inode in INITIAL.items() if kind != "time"
    }


def test_same_needs_both() -> None:
    assert same(Known(1, "a"), Known(1, "b")) is True
    assert same(Known(1, "a"), Known(2, "b")) is False
    assert same(denied(), Known(2, "b")) is None
    assert same(Known(1, "a"), denied()) is None


def test_a_missing_type_is_told_from_a_refusal() -> None:
    assert missing_type(Unknown("/proc/1/ns/time", NO_SUCH_TYPE))
    assert not missing_type(denied())
    assert not missing_type(Known(1, "a"))
