from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from isoaudit.facts.software import PACKAGES, normalise, parse_dpkg_status, version_of_module

STATUS = b"""\
Package: runc
Status: install ok installed
Architecture: amd64
Version: 1.1.5+ds1-1+deb12u1
Description: Open Container Project - runtime
 Version: 9.9 is what this line does not say

Package: crun
Status: deinstall ok config-files
Version: 1.8.1-1

Package: containerd-doc
Status: install ok installed
Version: 7

Package: docker.io
Status: install ok installed
Version: 20.10.24+dfsg1-1+deb12u1+b6
"""


@pytest.mark.parametrize(
    ("version", "number", "vendor"),
    [
        ("1.1.5+ds1-1+deb12u1", "1.1.5", "+ds1-1+deb12u1"),
        ("1:5.0.2-1+deb12u4", "5.0.2", "-1+deb12u4"),
        ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24", "+dfsg1-1+deb12u1+b6"),
        ("5:20.10.24~3-0~debian-bookworm", "20.10.24", "~3-0~debian-bookworm"),
        ("5:27.1.1-1~debian.12~bookworm", "27.1.1", "-1~debian.12~bookworm"),
        ("1.0.0~rc93+ds1-5+deb11u5", "1.0.0rc93", "+ds1-5+deb11u5"),
        ("1.7.0~rc.1-2", "1.7.0rc1", "-2"),
        ("252.39-1~deb12u2", "252.39", "-1~deb12u2"),
        ("v1.3.0-rc.1", "1.3.0rc1", ""),
        ("1.0.0-rc10", "1.0.0rc10", ""),
        ("2.0.0-beta.2", "2.0.0b2", ""),
        ("v1.30.2+k3s1", "1.30.2", "+k3s1"),
        ("1.1.12", "1.1.12", ""),
        ("257", "257", ""),
    ],
)
def test_normalise(version: str, number: str, vendor: str) -> None:
    assert normalise(version) == (number, vendor)


@pytest.mark.parametrize(
    "version",
    ["", "(devel)", "unknown", "v0.0.0-20240101010101-abcdefabcdef", "1.2.3.4.5.6", "\u0661.2", "1" * 999],
)
def test_no_version(version: str) -> None:
    assert normalise(version) is None


@given(st.text(alphabet="0123456789.-+~:vrcbetalph", max_size=30))
def test_what_is_normalised_compares(version: str) -> None:
    found = normalise(version)
    if found is not None:
        assert Version(found.number) >= Version("0")


def test_dpkg() -> None:
    assert parse_dpkg_status(STATUS, PACKAGES) == {
        "runc": "1.1.5+ds1-1+deb12u1",
        "docker.io": "20.10.24+dfsg1-1+deb12u1+b6",
    }
    assert parse_dpkg_status(STATUS, ["containerd"]) == {}
    assert parse_dpkg_status(b"", PACKAGES) == {}


@given(st.binary(max_size=80))
def test_dpkg_of_anything(raw: bytes) -> None:
    assert set(parse_dpkg_status(raw + b"\nPackage: runc\n" + raw, PACKAGES)) <= {"runc"}


DOCKERD = "path\tgithub.com/docker/docker/cmd/dockerd\n"
KUBELET = "path\tk8s.io/kubernetes/cmd/kubelet\n"
RUNC = "path\tgithub.com/opencontainers/runc\n"


@pytest.mark.parametrize(
    ("component", "information", "version"),
    [
        ("runc", f"{RUNC}mod\tgithub.com/opencontainers/runc\tv1.2.3\th1:abc=\n", "v1.2.3"),
        ("runc", f"{RUNC}mod\tgithub.com/opencontainers/runc\tv1.2.3+dirty\t\n", "v1.2.3"),
        ("runc", f"{RUNC}mod\tgithub.com/opencontainers/runc\t(devel)\t\n", ""),
        ("runc", f"{RUNC}mod\tgithub.com/opencontainers/runc\tv0.0.0-20240101010101-abcdefabcdef\t\n", ""),
        (
            "runc",
            f'{RUNC}build\t-ldflags="-X main.gitCommit=v1.1.12-0-g51d5e946 -X main.version=1.1.12"\n',
            "1.1.12",
        ),
        ("runc", f"{RUNC}build\t-trimpath=true\n", ""),
        (
            "docker",
            f'{DOCKERD}build\t-ldflags=" -w -X \\"github.com/docker/docker/dockerversion.Version=20.10.24+dfsg1\\""\n',
            "20.10.24+dfsg1",
        ),
        ("docker", "path\tgithub.com/moby/moby/v2/cmd/dockerd\n", ""),
        (
            "kubelet",
            f"{KUBELET}build\t-ldflags=\"-X 'k8s.io/component-base/version.gitVersion=v1.30.2' -s\"\n",
            "v1.30.2",
        ),
        ("runc", "path\tgithub.com/somebody/runc\nmod\tgithub.com/somebody/runc\tv1.2.3\t\n", None),
        ("runc", "path\tgithub.com/opencontainers/runcible\n", None),
        ("runc", "", ""),
    ],
)
def test_module(component: str, information: str, version: str | None) -> None:
    assert version_of_module(component, information) == version
