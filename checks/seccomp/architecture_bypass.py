"""Calls that the seccomp filter denies can be made by another architecture's numbers.

## What it detects
A kernel for x86-64 also takes 32-bit calls (`int 0x80`) and, where built for it, x32 ones; one for arm64 takes
32-bit ARM ones. They have other numbers, and a filter sees which table a call was made by. The live filter is
evaluated for every table by which this kernel can be called: a call that it denies by the kernel's own numbers
goes through by another one's, or through a call that stands for several there (`socketcall`, `ipc`), whose
arguments lie in memory, where no filter can look.

## Why it matters
Whoever runs code inside chooses the table. What the filter denies by one table only, it does not deny.

## Remediation
Let the filter cover every architecture, or kill all calls but the native ones.

- OCI profiles: name all of `SCMP_ARCH_X86_64`, `SCMP_ARCH_X86`, `SCMP_ARCH_X32` in `architectures`, and deny
  `socketcall` where socket families are denied (Docker's default did in 29.4.2 only)
- docker, podman, Kubernetes: the default profile, and an LSM rule for families (AppArmor: `deny network alg`)
- systemd: `SystemCallArchitectures=native` beside every `SystemCallFilter=`
- the host: boot with `ia32_emulation=0` where no 32-bit program runs

## When it is fine
Where the host has no 32-bit emulation after all: it can be switched off at boot, which nothing in /proc shows.

## References
- seccomp(2), "Caveats"; Documentation/userspace-api/seccomp_filter.rst, "Pitfalls"
- moby/profiles commits 7158007 and 3c28324: socketcall and AF_ALG
"""

from typing import NamedTuple

from isoaudit import Basis, Container, Evidence, Outcome, Severity, check, fail, not_applicable, passed
from isoaudit.facts.filter_bypasses import Bypass, bypasses
from isoaudit.facts.filtered import Filtered, by_filters
from isoaudit.facts.processes import listed, named
from isoaudit.model import FactMissing

_SHOWN = 8


class _Found(NamedTuple):
    """A way around one of the container's filters."""

    bypass: Bypass
    filtered: Filtered


@check(severity="high")
def architecture_bypass(container: Container) -> Outcome:
    known, missing = by_filters(container)
    found: list[_Found] = []
    for filtered in known:
        try:
            found += [_Found(one, filtered) for one in bypasses(filtered.programs, filtered.architectures)]
        except FactMissing as error:
            missing = missing or error
    if found:
        return _fail(found)
    if missing:
        raise missing
    if not known:
        return not_applicable("no process of it runs under a filter: see seccomp-absent")
    tables = ", ".join(dict.fromkeys(name for one in known for name in one.architectures))
    return passed(
        f"its filter denies by every table what it denies by the first: {tables}",
        [Evidence(known[0].source, f"evaluated for {tables}")],
        basis=Basis.INFERRED if any(one.inferred for one in known) else Basis.OBSERVED,
    )


def _fail(found: list[_Found]) -> Outcome:
    ways = dict.fromkeys(
        f"{one.bypass.architecture}: {listed(one.bypass.named[:_SHOWN], len(one.bypass.named))}"
        for one in found
    )
    return fail(
        f"it can make calls that its filter denies by other numbers: {'; '.join(ways)}",
        [
            Evidence(
                one.filtered.source,
                f"by {one.bypass.architecture}, {named(one.filtered.tasks)}: {', '.join(one.bypass.named)}",
                "denied, as by the native numbers",
            )
            for one in found
        ],
        severity=_severity(found),
        basis=Basis.INFERRED if all(one.filtered.inferred for one in found) else Basis.OBSERVED,
    )


def _severity(found: list[_Found]) -> Severity:
    if any(one.bypass.dangerous for one in found):
        return Severity.HIGH
    # Families of sockets, such as vsock: code to attack, but no wall by itself; else calls of no consequence.
    return Severity.MEDIUM if any(one.bypass.multiplexed for one in found) else Severity.LOW
