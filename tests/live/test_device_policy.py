"""Device programs of cgroup v2 in this very kernel: what it answers is what we say that it would."""

from __future__ import annotations

import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.ebpf import BLOCK, CHARACTER, MKNOD, READ, WRITE, Entry, attach, load, program, returns
from support.facts import CAPTURED_PROGRAMS
from support.live import Process, isoaudit, missing

from isoaudit.collect.devices import ProgramReader
from isoaudit.facts.device_program import ProgramRules, program_rules
from isoaudit.kernel import bpf
from isoaudit.model import Known

NUMBERS = (
    ("b", 7, 0),
    ("b", 8, 0),
    ("b", 98, 3),
    ("b", 4095, (1 << 20) - 1),
    ("c", 0, 1),
    ("c", 1, 3),
    ("c", 1, 11),
    ("c", 5, 1),
    ("c", 5, 2),
    ("c", 10, 200),
    ("c", 10, 232),
    ("c", 136, 0),
    ("c", 136, 1048575),
    ("c", 4095, 0),
)
REQUESTS = {"r": os.R_OK, "w": os.W_OK, "rw": os.R_OK | os.W_OK}


def attached(cgroup: Path, text: bytes) -> None:
    fd = os.open(cgroup, os.O_RDONLY)
    loaded = load(text)
    try:
        attach(fd, loaded)
    finally:
        os.close(loaded)
        os.close(fd)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A fresh cgroup of v2, to which programs can be attached."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    tops = [fields[4] for fields in lines if " - cgroup2 " in " ".join(fields) and fields[3] == "/"]
    if not tops:
        missing("cgroup v2 is not mounted")
    group = Path(tops[0]) / f"isoaudit-test-{os.getpid()}"
    (group / "inner").mkdir(parents=True)
    try:
        try:
            attached(group, returns(1))
        except PermissionError:
            missing("this root may not attach programs to a cgroup")
        yield group / "inner"
    finally:
        (group / "inner").rmdir()
        group.rmdir()


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """A node of each number. They are only ever asked for with access(2), which opens nothing."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    for kind, major, minor in NUMBERS:
        os.mknod(
            folder / f"{kind}{major}:{minor}",
            0o666 | (stat.S_IFBLK if kind == "b" else stat.S_IFCHR),
            os.makedev(major, minor),
        )
    return folder


def answers(cgroup: Path, nodes: Path) -> dict[str, list[str]]:
    """What a process in a cgroup gets, by device."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            (cgroup / "cgroup.procs").write_text("0")
            with open(write_end, "w") as pipe:
                json.dump({name: list(_let_through(nodes / name)) for name in sorted(os.listdir(nodes))}, pipe)
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    found: dict[str, list[str]] = json.loads(text)
    return found


def _let_through(node: Path) -> Iterator[str]:
    info, again = node.stat(), node.with_suffix(".again")
    for request, mode in REQUESTS.items():
        if os.access(node, mode):
            yield request
    try:
        os.mknod(again, info.st_mode, info.st_rdev)
    except PermissionError:
        return
    again.unlink()
    yield "m"


def predicted(*texts: str) -> dict[str, list[str]]:
    levels = [program_rules(text) for text in texts]
    assert all(isinstance(level, ProgramRules) for level in levels), levels
    return {
        f"{kind}{major}:{minor}": [
            request
            for request in (*REQUESTS, "m")
            if all(
                isinstance(level, ProgramRules) and level.allows(kind, major, minor, request)
                for level in levels
            )
        ]
        for kind, major, minor in NUMBERS
    }


def read_back(cgroup: Path) -> tuple[str, ...]:
    """The instructions of what runs for a cgroup."""
    top, path = cgroup.parents[1], f"/{cgroup.parent.name}/{cgroup.name}"
    reading = ProgramReader(str(top)).read(path)
    assert isinstance(reading, Known), reading
    assert {program.cgroup for program in reading.value} <= {path, path.rpartition("/")[0], "/"}
    return tuple(program.instructions for program in reading.value)


@pytest.mark.parametrize("name", CAPTURED_PROGRAMS)
def test_an_engines_program_does_what_we_say(name: str, cgroup: Path, nodes: Path) -> None:
    text = CAPTURED_PROGRAMS[name]["instructions"]
    attached(cgroup, bytes.fromhex(text))
    found = read_back(cgroup)
    assert text in found, "the kernel gives back what it was given"
    assert answers(cgroup, nodes) == predicted(*found)


@pytest.mark.parametrize("seed", range(8))
def test_any_lists_on_two_levels_do_what_we_say(seed: int, cgroup: Path, nodes: Path) -> None:
    dice = random.Random(seed)  # noqa: S311  the same lists each time
    for group in (cgroup.parent, cgroup):
        entries = [
            Entry(
                dice.choice([None, BLOCK, CHARACTER]),
                dice.choice([None, *(major for _, major, _ in NUMBERS)]),
                dice.choice([None, *(minor for _, _, minor in NUMBERS)]),
                dice.randint(1, MKNOD | READ | WRITE),
                dice.randint(0, 1),
            )
            for _ in range(dice.randint(1, 30))
        ]
        attached(group, program(entries, default=1))
    found = read_back(cgroup)
    assert len(found) >= 3
    assert answers(cgroup, nodes) == predicted(*found)


def test_a_scan_reads_the_program_of_a_container(cgroup: Path, spawn: Callable[..., Process]) -> None:
    attached(cgroup, bytes.fromhex(CAPTURED_PROGRAMS["docker"]["instructions"]))
    outer = spawn("unshare", "--mount", "--pid", "--fork", "--kill-child", "sleep", "1000")
    pid = outer.child("sleep")
    for member in (outer.pid, pid):
        (cgroup / "cgroup.procs").write_text(str(member))
    try:
        run = isoaudit("container", str(pid), "--probes", "none", "-f", "json")
        (finding,) = [f for f in run.report["findings"] if f["check"] == "cgroup-devices-unrestricted"]
        assert finding["outcome"] == "pass", finding
        shown = [e["observed"] for e in finding["evidence"] if e["source"].endswith(str(cgroup.name))]
        assert shown == ["\n".join(CAPTURED_PROGRAMS["docker"]["rules"])]
    finally:  # the cgroup can only go without them
        for member in (outer.pid, pid):
            (cgroup.parents[1] / "cgroup.procs").write_text(str(member))


def test_an_ordinary_user_is_told_why_not(cgroup: Path) -> None:
    fd = os.open(cgroup, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        try:
            bpf.cgroup_programs(fd, bpf.CGROUP_DEVICE, effective=True)
        except PermissionError:
            os._exit(7)
        finally:
            os._exit(1)
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
