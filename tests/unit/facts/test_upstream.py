"""What `uname -r` and /proc/version of many distributions say of the upstream release."""

from __future__ import annotations

import pytest
from support.facts import denied, known, make_host

from isoaudit.facts.kernel import parse_release
from isoaudit.facts.upstream import CANDIDATE, DEBIAN, FROZEN, STABLE, UBUNTU, UPSTREAM, upstream

# uname -r; what /proc/version has after it; /proc/version_signature; the grade; upstream's release.
MACHINES = (
    ("6.12.30", "", "", UPSTREAM, "6.12.30"),
    ("6.18.44-fc-v595", "#1 SMP PREEMPT_DYNAMIC", "", STABLE, "6.18.44"),
    ("6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", "", DEBIAN, "6.1.192"),
    ("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1 (2026-11-10)", "", DEBIAN, "5.10.262"),
    ("6.12.116+deb13-amd64", "#1 SMP Debian 6.12.116-1 (2026-11-12)", "", DEBIAN, "6.12.116"),
    ("4.19.0-25-amd64", "#1 SMP Debian 4.19.289-2 (2023-08-08)", "", DEBIAN, "4.19.289"),
    ("6.1.0-18-cloud-amd64", "#1 SMP Debian 6.1.76-1 (2024-02-01)", "", DEBIAN, "6.1.76"),
    ("6.1.0-18-amd64", "", "", FROZEN, "6.1.0"),
    ("5.15.0-100-generic", "#110-Ubuntu SMP", "Ubuntu 5.15.0-100.110-generic 5.15.143", UBUNTU, "5.15.143"),
    ("6.8.0-1015-aws", "#16-Ubuntu SMP", "Ubuntu 6.8.0-1015.16-aws 6.8.8", UBUNTU, "6.8.8"),
    ("6.8.0-45-generic", "#45-Ubuntu SMP", "", FROZEN, "6.8.0"),
    ("3.10.0-1160.119.1.el7.x86_64", "", "", FROZEN, "3.10.0"),
    ("4.18.0-553.el8_10.x86_64", "", "", FROZEN, "4.18.0"),
    ("5.14.0-427.13.1.el9_4.x86_64", "", "", FROZEN, "5.14.0"),
    ("6.12.0-55.9.1.el10_0.x86_64", "", "", FROZEN, "6.12.0"),
    ("5.15.0-200.131.27.el9uek.x86_64", "", "", FROZEN, "5.15.0"),
    ("5.3.18-150300.59.106-default", "", "", FROZEN, "5.3.18"),
    ("6.4.0-150600.23.25-default", "", "", FROZEN, "6.4.0"),
    ("5.10.0-216.0.0.115.oe2203sp4.x86_64", "", "", FROZEN, "5.10.0"),
    ("6.8.12-4-pve", "", "", FROZEN, "6.8.12"),
    ("5.10.149-android13-4-00003", "", "", FROZEN, "5.10.149"),
    ("5.10.205-195.807.amzn2.x86_64", "", "", STABLE, "5.10.205"),
    ("6.1.112-122.189.amzn2023.x86_64", "", "", STABLE, "6.1.112"),
    ("6.11.4-301.fc41.x86_64", "", "", STABLE, "6.11.4"),
    ("6.12.1-arch1-1", "", "", STABLE, "6.12.1"),
    ("6.6.54-flatcar", "", "", STABLE, "6.6.54"),
    ("6.6.32-talos", "", "", STABLE, "6.6.32"),
    ("6.6.31-0-lts", "", "", STABLE, "6.6.31"),
    ("6.1.112+", "", "", STABLE, "6.1.112"),
    ("5.15.153.1-microsoft-standard-WSL2", "", "", STABLE, "5.15.153"),
    ("6.6.31+rpt-rpi-v8", "#1 SMP PREEMPT Debian 1:6.6.31-1+rpt1 (2024-05-29)", "", STABLE, "6.6.31"),
    ("6.19.0-rc3", "", "", CANDIDATE, "6.19.0"),
    # A build line of another series is somebody else's: a compiler's, or a rebuilt package's.
    ("6.11.2", "gcc (Debian 12.2.0-14) 12.2.0", "", UPSTREAM, "6.11.2"),
)


@pytest.mark.parametrize(("release", "build", "signature", "grade", "expected"), MACHINES)
def test_grade(release: str, build: str, signature: str, grade: str, expected: str) -> None:
    found = upstream(
        make_host(
            kernel=known(parse_release(release)),
            kernel_build=known(f"Linux version {release} (root@builder) {build}"),
            kernel_signature=known(signature),
        )
    )
    assert found.grade == grade
    assert found.release[:3] == parse_release(expected)[:3]
    assert found.running == str(parse_release(release))
    assert found.trusted is (grade in (UPSTREAM, STABLE, DEBIAN))
    assert found.doubt


def test_both_numbers_are_named_where_they_differ() -> None:
    host = make_host(
        kernel=known(parse_release("6.1.0-56-amd64")),
        kernel_build=known(
            "Linux version 6.1.0-56-amd64 #1 SMP Debian 6.1.192-2 (2026-11-16)", "/proc/version"
        ),
    )
    assert upstream(host).name == "6.1.0-56-amd64 (6.1.192)"
    assert upstream(host).evidence == ("/proc/version", "Debian 6.1.192", "")


def test_refused_files_leave_the_number() -> None:
    found = upstream(make_host(kernel=known(parse_release("6.12.30")), kernel_build=denied("/proc/version")))
    assert found.grade == UPSTREAM
