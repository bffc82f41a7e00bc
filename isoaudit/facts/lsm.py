"""Labels of processes (/proc/PID/attr/current): AppArmor's, SELinux's and Smack's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.text import text
from isoaudit.model import Known

if TYPE_CHECKING:
    from isoaudit.model import Reading

# The security modules that confine by a policy of their own. landlock, yama, lockdown, bpf, integrity and
# capability do not take the place of one: they are opt-in, or judge single system calls.
MAJOR = frozenset({"apparmor", "selinux", "smack", "tomoyo"})

APPARMOR, SELINUX, SMACK = "AppArmor", "SELinux", "Smack"

# Where a process's label stands, below /proc/PID.
LABEL_FILE = "attr/current"

# Domains that policies let do anything; spc_t, "super-privileged container", is what engines use for
# --privileged and label=disable (container-selinux), and container_runtime_t is their own.
_UNCONFINED_TYPES = frozenset(
    {
        "container_runtime_t",
        "init_t",
        "initrc_t",
        "kernel_t",
        "spc_t",
        "unconfined_service_t",
        "unconfined_t",
    }
)
# How much a mode of AppArmor's forbids, from nothing on; "user" asks a daemon, "kill" ends whoever tries.
_MODES = {"unconfined": 0, "complain": 1, "user": 2, "enforce": 2, "kill": 2}


class Label(NamedTuple):
    """A label by its parts; "" is "this module has no such part"."""

    module: str
    name: str  # AppArmor's profile, SELinux's type, Smack's label
    mode: str = ""  # AppArmor: "enforce", "complain", "kill", "mixed", "unconfined"
    level: str = ""  # SELinux: the MLS level with its MCS categories, "s0:c12,c345"

    @property
    def unconfined(self) -> bool:
        """Whether the module lets the process do whatever the rest of the kernel lets it."""
        if self.module == APPARMOR:
            return self.mode == "unconfined"
        if self.module == SELINUX:
            return self.name in _UNCONFINED_TYPES
        return self.name == "_"  # Smack's floor: what the system's own processes have

    @property
    def strength(self) -> int:
        """How much it confines, to compare labels of one module: 0 is not at all, 1 complains, 2 forbids."""
        if self.unconfined:
            return 0
        return 1 if self.mode == "complain" else 2

    @property
    def profiles(self) -> tuple[str, ...]:
        """AppArmor's profiles that are stacked on it: only what all of them allow is allowed."""
        return tuple(self.name.split("//&"))


def parse_profiles(raw: bytes) -> dict[str, str]:
    """AppArmor's loaded profiles and their modes (/sys/kernel/security/apparmor/profiles).

    Raises:
        ValueError: a line has no mode.
    """
    profiles = {}
    for entry in text(raw).splitlines():
        name, separator, mode = entry.rpartition(" (")
        if not separator or not mode.endswith(")"):
            raise ValueError(f"no mode in {entry[:80]!r}")
        profiles[name] = mode[:-1]
    return profiles


def label_file(modules: Reading[tuple[str, ...]]) -> str:
    """Which file to read labels from: beside another module, attr/current need not be AppArmor's.

    Args:
        modules: the host's, from /sys/kernel/security/lsm.
    """
    labelling = MAJOR.intersection(modules.value) if isinstance(modules, Known) else ()
    return "attr/apparmor/current" if len(labelling) > 1 and "apparmor" in labelling else LABEL_FILE


def parse_label(label: str) -> Label | None:
    """Parse a label; None for the empty one of a kernel where no module labels processes."""
    if not label:
        return None
    if label == "unconfined":
        return Label(APPARMOR, label, label)
    if label.endswith(")") and " (" in label:
        profile, _, mode = label[:-1].rpartition(" (")
        return Label(APPARMOR, profile, mode)
    fields = label.split(":", 3)
    if len(fields) >= 3:
        return Label(SELINUX, fields[2], level=fields[3] if len(fields) == 4 else "")
    return Label(SMACK, label)
