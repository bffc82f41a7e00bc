"""CPU lacks the instructions that the image is built for.

## What it detects
The image's C library is built for an x86-64 level (v2, v3, v4) above the one that the host's CPU offers: by
the property note in the library, or by what its distribution's release is known to be built for.

## Why it matters
Containers share the host's CPU as they share its kernel. Programs of such an image end at once ("CPU does not
support x86-64-v2") or die of SIGILL at the first instruction that is missing, under load as well as at start.

## Remediation
Run an image built for the CPU's level, or move the container to a machine that offers the level.

- virtual machines: give the guest a CPU model that has it (`-cpu host`), as many hide it

## When it is fine
Never: where it seems to run, only the paths with the missing instructions have not been taken yet.

## References
- x86-64 psABI, "Micro-Architecture Levels" and "Program Property"
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.releases import find

_NAMES = {1: "the x86-64 baseline", 2: "x86-64-v2", 3: "x86-64-v3", 4: "x86-64-v4"}


@check(severity="high")
def cpu_level_missing(host: Host, container: Container) -> Outcome:
    if host.machine != "x86_64":
        return not_applicable(f"levels are x86-64's, and the machine is {host.machine}")
    userland = require(container.userland)
    noted = [(elf.x86_level, elf.path) for elf in userland.elf if elf.x86_level is not None]
    release = find(userland.distribution, userland.version)
    built = release.x86_level if release else None
    if not noted and built is None:
        return not_applicable("its image names no CPU level")
    offered = require(host.x86_level)
    for level, path in noted:
        if level > offered:
            return fail(
                f"its C library needs {_NAMES[level]}, and the CPU offers only {_NAMES.get(offered, 'less')}",
                [Evidence(path, f"x86 ISA needed: {_NAMES[level]}", f"at most {_NAMES.get(offered, 'less')}")],
                reproduce=f"readelf -n /proc/{container.identity.pid}/root{path}; grep -m1 flags /proc/cpuinfo",
            )
    if built is not None and built > offered:
        observed = f"{userland.distribution} {userland.version}"
        return fail(
            f"{observed} is built for {_NAMES[built]}, and the CPU offers only {_NAMES.get(offered, 'less')}",
            [
                Evidence(
                    f"{container.userland.source}/etc/os-release", observed, "a release for the CPU's level"
                )
            ],
            basis=Basis.INFERRED,
        )
    needed = max([level for level, _ in noted] + ([built] if built is not None else []))
    return passed(f"it needs {_NAMES[needed]}, and the CPU offers {_NAMES.get(offered, 'less')}")
