"""A file that names what the kernel runs as root is writable.

## What it detects
- `kernel-core-pattern-writable`: `/proc/sys/kernel/core_pattern`, run when a process dumps core
- `kernel-modprobe-path-writable`: `/proc/sys/kernel/modprobe`, run when a module is asked for
- `kernel-uevent-helper-writable`: `/sys/kernel/uevent_helper` or `/proc/sys/kernel/hotplug`, run for every
  device event, on kernels that have it
- `kernel-binfmt-writable`: binfmt_misc's `register`, which names interpreters for programs of the whole host

Each fails where this kernel has the file, a writable mount shows it inside and a process may write it: uid 0
of the host, whatever its capabilities. A container that can make such a mount fails too: the probe `mount`
proved it, or a process has CAP_SYS_ADMIN over the host, its seccomp filter lets mount(2) or umount2(2) through,
and no LSM's profile confines it.

If probes ran, a test container with the same walls tried it (`core-pattern-write` and the like, an open for
writing without a write).

## Why it matters
The kernel starts these programs as root in the host's own namespaces. One write and one crash, module request,
device event or program start later, code of the container's choice runs on the host.

## Remediation
Keep /proc/sys and /sys read-only inside, or give the container a user namespace of its own.

- docker: leave out `--privileged` and `--security-opt systempaths=unconfined`, and mount neither /proc nor /sys
- podman: leave out `--security-opt unmask=…`
- Kubernetes: `privileged: false`, `securityContext.procMount: Default`, no hostPath on /proc or /sys
- LXC: `lxc.mount.auto = proc:mixed sys:ro`
- systemd: `ProtectKernelTunables=yes`

## When it is fine
Never in a container. An image that registers binfmt_misc interpreters for builds is a part of the host.

## References
- core(5), "Piping core dumps to a program"
- Documentation/admin-guide/sysctl/kernel.rst: core_pattern, modprobe, hotplug
- Documentation/admin-guide/binfmt-misc.rst
"""

from collections.abc import Sequence
from typing import NamedTuple

from isoaudit import (
    Basis,
    Container,
    Host,
    Known,
    Outcome,
    Reading,
    Unknown,
    Variant,
    fail,
    family,
    passed,
    require,
)
from isoaudit.facts.masks import (
    BINFMT,
    PROC,
    SYSFS,
    KernelFile,
    behind_profile,
    mount_evidence,
    shown,
    unless,
)
from isoaudit.facts.opening import Opening, hint, opening, ways_to
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Opened, confirmed


class _Helper(NamedTuple):
    """One way to name what the kernel runs: its files by where the host has what tells that they exist."""

    name: str
    files: dict[str, KernelFile]
    probe: str
    paths: tuple[str, ...]  # that the probe opens


_VARIANTS = (
    Variant(
        "core_pattern_writable",
        "critical",
        "The core dump handler is writable",
        _Helper(
            "core_pattern",
            {"/proc/sys/kernel/core_pattern": KernelFile(PROC, "/sys/kernel/core_pattern")},
            "core-pattern-write",
            ("/proc/sys/kernel/core_pattern",),
        ),
    ),
    Variant(
        "modprobe_path_writable",
        "critical",
        "The module loader's path is writable",
        _Helper(
            "the path of modprobe",
            {"/proc/sys/kernel/modprobe": KernelFile(PROC, "/sys/kernel/modprobe")},
            "modprobe-path-write",
            ("/proc/sys/kernel/modprobe",),
        ),
    ),
    Variant(
        "uevent_helper_writable",
        "critical",
        "The device event helper is writable",
        _Helper(
            "uevent_helper",
            {
                "/sys/kernel/uevent_helper": KernelFile(SYSFS, "/kernel/uevent_helper"),
                "/proc/sys/kernel/hotplug": KernelFile(PROC, "/sys/kernel/hotplug"),
            },
            "uevent-helper-write",
            ("/sys/kernel/uevent_helper", "/proc/sys/kernel/hotplug"),
        ),
    ),
    Variant(
        "binfmt_writable",
        "critical",
        "Program interpreters of the host are writable",
        _Helper(
            "binfmt_misc",
            {"/proc/sys/fs/binfmt_misc": KernelFile(BINFMT, "/register")},
            "binfmt-write",
            ("/proc/sys/fs/binfmt_misc/register",),
        ),
    ),
)


@family(_VARIANTS)
def helper_writable(host: Host, container: Container, *, variant: Variant) -> Outcome:
    helper: _Helper = variant.value
    there = {path: host.has(path) for path in helper.files}
    # What could not be looked for may be there.
    files = [
        file for path, file in helper.files.items() if isinstance(there[path], Unknown) or require(there[path])
    ]
    if not files:
        return passed(f"this kernel has no {helper.name}")
    way = opening(container, *files)
    return confirmed(
        container,
        Opened(helper.probe, helper.paths, way.places, way.writers),
        _by_state(container, way, tuple(there.values()), files, variant),
        gap=f"{helper.name} can be written",
        wall=f"{helper.name} is on a writable mount, but it cannot be opened for writing",
    )


def _by_state(
    container: Container,
    way: Opening,
    there: Sequence[Reading[bool]],
    files: Sequence[KernelFile],
    variant: Variant,
) -> Outcome:
    helper: _Helper = variant.value
    if not way.reachable:
        return passed(f"no writable mount inside shows {helper.name}{hint(container, ways_to(*files))}")
    evidence = mount_evidence(container, way.places, "a read-only mount")
    if not way.writers:
        return passed(
            f"{helper.name} is writable to the host's uid 0 only, as which nothing inside runs", evidence
        )
    if not any(isinstance(reading, Known) and reading.value for reading in there):
        for reading in there:
            require(reading)
    if way.places:
        by = f"{named(way.writers)}{unless(container)}"
        return fail(
            f"what the kernel runs as root can be set at {shown(way.places)} by {by}",
            evidence,
            severity=behind_profile(variant.severity, container),
        )
    return fail(
        f"{helper.name} is covered, but {named(way.writers)} can make a fresh mount, where it is not",
        way.undoing.evidence if way.undoing else (),
        basis=way.undoing.basis if way.undoing else Basis.OBSERVED,
        remediation="Take CAP_SYS_ADMIN away, or give it a user namespace of its own.",
    )
