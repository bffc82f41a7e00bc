"""How a wall stands for the reader: what every renderer of the matrix of walls agrees on."""

from __future__ import annotations

_CLOSED = frozenset({"isolated", "limited", "filtered", "default", "set", "confined"})
_OPEN = frozenset({"shared", "unlimited", "beyond-default", "unset", "unconfined"})
_MINOR = frozenset({"namespace-time", "namespace-cgroup", "namespace-uts", "namespace-user", "mounts"})


def tone(wall: str, word: str) -> str:
    """How a wall stands: "ok", "weak" (open, usually of low severity), "open" or "unseen".

    Args:
        wall: its name, as in the report's `walls`.
        word: what the report says of it.
    """
    if word in _CLOSED or (wall == "capabilities" and word == "none"):
        return "ok"
    if word in ("read-only", "connected"):
        return "weak"
    if word in _OPEN or word == "none":
        return "weak" if wall in _MINOR else "open"
    return "unseen"
