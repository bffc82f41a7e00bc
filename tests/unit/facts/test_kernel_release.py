"""Kernel releases as real machines have them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.kernel import KernelRelease, parse_release


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.12.30-amd64", KernelRelease(6, 12, 30, "-amd64")),
        ("4.19.0-25+deb10u1-amd64", KernelRelease(4, 19, 0, "-25+deb10u1-amd64")),
        ("3.10.0-1160.el7.x86_64", KernelRelease(3, 10, 0, "-1160.el7.x86_64")),
        ("5.15.167.4-microsoft-standard-WSL2", KernelRelease(5, 15, 167, ".4-microsoft-standard-WSL2")),
        ("6.1-rc3", KernelRelease(6, 1, 0, "-rc3")),
        ("6.1+\n", KernelRelease(6, 1, 0, "+")),
        ("2.6.32-754.el6", KernelRelease(2, 6, 32, "-754.el6")),
    ],
)
def test_parse(release: str, expected: KernelRelease) -> None:
    assert parse_release(release) == expected


def test_text_and_order() -> None:
    assert str(parse_release("6.1.0-40-amd64")) == "6.1.0-40-amd64"
    assert parse_release("6.9.1").series < parse_release("6.12").series
    assert parse_release(os.uname().release).major >= 3


@pytest.mark.parametrize("release", ["", "linux", "6", "v6.1", "\u0666.\u0661", "1" * 5000])
def test_not_a_release(release: str) -> None:
    with pytest.raises(ValueError, match="not a kernel release"):
        parse_release(release)


@given(st.text(max_size=60))
def test_only_value_errors(release: str) -> None:
    try:
        parse_release(release)
    except ValueError:
        return
