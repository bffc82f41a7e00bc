from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isoaudit.facts.status import Status, credentials, parse_status
from isoaudit.model import Known, Unknown

SOURCE = "/proc/4242/status"
# Linux 6.18, cut to the lines before and after those that are read.
STATUS = b"""\
Name:\tsleep
Umask:\t0022
State:\tS (sleeping)
Tgid:\t4242
Ngid:\t0
Pid:\t4242
PPid:\t4200
TracerPid:\t0
Uid:\t1000\t0\t1000\t1000
Gid:\t100\t100\t0\t100
FDSize:\t256
Groups:\t \n\
NStgid:\t4242\t1
NSpid:\t4242\t7\t1
Kthread:\t0
Threads:\t3
CapInh:\t0000000000000000
CapPrm:\t00000000a80425fb
CapEff:\t00000000a80425fb
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000400
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t5
Speculation_Store_Bypass:\tthread vulnerable
"""


def without(key: str) -> bytes:
    return b"".join(
        line for line in STATUS.splitlines(keepends=True) if not line.startswith(key.encode() + b":")
    )


def test_whole_file() -> None:
    assert parse_status(STATUS, SOURCE) == Status(
        name="sleep",
        ppid=4200,
        tracer_pid=0,
        uids=(1000, 0, 1000, 1000),
        gids=(100, 100, 0, 100),
        cap_inheritable=0,
        cap_permitted=0xA80425FB,
        cap_effective=0xA80425FB,
        cap_bounding=0x1FFFFFFFFFF,
        cap_ambient=Known(0x400, SOURCE),
        ns_pids=Known((4242, 7, 1), SOURCE),
        no_new_privs=Known(True, SOURCE),
        seccomp=Known(2, SOURCE),
        seccomp_filters=Known(5, SOURCE),
        tgid=4242,
        threads=3,
        groups=Known((), SOURCE),
    )


def test_credentials_are_what_threads_differ_in() -> None:
    other = STATUS.replace(b"Name:\tsleep", b"Name:\tworker").replace(b"Pid:\t4242", b"Pid:\t4243")
    assert credentials(other) == credentials(STATUS)
    for line in (
        "Uid:\t1000",
        "Gid:\t100",
        "CapInh:\t0",
        "CapAmb:\t0",
        "NoNewPrivs:\t1",
        "Seccomp_filters:\t5",
    ):
        changed = STATUS.replace(line.encode(), line.encode()[:-1] + b"9", 1)
        assert changed != STATUS
        assert credentials(changed) != credentials(STATUS), line


def test_credentials_of_a_kernel_without_the_line_after_them() -> None:
    short = STATUS[: STATUS.index(b"Speculation_")]
    assert credentials(short) != credentials(short.replace(b"Seccomp:\t2", b"Seccomp:\t0"))


@pytest.mark.parametrize(
    ("key", "field", "since"),
    [
        ("CapAmb", "cap_ambient", "4.3"),
        ("NSpid", "ns_pids", "4.1"),
        ("NoNewPrivs", "no_new_privs", "4.10"),
        ("Seccomp", "seccomp", "CONFIG_SECCOMP"),
        ("Seccomp_filters", "seccomp_filters", "5.9"),
    ],
)
def test_a_line_that_an_older_kernel_lacks_is_unknown(key: str, field: str, since: str) -> None:
    reading = getattr(parse_status(without(key), SOURCE), field)
    assert isinstance(reading, Unknown)
    assert reading.source == SOURCE
    assert key in reading.reason
    assert since in reading.reason


@pytest.mark.parametrize(
    "key", ["Name", "PPid", "TracerPid", "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd"]
)
def test_a_line_that_every_kernel_has_is_needed(key: str) -> None:
    with pytest.raises(ValueError, match=f"no {key} line"):
        parse_status(without(key), SOURCE)


def test_capabilities_are_what_can_be_had() -> None:
    status = parse_status(
        STATUS.replace(b"CapPrm:\t00000000a80425fb", b"CapPrm:\t0000020000000000").replace(
            b"CapBnd:\t000001ffffffffff", b"CapBnd:\t0000000000000001"
        ),
        SOURCE,
    )
    assert status.capabilities == 0x20000000000 | 0xA80425FB | 1


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb"a\nCapEff:\t0", r"a\nCapEff:\t0"),  # the kernel escapes newlines and backslashes itself
        (b"\xff\xfe", r"\xff\xfe"),
        ("größe".encode(), "größe"),
        (b"", ""),
        (b") Z (", ") Z ("),
        (b"\x1b[31m", "\x1b[31m"),
    ],
)
def test_names_are_anything(written: bytes, name: str) -> None:
    assert parse_status(STATUS.replace(b"Name:\tsleep", b"Name:\t" + written), SOURCE).name == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Uid:\t1000\t0\t1000\t1000", b"Uid:\t1000\t0\t1000"),
        (b"PPid:\t4200", b"PPid:\t"),
        (b"CapEff:\t00000000a80425fb", b"CapEff:\tx"),
        (b"Seccomp:\t2", b"Seccomp:\ttwo"),
        (b"PPid:\t4200", b"PPid:\t" + b"9" * 5000),
    ],
)
def test_malformed_fields(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  int() words it
        parse_status(STATUS.replace(old, new), SOURCE)


@given(st.binary() | st.lists(st.sampled_from(STATUS.splitlines(keepends=True))).map(b"".join))
@example(b"")
def test_nothing_but_value_error(raw: bytes) -> None:
    try:
        parse_status(raw, SOURCE)
    except ValueError:
        return


@given(st.integers(0, len(STATUS)), st.integers(0, 40), st.binary(max_size=8))
def test_damage_raises_nothing_but_value_error(at: int, length: int, put: bytes) -> None:
    test_nothing_but_value_error.hypothesis.inner_test(STATUS[:at] + put + STATUS[at + length :])  # type: ignore[attr-defined]
