"""os-release, versions, CPU levels, and the table of releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts import releases
from isoaudit.facts.cpu import parse_x86_level
from isoaudit.facts.userland import ElfNotes, Userland, first_is_systemd, parse_os_release

EMPTY = Userland("", "", "", "", "", "", ())


def test_os_release() -> None:
    fields = parse_os_release(
        b'# a comment\nNAME="Alpine Linux"\nID=alpine\nVERSION_ID=\'3.19.1\'\nPRETTY_NAME="a \\"b\\" \\$c"\n'
        b"BUG=\nnonsense\nlower=x\n  HOME_URL=https://example.org/ \n"
    )
    assert fields == {
        "NAME": "Alpine Linux",
        "ID": "alpine",
        "VERSION_ID": "3.19.1",
        "PRETTY_NAME": 'a "b" $c',
        "BUG": "",
        "HOME_URL": "https://example.org/",
    }


def test_os_release_keeps_what_is_not_text() -> None:
    assert parse_os_release(b"ID=\xff\x1b[31m")["ID"] == "\\xff\x1b[31m"


@given(st.binary(max_size=400))
def test_os_release_takes_anything(raw: bytes) -> None:
    assert all(isinstance(value, str) for value in parse_os_release(raw).values())


@pytest.mark.parametrize(
    ("name", "major"),
    [
        ("252.22", 252),
        ("258~rc1", 258),
        ("252-32.el9_4", 252),
        ("", None),
        ("rc1", None),
        ("9" * 40, 999999999),
    ],
)
def test_systemd_major(name: str, major: int | None) -> None:
    assert EMPTY._replace(systemd_version=name).systemd_major == major


def test_libc_series() -> None:
    assert EMPTY._replace(libc_version="2.36").libc_series == (2, 36)
    assert EMPTY._replace(libc_version="1.2.5").libc_series == (1, 2)
    assert EMPTY.libc_series is None


def test_silent() -> None:
    assert EMPTY.silent
    assert EMPTY._replace(pretty_name="x").silent, "a name alone says nothing of the kernel"
    for changes in (
        {"distribution": "debian"},
        {"libc": "musl"},
        {"systemd_version": "252"},
        {"elf": (ElfNotes("/lib/libc.so.6", None, None),)},
    ):
        assert not EMPTY._replace(**changes).silent


def test_first_is_systemd() -> None:
    assert first_is_systemd("systemd")
    assert not first_is_systemd("nginx")


FLAGS = {
    1: "fpu cx8 cmov mmx fxsr sse sse2 syscall lm",
    2: "pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm",
    3: "fma movbe xsave avx f16c abm bmi1 avx2 bmi2",
    4: "avx512f avx512dq avx512cd avx512bw avx512vl",
}


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_x86_level(level: int) -> None:
    flags = " ".join(FLAGS[number] for number in range(1, level + 1))
    raw = f"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert parse_x86_level(raw.encode()) == level


def test_x86_level_needs_all_below() -> None:
    assert parse_x86_level(f"flags\t: {FLAGS[1]} {FLAGS[3]} {FLAGS[4]}\n".encode()) == 1
    assert parse_x86_level(b"flags\t: fpu\n") == 0


def test_not_x86() -> None:
    with pytest.raises(ValueError, match="not an x86 machine"):
        parse_x86_level(b"processor\t: 0\nFeatures\t: fp asimd\n")


@pytest.mark.parametrize(
    ("distribution", "version", "kernel"),
    [
        ("debian", "12", (6, 1)),
        ("ubuntu", "22.04", (5, 15)),
        ("rhel", "9.4", (5, 14)),
        ("centos", "7", (3, 10)),
        ("alpine", "3.19.1", (6, 6)),
        ("alpine", "3.1", None),
        ("debian", "", None),
        ("arch", "", None),
        ("rhel", "90", None),
        ("debian", "....", None),
    ],
)
def test_find_release(distribution: str, version: str, kernel: tuple[int, int] | None) -> None:
    found = releases.find(distribution, version)
    assert (found.kernel if found else None) == kernel


def test_every_release_has_provenance() -> None:
    table = releases._table()
    assert {release.provenance for release in table.releases.values()} <= {"verified", "read", "recalled"}
    assert table.releases["debian", "12"].provenance == "verified"
    assert list(table.features) == sorted(table.features, key=lambda feature: feature.kernel)


def test_features_between() -> None:
    assert "openat2" in releases.features_between((5, 4), (5, 10))
    assert "statx" not in releases.features_between((4, 11), (5, 10)), "the older series has it"
    assert releases.features_between((6, 1), (6, 1)) == ()


@pytest.mark.parametrize(("version", "floor"), [(219, None), (252, (3, 15)), (258, (5, 4)), (261, (5, 10))])
def test_systemd_floor(version: int, floor: tuple[int, int] | None) -> None:
    assert releases.systemd_floor(version) == floor
