from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from support.facts import make_host
from support.hosts import Tree

from isoaudit.collect.kernel_build import with_kernel_build
from isoaudit.collect.paths import Paths
from isoaudit.facts.host import Host
from isoaudit.model import Known, Unknown

CONFIG = b"CONFIG_KEYS=y\nCONFIG_TIPC=m\n"
BOOT = "root/boot/config-6.12.30-amd64"  # make_host's release


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def put(tree: Tree, path: str, content: bytes) -> None:
    file = tree.proc.parent / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def host(tree: Tree) -> Host:
    return with_kernel_build(tree.paths, make_host())


def test_the_kernels_own_configuration(tree: Tree) -> None:
    put(tree, "proc/config.gz", gzip.compress(CONFIG))
    put(tree, BOOT, b"CONFIG_TLS=y\n")
    build = host(tree).kernel_build_options
    assert isinstance(build, Known)
    assert (build.value.option("KEYS"), build.value.option("TIPC"), build.value.option("TLS")) == ("y", "m", "")


def test_what_its_package_left(tree: Tree) -> None:
    put(tree, BOOT, CONFIG)
    build = host(tree).kernel_build_options
    assert isinstance(build, Known)
    assert build.source.endswith("/boot/config-6.12.30-amd64")


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("proc/config.gz", b"not gzip", "incorrect header"),
        ("proc/config.gz", gzip.compress(b"nothing"), "no option"),
        (BOOT, b"", "no option"),
        (BOOT, b"x" * (5 << 20), "larger than"),
    ],
)
def test_odd_configurations(tree: Tree, path: str, content: bytes, why: str) -> None:
    put(tree, path, content)
    build = host(tree).kernel_build_options
    assert isinstance(build, Unknown)
    assert why in build.reason


def test_a_bomb_is_cut(tree: Tree) -> None:
    put(tree, "proc/config.gz", gzip.compress(CONFIG + bytes(64 << 20)))
    assert isinstance(host(tree).kernel_build_options, Known)


def test_no_configuration(tree: Tree) -> None:
    build = host(tree).kernel_build_options
    assert isinstance(build, Unknown)
    assert "/boot" in build.reason


def test_modules(tree: Tree) -> None:
    assert isinstance(host(tree).modules, Unknown)
    put(tree, "proc/sys/kernel/osrelease", b"6.12.30\n")
    assert host(tree).modules == Known(frozenset(), f"{tree.paths.proc}/modules"), "built without modules"
    put(tree, "proc/modules", b"tipc 1 0 - Live 0x0\n")
    assert host(tree).modules == Known(frozenset({"tipc"}), f"{tree.paths.proc}/modules")


def test_cpu(tree: Tree) -> None:
    assert isinstance(host(tree).cpu_vulnerabilities, Unknown)
    assert isinstance(host(tree).smt, Unknown)
    put(tree, "sys/devices/system/cpu/vulnerabilities/mds", b"Mitigation: Clear CPU buffers; SMT vulnerable\n")
    put(tree, "sys/devices/system/cpu/smt/control", b"on\n")
    os.mkdir(f"{tree.paths.sys}/devices/system/cpu/vulnerabilities/power")
    found = host(tree)
    assert isinstance(found.cpu_vulnerabilities, Known)
    assert found.cpu_vulnerabilities.value == {"mds": "Mitigation: Clear CPU buffers; SMT vulnerable"}
    assert isinstance(found.smt, Known)
    assert found.smt.value == "on"


def test_distribution_and_signature(tree: Tree) -> None:
    assert isinstance(host(tree).os_release, Unknown)
    assert host(tree).kernel_signature == Known("", f"{tree.paths.proc}/version_signature")
    put(tree, "root/usr/lib/os-release", b'ID=ubuntu\nVERSION_ID="24.04"\nNAME=Ubuntu\n')
    put(tree, "proc/version_signature", b"Ubuntu 6.8.0-45.45-generic 6.8.12\n")
    found = host(tree)
    assert isinstance(found.os_release, Known)
    assert found.os_release.value == {"ID": "ubuntu", "VERSION_ID": "24.04"}
    assert isinstance(found.kernel_signature, Known)
    assert found.kernel_signature.value.endswith("6.8.12")


def test_a_copy_carries_no_day(tree: Tree) -> None:
    assert isinstance(host(tree).date, Unknown)
    assert isinstance(with_kernel_build(Paths(), make_host()).date, Known)
