"""Each probe against this kernel in six settings: what the answers mean is not believed but seen.

A cell is a sign and the kernel's answer: `+` permitted, `-` refused, `~` permitted, but only over what is the test
container's own, `?` undecided. Two cells with `|` between them: a setting of the host's decides.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import resource
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support.filters import assemble, program
from support.live import missing

from isoaudit.collect import cgroups as collected
from isoaudit.collect.paths import Paths
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.mounts import parse_mountinfo
from isoaudit.facts.probe import ProbeAnswer
from isoaudit.kernel import calls, cbpf, clone, credentials, mounting, syscalls
from isoaudit.kernel.capability import mask
from isoaudit.kernel.credentials import CapabilitySets
from isoaudit.model import Known, Reading, Unknown
from isoaudit.probes import payloads
from isoaudit.probes.catalogue import BY_NAME, LIMIT, PROBES
from isoaudit.probes.cgroups import RunCgroups
from isoaudit.probes.engines import native
from isoaudit.probes.interpret import Powers, verdict
from isoaudit.probes.kernel_mounts import COVER, FRESH, HOLDER, HOST, PART, PLAIN, KernelMount
from isoaudit.probes.prober import available, lacking
from isoaudit.probes.twin import Confinement, Recipe
from isoaudit.probes.twin_limits import Limits

Answers = dict[str, Reading[ProbeAnswer]]

HELD = credentials.permitted()
FULL = CapabilitySets(0, HELD, HELD, HELD, 0)
NONE = CapabilitySets()
RANGE = (IdRange(0, 100_000, 65_536),)
MEMORY_LOCK = ((8, 65_536, 65_536),)  # RLIMIT_MEMLOCK
# Every call by which a probe asks, but clone(2), by which the twin itself forks.
DENIED = (
    *("settimeofday", "adjtimex", "clock_adjtime", "timerfd_create", "sethostname", "setdomainname"),
    *("fsopen", "mount", "unshare", "clone3", "finit_module", "init_module", "kexec_load", "kexec_file_load"),
    *("reboot", "swapon", "swapoff", "acct", "bpf", "perf_event_open", "io_uring_setup", "userfaultfd"),
    *("keyctl", "add_key", "request_key", "syslog", "ioperm", "iopl", "open_by_handle_at", "socket", "kill"),
    *("process_vm_readv", "pidfd_open", "pidfd_getfd", "sched_setscheduler", "setpriority", "ioprio_set"),
    *("mlock2", "mknod", "mknodat", "faccessat", "faccessat2", "statx", "close_range", "openat", "openat2"),
)


def no_new_user_by_clone() -> str:
    """A filter that answers EPERM to clone(2) with CLONE_NEWUSER, as Docker's does."""
    return assemble(
        (0x20, 0, 0, 0),  # the number
        (0x15, 0, 3, calls.table("x86_64")["clone"]),
        (0x20, 0, 0, 16),  # the low half of the first argument
        (0x45, 0, 1, clone.NEW["user"]),
        (0x06, 0, 0, cbpf.ERRNO | errno.EPERM),
        (0x06, 0, 0, cbpf.ALLOW),
    )


def kernel_mounts(flags: int = 0) -> tuple[KernelMount, ...]:
    """/proc, /sys and the first v1 hierarchy of the host's, which is opened and not written to."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    first = [one for one in collected.hierarchies(mounts, Paths()) if one.version == 1 and one.controllers][:1]
    return (
        PLAIN,
        KernelMount(FRESH, "sys", "sysfs", flags),
        KernelMount(HOLDER, "sys/fs/cgroup", "", 0),
        *(KernelMount(HOST, "sys/fs/cgroup/first", one.mount_point, flags) for one in first),
    )


SHARED = frozenset({"mnt"})
CONTAINED = frozenset({"mnt", "user", "pid", "net", "ipc", "uts", "cgroup"})
ORDINARY = (65_534, 65_534, 65_534)


def settings() -> dict[str, Confinement]:
    """By name; all but the last two share the host's namespaces."""
    fine = Confinement(SHARED, capabilities=FULL, rlimits=MEMORY_LOCK, mounts=kernel_mounts())
    mapped = fine._replace(uid_map=RANGE, gid_map=RANGE)
    return {
        "allowed": fine,
        "no capability": fine._replace(capabilities=NONE),
        "ordinary user": fine._replace(capabilities=NONE, uids=ORDINARY, gids=ORDINARY),
        "seccomp": fine._replace(seccomp=(program(deny=DENIED), no_new_user_by_clone())),
        # Nobody may mount a procfs in it that shows another's processes.
        "user namespace": mapped._replace(namespaces=SHARED | {"user"}, mounts=None),
        "contained": mapped._replace(namespaces=CONTAINED),
    }


def heard(confinement: Confinement) -> Answers:
    """What a test container with those walls says, and what that means."""
    names = [probe.name for probe in PROBES if probe.kind != LIMIT and probe.name not in lacking()]
    devices = mounting.detached_tmpfs()
    kind, major, minor = payloads.DEVICE
    os.mknod(payloads.DEVICE_NAME, kind, os.makedev(major, minor), dir_fd=devices)
    os.chmod(payloads.DEVICE_NAME, 0o666, dir_fd=devices)  # noqa: S103  only the test container reaches it
    assignment = payloads.Assignment(names, os.getpid(), devices, mmap.mmap(-1, payloads.SHARED_SIZE))
    said, more = {}, True
    registered: list[native.TestContainer] = []
    try:
        with RunCgroups(()) as run:
            container = native.start(
                confinement,
                run.group("x"),
                lambda channel: payloads.run(channel, assignment),
                register=registered.append,
                keep=[devices],
            )
            while more:
                messages, more = container.hear()
                for message in messages:
                    assert "failed" not in message or "name" in message, message
                    if "want" in message:
                        container.reply(0)
                    elif "name" in message:
                        said[message["name"]] = message
            container.end()
    finally:
        for one in registered:
            one.end()
        os.close(devices)
    assert said.keys() == set(names)
    made = Recipe(confinement, Limits(), (), (), (), ())
    return {name: verdict(name, "x", made, said[name], Powers(HELD), {}) for name in names}


def setting(name: str) -> str:
    """A sysctl; "" where this kernel does not have it."""
    path = Path("/proc/sys", name)
    return path.read_text().strip() if path.exists() else ""


def decided(by_setting: bool, denied: str, allowed: str = "+0") -> str:  # noqa: FBT001
    """A cell that a setting of the host's decides."""
    return denied if by_setting else allowed


class Row(NamedTuple):
    """The cells of one probe, in the order of `settings()`."""

    allowed: str
    no_capability: str
    ordinary: str
    seccomp: str
    user: str
    contained: str

    def lacking(self, cell: str) -> Row:
        """The row of a kernel that does not have what the probe calls; a filter answers before the kernel does."""
        return Row(*(self.seccomp if name == "seccomp" else cell for name in self._fields))


def by_capability(granted: str, denied: str = "-EPERM", contained: str = "", user: str = "") -> Row:
    """What takes a capability over the host."""
    return Row(granted, denied, denied, "-EPERM", user or denied, contained or denied)


def to_all(granted: str = "+0", denied: bool = False, by: str = "-EPERM") -> Row:  # noqa: FBT001, FBT002
    """What everybody may whom no filter stops; or, where a setting of the host's says so, the capable alone."""
    other = by if denied else granted
    return Row(granted, other, other, "-EPERM", other, other)


def file(seccomp: str = "-EPERM") -> Row:
    """A file of the kernel's that is uid 0's; without a procfs there is nothing to open."""
    return Row("+0", "+0", "-EACCES", seccomp, "?ENOENT", "-EACCES")


PARANOIA = int(setting("kernel/perf_event_paranoid") or "0")
VENDOR = PARANOIA > 2 and any(name in Path("/proc/version").read_text() for name in ("Debian", "Ubuntu"))
NO_USERS = setting("user/max_user_namespaces") == "0"
TABLE: dict[str, Row] = {
    "clock-set": by_capability("+0"),
    "clock-adjust": by_capability("+EINVAL"),
    "wake-alarm": by_capability("+0"),
    "hostname-set": by_capability("+EINVAL", contained="~EINVAL"),
    "mount": by_capability("+EINVAL", contained="~EINVAL", user="~EINVAL"),
    "user-namespace-create": to_all() if not NO_USERS else to_all("-ENOSPC"),
    "module-load": by_capability("+EBADF"),
    "kexec-load": by_capability("+EINVAL"),
    "reboot": by_capability("+EINVAL", contained="~EINVAL"),
    "swap-on": by_capability("+ENOENT"),
    "account": by_capability("+ENOENT"),
    "bpf-load": to_all(denied=setting("kernel/unprivileged_bpf_disabled") != "0"),
    "bpf-list": by_capability("+0|+ENOENT"),
    "perf-open": to_all(denied=PARANOIA > 1, by="-EACCES"),
    "perf-own": to_all(denied=VENDOR, by="-EACCES"),
    "perf-watch": to_all(denied=PARANOIA > 0, by="-EACCES"),
    "io-uring-setup": to_all(denied=setting("kernel/io_uring_disabled") == "1"),
    "userfaultfd": to_all(denied=setting("vm/unprivileged_userfaultfd") == "0"),
    "keyring": to_all("+ENOKEY|+0"),
    "kernel-log-read": to_all(denied=setting("kernel/dmesg_restrict") == "1"),
    "io-port": by_capability("+0"),
    "open-by-handle": by_capability("+ESTALE"),
    "packet-socket": by_capability("+0", contained="+0"),
    "network-admin": by_capability("+ENODEV", contained="~ENODEV"),
    "vsock-socket": to_all(),
    "audit-control": by_capability("+0", user="-ECONNREFUSED", contained="-ECONNREFUSED"),
    # One of the same uid may be signalled.
    "signal-host": Row("+0", "+0", "-EPERM", "-EPERM", "-EPERM", "-ESRCH"),
    "process-read": by_capability("+EFAULT", contained="-ESRCH"),
    # Where our own cgroup has no run time for it, no capability helps (CONFIG_RT_GROUP_SCHED).
    "realtime-schedule": by_capability("+0|-EPERM"),
    "nice-raise": by_capability("+0", "-EACCES"),
    "io-priority": by_capability("+0"),
    "oom-score-lower": by_capability(
        "+0" if HELD & mask("CAP_SYS_RESOURCE") else "-EACCES", "-EACCES", user="?ENOENT"
    ),
    "memory-lock": by_capability("+0", "-ENOMEM"),
    "device-mknod": by_capability("+0"),
    # No cgroup of these has a device policy.
    "device-open": to_all(),
    "core-pattern-write": file(),
    "modprobe-path-write": file(),
    "uevent-helper-write": file(),
    "binfmt-write": file(),
    "sysctl-write": file(),
    "sysrq-write": file(),
    # The filter keeps it from looking into the folder.
    "cgroup-write": file("-ENOENT"),
    "release-agent-write": file("-ENOENT"),
    "kernel-core-read": by_capability("+0", "-EPERM", user="?ENOENT")._replace(ordinary="-EACCES"),
    "newer-calls": Row("-clone3", "-clone3", "-clone3", "+clone3", "-clone3", "-clone3"),
}
# What not every kernel has: the file that says that this one has it, and the answer of one without.
OPTIONAL = {
    "module-load": ("/proc/sys/kernel/modules_disabled", "-ENOSYS"),
    "kexec-load": ("/proc/sys/kernel/kexec_load_disabled", "-ENOSYS"),
    "modprobe-path-write": ("/proc/sys/kernel/modprobe", "-ENOENT"),
    "uevent-helper-write": ("/sys/kernel/uevent_helper", "-ENOENT"),
    "binfmt-write": ("/proc/sys/fs/binfmt_misc/register", "-ENOENT"),
    "sysrq-write": ("/proc/sysrq-trigger", "-ENOENT"),
    "kernel-core-read": ("/proc/kcore", "-ENOENT"),
}
FILES = {name for name, probe in BY_NAME.items() if probe.files}
VIEWED = {"clock-shared", "namespace-pid-map"}  # what the host saw belongs to them: tests/live/test_probes.py


def ports() -> bool:
    """Whether this kernel has iopl(2), which leaves no other trace (CONFIG_X86_IOPL_IOPERM)."""
    try:
        syscalls.call("iopl", 4)
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def row(name: str) -> Row:
    """What this kernel must answer."""
    expected = TABLE[name]
    path, cell = OPTIONAL.get(name, ("/proc", ""))
    if name == "io-port" and not ports():
        return expected.lacking("-ENOSYS")
    if Path(path).exists():
        return expected
    return expected.lacking(cell)._replace(**({"seccomp": cell, "user": "?ENOENT"} if name in FILES else {}))


SETTINGS = tuple(settings())


@pytest.fixture(scope="module")
def answers() -> dict[str, Answers]:
    """By setting: one test container for each."""
    reason = available()
    if reason:
        missing(reason)
    return {name: heard(confinement) for name, confinement in settings().items()}


def cell(reading: Reading[ProbeAnswer]) -> str:
    """An answer as the table has it."""
    if isinstance(reading, Unknown):
        return f"?{reading.reason}"
    found = reading.value
    sign = "+" if found.succeeded else "~" if "only over" in found.answer else "-"
    return f"{sign}{found.answer}"


@pytest.mark.parametrize("place", range(len(SETTINGS)), ids=SETTINGS)
@pytest.mark.parametrize("name", TABLE)
def test_what_the_kernel_answers(answers: dict[str, Answers], name: str, place: int) -> None:
    if name in lacking():
        missing(lacking()[name])
    said = cell(answers[SETTINGS[place]][name])
    expected = row(name)[place].split("|")
    assert any(said[0] == one[0] and re.search(rf"\b{one[1:]}\b", said) for one in expected), (said, expected)


def test_every_permission_and_view_is_in_the_table() -> None:
    tried = {name for name, probe in BY_NAME.items() if probe.kind != LIMIT}
    assert set(TABLE) == tried - VIEWED


def test_who_refused_is_told(answers: dict[str, Answers]) -> None:
    """A filter refuses the call that takes no right as well; the kernel does not."""
    for name in ("clock-set", "clock-adjust", "wake-alarm", "mount", "bpf-load", "perf-open", "userfaultfd"):
        assert "by its seccomp filter" in cell(answers["seccomp"][name]), name
        assert "by " not in cell(answers["no capability"][name]), name
    harmless = settings()["no capability"]._replace(seccomp=(program(deny=("acct",)),), no_new_privs=True)
    filtered = heard(harmless)
    for name in ("clock-set", "clock-adjust", "wake-alarm", "mount", "bpf-list", "process-read", "io-priority"):
        assert "by the kernel" in cell(filtered[name]), name
    assert "by " not in cell(filtered["account"]), "there is no call to acct(2) that takes no right"


def test_a_filter_that_kills_refuses_and_the_others_go_on() -> None:
    killing = program(deny=("reboot", "acct"), error=cbpf.KILL_PROCESS)
    found = heard(settings()["allowed"]._replace(seccomp=(killing,)))
    for name in ("reboot", "account"):
        assert cell(found[name]).startswith("-SIGSYS")
    assert cell(found["swap-on"]) == "+ENOENT"


def test_what_is_killed_leaves_no_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The host's handler would be run, or a file written, for a process that may be dumped."""
    reading, writing = os.pipe()
    statuses: list[int] = []
    waitpid = os.waitpid

    def remembered(pid: int, options: int) -> tuple[int, int]:
        ended = waitpid(pid, options)
        statuses.append(ended[1])
        return ended

    def aborting(*_: object) -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        os.abort()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "waitpid", remembered)
    monkeypatch.setattr(payloads, "_attempt", aborting)
    try:
        assignment = payloads.Assignment(["reboot"], os.getpid(), -1, mmap.mmap(-1, payloads.SHARED_SIZE))
        payloads.run(native.Channel(writing, reading), assignment)
    finally:
        os.close(writing)
        os.close(reading)
    (status,) = statuses
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


@pytest.mark.parametrize(
    ("call", "others"),
    [("unshare(CLONE_NEWUSER)", ()), ("clone(CLONE_NEWUSER)", ("unshare",)), ("clone3", ("unshare", "clone"))],
)
def test_a_user_namespace_by_what_a_filter_forgets(call: str, others: tuple[str, ...]) -> None:
    programs = [program(deny=set(others) - {"clone"})] if others else []
    if "clone" in others:
        programs.append(no_new_user_by_clone())
    reading = heard(settings()["allowed"]._replace(seccomp=tuple(programs)))["user-namespace-create"]
    assert isinstance(reading, Known)
    if NO_USERS:
        missing("this host lets nobody have a user namespace")
    assert reading.value.succeeded
    assert reading.value.call.startswith(call)


READ_ONLY = KernelMount(PART, "proc/sys", "proc/sys", mounting.MS_RDONLY)
COVERED = KernelMount(COVER, "proc/sys/kernel/core_pattern", "", 0)


@pytest.mark.parametrize(
    ("mounts", "answer"),
    [((PLAIN, READ_ONLY), "-EROFS"), ((PLAIN, COVERED), "-0, but it is a mask"), ((PLAIN,), "+0")],
    ids=["read-only", "masked", "open"],
)
def test_files_as_they_stand(mounts: tuple[KernelMount, ...], answer: str) -> None:
    found = heard(settings()["allowed"]._replace(mounts=mounts))
    assert cell(found["core-pattern-write"]).startswith(answer)


def test_permissions_cost_next_to_nothing() -> None:
    """The best of a few, as other work on the machine counts against it too."""
    best = 1.0
    for _ in range(5):
        begun = time.monotonic()
        heard(settings()["no capability"])
        best = min(best, time.monotonic() - begun)
    assert best < 0.15, "50 ms on an idle machine"
