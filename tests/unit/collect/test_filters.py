from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.facts import OWN_INODES, PID, cgroup_v1, cgroup_v2, make_status, namespaces

from isoaudit.collect import filters
from isoaudit.collect.discovery import Candidate
from isoaudit.collect.filters import FilterReader
from isoaudit.collect.paths import Paths
from isoaudit.collect.stoppable import Threads
from isoaudit.facts.container import Process, Thread
from isoaudit.facts.runtimes import Made
from isoaudit.facts.seccomp import FilterStack
from isoaudit.facts.seccomp_programs import programs_answer
from isoaudit.kernel import ptrace, syscalls
from isoaudit.kernel.ptrace import NotStoppedError, RawFilter
from isoaudit.model import Known, Unknown

ID = "0123" * 16
PROFILE = {
    "default_action": 2,
    "architectures": ["amd64", "x86"],
    "syscalls": [{"name": "read", "action": 4, "args": []}],
}
OCI = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ALLOW"}]}
ALLOW_ALL = bytes.fromhex("060000000000ff7f")


def process(pid: int, ppid: int = 1, count: int | None = 1, mode: int = 2, **more: Any) -> Process:
    filters_ = Unknown("s", "since Linux 5.9") if count is None else Known(count, "s")
    status = make_status(ppid=ppid, seccomp=Known(mode, "s"), seccomp_filters=filters_, threads=1)
    return Process(pid, Known(status, "s"), threads=Known((), "s"))._replace(**more)


def thread(tid: int, count: int) -> Thread:
    return Thread(tid, Known(make_status(seccomp_filters=Known(count, "s")), "s"))


def candidate(*processes: Process, **more: Any) -> Candidate:
    made = Made("docker", ID, "", "")
    fine = Candidate(PID, 100, processes, namespaces(PID, **OWN_INODES), Known((), "s"), made, sandbox=False)
    return fine._replace(**more)


def write(root: Path, path: str, document: Any) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))


def state(**changes: Any) -> dict[str, Any]:
    return {"init_process_pid": PID, "init_process_start": 100, "config": {"seccomp": PROFILE}, **changes}


def read(root: Path, *processes: Process, cgroup: Any = None, **more: Any) -> tuple[FilterStack, ...]:
    """By what runtimes noted only."""
    with FilterReader(Paths(root=str(root)), "x86_64", ptrace=False) as reader:
        found = reader.read(candidate(*processes, **more), processes, cgroup or cgroup_v1())
    assert isinstance(found, Known)
    return found.value


def allows(stack: FilterStack, call: str) -> bool:
    assert isinstance(stack.filters, Known), stack.filters
    (one,) = stack.filters.value
    return programs_answer((one.program,), "x86_64", call).allowed


DOCKER = f"/run/docker/runtime-runc/moby/{ID}/state.json"


@pytest.mark.parametrize(
    "path",
    [DOCKER, f"/run/containerd/runc/k8s.io/{ID}/state.json", f"/run/runc/{ID}/state.json"],
)
def test_what_runc_noted(tmp_path: Path, path: str) -> None:
    write(tmp_path, path, state())
    (stack,) = read(tmp_path, process(PID))
    assert stack.inferred
    assert stack.filters.source == path
    assert allows(stack, "read")
    assert not allows(stack, "write")


def test_another_exec_root_by_the_bundle(tmp_path: Path) -> None:
    bundle = f"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/{ID}"
    write(tmp_path, f"/exec/runtime-runc/moby/{ID}/state.json", state())
    (stack,) = read(tmp_path, process(PID), made=Made("docker", ID, "", "", bundle=bundle))
    assert allows(stack, "read")


def test_what_crun_noted(tmp_path: Path) -> None:
    write(tmp_path, f"/run/crun/{ID}/status", {"pid": PID, "process-start-time": 100})
    write(tmp_path, f"/run/crun/{ID}/config.json", {"linux": {"seccomp": OCI}})
    (stack,) = read(tmp_path, process(PID))
    assert stack.inferred
    assert allows(stack, "write")


def test_a_bundle(tmp_path: Path) -> None:
    folder = f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}"
    write(tmp_path, f"{folder}/config.json", {"linux": {"seccomp": OCI}})
    write(tmp_path, f"{folder}/init.pid", f"{PID}\n")
    (stack,) = read(tmp_path, process(PID))
    assert allows(stack, "write")
    write(tmp_path, f"{folder}/init.pid", "1")
    (stack,) = read(tmp_path, process(PID))
    assert isinstance(stack.filters, Unknown)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (state(init_process_pid=1), "no runtime's state"),
        (state(init_process_start=101), "no runtime's state"),
        (state(config={}), "has no profile"),
        (state(config={"seccomp": {"default_action": 99}}), "not understood"),
        (state(config={"seccomp": [1]}), "not understood"),
        ("{", "no runtime's state"),
        ("[" * 100_000, "no runtime's state"),
        ("[]", "no runtime's state"),
    ],
)
def test_a_state_that_tells_nothing_of_this_process(tmp_path: Path, document: Any, says: str) -> None:
    write(tmp_path, DOCKER, document)
    (stack,) = read(tmp_path, process(PID))
    assert isinstance(stack.filters, Unknown)
    assert "--no-ptrace" in stack.filters.reason
    assert says in stack.filters.reason


def test_a_fifo_in_its_place_does_not_block(tmp_path: Path) -> None:
    write(tmp_path, f"{DOCKER}.x", "")
    os.mkfifo(tmp_path / DOCKER.lstrip("/"))
    (stack,) = read(tmp_path, process(PID))
    assert isinstance(stack.filters, Unknown)


@pytest.mark.parametrize("ident", ["", "..", "../../etc", "a/b"])
def test_an_id_is_no_path(tmp_path: Path, ident: str) -> None:
    write(tmp_path, "/run/runc/state.json", state())
    (stack,) = read(tmp_path, process(PID), made=Made("runc", ident, "", ""))
    assert isinstance(stack.filters, Unknown)


def test_a_runtime_notes_one_filter_only(tmp_path: Path) -> None:
    write(tmp_path, DOCKER, state())
    first, service = read(tmp_path, process(PID), process(4300, ppid=PID, count=3))
    assert first.inferred
    assert isinstance(service.filters, Unknown)
    assert "there are 3" in service.filters.reason


def test_no_filter_no_stack(tmp_path: Path) -> None:
    unreadable = Process(4300, Unknown("s", "EACCES"))
    assert read(tmp_path, process(PID, mode=0, count=0), unreadable) == ()


def test_a_machine_without_tables(tmp_path: Path) -> None:
    with FilterReader(Paths(root=str(tmp_path)), "s390x", ptrace=False) as reader:
        found = reader.read(candidate(process(PID)), (process(PID),), cgroup_v1())
    assert isinstance(found, Unknown)
    assert "s390x" in found.reason


def grouped(*processes: Process) -> list[list[tuple[int, int]]]:
    return [
        [(task.pid, task.tid) for task in family]
        for family in filters._families(list(filters._tasks(processes)))
    ]


def test_a_child_with_as_many_filters_has_its_parent_s() -> None:
    child, grandchild = process(10, ppid=PID), process(11, ppid=10)
    assert grouped(process(PID), child, grandchild) == [[(PID, PID), (10, 10), (11, 11)]]


def test_another_number_of_filters_or_another_parent_is_another_family() -> None:
    service, worker = process(10, ppid=PID, count=4), process(11, ppid=10, count=4)
    other, executed = process(12, ppid=PID, count=4), process(13, ppid=1)
    assert grouped(process(PID), service, worker, other, executed) == [
        [(PID, PID)], [(10, 10), (11, 11)], [(12, 12)], [(13, 13)],
    ]  # fmt: skip


def test_threads_that_differ() -> None:
    first = process(PID, threads=Known((thread(5000, 2), thread(5001, 1)), "s"))
    assert grouped(first) == [[(PID, PID), (PID, 5001)], [(PID, 5000)]]


def test_where_the_kernel_does_not_count_each_is_alone() -> None:
    assert grouped(process(PID, count=None), process(10, ppid=PID, count=None)) == [[(PID, PID)], [(10, 10)]]


def test_a_circle_of_parents_ends() -> None:
    assert len(grouped(process(10, ppid=11), process(11, ppid=10))) == 2


class FakeTracer:
    """Answers by thread, and remembers who was stopped."""

    def __init__(self, answers: dict[int, tuple[RawFilter, ...] | Exception]) -> None:
        self.answers = answers
        self.stopped: list[int] = []

    def read(self, tid: int) -> tuple[RawFilter, ...]:
        self.stopped.append(tid)
        answer = self.answers[tid]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __exit__(self, *_: object) -> None:
        pass


READ = "0 0x3 0x7ff 0x400 0x0 0x0 0x0 0x7ff 0x7fe"


def make_proc(root: Path, threads: dict[tuple[int, int], tuple[str, str]]) -> None:
    """(process, thread): state letter and what it sleeps in; "read PATH" reads from a file of that name."""
    for (pid, tid), (letter, call) in threads.items():
        folder = root / f"{pid}/task/{tid}"
        (folder / "fd").mkdir(parents=True)
        (folder / "stat").write_text(f"{tid} (a) b) {letter} 1 1 1\n")
        if call.startswith("read "):
            (folder / "fd/3").symlink_to(call[5:])
        words = READ if call.startswith("read ") else call
        (folder / "syscall").write_text(f"{words}\n")


NANOSLEEP, EPOLL_WAIT = "35 0x1 0x0 0x0 0x0 0x0 0x0 0x7ff 0x7fe", "232 0x5 0x7f 0x10 0xffff 0x0 0x0 0x7ff 0x7fe"
FUTEX = "202 0x7f 0x{:x} 0x0 0x0 0x0 0x0 0x7ff 0x7fe"


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Reads processes in a made-up /proc by a tracer that answers as told."""

    def start(
        threads: dict[tuple[int, int], tuple[str, str]],
        processes: tuple[Process, ...],
        answers: dict[int, Any],
        cgroup: Any = None,
    ) -> tuple[tuple[FilterStack, ...], list[int]]:
        make_proc(tmp_path / "proc", threads)
        monkeypatch.setattr(filters, "_obstacle", lambda: "")
        monkeypatch.setattr(Paths, "live", True)
        tracer = FakeTracer(answers)
        paths = Paths(proc=str(tmp_path / "proc"), root=str(tmp_path))
        with FilterReader(paths, "x86_64", ptrace=True) as reader:
            reader._tracer = tracer  # type: ignore[assignment]
            reader._threads = Threads(paths.proc, "x86_64")
            found = reader.read(candidate(*processes), processes, cgroup or cgroup_v1())
        assert isinstance(found, Known)
        return found.value, tracer.stopped

    return start  # type: ignore[return-value]


RAW = (RawFilter(ALLOW_ALL, 0),)


def test_one_thread_is_read_for_a_family(traced: Any) -> None:
    children = tuple(process(10 + number, ppid=PID) for number in range(5))
    (stack,), stopped = traced({(PID, PID): ("S", NANOSLEEP)}, (process(PID), *children), {PID: RAW})
    assert stopped == [PID]
    assert stack.threads == ((PID, PID), *((10 + number, 10 + number) for number in range(5)))
    assert not stack.inferred
    assert stack.filters.value[0].program == ALLOW_ALL.hex()


@pytest.mark.parametrize(
    ("letter", "call", "says"),
    [
        ("S", EPOLL_WAIT, "sleeps in epoll_wait"),
        ("S", "45 0x3 0x0 0x0 0x0 0x0 0x0 0x1 0x2", "sleeps in recvfrom"),
        ("S", "-1 0x1 0x2", "sleeps in no call"),
        ("S", "read socket:[77]", "sleeps in read"),
        ("S", "read /dev/fuse", "sleeps in read"),
        ("S", "read /data/pipe:[1]", "sleeps in read"),
        ("S", FUTEX.format(11), "sleeps in futex"),
        ("T", NANOSLEEP, "state T"),
        ("t", NANOSLEEP, "state t"),
        ("D", NANOSLEEP, "state D"),
        ("Z", NANOSLEEP, "state Z"),
        ("S", "", "cannot be looked at"),
    ],
)
def test_who_could_notice_is_left_alone(traced: Any, letter: str, call: str, says: str) -> None:
    (stack,), stopped = traced({(PID, PID): (letter, call)}, (process(PID),), {})
    assert stopped == []
    assert isinstance(stack.filters, Unknown)
    assert says in stack.filters.reason


@pytest.mark.parametrize(
    "call",
    [
        NANOSLEEP,
        "running",
        FUTEX.format(0x80),
        FUTEX.format(0x189),
        "read pipe:[77]",
        "read anon_inode:[eventfd]",
        "read anon_inode:inotify",
        "read /dev/pts/3",
        "219 0x0 0x0 0x0 0x0 0x0 0x0 0x1 0x2",
    ],
)
def test_who_does_not_notice_is_read(traced: Any, call: str) -> None:
    _, stopped = traced({(PID, PID): ("S", call)}, (process(PID),), {PID: RAW})
    assert stopped == [PID]


def test_another_thread_or_process_of_the_family_is_read_instead(traced: Any) -> None:
    threads = {(PID, PID): ("S", EPOLL_WAIT), (PID, 5000): ("S", NANOSLEEP), (10, 10): ("S", EPOLL_WAIT)}
    (stack,), stopped = traced(threads, (process(PID), process(10, ppid=PID)), {5000: RAW})
    assert stopped == [5000]
    assert isinstance(stack.filters, Known)


def test_one_asleep_is_read_rather_than_one_that_runs(traced: Any) -> None:
    threads = {(PID, PID): ("R", "running"), (PID, 5000): ("S", NANOSLEEP)}
    _, stopped = traced(threads, (process(PID),), {5000: RAW})
    assert stopped == [5000]


def test_threads_with_filters_of_their_own_never_stand_for_others(traced: Any) -> None:
    first = process(PID, threads=Known((thread(5000, 2),), "s"))
    threads = {(PID, PID): ("S", EPOLL_WAIT), (PID, 5000): ("S", NANOSLEEP)}
    (ours, theirs), stopped = traced(threads, (first,), {5000: RAW * 2})
    assert stopped == [5000]
    assert isinstance(ours.filters, Unknown)
    assert theirs.threads == ((PID, 5000),)
    assert len(theirs.filters.value) == 2


def test_uncompared_threads_do_not_stand_for_the_first(traced: Any) -> None:
    first = process(PID, threads=Unknown("s", "too many"))
    threads = {(PID, PID): ("S", EPOLL_WAIT), (PID, 5000): ("S", NANOSLEEP)}
    _, stopped = traced(threads, (first,), {})
    assert stopped == []


def test_one_that_does_not_stop_and_the_next(traced: Any) -> None:
    threads = {(PID, PID): ("S", NANOSLEEP), (PID, 5000): ("S", NANOSLEEP)}
    (stack,), stopped = traced(threads, (process(PID),), {PID: NotStoppedError("it has ended"), 5000: RAW})
    assert stopped == [PID, 5000]
    assert isinstance(stack.filters, Known)


@pytest.mark.parametrize(
    ("number", "says", "attempts"),
    [
        (13, "CAP_SYS_ADMIN in the initial user namespace", 1),
        (22, "CONFIG_CHECKPOINT_RESTORE", 1),
        (1, "yama", 3),
        (3, "No such process", 3),
        (7, "more than 64", 3),
    ],
)
def test_what_the_kernel_refuses(traced: Any, number: int, says: str, attempts: int) -> None:
    threads = {(PID, tid): ("S", NANOSLEEP) for tid in (PID, *range(5000, 5006))}
    error = OSError(number, "it has more than 64 filters" if number == 7 else os.strerror(number))
    processes = (process(PID), process(10, ppid=1))
    (stack, _), stopped = traced(threads, processes, {tid: error for _, tid in threads})
    assert isinstance(stack.filters, Unknown)
    assert says in stack.filters.reason
    assert len(stopped) == attempts  # what holds for all is not tried again for the second process


def test_no_more_families_than_so_many(traced: Any) -> None:
    processes = tuple(process(10 + number, ppid=1) for number in range(20))
    threads = {(one.pid, one.pid): ("S", NANOSLEEP) for one in processes}
    stacks, stopped = traced(threads, processes, {one.pid: RAW for one in processes})
    assert len(stopped) == 16
    assert [isinstance(stack.filters, Known) for stack in stacks] == [True] * 16 + [False] * 4


def test_a_frozen_container_is_left_alone(traced: Any) -> None:
    frozen = cgroup_v2(cgroup__freeze="1")
    (stack,), stopped = traced({(PID, PID): ("S", NANOSLEEP)}, (process(PID),), {}, frozen)
    assert stopped == []
    assert "frozen" in stack.filters.reason


def test_a_captured_tree_is_never_traced(tmp_path: Path) -> None:
    with FilterReader(Paths(proc=str(tmp_path)), "x86_64", ptrace=True) as reader:
        found = reader.read(candidate(process(PID)), (process(PID),), cgroup_v1())
    assert isinstance(found, Known)
    assert "not the running kernel's" in found.value[0].filters.reason  # type: ignore[union-attr]


def test_who_may_not_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        filters, "_own_status", lambda: make_status(seccomp=Known(0, "s"), cap_effective=1 << 19)
    )
    assert "needs CAP_SYS_ADMIN" in filters._obstacle()
    monkeypatch.setattr(filters, "_own_status", make_status)
    assert "isoaudit itself runs under seccomp" in filters._obstacle()
    assert not filters._answers_x32()
    monkeypatch.setattr(filters, "_own_status", lambda: None)
    assert filters._obstacle()


def test_which_tables_a_kernel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "_answers_x32", lambda: True)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    filters._architectures.cache_clear()
    assert filters._architectures("x86_64") == ("x86_64", "i386", "x32")
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    filters._architectures.cache_clear()
    assert filters._architectures("x86_64") == ("x86_64", "x32")
    assert filters._architectures("riscv64") == ("riscv64",)
    filters._architectures.cache_clear()


def test_x32_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "_own_status", lambda: make_status(seccomp=Known(0, "s")))
    monkeypatch.setattr(syscalls, "syscall", lambda number: 77 if number == 0x40000027 else 0)
    assert filters._answers_x32()

    def refuse(number: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(syscalls, "syscall", refuse)
    assert not filters._answers_x32()


class Stop(NamedTuple):
    """What waitid(2) tells of a stop."""

    si_status: int


def test_a_tracer_s_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def call(name: str, request: int, *_: object) -> int:
        asked.append(request)
        if request == 0x420C:
            raise OSError(13, "Permission denied")
        return 0

    monkeypatch.setattr(syscalls, "call", call)
    monkeypatch.setattr(os, "waitid", lambda *_: Stop(128 << 8 | 5))
    with ptrace.Tracer() as tracer:
        for _ in range(2):
            with pytest.raises(PermissionError):
                tracer.read(77)
    assert asked == [0x4206, 0x4207, 0x420C, 17] * 2


def test_a_signal_on_its_way_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def call(name: str, *arguments: object) -> int:
        calls.append(arguments)
        if arguments[0] == 0x420C:
            raise OSError(2, "No such file or directory")
        return 0

    monkeypatch.setattr(syscalls, "call", call)
    monkeypatch.setattr(os, "waitid", lambda *_: Stop(15))
    with ptrace.Tracer() as tracer:
        assert tracer.read(77) == ()
    assert calls[-1] == (17, 77, 0, 15)


def test_one_that_never_stops_is_let_go_by_the_end_of_the_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def call(name: str, request: int, *_: object) -> int:
        asked.append(request)
        return 0

    monkeypatch.setattr(syscalls, "call", call)
    monkeypatch.setattr(os, "waitid", lambda *_: None)
    with ptrace.Tracer() as tracer:
        for _ in range(2):
            with pytest.raises(NotStoppedError, match="did not stop"):
                tracer.read(77)
            assert tracer._thread is None
    assert asked == [0x4206, 0x4207] * 2  # one that is not stopped cannot be detached


def test_one_that_is_killed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(name: str, request: int, *_: object) -> int:
        if request in (0x420C, 17):
            raise ProcessLookupError(3, "No such process")
        return 0

    monkeypatch.setattr(syscalls, "call", call)
    monkeypatch.setattr(os, "waitid", lambda *_: Stop(128 << 8 | 5))
    with ptrace.Tracer() as tracer:
        with pytest.raises(NotStoppedError, match="was killed"):
            tracer.read(77)
        assert tracer._thread is None  # its end lets the parent know of the death
