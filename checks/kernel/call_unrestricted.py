"""A system call that exploits rely on is open to everybody.

## What it detects
- `kernel-io-uring-enabled`: `kernel.io_uring_disabled` is 0
- `kernel-userfaultfd-unprivileged`: `vm.unprivileged_userfaultfd` is 1

Kernels with the call and without the setting (io_uring from 5.1 to 6.5, userfaultfd from 4.3 to 5.1) leave it
open to everybody. Newer ones without the setting are built without the call.

## Why it matters
io_uring is a second, young way to nearly all system calls, which seccomp does not see, and has had a row of
flaws that gave root. userfaultfd lets an exploit stop the kernel in the middle of a copy, which turns races
that nobody would win into certain ones.

## Remediation
Set the expected value in a file of /etc/sysctl.d, or leave the call out of seccomp profiles.

- `kernel.io_uring_disabled=1` (CAP_SYS_ADMIN and a group only) or 2 (nobody)
- `vm.unprivileged_userfaultfd=0`
- docker 25.0 and newer forbid io_uring in their default seccomp profile

## When it is fine
Databases and virtual machine monitors that are built on them: allow it to their group, or in their profile.

## References
- Documentation/admin-guide/sysctl/kernel.rst, io_uring_disabled
- userfaultfd(2)
- Google Security Blog, "Learnings from kCTF VRP's 42 Linux kernel exploits submissions", 2023
"""

from typing import NamedTuple

from isoaudit import Basis, Evidence, Host, Outcome, Variant, fail, family, passed, require


class _Call(NamedTuple):
    """A system call, the setting that restricts it, and the first series that have them."""

    name: str
    setting: str
    fine: frozenset[str]
    expected: str
    since: tuple[int, int]
    setting_since: tuple[int, int]


_VARIANTS = (
    Variant(
        "io_uring_enabled",
        "medium",
        "io_uring is open to everybody",
        _Call("io_uring", "kernel.io_uring_disabled", frozenset({"1", "2"}), "2 or 1", (5, 1), (6, 6)),
    ),
    Variant(
        "userfaultfd_unprivileged",
        "low",
        "userfaultfd is open to everybody",
        _Call("userfaultfd", "vm.unprivileged_userfaultfd", frozenset({"0"}), "0", (4, 3), (5, 2)),
    ),
)


@family(_VARIANTS)
def call_unrestricted(host: Host, *, variant: Variant) -> Outcome:
    call: _Call = variant.value
    reading = host.sysctl(call.setting)
    if host.sysctl_absent(call.setting):
        # Absence alone does not tell a kernel without the call from one without the setting: its age does.
        kernel = require(host.kernel)
        evidence = [Evidence(reading.source, f"not there on {kernel}", call.expected)]
        if call.since <= kernel.series < call.setting_since:
            return fail(
                f"{call.name} is open to everybody on {kernel}, which has no setting for it",
                evidence,
                basis=Basis.INFERRED,
                remediation="Forbid the call by seccomp, or run a kernel that has the setting.",
            )
        return passed(f"{kernel} has no {call.name}: older, or built without", evidence, basis=Basis.INFERRED)
    value = require(reading)
    evidence = [Evidence(reading.source, value, call.expected)]
    if value in call.fine:
        return passed(f"{call.name} is not open to everybody", evidence)
    return fail(
        f"{call.name} is open to every process",
        evidence,
        remediation=f"Set {call.setting}={min(call.fine)}, or forbid the call by seccomp.",
    )
