from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.rlimits import Rlimit, parse_limits

LIMITS = b"""\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max cpu time              unlimited            unlimited            seconds   \n\
Max core file size        0                    unlimited            bytes     \n\
Max processes             96365                96365                processes \n\
Max open files            1024                 20000                files     \n\
Max address space         18446744073709551614 unlimited            bytes     \n\
Max nice priority         0                    0                    \n\
Max realtime timeout      unlimited            unlimited            us        \n"""


def test_whole_table() -> None:
    assert parse_limits(LIMITS) == {
        "Max cpu time": Rlimit(None, None),
        "Max core file size": Rlimit(0, None),
        "Max processes": Rlimit(96365, 96365),
        "Max open files": Rlimit(1024, 20000),
        "Max address space": Rlimit(18446744073709551614, None),
        "Max nice priority": Rlimit(0, 0),
        "Max realtime timeout": Rlimit(None, None),
    }


def test_this_process() -> None:
    with open("/proc/self/limits", "rb") as file:
        limits = parse_limits(file.read())
    assert len(limits) >= 16
    assert "Max open files" in limits


def test_a_limit_of_a_newer_kernel_is_kept() -> None:
    row = b"Max something new         1                    2                    things    \n"
    assert parse_limits(LIMITS + row)["Max something new"] == Rlimit(1, 2)


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"Limit Soft Hard\n", LIMITS.replace(b"20000", b"many!"), LIMITS + b"Max cut short"]
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  index() and int() word it
        parse_limits(raw)


@given(st.binary() | st.binary().map(lambda tail: LIMITS[:78] + tail))
def test_nothing_but_value_error(raw: bytes) -> None:
    try:
        parse_limits(raw)
    except ValueError:
        return
