"""The seccomp filter answers EPERM where libraries expect ENOSYS.

## What it detects
A C library tries a new system call first and falls back to an old one if the kernel answers ENOSYS. The live
filter refuses such a call in another way: clone3, faccessat2, statx, close_range, openat2, the 64-bit time
calls of 32-bit programs, or numbers that no kernel has yet. If probes ran, a test container under that filter
made the calls (`newer-calls`).

## Why it matters
To a program, EPERM is a failure of what it asked for: threads do not start (glibc 2.34 and clone3), files seem
not to be there (musl 1.2.2 and faccessat2), though the kernel could do it either way. The usual way out is to
run without a filter at all, which opens everything.

## Remediation
Update the engine, runc and libseccomp, or let the profile answer ENOSYS (38) by default.

- docker 20.10.10, containerd 1.5.6 and runc 1.0.0-rc93 or newer answer ENOSYS to calls newer than the profile
- OCI profiles: `"defaultErrnoRet": 38`, and EPERM for what is denied on purpose only
- systemd: `SystemCallErrorNumber=ENOSYS`

## When it is fine
An image whose libraries are older than the calls: nothing in it makes them.

## References
- moby/moby issue 42680 and pull request 42681: clone3
- Alpine Linux 3.14 release notes: faccessat2; Alpine 3.13: time64
- Documentation/process/adding-syscalls.rst
"""

from collections.abc import Iterable
from errno import ENOSYS
from typing import NamedTuple

from isoaudit import Basis, Container, Evidence, Known, Outcome, Severity, check, fail, not_applicable, passed
from isoaudit.facts.filtered import Filtered, by_filters
from isoaudit.facts.processes import named
from isoaudit.facts.seccomp_programs import Answer, new_number_answer, programs_answer
from isoaudit.facts.tried import Opened, confirmed
from isoaudit.kernel.calls import newest, table
from isoaudit.model import FactMissing, require


class _Call(NamedTuple):
    """A call that libraries try first, and the first of them that do: C library and its series."""

    name: str
    wanted_by: tuple[tuple[str, tuple[int, int]], ...] = ()


_CALLS = (
    _Call("clone3", (("glibc", (2, 34)),)),
    _Call("faccessat2", (("glibc", (2, 33)), ("musl", (1, 2)))),
    _Call("statx", (("glibc", (2, 28)), ("musl", (1, 2)))),
    _Call("close_range", (("glibc", (2, 34)),)),
    _Call("openat2"),
)
_OF_32_BITS = (_Call("clock_gettime64"), _Call("futex_time64"))


class _Blocked(NamedTuple):
    """A call that is refused in a way that no library takes for an older kernel."""

    name: str
    answer: Answer
    needed: bool  # by the image's C library
    filtered: Filtered


@check(severity="low")
def newer_userland_blocked(container: Container) -> Outcome:
    known, missing = by_filters(container)
    found: list[_Blocked] = []
    for filtered in known:
        try:
            found += _blocked(container, filtered)
        except FactMissing as error:
            missing = missing or error
    if found:
        opened = Opened("newer-calls")
        return confirmed(container, opened, _fail(found), gap="its filter misleads newer C libraries")
    if missing:
        raise missing
    if not known:
        return not_applicable("no process of it runs under a filter")
    return passed(
        "newer system calls are let through, or answered as by a kernel without them",
        [Evidence(one.source, f"clone3: {_answer(one, 'clone3').action}", "ALLOW or ENOSYS") for one in known],
        basis=_basis(known),
    )


def _blocked(container: Container, filtered: Filtered) -> list[_Blocked]:
    found = []
    for call in _CALLS:
        answer = _answer(filtered, call.name)
        if _misleading(answer):
            found.append(_Blocked(call.name, answer, _needed(container, call), filtered))
    for architecture in filtered.architectures[1:]:
        for call in _OF_32_BITS:
            if call.name in table(architecture):
                answer = programs_answer(filtered.programs, architecture, call.name)
                # A profile that kills or refuses all of that architecture blocks no library in particular.
                other = programs_answer(filtered.programs, architecture, "clock_gettime")
                if _misleading(answer) and other.allowed:
                    found.append(_Blocked(f"{call.name} ({architecture})", answer, False, filtered))
    new = new_number_answer(filtered.programs, filtered.architectures[0])
    if _misleading(new):
        found.append(_Blocked(f"every number above {newest()}", new, False, filtered))
    return found


def _answer(filtered: Filtered, call: str) -> Answer:
    return programs_answer(filtered.programs, filtered.architectures[0], call)


def _misleading(answer: Answer) -> bool:
    return not answer.allowed and answer.error != ENOSYS


def _needed(container: Container, call: _Call) -> bool:
    """Whether the image's C library is known to try a call."""
    if not isinstance(container.userland, Known):
        return False
    userland = require(container.userland)
    version = userland.libc_series
    return version is not None and any(
        userland.libc == libc and version >= since for libc, since in call.wanted_by
    )


def _fail(found: list[_Blocked]) -> Outcome:
    names = ", ".join(dict.fromkeys(one.name for one in found))
    needed = [one.name for one in found if one.needed]
    what = f", of which its C library tries {', '.join(dict.fromkeys(needed))}" if needed else ""
    return fail(
        f"its filter refuses {names} as if forbidden, not as if unknown{what}",
        [
            Evidence(
                one.filtered.source,
                f"{one.name}: {one.answer.action} for {named(one.filtered.tasks)}",
                "ENOSYS",
            )
            for one in found
        ],
        severity=Severity.MEDIUM if "clone3" in needed else None,
        basis=_basis(one.filtered for one in found),
    )


def _basis(filtered: Iterable[Filtered]) -> Basis:
    return Basis.INFERRED if any(one.inferred for one in filtered) else Basis.OBSERVED
