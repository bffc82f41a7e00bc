"""Ways around a seccomp filter by the numbers of another architecture that the same kernel takes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.dangerous_calls import ALL, open_calls
from isoaudit.facts.seccomp_programs import allowed_calls, programs_answer, supervised_calls
from isoaudit.kernel import calls

if TYPE_CHECKING:
    from collections.abc import Mapping

# Families of which profiles keep containers, by number (include/linux/socket.h).
_FAMILIES: Mapping[int, str] = {
    16: "AF_NETLINK",
    17: "AF_PACKET",
    21: "AF_RDS",
    29: "AF_CAN",
    30: "AF_TIPC",
    31: "AF_BLUETOOTH",
    38: "AF_ALG",
    40: "AF_VSOCK",
    44: "AF_XDP",
}
_IPC = ("semget", "shmget", "msgget")


class Bypass(NamedTuple):
    """What one table lets through and the kernel's own does not."""

    architecture: str
    dangerous: tuple[str, ...]  # of `dangerous_calls.GROUPS`
    multiplexed: tuple[str, ...]  # "socketcall (AF_VSOCK)": calls that stand for several, with what they give
    others: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """All of them, the worst first."""
        return (*self.dangerous, *self.multiplexed, *self.others)


@lru_cache(maxsize=256)
def bypasses(stacked: tuple[str, ...], architectures: tuple[str, ...]) -> tuple[Bypass, ...]:
    """The ways around a stack of programs, a table each.

    Args:
        stacked: the programs.
        architectures: by which the kernel can be called, its own first.

    Raises:
        FactMissing: a program cannot be followed, or asks a supervisor about sockets.
    """
    native, *others = architectures
    found = []
    for other in others:
        common = calls.table(native).keys() & calls.table(other).keys()
        dangerous = (open_calls(stacked, other) - open_calls(stacked, native)) & common
        allowed = allowed_calls(stacked, other)[0] - allowed_calls(stacked, native)[0]
        # What a supervisor may refuse by the one table is not refused.
        supervised = supervised_calls(stacked, native)
        bypass = Bypass(
            other,
            tuple(sorted(dangerous - supervised)),
            tuple(_multiplexed(stacked, native, other)),
            tuple(sorted((allowed & common) - supervised - ALL)),
        )
        if bypass.named:
            found.append(bypass)
    return tuple(found)


def _multiplexed(stacked: tuple[str, ...], native: str, other: str) -> list[str]:
    found = []
    if programs_answer(stacked, other, "socketcall").allowed:
        families = [
            name
            for number, name in _FAMILIES.items()
            if not programs_answer(stacked, native, "socket", ((0, number),)).allowed
        ]
        if families:
            found.append(f"socketcall ({', '.join(families)})")
    if programs_answer(stacked, other, "ipc").allowed:
        denied = [name for name in _IPC if not programs_answer(stacked, native, name).allowed]
        if denied:
            found.append(f"ipc ({', '.join(denied)})")
    return found
