"""System calls that matter, by real containers: what the kernel state says, and what the kernel then does."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from support.live import Docker, Start, isoaudit


class Flag(NamedTuple):
    """One way to start a container, the gaps that it must have and those that it must not have."""

    name: str
    flags: tuple[str, ...]
    opens: frozenset[str]
    keeps: frozenset[str]


FLAGS = (
    Flag(
        "default",
        (),
        frozenset(),
        frozenset(
            {"kernel-bpf-allowed", "kernel-keyring-allowed", "kernel-swap-allowed", "kernel-perf-allowed"}
        ),
    ),
    Flag(
        "sys-admin",
        ("--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"),
        frozenset({"kernel-bpf-allowed", "kernel-sys-writable", "kernel-core-pattern-writable"}),
        # Docker's profile has no rule that lets anybody swap or use keys.
        frozenset({"kernel-swap-allowed", "kernel-keyring-allowed"}),
    ),
    Flag(
        "sys-admin-unfiltered",
        ("--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined"),
        frozenset({"kernel-swap-allowed", "kernel-keyring-allowed", "kernel-bpf-allowed"}),
        frozenset(),
    ),
    Flag("boot", ("--cap-add=SYS_BOOT",), frozenset(), frozenset({"kernel-reboot-allowed"})),
    Flag(
        "boot-host-pid",
        ("--cap-add=SYS_BOOT", "--pid=host"),
        frozenset({"kernel-reboot-allowed"}),
        frozenset({"kernel-kexec-allowed"}),
    ),
    Flag("pacct", ("--cap-add=SYS_PACCT",), frozenset(), frozenset({"kernel-acct-allowed"})),
    Flag(
        "pacct-host-pid",
        ("--cap-add=SYS_PACCT", "--pid=host"),
        frozenset({"kernel-acct-allowed"}),
        frozenset(),
    ),
    Flag("syslog", ("--cap-add=SYSLOG",), frozenset({"kernel-log-readable"}), frozenset()),
)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_calls(flag: Flag, container: Start) -> None:
    name = container(f"iso-calls-{flag.name}", *flag.flags)
    run = isoaudit("container", name, "--probes", "none", "-f", "json")
    assert run.code == 0, run.err
    failing = run.failing(name)
    assert flag.opens <= failing
    assert not flag.keeps & failing


def test_sysfs_is_remounted(docker: Docker, container: Start) -> None:
    """As kernel-sys-writable says: in a network namespace of its own, so that no other sysfs is touched."""
    name = container("iso-remount", "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined")
    assert "kernel-sys-writable" in isoaudit("container", name, "--probes", "none", "-f", "json").failing(name)
    docker("exec", name, "/bin/busybox", "mount", "-o", "remount,rw", "/sys")
    assert " /sys sysfs rw," in docker("exec", name, "/bin/busybox", "cat", "/proc/mounts")
