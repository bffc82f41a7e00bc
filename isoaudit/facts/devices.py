"""Device nodes, and the device policy of cgroups (cgroup-v1/devices.rst; admin-guide/devices.txt)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.facts.device_program import ProgramRules
    from isoaudit.model import Unknown

# Containers of one engine have one policy: it is parsed once for all of them.
_POLICIES = 256
_RULE = re.compile(r"([abc]) (\d+|\*):(\d+|\*) ([rwm]*)")
BLOCK, CHARACTER = "b", "c"
REQUESTS: tuple[str, ...] = ("r", "w", "rw", "m")


class DeviceNode(NamedTuple):
    """A device file inside a container. `kind` is "b" or "c"."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int  # permission bits
    uid: int  # as the reader sees it
    gid: int
    nodev: bool  # it lies on a mount where devices cannot be opened

    @property
    def number(self) -> str:
        """As the policy spells it: "c 10:200"."""
        return f"{self.kind} {self.major}:{self.minor}"


class DeviceRule(NamedTuple):
    """An entry of devices.list: what it allows; None is any number. Kind "a" is any device at all."""

    kind: str
    major: int | None
    minor: int | None
    access: str  # a subset of "rwm"

    def allows(self, kind: str, major: int, minor: int, access: str) -> bool:
        """Whether this rule alone grants all of that access."""
        return (
            self.kind in ("a", kind)
            and self.major in (None, major)
            and self.minor in (None, minor)
            and (access in self.access or set(access) <= set(self.access))
        )


@lru_cache(maxsize=_POLICIES)
def parse_devices_list(value: str) -> tuple[DeviceRule, ...]:
    """Parse devices.list. A cgroup that allows everything shows `a *:* rwm`.

    Raises:
        ValueError: a line is no rule.
    """
    rules = []
    for entry in value.splitlines():
        match = _RULE.fullmatch(entry.strip())
        if not match:
            raise ValueError(f"not a device rule: {entry[:80]!r}")
        kind, major, minor, access = match.groups()
        rules.append(
            DeviceRule(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access)
        )
    return tuple(rules)


class RuleList(NamedTuple):
    """What one devices.list allows; anything else is denied."""

    rules: tuple[DeviceRule, ...]

    def allows(self, kind: str, major: int, minor: int, request: str) -> bool:
        """Whether one rule grants all of a request, as the kernel demands ("r", "w", "rw", "m")."""
        return any(rule.allows(kind, major, minor, request) for rule in self.rules)

    @property
    def unrestricted(self) -> bool:
        """Whether any device may be opened for reading and writing."""
        for kind in (BLOCK, CHARACTER):
            if not any(
                rule.kind in ("a", kind)
                and rule.major is None
                and rule.minor is None
                and {"r", "w"} <= set(rule.access)
                for rule in self.rules
            ):
                return False
        return True

    @property
    def named(self) -> tuple[tuple[str, int, int], ...]:
        """A number of each rule that has a major one."""
        return tuple((r.kind, r.major, r.minor or 0) for r in self.rules if r.major is not None)


class DeviceProgram(NamedTuple):
    """A BPF program that decides about devices for the processes of a v2 cgroup and of those below it."""

    id: int  # of this boot, never given twice
    tag: str  # a hash of its instructions as they were loaded
    name: str  # "" where its loader gave none
    instructions: str  # hexadecimal: struct bpf_insn after struct bpf_insn, 8 bytes each, in our byte order
    cgroup: str  # the one that it is attached to


class DevicePolicy(NamedTuple):
    """What the device cgroups of a container allow: every level of `levels` must agree to a request.

    A level is the list of one v1 cgroup, the container's or an ancestor's, or one program on a v2 cgroup. None
    at all means that no policy is in force. Requests are what the kernel asks about in one go: to read, to
    write, both, or to make a node ("r", "w", "rw", "m").
    """

    levels: tuple[RuleList | ProgramRules, ...]
    source: str
    missing: Unknown | None = None  # a further level that could not be read, where those here deny something

    def allows(self, kind: str, major: int, minor: int, request: str) -> bool:
        """Whether one request for a device is let through.

        Raises:
            FactMissing: the levels that are known let it through, and there is one that is not known.
        """
        if not all(level.allows(kind, major, minor, request) for level in self.levels):
            return False
        if self.missing is not None:
            require(self.missing)
        return True

    def access(self, kind: str, major: int, minor: int) -> str:
        """All that is allowed for a device, in one request or several, as a subset of "rwm".

        Raises:
            FactMissing: as `allows`.
        """
        found = {request for request in REQUESTS if self.allows(kind, major, minor, request)}
        return "".join(one for one in "rwm" if any(one in request for request in found))

    @property
    def unrestricted(self) -> bool:
        """Whether any device may be opened for reading and writing: no level restricts."""
        return all(level.unrestricted for level in self.levels)


# What every engine puts into a container: harmless, as each is emulated or private to it
# (OCI runtime-spec config-linux.md, "Default Devices").
DEFAULT_NODES: frozenset[tuple[str, int, int]] = frozenset(
    {
        (CHARACTER, 1, 3),  # null
        (CHARACTER, 1, 5),  # zero
        (CHARACTER, 1, 7),  # full
        (CHARACTER, 1, 8),  # random
        (CHARACTER, 1, 9),  # urandom
        (CHARACTER, 5, 0),  # tty: the opener's own controlling terminal
        (CHARACTER, 5, 2),  # ptmx: of the devpts instance that it lies in
    }
)
_PTY_SLAVES = range(136, 144)  # UNIX98_PTY_SLAVE_MAJOR and the seven after it
LOOP_MAJOR = 7

# Character devices by number: (class, major, first minor, last minor). Misc minors are in
# include/linux/miscdevice.h, majors in include/uapi/linux/major.h and Documentation/admin-guide/devices.txt.
_CLASSES: tuple[tuple[str, int, int, int], ...] = (
    ("memory", 1, 1, 2),  # mem, kmem
    ("memory", 1, 4, 4),  # port
    ("kmsg", 1, 11, 11),
    ("console", 4, 0, 255),  # virtual consoles and serial lines
    ("console", 5, 1, 1),  # console
    ("console", 7, 0, 255),  # vcs: what stands on the screen
    ("block", 9, 0, 255),  # st: tapes
    ("rtc", 10, 135, 135),
    ("memory", 10, 144, 144),  # nvram
    ("tun", 10, 200, 200),
    ("input", 10, 223, 223),  # uinput
    ("fuse", 10, 229, 229),
    ("memory", 10, 231, 231),  # snapshot: the image that hibernation writes and resumes from
    ("kvm", 10, 232, 232),
    ("loop", 10, 237, 237),  # loop-control
    ("vhost", 10, 238, 238),  # vhost-net
    ("input", 10, 239, 239),  # uhid
    ("vhost", 10, 241, 241),  # vhost-vsock
    ("input", 13, 0, 1023),
    ("block", 21, 0, 255),  # sg: SCSI commands to a disk, past its block device
    ("block", 162, 0, 255),  # raw
    ("gpu", 195, 0, 255),  # nvidia
    ("memory", 202, 0, 0xFFFFF),  # cpu/N/msr: model-specific registers
    ("gpu", 226, 0, 255),  # drm
    ("console", 229, 0, 255),  # hvc: consoles of hypervisors
)
# By the driver's name in /proc/devices, for majors that are given out at boot.
_DRIVERS: dict[str, str] = {
    "accel": "gpu",
    "bsg": "block",  # SCSI commands
    "hidraw": "input",
    "kfd": "gpu",
    "nvidia-caps": "gpu",
    "nvidia-uvm": "gpu",
    "nvme": "block",  # NVMe commands
    "nvme-generic": "block",
    "ptp": "rtc",
    "rtc": "rtc",
    "ttyAMA": "console",
    "uio": "memory",  # a device's registers, and by DMA all memory
    "usbmon": "input",  # every transfer on a USB bus, keyboards' among them
}


def classify(kind: str, major: int, minor: int, names: Iterable[tuple[str, int, str]] = ()) -> str:
    """What a device number is for: the stem of the check that judges it.

    Args:
        kind: "b" or "c".
        major: its major number.
        minor: its minor number.
        names: the host's (kind, major, name) rows of /proc/devices, for majors that are given out at boot.

    Returns:
        "default" for what every container may have; "block", "loop", "memory", "kmsg", "kvm", "fuse", "tun",
        "vhost", "input", "console", "gpu", "rtc"; "other" for the rest.
    """
    if kind == BLOCK:
        return "loop" if major == LOOP_MAJOR else "block"
    if (kind, major, minor) in DEFAULT_NODES or major in _PTY_SLAVES:
        return "default"
    for name, its_major, first, last in _CLASSES:
        if major == its_major and first <= minor <= last:
            return name
    for its_kind, its_major, name in names:
        if its_kind == kind and its_major == major and name in _DRIVERS:
            return _DRIVERS[name]
    return "other"


def sample_numbers(names: Iterable[tuple[str, int, str]]) -> tuple[tuple[str, int, int], ...]:
    """One number of every class and driver: what to ask a policy about where no node says which.

    Args:
        names: the host's (kind, major, name) rows of /proc/devices.
    """
    samples = {(CHARACTER, major, first): None for _, major, first, _ in _CLASSES}
    for kind, major, name in names:
        if kind == BLOCK or name in _DRIVERS:
            samples[kind, major, 0] = None
    return tuple(samples)


def parse_proc_devices(raw: bytes) -> tuple[tuple[str, int, str], ...]:
    """Rows (kind, major, name) of /proc/devices."""
    rows = []
    kind = CHARACTER
    for entry in raw.decode("ascii", "replace").splitlines():
        if entry.startswith("Block"):
            kind = BLOCK
        number, _, name = entry.strip().partition(" ")
        if number.isdigit():
            rows.append((kind, int(number), name))
    return tuple(rows)
