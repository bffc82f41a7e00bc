"""Paths of /proc and /sys that engines mask are open.

## What it detects
Paths that the newest Docker, containerd or Podman hide or make read-only by default, and that neither is inside
this container, though this kernel has them. Every mount of procfs and sysfs counts, so that a second one
elsewhere, which undoes the masks of the first, is seen; and so does that the container can mount one or take
masks away: by the probe `mount`, or by CAP_SYS_ADMIN over the host under a seccomp filter that lets mount(2) or
umount2(2) through.

## Why it matters
These files are the whole machine's: its memory, keys, firmware, power and the timers and interrupts of every
neighbour. Some act when written; others are side channels that have led to published attacks.

## Remediation
Keep the engine's default masks, and the engine up to date.

- docker: leave out `--privileged` and `--security-opt systempaths=unconfined`, and do not bind-mount /proc
- podman: leave out `--security-opt unmask=…`; add `--security-opt mask=/proc/interrupts` and the like
- Kubernetes: `securityContext.procMount: Default`
- systemd: `ProtectKernelTunables=yes`, `ProtectKernelLogs=yes`, `ProcSubset=pid`

## When it is fine
Monitoring agents and builders of nested containers. Give them a user namespace of their own.

## References
- OCI runtime-spec config-linux.md, "Masked Paths" and "Readonly Paths"
- GHSA-6fw5-f8r9-fgfm (interrupts), GHSA-jq35-85cj-fj4p (powercap)
- Gao et al., "ContainerLeaks", DSN 2017
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Unknown,
    check,
    fail,
    passed,
    require,
)
from isoaudit.facts.masks import (
    MaskedPath,
    MountTree,
    Place,
    around,
    behind_profile,
    masked_paths,
    places,
    read_only_paths,
    shown,
    tree_of,
    unless,
)
from isoaudit.facts.opening import UNCOVER, hint, undoing
from isoaudit.model import SEVERITIES


class _Found:
    """Listed paths that stand open, and the first of which that could not be said."""

    def __init__(self, host: Host, tree: MountTree) -> None:
        self._host = host
        self._tree = tree
        self.open: list[tuple[MaskedPath, Place, str]] = []
        self.undecided: Unknown | None = None

    def look(self, listed: MaskedPath, way: str) -> None:
        there = self._host.has(listed.path)
        if isinstance(there, Known) and not there.value:
            return
        standing = [
            place
            for place in places(self._tree, listed.file)
            if way == "open" or (not place.mount.read_only and listed.path not in self._seen())
        ]
        if isinstance(there, Known):
            self.open.extend((listed, place, way) for place in standing)
        elif standing:
            self.undecided = self.undecided or there

    def _seen(self) -> set[str]:
        return {listed.path for listed, _, _ in self.open}


@check(severity="medium")
def proc_unmasked(host: Host, container: Container) -> Outcome:
    found = _Found(host, tree_of(require(container.mounts)))
    for listed in masked_paths():
        found.look(listed, "open")
    for listed in read_only_paths():
        found.look(listed, "writable")
    if found.open:
        return _open(container, found.open)
    way = undoing(container, UNCOVER)
    if way is not None:
        return fail(
            "its masks stand, but it can mount a fresh procfs, which has none",
            way.evidence,
            basis=way.basis,
            remediation="Take CAP_SYS_ADMIN away, or give it a user namespace of its own.",
        )
    link = around(host, container)
    if link is not None:
        return fail(
            f"its masks stand, but /proc/1/root leads past them to the host's own /proc{unless(container)}",
            [link],
            severity=behind_profile("medium", container),
            remediation="Give it a PID namespace of its own, or take CAP_SYS_PTRACE away.",
        )
    if found.undecided is not None:
        require(found.undecided)
    return passed(f"all that engines mask and this kernel has is masked{hint(container, UNCOVER)}")


def _open(container: Container, found: list[tuple[MaskedPath, Place, str]]) -> Outcome:
    by_path: dict[str, tuple[MaskedPath, Place, str]] = {}
    for listed, place, way in sorted(found, key=lambda one: len(one[1].path)):
        by_path.setdefault(listed.path, (listed, place, way))
    evidence = [
        Evidence(container.mounts.source, place.line, f"{place.path} masked or read-only: {listed.note}")
        for listed, place, _ in by_path.values()
    ]
    names = [f"{path}{' (writable)' * (way == 'writable')}" for path, (_, _, way) in sorted(by_path.items())]
    elsewhere = [place for listed, place, _ in found if place.path != listed.path]
    by = f", by {shown([Place(place.mount.target, place.mount) for place in elsewhere])}" if elsewhere else ""
    worst = min((listed.severity for listed, _, _ in by_path.values()), key=SEVERITIES.index)
    return fail(f"what engines mask is open: {', '.join(names)}{by}", evidence, severity=worst)
