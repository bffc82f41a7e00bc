"""Which runtimes are found, on invented hosts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.facts import denied, known
from support.gobinaries import elf, section
from support.hosts import Tree

from isoaudit.collect.paths import Paths
from isoaudit.collect.versions import read_versions
from isoaudit.facts.engines import Engine
from isoaudit.facts.software import Installed
from isoaudit.model import Known, Reading, Unknown

NO_ENGINES: Reading[tuple[Engine, ...]] = known(())
STATUS = "Package: runc\nStatus: install ok installed\nVersion: 1.1.5+ds1-1+deb12u1\n"
CONTAINERD = (
    b"path\tgithub.com/containerd/containerd/cmd/containerd\nmod\tgithub.com/containerd/containerd\tv1.7.20\t\n"
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def put(tree: Tree, path: str, content: bytes | str, mode: int = 0o755) -> None:
    file = Path(tree.paths.root + path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)


def found(tree: Tree, engines: Reading[tuple[Engine, ...]] = NO_ENGINES) -> list[Installed]:
    reading = read_versions(tree.paths, engines)
    assert isinstance(reading, Known), reading
    return list(reading.value)


def packaged(tree: Tree) -> None:
    put(tree, "/var/lib/dpkg/status", STATUS)
    put(tree, "/var/lib/dpkg/info/runc.list", "/.\n/usr/sbin/runc\n")


def test_nothing(tree: Tree) -> None:
    assert found(tree) == []


def test_a_package_speaks_for_its_binary_and_for_no_other(tree: Tree) -> None:
    packaged(tree)
    put(tree, "/usr/local/bin/runc", elf(section()))
    assert found(tree) == [
        Installed("runc", "/var/lib/dpkg/status", "1.1.5+ds1-1+deb12u1", "dpkg", running=False),
        Installed("runc", "/usr/local/bin/runc", "v1.2.3", "build information", running=False),
    ]


def test_links_are_one_binary(tree: Tree) -> None:
    put(tree, "/usr/bin/runc", elf(section()))
    os.symlink("usr/bin", f"{tree.paths.root}/bin")
    assert [one.path for one in found(tree)] == ["/usr/bin/runc"]


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", elf(section())[:150], elf(b"x" * 64, b".data")])
def test_what_does_not_say_its_version_is_named(tree: Tree, content: bytes) -> None:
    put(tree, "/usr/bin/runc", content)
    assert found(tree) == [Installed("runc", "/usr/bin/runc", "", "build information", running=False)]


def test_another_program_of_the_name_is_passed_over(tree: Tree) -> None:
    put(tree, "/usr/bin/runc", elf(section(CONTAINERD)))
    assert found(tree) == []


def test_only_roots_binaries_are_read(tree: Tree) -> None:
    put(tree, "/usr/bin/runc", elf(section()), 0o777)
    assert found(tree) == [], "anybody may have written it"
    put(tree, "/usr/bin/runc", elf(section()))
    if os.geteuid() == 0:
        os.chown(f"{tree.paths.root}/usr/bin/runc", 1000, 1000)
        assert found(tree) == []


def test_a_pipe_is_not_waited_for(tree: Tree) -> None:
    os.makedirs(f"{tree.paths.root}/usr/bin")
    os.mkfifo(f"{tree.paths.root}/usr/bin/runc", 0o600)
    assert found(tree) == []


def test_a_daemon_of_roots_wherever_it_lies(tree: Tree) -> None:
    put(tree, "/opt/odd/containerd", elf(section(CONTAINERD)))
    tree.add(700, "containerd")
    os.symlink("/opt/odd/containerd", tree.proc / "700/exe")
    engine = Engine("containerd", 700, known(0), known(4026531837), {}, "", known({}), known(()))
    expected = Installed("containerd", "/opt/odd/containerd", "v1.7.20", "build information", running=True)
    assert found(tree, known((engine,))) == [expected]
    assert found(tree, known((engine._replace(uid=known(1000)),))) == [], "a user's own"
    assert found(tree, known((engine._replace(pid=701),))) == [], "it has ended"
    assert found(tree, denied("/proc")) == []


def test_a_database_that_is_no_file(tree: Tree) -> None:
    packaged(tree)
    os.remove(f"{tree.paths.root}/var/lib/dpkg/status")
    os.mkfifo(f"{tree.paths.root}/var/lib/dpkg/status")
    reading = read_versions(tree.paths, NO_ENGINES)
    assert isinstance(reading, Unknown)
    assert "not a regular file" in reading.reason


def test_this_machine() -> None:
    reading = read_versions(Paths(), NO_ENGINES)
    assert isinstance(reading, Known), reading
