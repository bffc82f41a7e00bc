"""Names and numbers of system calls, by architecture (data/syscalls.json)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from isoaudit.resources import data

if TYPE_CHECKING:
    from collections.abc import Mapping

# include/uapi/linux/audit.h: what a filter sees in seccomp_data.arch. x32 is x86_64's with a bit in the number.
AUDIT: Mapping[str, int] = {
    "x86_64": 0xC000003E,
    "i386": 0x40000003,
    "x32": 0xC000003E,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
    "riscv64": 0xC00000F3,
}
X32_BIT = 0x40000000
# The other tables by which a process can call a kernel of each architecture.
COMPATIBLE: Mapping[str, tuple[str, ...]] = {"x86_64": ("i386", "x32"), "aarch64": ("arm",), "riscv64": ()}


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Mapping[str, int]]:
    with open(data("syscalls.json"), encoding="utf-8") as file:
        tables: dict[str, dict[str, int]] = json.load(file)["tables"]
    tables["x32"] = {name: number | X32_BIT for name, number in tables["x32"].items()}
    return tables


def table(architecture: str) -> Mapping[str, int]:
    """The number of every call as a filter sees it, by name, the lowest first.

    Raises:
        KeyError: no such architecture here; `AUDIT` has those that are.
    """
    return _tables()[architecture]


def newest() -> int:
    """The highest number that a kernel we know has: from 424 on a new call has one number everywhere."""
    return max(table("riscv64").values())


def exists(name: str) -> bool:
    """Whether any architecture has a call of that name."""
    return any(name in one for one in _tables().values())
