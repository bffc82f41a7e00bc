from __future__ import annotations

import re
from pathlib import Path

import pytest

from isoaudit.kernel import calls

HEADERS = {"x86_64": "unistd_64.h", "i386": "unistd_32.h"}
FOLDER = Path("/usr/include/x86_64-linux-gnu/asm")


@pytest.mark.parametrize("architecture", sorted(calls.AUDIT))
def test_no_number_stands_twice(architecture: str) -> None:
    table = calls.table(architecture)
    assert len(set(table.values())) == len(table) > 300
    assert list(table.values()) == sorted(table.values())


@pytest.mark.parametrize(
    ("architecture", "name", "number"),
    [
        ("x86_64", "clock_settime", 227),
        ("i386", "socketcall", 102),
        ("i386", "clock_gettime64", 403),
        ("x32", "execve", 0x40000208),
        ("aarch64", "mount", 40),
        ("arm", "mount", 21),
        ("riscv64", "clone3", 435),
        ("x86_64", "file_setattr", 469),
    ],
)
def test_numbers(architecture: str, name: str, number: int) -> None:
    assert calls.table(architecture)[name] == number


def test_new_calls_have_one_number_everywhere() -> None:
    assert calls.newest() == 469
    for architecture in calls.AUDIT:
        bit = calls.X32_BIT if architecture == "x32" else 0
        assert calls.table(architecture)["listmount"] == bit | 458


def test_names() -> None:
    assert calls.exists("socketcall")
    assert not calls.exists("socket_call")


@pytest.mark.parametrize("architecture", sorted(HEADERS))
def test_the_headers_of_this_machine_agree(architecture: str) -> None:
    header = FOLDER / HEADERS[architecture]
    if not header.is_file():
        pytest.skip(f"{header} is not there: install linux-libc-dev on x86_64")
    for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()):
        assert calls.table(architecture).get(name, int(number)) == int(number), name
