"""What names the host can be read.

## What it detects
Files inside that say which machine this is: the boot id, the kernel's command line and build, serial numbers
of the hardware, the host's own /etc/machine-id where it is mounted, and paths of the host's in the mount
table (an overlay's `upperdir=`). Counted is what this kernel has, what no mount covers and what the mode lets
a process inside read.

## Why it matters
Two containers that read the same boot id know that they share a host, which is the first step of every attack
on a neighbour. Serial numbers and the machine id name the host for good, and some programs make keys of them;
the command line may hold secrets.

## Remediation
Do not mount the host's machine-id, and run as a user other than its root, who alone reads serial numbers.

- docker, podman, compose: remove `-v /etc/machine-id:…`, `-v /etc:…`; `--user`; podman: `--security-opt
  mask=/proc/cmdline:/proc/sys/kernel/random/boot_id`
- Kubernetes: no `hostPath` of /etc; `runAsNonRoot: true`; a RuntimeClass with a kernel of its own
- systemd: `ProcSubset=pid`

## When it is fine
Nearly always: most of it is inherent, as the kernel has no namespace for it, and reported as such.

## References
- Gao et al., "ContainerLeaks", DSN 2017 (boot_id, version: unique, never changing)
- machine-id(5); proc_cmdline(5); random(4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, passed, unknown
from isoaudit.facts.hostpaths import view
from isoaudit.facts.leaks import evidence, identity, shown, visible
from isoaudit.facts.mounts import within

if TYPE_CHECKING:
    from isoaudit.facts.mounts import Mount

_MACHINE_ID = "/etc/machine-id"


@check(severity="low")
def host_identity(host: Host, container: Container) -> Outcome:
    found = visible(host, container, identity())
    named = _machine_id(host, container)
    layers = _overlay_paths(container)
    said, proof = [], []
    if found.seen:
        said.append(shown(found.seen))
        proof += evidence(container, found.seen)
    if named is not None:
        said.append(f"the host's {_MACHINE_ID} by the mount at {named.target}")
        proof.insert(0, Evidence(container.mounts.source, named.line, "no such mount"))
    # The table is read in the container's own /proc.
    if layers is not None and found.seen:
        said.append("where the host keeps its layers")
        proof.append(Evidence(container.mounts.source, layers, "no path of the host's"))
    if said:
        closable = named is not None or any(one.leak.root_only for one in found.seen)
        return fail(f"it can tell the host by {'; '.join(said)}", proof, inherent=not closable)
    if found.undecided is not None:
        return unknown(found.undecided.reason, found.undecided.source)
    return passed("nothing that it can read names the host")


def _machine_id(host: Host, container: Container) -> Mount | None:
    """The mount that shows the host's machine-id, if one does."""
    if not isinstance(host.mounts, Known):
        return None
    seen = view(host, container)
    parts = [part.mount for part in seen.parts if within(_MACHINE_ID, part.path)]
    return next(iter((*parts, *seen.root_parts)), None)


def _overlay_paths(container: Container) -> str | None:
    """The option of its root filesystem that names a directory of the host's."""
    if not isinstance(container.mounts, Known):
        return None
    for mount in container.mounts.value:
        if mount.fstype == "overlay":
            for option in mount.super_options:
                if option.startswith("upperdir=/"):
                    return option
    return None
