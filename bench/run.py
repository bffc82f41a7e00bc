"""Measures isoaudit against the budgets of its design and prints what came out. It asserts nothing.

Ratios are medians of alternate pairs, of whole processes with a warm cache unless the line says otherwise; one
is met only if CPU and wall time both are. The yardstick is reader.c: the C program that reads the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, ".build")
READER, LAUNCHER = os.path.join(BUILD, "reader"), os.path.join(BUILD, "launch")
ISOAUDIT = os.path.join(os.path.dirname(sys.executable), "isoaudit")
SCAN = (ISOAUDIT, "scan", "--host", "--probes", "none", "-f", "json")
MIB = 1 << 20


class Run(NamedTuple):
    """One process, from its start to its end."""

    wall: float  # seconds
    cpu: float  # seconds, with its children's
    peak: int  # bytes, of its largest process; at least what this program itself has
    status: int


class Ratio(NamedTuple):
    """Medians over pairs of ours ÷ theirs, and of ours in seconds."""

    wall: float
    cpu: float
    seconds: float
    cpu_seconds: float
    peak: int

    def __str__(self) -> str:
        return f"wall {self.wall:.2f}x, CPU {self.cpu:.2f}x"


def run(command: Sequence[str], output: str = os.devnull, errors: str = os.devnull) -> Run:
    """Run a command to its end."""
    files = (
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    )
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], list(command), os.environ, file_actions=files)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime
    return Run(wall, cpu, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))


def expect(command: Sequence[str], status: int, output: str = os.devnull) -> Run:
    """Run a command that must end with that exit code: what fails early would look fast."""
    one = run(command, output)
    if one.status != status:
        sys.exit(f"bench: {' '.join(command)} ended with {one.status}, not {status}; run it by hand")
    return one


@contextlib.contextmanager
def cpus(number: int) -> Iterator[None]:
    """Let what is started meanwhile have so many CPUs; isoaudit forks a worker for each."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[-number:]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(
    ours: Sequence[str], theirs: Sequence[str], pairs: int, *, status: int = 0, output: str = os.devnull
) -> Ratio:
    """Alternate pairs, after one of each to warm up."""
    expect(theirs, 0)
    expect(ours, status, output)
    rows = []
    for _ in range(pairs):
        yard = expect(theirs, 0)
        rows.append((expect(ours, status, output), yard))
    return Ratio(
        statistics.median(one.wall / yard.wall for one, yard in rows),
        statistics.median(one.cpu / yard.cpu for one, yard in rows),
        statistics.median(one.wall for one, _ in rows),
        statistics.median(one.cpu for one, _ in rows),
        max(one.peak for one, _ in rows),
    )


@contextlib.contextmanager
def containers(number: int) -> Iterator[None]:
    """So many containers, as long as the block lasts."""
    with subprocess.Popen([LAUNCHER, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdin is not None  # noqa: S101  it is a pipe
        assert launcher.stdout is not None  # noqa: S101  it is a pipe
        if launcher.stdout.readline() != b"ready\n":
            sys.exit("bench: the containers could not be started; see above")
        yield
        launcher.stdin.close()


class Table:
    """Prints a line a budget as it is measured."""

    def heading(self, text: str) -> None:
        """Start a part."""
        sys.stdout.write(f"\n{text}\n")

    def row(self, what: str, measured: str, budget: str = "", *, met: bool | None = None) -> None:
        """One measurement; `met` is None where there is nothing to be met."""
        verdict = "" if met is None else ("met" if met else "NOT MET")
        print(f"  {what:<58}{measured:<34}{budget:<14}{verdict}".rstrip(), flush=True)

    def ratio(self, what: str, ratio: Ratio, most: float) -> None:
        """A ratio with its budget."""
        self.row(what, str(ratio), f"<= {most:g}x", met=max(ratio.wall, ratio.cpu) <= most)

    def note(self, text: str) -> None:
        """An explanation, or why something was not measured."""
        print(f"  {text}", flush=True)


def build() -> str:
    """Compile the C programs; why that is not possible, or ""."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "there is no C compiler (cc, gcc or clang): apt-get install gcc libc6-dev"
    os.makedirs(BUILD, exist_ok=True)
    tables = subprocess.run(
        [sys.executable, os.path.join(HERE, "tables.py")], check=True, stdout=subprocess.PIPE
    ).stdout
    with open(os.path.join(BUILD, "tables.h"), "wb") as file:
        file.write(tables)
    for name in ("reader", "launch"):
        source, program = os.path.join(HERE, f"{name}.c"), os.path.join(BUILD, name)
        done = subprocess.run([compiler, "-O2", f"-I{BUILD}", "-o", program, source], check=False)
        if done.returncode:
            return f"{source} does not compile"
    return ""


def start_up(table: Table, pairs: int) -> None:
    """Before anything is read."""
    table.heading("Start-up, against `python -I -c pass`")
    bare = (sys.executable, "-I", "-c", "pass")
    table.ratio("isoaudit --version", compare((ISOAUDIT, "--version"), bare, pairs), 2)
    with tempfile.TemporaryDirectory() as nothing:
        command = (*SCAN, "--proc", nothing)
        table.ratio("isoaudit scan to its first read of /proc", compare(command, bare, pairs, status=2), 8)
    table.note("(the second with --proc on an empty folder: all until the scan finds no process and gives up)")


def phases(mode: str) -> dict[str, Any]:
    """What phases.py tells of one scan."""
    with tempfile.NamedTemporaryFile() as told:
        command = (sys.executable, "-I", os.path.join(HERE, "phases.py"), mode, *SCAN[1:])
        one = run(command, errors=told.name)
        text = told.read().decode()
        if one.status:
            sys.exit(f"bench: {' '.join(command)} ended with {one.status}:\n{text}")
        result: dict[str, Any] = json.loads(text.splitlines()[-1])
        return result


def yardstick() -> dict[str, Any]:
    """What the C program tells of one run."""
    text = subprocess.run([READER], check=True, stdout=subprocess.PIPE).stdout
    result: dict[str, Any] = json.loads(text)
    return result


_READ = ("host", "discovery", "reading")


def scan(table: Table, number: int, pairs: int) -> Ratio:
    """Scans of that many containers, and what else is on this host; what one costs."""
    with containers(number):
        yard = yardstick()
        table.heading(
            f"Scan of {number} containers without probes, against the C program "
            f"({yard['containers']} containers, {yard['processes']} processes on this host)"
        )
        with cpus(1):
            whole = compare(SCAN, (READER,), pairs)
            if number >= 1000:
                table.ratio("whole process, all checks, JSON, one worker", whole, 2)
            else:
                table.row("whole process, all checks, JSON, one worker", str(whole))
            read, clocked, calls = [], [], []
            for _ in range(pairs):
                floor = yardstick()["cpu"]
                clocked.append(phases("time")["phases"])
                read.append(sum(clocked[-1][phase] for phase in _READ) / floor)
                calls.append(phases("count")["seconds"] / floor)
            ratio = statistics.median(read)
            met = ratio <= 1.3 if number >= 100 else None
            table.row("read phase, with parsing into facts", f"CPU {ratio:.2f}x", "<= 1.3x", met=met)
            table.row("  of it inside calls to the kernel", f"CPU {statistics.median(calls):.2f}x")
            work(table, yard)
            most = {100: 30, 1000: 90}.get(number)
            table.row(
                "peak of the largest process",
                f"{whole.peak / MIB:.0f} MiB",
                f"<= {most} MiB" if most else "",
                met=whole.peak <= most * MIB if most else None,
            )
        if number >= 1000 and len(os.sched_getaffinity(0)) >= 2:
            with cpus(2):
                two = compare(SCAN, (READER,), pairs)
            table.row("whole process, two workers", f"wall {two.wall:.2f}x", "<= 1x", met=two.wall <= 1)
        where(table, clocked, yard["containers"])
        if number <= 100:
            listing(table, pairs)
        return whole


def work(table: Table, yard: dict[str, Any]) -> None:
    """Whether the two read as much."""
    ours = phases("count")
    table.row(
        "work: bytes read, files opened, links read, ours / C's",
        f"{ours['bytes'] / yard['bytes']:.2f}, "
        + ", ".join(f"{ours['calls'][kind] / yard['calls'][kind]:.2f}" for kind in ("open", "readlink")),
    )


def where(table: Table, clocked: Sequence[dict[str, float]], number: int) -> None:
    """Where the time goes, by medians of each phase."""
    medians = {phase: statistics.median(one[phase] for one in clocked) for phase in clocked[0]}
    total = sum(medians.values())
    for phase, seconds in medians.items():
        each = seconds / number * 1e6
        table.row(f"  {phase}", f"{seconds * 1e3:8.1f} ms {seconds / total:6.1%} {each:9.1f} us each")


def listing(table: Table, pairs: int) -> None:
    """Listing against lsns."""
    if shutil.which("lsns") is None:
        table.note("isoaudit list: not compared, there is no lsns here")
        return
    ratio = compare((ISOAUDIT, "list"), ("lsns", "-J", "--output-all"), pairs)
    table.row("isoaudit list, against `lsns -J --output-all`", str(ratio))


def spawning(table: Table, pairs: int) -> None:
    """One test container against unshare(1)."""
    table.heading("One native test container, against `unshare -fpmuin true`")
    if shutil.which("unshare") is None:
        table.note("not compared: there is no unshare here")
        return
    command = [sys.executable, "-I", os.path.join(HERE, "spawn.py"), str(pairs * 4)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        table.note(f"not measured: {(done.stderr.strip().splitlines() or ['it failed without a word'])[-1]}")
        return
    times = json.loads(done.stdout)
    ratio = statistics.median(a / b for a, b in zip(times["ours"], times["theirs"], strict=True))
    ours, theirs = (statistics.median(times[who]) * 1e3 for who in ("ours", "theirs"))
    table.row(
        "made, heard of, ended",
        f"wall {ratio:.2f}x ({ours:.1f} / {theirs:.1f} ms)",
        "<= 1.5x",
        met=ratio <= 1.5,
    )


def html(table: Table, number: int, findings: int) -> None:
    """The report for auditors at its largest."""
    table.heading(f"HTML of {number} containers with {findings} findings each")
    with tempfile.TemporaryDirectory() as folder:
        source, page = f"{folder}/report.json", f"{folder}/report.html"
        expect((sys.executable, "-I", f"{HERE}/synthetic.py", str(number), str(findings)), 0, source)
        one = expect((ISOAUDIT, "render", source, "-f", "html", "-o", page), 0)
        size = os.path.getsize(page)
        table.row("time of `isoaudit render`", f"{one.cpu:.2f} s CPU", "<= 5 s", met=one.cpu <= 5)
        table.row("size", f"{size / 1e6:.2f} MB", "<= 6 MB", met=size <= 6e6)
        table.row("peak", f"{one.peak / MIB:.0f} MiB")


def main() -> None:
    """Measure everything that this machine can."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions, for a first impression")
    parser.add_argument("--containers", default="1,100,1000", metavar="N,N", help="default: %(default)s")
    options = parser.parse_args()
    numbers = [int(word) for word in options.containers.split(",")]
    pairs = 2 if options.quick else 7
    table = Table()
    if not os.path.exists(ISOAUDIT):
        sys.exit(f"bench: there is no {ISOAUDIT}: run `make bench`, which installs it")
    load = " ".join(f"{average:.2f}" for average in os.getloadavg())
    print(f"Python {sys.version.split()[0]}, Linux {os.uname().release}, {os.cpu_count()} CPUs, load {load}")
    print(f"{pairs} pairs each; trust ratios, not seconds, and neither on a busy machine")

    start_up(table, pairs * 3)
    reason = build() or ("" if os.geteuid() == 0 else "containers need root")
    if reason:
        table.heading("Scans")
        table.note(f"not measured: {reason}")
    else:
        costs = {number: scan(table, number, pairs) for number in numbers}
        growth(table, costs)
    spawning(table, pairs)
    html(table, 1000, 60)


def growth(table: Table, costs: dict[int, Ratio]) -> None:
    """What one more container costs, and whether that rises."""
    table.heading("Growth")
    for fewer, more in zip(sorted(costs), sorted(costs)[1:], strict=False):
        each = more - fewer
        wall = (costs[more].seconds - costs[fewer].seconds) / each * 1e3
        cpu = (costs[more].cpu_seconds - costs[fewer].cpu_seconds) / each * 1e3
        table.row(
            f"each container from {fewer} to {more}, one worker",
            f"{wall:.2f} ms wall, {cpu:.2f} ms CPU",
            "<= 0.75 ms",
            met=max(wall, cpu) <= 0.75,
        )


main()
