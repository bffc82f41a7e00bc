"""What a test container saw, told beside what the host saw at the same time. Pure."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from isoaudit.facts.probe import ProbeAnswer
from isoaudit.probes.declared.clocks import CLOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isoaudit.probes.twin import Recipe

# Of the kernel's own function none refuses for want of a right: these say "unknown", or what is wrong with it.
_HONEST = (0, errno.ENOSYS, errno.EINVAL, errno.EFAULT, errno.EBADF, errno.ENOENT)


def answer_of(error: int) -> str:
    """An answer as strace would show it."""
    return errno.errorcode.get(error, str(error)) if error else "0"


def _clocks(_: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    """A reading that lies between two of the host's is the same clock's, to within the time between them."""
    if "before" not in heard or "after" not in heard:
        return "the host's clocks were not read beside its own"
    told = []
    offsets = []
    for name, before, seen, after in zip(CLOCKS, heard["before"], heard["clocks"], heard["after"], strict=True):
        offset = 0 if before <= seen <= after else seen - (before + after) // 2
        offsets.append(offset)
        told.append(f"{name} {'the host' if not offset else f'{offset / 1e9:+.6f} s from the host'}'s")
    within = (heard["after"][1] - heard["before"][1]) // 1_000_000 + 1
    shown = f"{', '.join(told)}, within {within} ms"
    return ProbeAnswer(offsets[0] == 0, heard["call"], shown, offsets[1] / 1e9)


def _pid_map(_: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    pids = heard.get("ns_pids")
    if not pids:
        return "the kernel does not show the pids of inner namespaces (NSpid, Linux 4.1)"
    inside = heard["inside"]
    if pids[-1] != inside:
        return f"its pid inside, {inside}, is not the last of NSpid {pids}"
    # Which numbers they are differs from run to run, and does not matter.
    shown = "the same number outside" if inside == pids[0] else f"another number outside, {len(pids)} in NSpid"
    return ProbeAnswer(inside == pids[0], heard["call"], shown)


def _newer(recipe: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    doubt = recipe.doubt("newer-calls")
    if doubt:
        return f"it lacks the container's {doubt}, which may refuse what it may call"
    misled = {name: error for name, error in heard["answers"].items() if error not in _HONEST}
    shown = misled or heard["answers"]
    return ProbeAnswer(
        bool(misled), heard["call"], ", ".join(f"{name}: {answer_of(error)}" for name, error in shown.items())
    )


VIEWS: Mapping[str, Callable[[Recipe, Mapping[str, Any]], ProbeAnswer | str]] = {
    "clock-shared": _clocks,
    "namespace-pid-map": _pid_map,
    "newer-calls": _newer,
}
