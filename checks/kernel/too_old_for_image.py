"""Kernel is older than the image states it needs.

## What it detects
The image states a floor that the running kernel is below: the kernel ABI note of its C library, where that
library still refuses to load (glibc before 2.36), or the minimum of its systemd, where systemd is the
container's first process.

## Why it matters
A container brings everything but the kernel. Below a stated minimum programs do not start, or start and miss
what they rely on: time, process tracking and limits then work otherwise than the image's makers tested.

## Remediation
Run a kernel that is at least as new as the image asks, or an older release of the image.

## When it is fine
Never on purpose: a program that does run below its own minimum runs untested.

## References
- Linux Standard Base core specification, "NT_GNU_ABI_TAG"
- systemd README, "minimum baseline"
- glibc NEWS 2.36: LD_ASSUME_KERNEL and the kernel check of ld.so were removed
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.releases import systemd_floor
from isoaudit.facts.userland import first_is_systemd

# The first glibc whose dynamic loader no longer looks at the note.
_UNCHECKED = (2, 36)


@check(severity="high")
def too_old_for_image(host: Host, container: Container) -> Outcome:
    userland = require(container.userland)
    if userland.silent:
        return not_applicable("its image says nothing of the kernel it needs")
    kernel = require(host.kernel)
    evidence = []
    for elf in userland.elf:
        if elf.abi_kernel is None:
            continue
        needed = ".".join(map(str, elf.abi_kernel))
        shown = Evidence(elf.path, f"OS: Linux, ABI: {needed}", f"at most {kernel}")
        evidence.append(shown)
        checked = userland.libc == "glibc" and (userland.libc_series or _UNCHECKED) < _UNCHECKED
        if checked and elf.abi_kernel > (kernel.major, kernel.minor, kernel.patch):
            return fail(
                f"its C library refuses kernels before {needed}, and {kernel} runs",
                [shown],
                reproduce=f"readelf -n /proc/{container.identity.pid}/root{elf.path}; uname -r",
            )
    version = userland.systemd_major
    floor = systemd_floor(version) if version is not None else None
    if floor is not None and kernel.series < floor:
        minimum = f"{floor[0]}.{floor[1]}"
        shown = Evidence(host.kernel.source, str(kernel), f"at least {minimum} for systemd {version}")
        if first_is_systemd(require(container.status).name):
            return fail(
                f"its first process is systemd {version}, which supports no kernel before {minimum}",
                [shown],
                basis=Basis.INFERRED,
            )
        return passed(
            f"its systemd {version} would need kernel {minimum}, but is not its first process",
            [shown],
            basis=Basis.INFERRED,
        )
    return passed(f"nothing in its image asks for more than kernel {kernel}", evidence)
