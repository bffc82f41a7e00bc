"""Seccomp filters of real processes: read without their noticing, and evaluated as the kernel does."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EPERM
from pathlib import Path
from typing import Any

import pytest
from support.filters import program
from support.live import Docker, Process, Start, isoaudit, missing, need

from isoaudit.collect.stoppable import Threads
from isoaudit.facts.seccomp_programs import allowed_calls, numbers_of
from isoaudit.kernel import calls, cbpf, seccomp
from isoaudit.kernel.ptrace import NotStoppedError, Tracer

ROOT = Path(__file__).resolve().parents[2]
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
ALL_ONES = (1 << 64) - 1
CLONE_NEWIPC = 0x08000000
# What ends, blocks, forks or acts when called with nothing but -1; uretprobe kills who is in no probe.
ACTING = frozenset(
    {
        "exit",
        "exit_group",
        "fork",
        "pause",
        "rt_sigreturn",
        "sigreturn",
        "sigsuspend",
        "sync",
        "uprobe",
        "uretprobe",
    }
    | {"vfork", "vhangup"}
)
# push rbx, rbp; eax = first argument; ebx, ecx, edx, esi, edi, ebp = -1; int 0x80; pop rbp, rbx; ret
INT_80 = bytes.fromhex(
    "5355 89f8 bbffffffff b9ffffffff baffffffff beffffffff bfffffffff bdffffffff cd80 5d5b c3"
)

if platform.machine() != "x86_64":
    pytest.skip("makes system calls by their numbers on x86_64", allow_module_level=True)


def native(number: int) -> int:
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    return ctypes.get_errno() if result == -1 else 0


def compatible() -> Callable[[int], int]:
    """A function that makes a 32-bit call."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(INT_80)
    start = ctypes.c_char.from_buffer(code)
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(ctypes.addressof(start))

    def call(number: int) -> int:
        assert not code.closed  # it must outlive its address
        result = function(number)
        return -result if -4095 <= result < 0 else 0

    return call


def results(architecture: str, program_: str | None, numbers: list[int]) -> dict[int, int]:
    """In a child under a filter, the errno (or 0) of every call with all arguments -1."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setsid()
            signal.alarm(30)
            # msgget(-1, -1) makes a queue, which is to go with us.
            assert _libc.unshare(CLONE_NEWIPC) == 0
            make = native if architecture == "x86_64" else compatible()
            if program_ is not None:
                _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
                seccomp.install(program_)
            answers = [make(number) for number in numbers]
            os.write(writing, struct.pack(f"{len(answers)}i", *answers))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return dict(zip(numbers, struct.unpack(f"{len(numbers)}i", raw), strict=True))


def check_against_the_kernel(program_: str, architecture: str) -> tuple[int, int]:
    """Every number of an architecture; how many were let through, and how many refused."""
    table = {number: name for name, number in calls.table(architecture).items()}
    decoded = cbpf.decode(bytes.fromhex(program_))
    width = ALL_ONES if architecture == "x86_64" else 0xFFFFFFFF
    words = cbpf.words_of(dict.fromkeys(range(6), width))
    expected, refused = {}, 0
    numbers = [number for number in numbers_of(architecture) if table.get(number) not in ACTING]
    unfiltered = results(architecture, None, numbers)
    for number in numbers:
        (value,) = cbpf.run(decoded, calls.AUDIT[architecture], (number,), words)
        if value & cbpf.ACTION == cbpf.ERRNO:
            expected[number] = value & cbpf.DATA
            refused += 1
        else:
            assert value == cbpf.ALLOW
            expected[number] = unfiltered[number]
    found = results(architecture, program_, numbers)
    wrong = {table.get(n, n): (found[n], expected[n]) for n in numbers if found[n] != expected[n]}
    assert not wrong, f"(got, expected): {wrong}"
    return len(numbers) - refused, refused


def stacks(*arguments: str) -> list[dict[str, Any]]:
    """The filters of one container, as `isoaudit collect` writes them."""
    run = isoaudit("collect", *arguments, "--probes", "none")
    assert run.code == 0, run.err
    (container,) = run.report["containers"]
    found: list[dict[str, Any]] = container["filters"]["value"]
    return found


def program_of(*arguments: str) -> str:
    (stack,) = stacks(*arguments)
    (one,) = stack["filters"]["value"]
    text: str = one["program"]
    return text


CUSTOM = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "syscalls": [
        {"names": ["mkdir", "chmod", "socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["clone3", "statx"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_GE"}],
        },
        {
            "names": ["ioctl"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 0x541B, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


@pytest.mark.parametrize("profile", [None, CUSTOM], ids=["default", "custom"])
def test_docker(container: Start, tmp_path: Path, profile: dict[str, Any] | None) -> None:
    flags: list[str] = []
    if profile is not None:
        (tmp_path / "profile.json").write_text(json.dumps(profile))
        flags = [f"--security-opt=seccomp={tmp_path}/profile.json"]
    name = container("iso-seccomp", *flags)
    live = program_of(name)
    noted = program_of(name, "--no-ptrace")
    assert live != noted
    for architecture in ("x86_64", "i386"):
        allowed, refused = check_against_the_kernel(live, architecture)
        assert min(allowed, refused) > 0
        # What the runtime noted stands for the same filter, as far as libseccomp knows the calls.
        check_against_the_kernel(noted, architecture)


def test_docker_without_a_filter(container: Start) -> None:
    name = container("iso-unfiltered", "--security-opt=seccomp=unconfined")
    assert stacks(name) == []


def test_podman(busybox_root: Path, tmp_path: Path, spawn: Callable[..., Process]) -> None:
    need("podman", "runc")
    runc = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin") or ""
    folders = [f"--root={tmp_path}/root", f"--runroot={tmp_path}/run", f"--tmpdir={tmp_path}/tmp"]
    podman = ["podman", *folders, "--cgroup-manager=cgroupfs", f"--runtime={runc}"]
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    command = [
        "--name=iso-podman",
        "--network=none",
        *limits,
        "--rootfs",
        str(busybox_root),
        "/bin/sleep",
        "1000",
    ]
    done = subprocess.run([*podman, "run", "-d", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"podman starts no container here: {done.stderr[-300:]}")
    try:
        state = subprocess.run(
            [*podman, "inspect", "-f", "{{.State.Pid}}", "iso-podman"],
            capture_output=True,
            text=True,
            check=True,
        )
        live = program_of(state.stdout.strip())
        for architecture in ("x86_64", "i386"):
            check_against_the_kernel(live, architecture)
    finally:
        subprocess.run([*podman, "rm", "-f", "-t", "0", "iso-podman"], capture_output=True, check=False)


@pytest.mark.parametrize(
    "program_",
    [
        program(deny=["mkdir", "mount", "bpf"]),
        program(deny=["mkdir", "mount"], pinned=False, error=EPERM),
        program(deny=["chmod"], error=cbpf.ERRNO),
    ],
    ids=["pinned", "any architecture", "success that is none"],
)
def test_small_filters(program_: str) -> None:
    check_against_the_kernel(program_, "x86_64")


# Each sleeps in one call, made raw, so that EINTR would be seen: the file that it then writes must never appear.
SLEEPER = """
import ctypes, os, pty, select, signal, struct, sys, time
sys.path.insert(0, sys.argv[1])
from isoaudit.kernel import seccomp
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.prctl(38, 1, 0, 0, 0)
seccomp.install(seccomp.assemble(seccomp.deny_list([165])))
kind, ready, returned = sys.argv[2:]
long = ctypes.c_long
def call(number, *arguments):
    open(ready, "w").close()
    result = libc.syscall(long(number), *arguments)
    with open(returned, "w") as file:
        file.write(f"{result} {ctypes.get_errno()}")
    os._exit(0)
buffer = ctypes.create_string_buffer(4096)
at = ctypes.byref(buffer)
hour = struct.pack("qq", 3600, 0)
reading, writing = os.pipe()
if kind == "nanosleep": call(35, hour, None)
if kind == "clock_nanosleep": call(230, long(0), long(0), hour, None)
if kind == "poll": call(7, struct.pack("ihh", reading, 1, 0), long(1), long(3600_000))
if kind == "ppoll": call(271, ctypes.create_string_buffer(struct.pack("ihh", reading, 1, 0)), long(1), ctypes.create_string_buffer(hour), None, long(8))
if kind == "select": call(23, long(0), None, None, None, ctypes.create_string_buffer(hour))
if kind == "pselect6": call(270, long(0), None, None, None, ctypes.create_string_buffer(hour), None)
if kind == "futex": call(202, at, long(128), long(0), None, None, long(0))
if kind == "futex with a timeout": call(202, at, long(128), long(0), hour, None, long(0))
if kind == "pause": call(34)
if kind == "rt_sigsuspend": call(130, at, long(8))
if kind in ("wait4", "waitid"):
    if not os.fork():
        libc.prctl(1, 9)
        while True: signal.pause()
    if kind == "wait4": call(61, long(-1), at, long(0), None)
    call(247, long(0), long(0), at, long(4), None)
if kind == "read a pipe": call(0, long(reading), at, long(1))
if kind == "read an eventfd": call(0, long(libc.eventfd(0, 0)), at, long(8))
if kind == "read a timerfd": call(0, long(libc.timerfd_create(1, 0)), at, long(8))
if kind == "read inotify": call(0, long(libc.inotify_init()), at, long(100))
if kind == "read a terminal":
    master, slave = pty.openpty()
    call(0, long(slave), at, long(1))
if kind == "msgrcv": libc.unshare(0x08000000); call(70, long(libc.msgget(0, 0o600)), at, long(8), long(0), long(0))
if kind == "epoll_wait":
    poller = select.epoll()
    call(232, long(poller.fileno()), at, long(1), long(-1))
if kind == "running":
    open(ready, "w").close()
    while True: pass
"""
RESTARTED = (
    "nanosleep", "clock_nanosleep", "poll", "ppoll", "select", "pselect6", "futex", "futex with a timeout", "pause",
    "rt_sigsuspend", "wait4", "waitid", "read a pipe", "read an eventfd", "read a timerfd", "read inotify",
    "read a terminal", "msgrcv",
)  # fmt: skip


@pytest.fixture
def sleeper(tmp_path: Path, spawn: Callable[..., Process]) -> Callable[[str], tuple[int, Path]]:
    """Starts a filtered process that sleeps in a call; its pid, and the file that it writes if the call returns."""

    def start(kind: str) -> tuple[int, Path]:
        ready, returned = tmp_path / "ready", tmp_path / "returned"
        pid = spawn(sys.executable, "-c", SLEEPER, str(ROOT), kind, str(ready), str(returned)).pid
        for _ in range(500):
            if ready.exists() and (kind == "running" or state(pid) == "S"):
                time.sleep(0.05)
                return pid, returned
            time.sleep(0.02)
        raise AssertionError(f"{kind}: it did not come to its call")

    return start


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":\t")[1] for line in lines if line.startswith(f"{name}:"))


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    with Tracer() as one:
        yield one


@pytest.mark.parametrize("kind", RESTARTED)
def test_a_stop_is_not_noticed(kind: str, sleeper: Callable[[str], tuple[int, Path]], tracer: Tracer) -> None:
    pid, returned = sleeper(kind)
    for _ in range(20):
        found = next(Threads("/proc", "x86_64").unaware([(pid, pid)]))
        assert found.tid == pid, found.reason
        (one,) = tracer.read(pid)
        assert len(one.program) % 8 == 0
        time.sleep(0.002)
    assert state(pid) == "S"
    assert field(pid, "TracerPid") == "0"
    assert not returned.exists(), f"the call returned: {returned.read_text()}"


def test_epoll_wait_is_not_touched(sleeper: Callable[[str], tuple[int, Path]]) -> None:
    pid, returned = sleeper("epoll_wait")
    for _ in range(20):
        (found,) = Threads("/proc", "x86_64").unaware([(pid, pid)])
        assert not found.tid
        assert "sleeps in epoll_wait" in found.reason
    assert not returned.exists()


def test_epoll_wait_in_a_container(tmp_path: Path, spawn: Callable[..., Process]) -> None:
    need("unshare")
    ready, returned = tmp_path / "ready", tmp_path / "returned"
    inside = (sys.executable, "-c", SLEEPER, str(ROOT), "epoll_wait", str(ready), str(returned))
    process = spawn("unshare", "-mpf", "--mount-proc", *inside)
    for _ in range(500):
        if ready.exists():
            break
        time.sleep(0.02)
    time.sleep(0.1)
    pid = process.child(Path(sys.executable).name)
    run = isoaudit("container", str(pid), "--probes", "none", "-f", "json")
    (key,) = (container["key"] for container in run.report["containers"])
    found = run.findings(key)["seccomp-unreadable"]
    assert found["outcome"] == "unknown"
    assert "epoll_wait" in found["message"]
    assert run.findings(key)["seccomp-permissive"]["outcome"] == "unknown"
    assert not returned.exists()
    assert state(pid) == "S"


def test_a_running_thread_goes_on(sleeper: Callable[[str], tuple[int, Path]], tracer: Tracer) -> None:
    pid, _ = sleeper("running")

    def ticks() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11])

    before = ticks()
    assert tracer.read(pid)
    deadline = time.monotonic() + 20
    while ticks() == before:
        assert time.monotonic() < deadline, "it ran no more"
        time.sleep(0.05)
    assert field(pid, "TracerPid") == "0"


def test_a_stopped_process_stays_stopped(sleeper: Callable[[str], tuple[int, Path]]) -> None:
    pid, returned = sleeper("nanosleep")
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        time.sleep(0.01)
    (found,) = Threads("/proc", "x86_64").unaware([(pid, pid)])
    assert not found.tid
    assert "state T" in found.reason
    assert state(pid) == "T"
    assert not returned.exists()


def test_a_traced_process_is_left_to_its_tracer(
    sleeper: Callable[[str], tuple[int, Path]], tracer: Tracer
) -> None:
    pid, _ = sleeper("nanosleep")
    holding = (
        f"import ctypes, time; assert ctypes.CDLL(None).ptrace(0x4206, {pid}, 0, 0) == 0; time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", holding]) as other:
        try:
            for _ in range(500):
                if field(pid, "TracerPid") != "0":
                    break
                time.sleep(0.02)
            with pytest.raises(PermissionError):
                tracer.read(pid)
            assert field(pid, "TracerPid") == str(other.pid)
        finally:
            other.kill()


def test_a_signal_in_the_midst_arrives_and_the_parent_learns_of_the_end(
    sleeper: Callable[[str], tuple[int, Path]], tracer: Tracer, tmp_path: Path
) -> None:
    for round_ in range(20):
        ready = tmp_path / f"ready{round_}"
        process = subprocess.Popen(
            [sys.executable, "-c", SLEEPER, str(ROOT), "nanosleep", str(ready), "/dev/null"]
        )
        try:
            while not ready.exists() or state(process.pid) != "S":
                time.sleep(0.005)
            timer = threading.Timer(0.001 * round_, lambda pid=process.pid: os.kill(pid, signal.SIGTERM))
            timer.start()
            deadline = time.monotonic() + 20
            while state(process.pid) != "Z" and time.monotonic() < deadline:
                with suppress(OSError, NotStoppedError):  # it may end at any moment, and only its end matters
                    tracer.read(process.pid)
            assert process.wait(20) == -signal.SIGTERM
        finally:
            process.kill()
            process.wait()


def test_no_ptrace_rests_on_what_the_runtime_noted(container: Start) -> None:
    name = container("iso-noted")
    (live,) = stacks(name)
    (noted,) = stacks(name, "--no-ptrace")
    assert not live["inferred"]
    assert noted["inferred"]
    assert noted["filters"]["source"].endswith("state.json")
    findings = isoaudit("container", name, "--probes", "none", "--no-ptrace", "-f", "json").findings(name)
    assert findings["seccomp-unreadable"]["outcome"] == "unknown"
    assert findings["seccomp-permissive"]["basis"] == "inferred"


def test_a_filter_of_a_neighbour_is_its_own(container: Start, docker: Docker) -> None:
    name = container("iso-neighbour")
    docker("exec", "-d", name, "sleep", "1000")
    (first, second) = stacks(name)
    assert first["threads"] != second["threads"]
    # The runtime compiles it anew, in another order, to the same answers.
    programs = [tuple(one["program"] for one in stack["filters"]["value"]) for stack in (first, second)]
    assert allowed_calls(programs[0], "x86_64") == allowed_calls(programs[1], "x86_64")
