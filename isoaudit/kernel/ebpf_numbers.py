"""The arithmetic and the comparisons of eBPF (Documentation/bpf/standardization/instruction-set.rst)."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ADD, SUB, AND = 0x00, 0x10, 0x50


def signed(number: int, bits: int) -> int:
    """The lowest bits of a number as two's complement."""
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> bits - 1 else number


class Relation(NamedTuple):
    """A comparison that a conditional jump makes."""

    test: Callable[[int, int], bool]
    signed: bool = False
    ordered: bool = True  # it is true, or false, for intervals

    def holds(self, left: int, right: int, bits: int) -> bool:
        """Whether it is true of two unsigned numbers of so many bits."""
        if self.signed:
            return self.test(signed(left, bits), signed(right, bits))
        return self.test(left, right)

    def reach(self, left: int, right: int, bits: int, *, taken: bool, left_moves: bool) -> int:
        """By how much one of the two may grow before the relation changes, or that number's range ends."""
        if self.signed:
            left, right = signed(left, bits), signed(right, bits)
        number, other = (left, right) if left_moves else (right, left)
        top = (1 << bits - 1) - 1 if self.signed else (1 << bits) - 1

        def same(candidate: int) -> bool:
            pair = (candidate, other) if left_moves else (other, candidate)
            return self.test(*pair) == taken

        # It can change at the other number and just after it, and nowhere else.
        for candidate in (other, other + 1):
            if number < candidate <= top and not same(candidate):
                return candidate - 1 - number
        return top - number


RELATIONS: Mapping[int, Relation] = {
    0x10: Relation(operator.eq),
    0x20: Relation(operator.gt),
    0x30: Relation(operator.ge),
    0x40: Relation(lambda left, right: bool(left & right), ordered=False),
    0x50: Relation(operator.ne),
    0x60: Relation(operator.gt, signed=True),
    0x70: Relation(operator.ge, signed=True),
    0xA0: Relation(operator.lt),
    0xB0: Relation(operator.le),
    0xC0: Relation(operator.lt, signed=True),
    0xD0: Relation(operator.le, signed=True),
}


def _divide(left: int, right: int) -> int:
    """Towards zero; by zero it is zero."""
    quotient = abs(left) // abs(right) if right else 0
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    """Of the dividend's sign; by zero it is the dividend."""
    return left - right * _divide(left, right)


OPERATIONS: Mapping[int, Callable[[int, int, int], int]] = {
    ADD: lambda left, right, _: left + right,
    SUB: lambda left, right, _: left - right,
    0x20: lambda left, right, _: left * right,
    0x30: lambda left, right, _: _divide(left, right),
    0x40: lambda left, right, _: left | right,
    AND: lambda left, right, _: left & right,
    0x60: lambda left, right, bits: left << (right & bits - 1),
    0x70: lambda left, right, bits: left >> (right & bits - 1),
    0x90: lambda left, right, _: _remainder(left, right),
    0xA0: lambda left, right, _: left ^ right,
    0xC0: lambda left, right, bits: signed(left, bits) >> (right & bits - 1),
}
SIGNED_OPERATIONS: Mapping[int, Callable[[int, int, int], int]] = {
    0x30: lambda left, right, bits: _divide(signed(left, bits), signed(right, bits)),
    0x90: lambda left, right, bits: _remainder(signed(left, bits), signed(right, bits)),
}
