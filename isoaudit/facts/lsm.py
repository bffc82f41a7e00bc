"""Labels of processes (/proc/PID/attr/current): AppArmor's, SELinux's and Smack's."""

from __future__ import annotations

from typing import NamedTuple

# The security modules that confine by a policy of their own. landlock, yama, lockdown, bpf, integrity and
# capability do not take the place of one: they are opt-in, or judge single system calls.
MAJOR = frozenset({"apparmor", "selinux", "smack", "tomoyo"})

APPARMOR, SELINUX, SMACK = "AppArmor", "SELinux", "Smack"

# Domains that policies let do anything; spc_t, "super-privileged container", is what engines use for
# --privileged and label=disable (container-selinux).
_UNCONFINED_TYPES = frozenset({"unconfined_t", "unconfined_service_t", "spc_t", "initrc_t", "kernel_t"})


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
