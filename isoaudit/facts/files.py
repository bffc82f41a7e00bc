"""Files inside a container that matter to its walls: credentials, and programs that raise privileges.

Only names and what lstat(2) says of them: nothing inside is ever opened for its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel.capability import names
from isoaudit.model import Known

if TYPE_CHECKING:
    from isoaudit.facts.container import Process

SET_UID, SET_GID = "set-user-ID", "set-group-ID"
# include/uapi/linux/capability.h: VFS_CAP_REVISION_2 and _3; the words after it are permitted and inheritable,
# low halves first, then in revision 3 the uid that is root where the capabilities count.
_REVISIONS = {0x02000000: 20, 0x03000000: 24}
_REVISION_MASK = 0xFF000000


class Secret(NamedTuple):
    """A credential that lies in the container's file tree."""

    path: str  # inside
    kind: str  # "service-account", "kubelet", "cloud", "ssh", …


class PrivilegedFile(NamedTuple):
    """A program that gives whoever executes it more than it had; on a mount without nosuid."""

    path: str  # inside
    gives: str  # SET_UID, SET_GID, or names of capabilities: "CAP_NET_RAW, CAP_NET_ADMIN"
    id: int  # the user or group that it makes one, as the host counts; of capabilities, the root they need


def may_gain(process: Process) -> bool:
    """Whether executing such a program may give a process anything: no_new_privs is not known to be set."""
    status = process.status
    if not isinstance(status, Known):
        return True
    flag = status.value.no_new_privs
    return not (isinstance(flag, Known) and flag.value)


def parse_file_capabilities(raw: bytes) -> tuple[str, int]:
    """The capabilities in an extended attribute `security.capability`, and the uid of the root they need.

    Raises:
        ValueError: it is not of a revision that the kernel honours, or of another size than that one's.
    """
    revision = int.from_bytes(raw[:4], "little") & _REVISION_MASK
    if _REVISIONS.get(revision) != len(raw):
        raise ValueError(f"no file capabilities: {raw[:32].hex()}")
    permitted, inheritable, high, high_inheritable = (
        int.from_bytes(raw[at : at + 4], "little") for at in (4, 8, 12, 16)
    )
    root = int.from_bytes(raw[20:24], "little") if len(raw) == 24 else 0
    return ", ".join(names(permitted | inheritable | high << 32 | high_inheritable << 32)), root
