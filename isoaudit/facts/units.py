"""Amounts in words."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def binary(amount: float) -> str:
    """Bytes with a binary prefix and three figures at most: 536870912 is "512 MiB"."""
    value = float(amount)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            # From 999.5 on, three figures would be written as 1e+03.
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError("the last unit ends the loop")


def count(number: int, noun: str) -> str:
    """A number and its noun: "1 process", "2 processes", "3 capabilities", "4 keys"."""
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
    if noun.endswith("y") and not noun.endswith(("ay", "ey", "oy", "uy")):
        plural = f"{noun[:-1]}ies"
    return f"{number} {plural}"
