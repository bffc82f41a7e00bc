"""What is masked stands elsewhere.

## What it detects
A path that an engine masks in this container, whose content it can read all the same: through another mount
of procfs or sysfs, such as `-v /proc:/host/proc`, or because the kernel shows the same in a second file that
no engine masks, such as /proc/stat beside /proc/interrupts. Only what this kernel has is named.

## Why it matters
A mask is a mount over one path. It says nothing of the others, so that a container that looks hardened leaks
what the mask was made to hide: the timing of neighbours' input and disks, the tables of the firmware, disks.

## Remediation
Remove the second mount of /proc or /sys, and mask both of two files that show the same.

- docker, podman, compose: remove `-v /proc:…`, `-v /sys:…`; podman: `--security-opt mask=/sys/kernel/irq`
- Kubernetes: no `hostPath` volume of /proc or /sys; `procMount: Default`
- systemd: `ProcSubset=pid`, `InaccessiblePaths=`

## When it is fine
Where only twin files of the kernel's are left, it is inherent: engines have no setting for most of them.

## References
- OCI runtime-spec config-linux.md, "Masked Paths"; GHSA-6fw5-f8r9-fgfm (interrupts)
- genirq: Documentation/ABI/testing/sysfs-kernel-irq; proc_stat(5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit import Container, Evidence, Host, Outcome, Unknown, check, fail, passed, require
from isoaudit.facts.leaks import standing, twins
from isoaudit.facts.masks import Place, masked_paths, shown
from isoaudit.model import SEVERITIES, Severity

if TYPE_CHECKING:
    from isoaudit.facts.leaks import Twin
    from isoaudit.facts.masks import MaskedPath

_LINES = 10


class _Found:
    """What gets around the masks, and the first thing that could not be said."""

    def __init__(self, host: Host, container: Container) -> None:
        self._host = host
        mounts = require(container.mounts)
        stands = standing(mounts)
        self.undecided: Unknown | None = None
        self.around: list[tuple[MaskedPath, Place]] = []
        # Where nothing masks it, kernel-proc-unmasked judges.
        for listed in masked_paths():
            for path, number in stands.masked.get(listed.path, ()):
                if path != listed.path and self._has(listed.path):
                    self.around.append((listed, Place(path, mounts[number])))
        self.doubles: list[tuple[Twin, Place]] = []
        for twin in twins():
            hidden = twin.masked in stands.masked and not stands.masked[twin.masked]
            if hidden and twin.path in stands.first and self._has(twin.masked) and self._has(twin.path):
                path, number = stands.first[twin.path]
                self.doubles.append((twin, Place(path, mounts[number])))

    def _has(self, path: str) -> bool:
        there = self._host.has(path)
        if isinstance(there, Unknown):
            self.undecided = self.undecided or there
            return False
        return there.value


@check(severity="low")
def mask_bypass(host: Host, container: Container) -> Outcome:
    found = _Found(host, container)
    said, evidence = [], []
    if found.around:
        names = ", ".join(dict.fromkeys(listed.path for listed, _ in found.around))
        where = shown([place for _, place in found.around])
        said.append(f"{names} can be read past the masks, at {where}")
        lines = dict.fromkeys(place.line for _, place in found.around)
        evidence += [Evidence(container.mounts.source, line, "no second mount of it") for line in lines]
    for twin, place in found.doubles:
        said.append(f"what {twin.masked} would show stands at {place.path} ({twin.tells})")
        evidence.append(Evidence(container.mounts.source, place.line, f"{place.path} masked too"))
    if said:
        severities = [listed.severity for listed, _ in found.around] or [Severity.LOW]
        worst = min(severities, key=SEVERITIES.index)
        return fail("; ".join(said), evidence[:_LINES], severity=worst, inherent=not found.around)
    if found.undecided is not None:
        require(found.undecided)
    return passed("what is masked stands nowhere else")
