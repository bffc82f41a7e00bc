from __future__ import annotations

import errno
import signal
from typing import Any

import pytest
from support import facts
from support.facts import make_container, make_host, make_status

from isoaudit.kernel.capability import mask
from isoaudit.model import Known, Unknown
from isoaudit.probes import prober
from isoaudit.probes.catalogue import HAZARDS, PERMISSION, PROBES
from isoaudit.probes.interpret import Powers, interpret, verdict
from isoaudit.probes.kernel_mounts import Unlike
from isoaudit.probes.prober import plan
from isoaudit.probes.twin import Recipe, recipe

ALL = Powers((1 << 41) - 1)
OPEN = make_status(
    seccomp=Known(0, "s"),
    uids=(0,) * 4,
    gids=(0,) * 4,
    cap_permitted=(1 << 41) - 1,
    cap_effective=(1 << 41) - 1,
)


def made(**changes: Any) -> Recipe:
    return recipe(make_host(), make_container(**{"status": OPEN, "lsm_label": Known("", "l"), **changes}))


def heard(name: str, error: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "call": f"{name}()", "errno": error, **more}


def said(
    name: str,
    message: dict[str, Any],
    container: Recipe | None = None,
    powers: Powers = ALL,
    failures: dict[str, str] | None = None,
) -> bool | str:
    """Whether the answer is "succeeded", or why there is none."""
    found = verdict(name, "web", container or made(), message, powers, failures or {})
    assert found.source == f"probe {name} in a twin of web"
    return found.reason if isinstance(found, Unknown) else found.value.succeeded


@pytest.mark.parametrize(
    ("name", "error", "meaning"),
    [
        ("clock-set", 0, True),
        ("clock-set", errno.EPERM, False),
        ("clock-set", errno.ENOSYS, None),
        ("hostname-set", errno.EINVAL, True),
        ("hostname-set", errno.EPERM, False),
        ("hostname-set", 0, None),
        ("mount", errno.EINVAL, True),
        ("mount", errno.EPERM, False),
        ("mount", errno.ENOSYS, None),
        ("user-namespace-create", 0, True),
        ("user-namespace-create", errno.ENOSPC, False),
        ("user-namespace-create", errno.EPERM, False),
        ("user-namespace-create", errno.ENOMEM, None),
        ("device-mknod", 0, True),
        ("device-mknod", errno.EPERM, False),
        ("device-mknod", errno.EACCES, None),
        ("device-open", 0, True),
        ("device-open", errno.ENXIO, True),
        ("device-open", errno.ENODEV, True),
        ("device-open", errno.EPERM, False),
        ("device-open", errno.ENOENT, None),
        ("signal-host", 0, True),
        ("signal-host", errno.EPERM, False),
        ("signal-host", errno.ESRCH, False),
        ("realtime-schedule", 0, True),
        ("realtime-schedule", errno.EPERM, False),
        ("clock-adjust", errno.EINVAL, True),
        ("clock-adjust", 0, None),
        ("module-load", errno.EBADF, True),
        ("module-load", errno.ENOEXEC, True),
        ("module-load", errno.ENOSYS, False),
        ("kexec-load", errno.EINVAL, True),
        ("kexec-load", errno.ENOSYS, False),
        ("reboot", errno.EINVAL, True),
        ("reboot", 0, None),
        ("swap-on", errno.ENOENT, True),
        ("swap-on", errno.EACCES, None),
        ("account", errno.ENOENT, True),
        ("bpf-load", 0, True),
        ("bpf-load", errno.ENOMEM, None),
        ("bpf-list", errno.ENOENT, True),
        ("perf-open", errno.EACCES, False),
        ("perf-watch", errno.ENODEV, None),
        ("io-uring-setup", errno.ENOSYS, False),
        ("io-uring-setup", errno.ENOMEM, None),
        ("userfaultfd", errno.ENOSYS, False),
        ("keyring", errno.ENOKEY, True),
        ("keyring", errno.EDQUOT, None),
        ("vsock-socket", errno.EAFNOSUPPORT, False),
        ("kernel-log-read", 0, True),
        ("io-port", errno.EINVAL, None),
        ("open-by-handle", errno.ESTALE, True),
        ("open-by-handle", errno.EBADF, None),
        ("process-read", errno.EFAULT, True),
        ("process-read", errno.EBADF, True),
        ("process-read", errno.ESRCH, False),
        ("network-admin", errno.ENODEV, True),
        ("audit-control", errno.ECONNREFUSED, False),
        ("nice-raise", errno.EACCES, False),
        ("memory-lock", errno.ENOMEM, False),
        ("core-pattern-write", errno.EROFS, False),
        ("core-pattern-write", errno.ENOENT, False),
        ("core-pattern-write", errno.EIO, None),
    ],
)
def test_what_an_errno_means(name: str, error: int, meaning: bool | None) -> None:  # noqa: FBT001
    assert interpret(name, error) is meaning


def test_every_permission_probe_has_a_table() -> None:
    for probe in PROBES:
        if probe.kind == PERMISSION:
            assert interpret(probe.name, errno.EPERM) is False


def test_success_without_the_filter_is_no_proof_and_a_refusal_is() -> None:
    filtered = made(status=OPEN._replace(seccomp=Known(2, "s")), filters=facts.denied("ptrace(2)"))
    reason = said("clock-set", heard("clock-set", 0), filtered)
    assert "could set the host's clock" in str(reason)
    assert "seccomp filter: EACCES" in str(reason)
    assert "which may refuse it" in str(reason)
    assert said("clock-set", heard("clock-set", errno.EPERM), filtered) is False
    assert said("clock-set", heard("clock-set", 0)) is True


def test_a_refusal_is_no_proof_where_we_lack_the_capability() -> None:
    poor = Powers(ALL.capabilities & ~mask("CAP_SYS_TIME"))
    assert "CAP_SYS_TIME" in str(said("clock-set", heard("clock-set", errno.EPERM), powers=poor))
    nothing = made(status=OPEN._replace(cap_permitted=0, cap_effective=0))
    assert said("clock-set", heard("clock-set", errno.EPERM), nothing, poor) is False


def test_a_permission_over_ones_own_is_no_gap() -> None:
    assert said("hostname-set", heard("hostname-set", errno.EINVAL)) is False
    shared = facts.namespaces(1, **{**facts.OWN_INODES, "uts": facts.HOST_INODES["uts"]})
    assert said("hostname-set", heard("hostname-set", errno.EINVAL), made(namespaces=shared)) is True


def test_a_user_namespace_without_capabilities_in_it_is_no_gap() -> None:
    message = heard("user-namespace-create", 0, inside=errno.EPERM)
    assert said("user-namespace-create", message) is False
    assert said("user-namespace-create", {**message, "inside": 0}) is True


def test_an_answer_that_decides_nothing_says_so() -> None:
    assert "ENOSYS, which decides nothing" in str(said("mount", heard("mount", errno.ENOSYS)))


def test_a_device_policy_that_could_not_be_copied_is_a_doubt() -> None:
    failing = {"devices": "devices.deny: Permission denied"}
    assert "device policy" in str(said("device-open", heard("device-open", 0), failures=failing))


def test_realtime_is_undecided_where_its_budget_was_not_given() -> None:
    failing = {"cpu.rt_runtime_us": "Invalid argument"}
    message = heard("realtime-schedule", errno.EPERM)
    assert "rt_runtime" in str(said("realtime-schedule", message, failures=failing))
    assert said("realtime-schedule", message) is False


def test_a_probe_that_died_or_failed_is_unknown() -> None:
    died = {"name": "mount", "call": "", "died": -signal.SIGALRM}
    assert "in time" in str(said("mount", died))
    assert "signal 31" in str(said("mount", {**died, "died": -31}))
    assert "EAGAIN" in str(said("mount", {"name": "mount", "call": "fork()", "failed": errno.EAGAIN}))


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"touched": 500 << 20, "stopped": True}, False),
        ({"died": -signal.SIGKILL, "oom_kill": 1, "touched": 500 << 20}, False),
        ({"died": -signal.SIGKILL, "oom_kill": 0}, "signal 9"),
        ({"touched": 520 << 20, "stopped": False, "peak": 511 << 20}, False),
        ({"touched": 520 << 20, "stopped": False, "peak": 520 << 20}, True),
        ({"touched": 100 << 20, "stopped": False}, "touched only 100 MiB"),
    ],
)
def test_memory(message: dict[str, Any], answer: bool | str) -> None:  # noqa: FBT001
    found = said("memory-limit", {"name": "memory-limit", "call": "touch", **message})
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"cpu": 0.3, "wall": 0.6, "throttled": 6}, False),
        ({"cpu": 0.6, "wall": 0.6, "throttled": 0}, True),
        ({"cpu": 0.2, "wall": 0.6, "throttled": 0}, "too busy"),
        ({"cpu": 0.2, "wall": 0.6}, "could not be read"),
    ],
)
def test_cpu(message: dict[str, Any], answer: bool | str) -> None:  # noqa: FBT001
    found = said("cpu-quota", {"name": "cpu-quota", "call": "spin", **message})
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"errno": errno.EAGAIN, "forks": 98, "tasks": 100}, False),
        ({"errno": 0, "forks": 101, "tasks": 103}, True),
        ({"errno": errno.ENOMEM, "forks": 3, "tasks": 5}, "ENOMEM"),
        ({"errno": 0, "forks": 3, "tasks": 5}, "only 3 forks"),
    ],
)
def test_pids(message: dict[str, Any], answer: bool | str) -> None:  # noqa: FBT001
    found = said("pids-limit", {"name": "pids-limit", "call": "fork()", **message})
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"frozen": True, "moved": 0, "file": "freezer.state"}, False),
        ({"frozen": True, "moved": 9, "file": "freezer.state"}, True),
        ({"frozen": False, "moved": 9, "file": "freezer.state"}, "did not report"),
        ({}, "ended before"),
    ],
)
def test_freezer(message: dict[str, Any], answer: bool | str) -> None:  # noqa: FBT001
    found = said("freezer", {"name": "freezer", "call": "count", **message})
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


def planned(container: Recipe, hazard: str = "safe", *, v2: bool = False) -> dict[str, str]:
    return dict(plan(container, hazard, 8 << 30, 2, v2_memory=v2).refused)


def test_a_limit_beyond_what_a_probe_may_use_is_not_measured() -> None:
    refused = planned(made(cgroup=facts.cgroup_v1(pids__max="4000", cpu__cfs_quota_us="900000")))
    assert "larger than the 200 tasks" in refused["pids-limit"]
    assert "larger than the 256 MiB" in refused["memory-limit"]
    assert "9.00 CPUs" in refused["cpu-quota"]
    small = facts.cgroup_v1(memory__limit_in_bytes=str(64 << 20), cpuset__effective_cpus="0-1")
    assert planned(made(cgroup=small)) == {}


def test_on_v2_the_memory_limit_needs_leave_to_be_visible() -> None:
    small = made(cgroup=facts.cgroup_v2(memory__max=str(64 << 20)))
    assert "--probes visible" in planned(small, v2=True)["memory-limit"]
    assert "memory-limit" not in planned(small, "visible", v2=True)


def test_every_probe_is_declared_whole() -> None:
    for probe in PROBES:
        assert probe.hazard in HAZARDS
        assert all((probe.proves, probe.kernel, probe.touches, probe.undo)), probe.name
        assert probe.calls or probe.run, probe.name
        assert not probe.reach or probe.reached, probe.name
        assert not set(probe.permitted) & {*probe.refused, errno.EPERM}, probe.name
    assert len({probe.name for probe in PROBES}) == len(PROBES)


FILTERED = made(status=OPEN._replace(seccomp=Known(2, "s")), filters=facts.filters(deny=("bpf",)))


def told(name: str, message: dict[str, Any], container: Recipe) -> str:
    found = verdict(name, "web", container, message, ALL, {})
    assert isinstance(found, Known)
    return found.value.answer


def test_who_refused_is_told_by_a_call_that_takes_no_right() -> None:
    message = heard("bpf-load", errno.EPERM)
    assert told("bpf-load", message, FILTERED) == "EPERM"
    filters = told("bpf-load", {**message, "reach": ("bpf(9999)", errno.EPERM)}, FILTERED)
    assert filters == "EPERM, by its seccomp filter (bpf(9999) = EPERM as well)"
    kernels = told("bpf-load", {**message, "reach": ("bpf(9999)", errno.EINVAL)}, FILTERED)
    assert kernels == "EPERM, by the kernel (bpf(9999) = EINVAL)"
    assert told("bpf-load", {**message, "reach": ("bpf(9999)", errno.EPERM)}, made()) == "EPERM"
    # Before Linux 6.12 the kernel itself answers so.
    handle = {**heard("open-by-handle", errno.EPERM), "reach": ("open_by_handle_at(-1)", errno.EPERM)}
    assert told("open-by-handle", handle, FILTERED) == "EPERM"


def test_all_that_was_refused_is_told() -> None:
    message = heard("keyring", errno.EPERM, others=[["add_key()", errno.ENOSYS]])
    assert told("keyring", message, made()) == "EPERM; add_key() = ENOSYS"


def test_a_mask_is_a_refusal() -> None:
    message = heard("sysrq-write", 0, path="/proc/sysrq-trigger", cover="the character device 1:3")
    assert said("sysrq-write", message) is False
    assert "1:3" in told("sysrq-write", message, made())
    del message["cover"]
    assert said("sysrq-write", message) is True


def test_a_file_that_the_twin_does_not_have_as_its_original_has_tells_nothing() -> None:
    unlike = made()._replace(unlike=(Unlike("/proc", "it was not mounted"),))
    for error in (0, errno.EROFS):
        message = heard("sysctl-write", error, path="/proc/sys/vm/swappiness")
        assert "it was not mounted" in str(said("sysctl-write", message, unlike))
    failing = {"owner of its cgroup": "Operation not permitted"}
    message = heard("cgroup-write", errno.EACCES, path="/sys/fs/cgroup/cgroup.procs")
    assert "Operation not permitted" in str(said("cgroup-write", message, failures=failing))


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        ("pid", "reboot", errno.EINVAL),
        ("pid", "signal-host", 0),
        ("net", "network-admin", errno.ENODEV),
        ("user", "open-by-handle", errno.ESTALE),
    ],
)
def test_what_is_its_own_is_no_gap(kind: str, name: str, error: int) -> None:
    shared = made(namespaces=facts.namespaces(1, **facts.HOST_INODES))
    own = made(namespaces=facts.namespaces(1, **{**facts.HOST_INODES, kind: 7}))
    assert said(name, heard(name, error), shared) is True
    assert said(name, heard(name, error), own) is False


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("clocks", "answer", "offset"),
    [
        ([100, 10, 20], "CLOCK_REALTIME the host's, CLOCK_MONOTONIC the host's", 0.0),
        ([100, 10 + 5 * SECOND, 20], "CLOCK_MONOTONIC +5.000000 s from the host's, CLOCK_BOOTTIME the", 5.0),
    ],
)
def test_clocks(clocks: list[int], answer: str, offset: float) -> None:
    message = {"name": "clock-shared", "call": "clock_gettime()", "clocks": clocks}
    assert "were not read" in str(said("clock-shared", message))
    beside = {**message, "before": [99, 9, 19], "after": [101, 11, 21]}
    found = verdict("clock-shared", "web", made(), beside, ALL, {})
    assert isinstance(found, Known)
    assert found.value.succeeded
    assert answer in found.value.answer
    assert found.value.measured == pytest.approx(offset)
    apart = {**beside, "clocks": [100 + SECOND, *clocks[1:]]}
    assert said("clock-shared", apart) is False


@pytest.mark.parametrize(
    ("pids", "answer"),
    [((4242, 1), False), ((4242,), "not the last"), ((1,), True), ((), "does not show")],
)
def test_the_two_numbers_of_a_process(pids: tuple[int, ...], answer: bool | str) -> None:  # noqa: FBT001
    message = {"name": "namespace-pid-map", "call": "getppid()", "inside": 1, "ns_pids": pids}
    found = said("namespace-pid-map", message)
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


def test_newer_calls() -> None:
    honest = {"clone3": errno.ENOSYS, "statx": 0, "openat2": errno.EINVAL}
    message = {"name": "newer-calls", "call": "clone3, statx, openat2", "answers": honest}
    assert said("newer-calls", message, FILTERED) is False
    misled = {**message, "answers": {**honest, "clone3": errno.EPERM}}
    assert said("newer-calls", misled, FILTERED) is True
    assert told("newer-calls", misled, FILTERED) == "clone3: EPERM"
    unread = made(status=OPEN._replace(seccomp=Known(2, "s")), filters=facts.denied("ptrace(2)"))
    assert "seccomp filter" in str(said("newer-calls", message, unread))


@pytest.mark.parametrize(
    ("figures", "answer"),
    [({"counted": 2_001_000}, False), ({"counted": 0}, True), ({}, "could not be read")],
)
def test_account(figures: dict[str, int], answer: bool | str) -> None:  # noqa: FBT001
    found = said("cpu-account", {"name": "cpu-account", "call": "burn", "used": 2_000_000, **figures})
    assert answer in found if isinstance(answer, str) and isinstance(found, str) else found is answer


def test_no_socket_is_opened_whose_module_would_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def protocols(path: str) -> bytes:
        if path == "/proc/net/protocols":
            return b"protocol size\nPACKET 100\n"
        raise FileNotFoundError(errno.ENOENT, "No such file", path)

    monkeypatch.setattr(prober, "read_file", protocols)
    found = prober.lacking()
    assert set(found) == {"vsock-socket", "audit-control"}
    assert "would look for a module" in found["vsock-socket"]
    refused = plan(made(), "safe", 8 << 30, 2, v2_memory=False, impossible=found).refused
    assert refused["vsock-socket"] == found["vsock-socket"]


def test_powers_do_not_matter_inside_a_user_namespace() -> None:
    inodes = facts.namespaces(1, **{**facts.OWN_INODES, "user": 7})
    inside = made(namespaces=inodes)
    assert said("clock-set", heard("clock-set", errno.EPERM), inside, Powers(0)) is False
    assert said("mount", heard("mount", errno.EINVAL), inside) is False
