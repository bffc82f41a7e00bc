"""A whole machine in a fake filesystem: paths are the real ones, `/proc` and `/var/lib/docker` included."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from support.hosts import OVERLAY_ROOT, Tree

from isoaudit import scan
from isoaudit.errors import NothingToAuditError, UsageError
from isoaudit.facts.limits import memory_bytes
from isoaudit.model import Known, require
from isoaudit.request import Request
from isoaudit.resources import data

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
MEMORY = "/sys/fs/cgroup/memory"
HOST_MOUNTS = (
    f"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n30 27 0:30 / {MEMORY} rw - cgroup cgroup rw,memory"
)
OWN = ("mnt", "pid", "net", "ipc", "uts")


@pytest.fixture
def machine(fs: FakeFilesystem) -> Tree:
    """A host with two Docker containers, of which one is limited."""
    for folder in ("/proc", "/sys"):
        if fs.exists(folder):
            fs.remove_object(folder)
    fs.add_real_directory(os.path.dirname(data("masks.json")))
    tree = Tree(Path("/"))
    tree.proc.joinpath("1/mountinfo").write_text(HOST_MOUNTS + "\n")
    for pid, ident, name, limit in ((100, ID, "web", 64 << 20), (200, OTHER, "web-2", 0x7FFFFFFFFFFFF000)):
        tree.add(
            pid,
            "nginx",
            own=tree.inodes(*OWN),
            cgroup=(f"/docker/{ident}",),
            mounts=OVERLAY_ROOT,
            ns_pids=(pid, 1),
        )
        tree.proc.joinpath(f"{pid}/cgroup").write_text(f"4:memory:/docker/{ident}\n")
        fs.create_file(
            f"/var/lib/docker/containers/{ident}/config.v2.json",
            contents=json.dumps({"Name": f"/{name}", "Config": {"Image": "nginx:1"}}),
        )
        fs.create_file(f"{MEMORY}/docker/{ident}/memory.limit_in_bytes", contents=f"{limit}\n")
    fs.create_file(f"{MEMORY}/docker/memory.limit_in_bytes", contents=f"{0x7FFFFFFFFFFFF000}\n")
    fs.create_file(f"{MEMORY}/memory.limit_in_bytes", contents=f"{0x7FFFFFFFFFFFF000}\n")
    return tree


def test_containers_are_found_and_named(machine: Tree) -> None:
    scope = scan.look(Request())
    assert [(n.identity.name, n.identity.image, n.identity.runtime) for n in scope.named] == [
        ("web", "nginx:1", "docker"),
        ("web-2", "nginx:1", "docker"),
    ]


def test_limits_are_read_up_to_the_root(machine: Tree) -> None:
    scope = scan.look(Request())
    limits = []
    for named in scope.named:
        memberships = named.candidate.memberships
        assert isinstance(memberships, Known)
        limits.append(require(memory_bytes(scope.reading.cgroups.read(memberships.value))).amount)
    assert limits == [64 << 20, None]


def test_what_a_user_names(machine: Tree) -> None:
    for target in ("web", "100", ID, ID[:12], ID[:3]):
        assert scan.look(Request(target=target)).named[0].identity.pid == 100
    for target in ("1", "300", "no-such", "nginx:1"):
        with pytest.raises(NothingToAuditError):
            scan.look(Request(target=target))


def test_a_name_that_matches_two(machine: Tree, fs: FakeFilesystem) -> None:
    config = Path(f"/var/lib/docker/containers/{OTHER}/config.v2.json")
    config.write_text(json.dumps({"Name": "/web", "Config": {"Image": "nginx:1"}}))
    with pytest.raises(UsageError, match=r"'web' matches 2 containers: web \(pid 100\), web~2 \(pid 200\)"):
        scan.look(Request(target="web"))


def test_a_proc_that_cannot_be_read(machine: Tree, fs: FakeFilesystem) -> None:
    fs.remove_object("/proc")
    with pytest.raises(UsageError, match="cannot read /proc"):
        scan.look(Request())
