"""A small eBPF interpreter that also says for which other inputs a program would have gone the same way.

It knows what programs consist of that only look at numbers: arithmetic, jumps, loads from a context of three
32-bit words, a stack (include/uapi/linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst). Calls,
maps and other memory it does not follow, and says so.

The first word is taken as it is; the other two are inputs. A value that is one of them, or differs from it by a
constant, moves in lockstep with it: comparing it with a constant splits the input's numbers into intervals, of
which the run has taken one. So a run covers not one pair of inputs but a box of them, for all of which the
program makes the same steps and gives the same result. Where a decision rests on an input in any other way (a
bit of it, both at once), the box shrinks to the number that was asked about. `partition` asks for what no box
covers yet until the boxes cover everything, which makes its answer exact.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from isoaudit.kernel.ebpf_numbers import ADD, AND, OPERATIONS, RELATIONS, SIGNED_OPERATIONS, SUB, signed

if TYPE_CHECKING:
    from isoaudit.kernel.ebpf_numbers import Relation

Span: TypeAlias = tuple[int, int]  # first and last

_INSTRUCTION = struct.Struct("=BBhi")
_WORDS, _WORD = 3, 4  # of the context
_STACK = 512  # bytes below r10 (MAX_BPF_STACK)
_REGISTERS = 12  # r0 to r10, and the one that blinding constants needs (BPF_REG_AX)
_FRAME = 10
_MOST_STEPS = 1 << 19  # of one partition
_MOST_BOXES = 1 << 13
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1

# Classes, in the three lowest bits, and what else a code is made of.
_LDX, _ST, _STX, _ALU, _JMP, _JMP32, _ALU64 = 1, 2, 3, 4, 5, 6, 7
_FROM_REGISTER = 0x08
_EXIT, _LD_IMM64, _NOSPEC = 0x95, 0x18, 0xC2
_NEG, _MOV, _END = 0x80, 0xB0, 0xD0
_JA = 0x00
_MEM, _MEMSX = 0x60, 0x80
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_NUMBER, _IN_CONTEXT, _IN_STACK = 0, 1, 2  # what a value is


class NotUnderstoodError(Exception):
    """The program does something that is not followed here; the message says what, and where."""


class Value(NamedTuple):
    """What stands in a register. `inputs` has the bit of each word that it depends on."""

    number: int  # of an address: the offset
    inputs: int = 0
    word: int = 0  # the input that it moves in lockstep with; 0: none
    above: int = 0  # by how much that may grow before it no longer does
    kind: int = _NUMBER


class Instruction(NamedTuple):
    """One instruction; one with 64 bits of immediate value takes two places."""

    code: int
    to: int
    source: int
    offset: int
    immediate: Value  # sign-extended to 64 bits


class Box(NamedTuple):
    """Inputs for which a program gives one result: a number of the first span with any of the second."""

    first: Span
    second: Span
    result: int


def decode(raw: bytes) -> tuple[Instruction, ...]:
    """The instructions of a program.

    Raises:
        NotUnderstoodError: it is none.
    """
    if len(raw) % _INSTRUCTION.size or not raw:
        raise NotUnderstoodError(f"{len(raw)} bytes are no program")
    program = []
    for code, registers, offset, immediate in _INSTRUCTION.iter_unpack(raw):
        high, low = registers >> 4, registers & 15
        to, source = (low, high) if sys.byteorder == "little" else (high, low)
        program.append(Instruction(code, to, source, offset, Value(immediate & _U64)))
    return tuple(program)


def partition(program: tuple[Instruction, ...], fixed: int, first: Span, second: Span) -> tuple[Box, ...]:
    """What a program answers to everything.

    Args:
        program: its instructions.
        fixed: the context's first word.
        first: the numbers that the second word can be.
        second: the numbers that the third word can be.

    Returns:
        Boxes that overlap nowhere and leave nothing out.

    Raises:
        NotUnderstoodError: it does what is not followed here, or too much.
    """
    steps = _MOST_STEPS
    boxes: list[Box] = []
    uncovered: list[tuple[Span, Span]] = [(first, second)]
    while uncovered:
        (left, right), (low, high) = uncovered.pop()
        run = _Run(program, (fixed, left, low), steps)
        result = run.result()
        steps = run.steps
        end, top = min(right, run.last[1]), min(high, run.last[2])
        boxes.append(Box((left, end), (low, top), result))
        if len(boxes) > _MOST_BOXES:
            raise NotUnderstoodError(f"it tells more than {_MOST_BOXES} cases apart")
        if end < right:
            uncovered.append(((end + 1, right), (low, high)))
        if top < high:
            uncovered.append(((left, end), (top + 1, high)))
    return tuple(boxes)


class _Run:
    """One run for one context."""

    def __init__(self, program: tuple[Instruction, ...], words: tuple[int, ...], steps: int) -> None:
        self._program = program
        self._words = words
        self.steps = steps  # how many are left
        self.last = [_U32] * _WORDS  # up to which number of each word the run would have been the same
        self._registers: list[Value | None] = [None] * _REGISTERS
        self._registers[1] = Value(0, kind=_IN_CONTEXT)
        self._registers[_FRAME] = Value(0, kind=_IN_STACK)
        self._stack: dict[int, tuple[int, Value]] = {}  # by offset: size and value
        self._next = 0

    def result(self) -> int:
        """What it returns, as the 32 bits that the kernel looks at."""
        program, end = self._program, len(self._program)
        while True:
            if not 0 <= self._next < end:
                raise NotUnderstoodError(f"it jumps out of the program, to {self._next}")
            if self.steps <= 0:
                raise NotUnderstoodError(f"it takes more than {_MOST_STEPS} steps for all there is to ask")
            self.steps -= 1
            one = program[self._next]
            self._next += 1
            if one.code == _EXIT:
                value = self._number(0)
                self._decided(value)
                return value.number & _U32
            kind = one.code & 7
            if kind in (_JMP, _JMP32):
                self._jump(one, wide=kind == _JMP)
            elif kind in (_ALU64, _ALU):
                self._set(one, self._arithmetic(one, one.code & 0xF0, wide=kind == _ALU64))
            elif kind == _LDX:
                self._set(one, self._load(one))
            elif kind in (_ST, _STX):
                self._store(one)
            elif one.code == _LD_IMM64:
                self._set(one, self._long(one))
            else:
                raise self._unfollowed(one)

    def _fault(self, what: str) -> NotUnderstoodError:
        return NotUnderstoodError(f"instruction {self._next - 1} {what}, which is not followed")

    def _unfollowed(self, one: Instruction) -> NotUnderstoodError:
        return self._fault("is a call" if one.code == 0x85 else f"has the code 0x{one.code:02x}")

    def _set(self, one: Instruction, value: Value) -> None:
        if one.to >= _REGISTERS or one.to == _FRAME:
            raise self._fault(f"writes to register {one.to}")
        self._registers[one.to] = value

    def _value(self, register: int) -> Value:
        value = self._registers[register] if register < _REGISTERS else None
        if value is None:
            raise self._fault(f"uses register {register}, which is empty")
        return value

    def _number(self, register: int) -> Value:
        value = self._value(register)
        if value.kind != _NUMBER:
            raise self._fault("takes an address for a number")
        return value

    def _operand(self, one: Instruction) -> Value:
        return self._number(one.source) if one.code & _FROM_REGISTER else one.immediate

    def _decided(self, value: Value) -> None:
        """The run has gone one way because of a value: that is certain for these very inputs alone."""
        for word in (1, 2):
            if value.inputs >> word & 1:
                self.last[word] = self._words[word]

    def _arithmetic(self, one: Instruction, operation: int, *, wide: bool) -> Value:
        if operation == _MOV:
            return self._moved(one, wide=wide)
        left = self._value(one.to)
        if left.kind != _NUMBER:
            return self._address(one, operation, left, wide=wide)
        if operation in (_NEG, _END):
            return self._unary(one, operation, left, wide=wide)
        right = self._operand(one)
        if not wide:
            left, right = low(left), low(right)
        most = _U64 if wide else _U32
        if left.word and not right.inputs:
            if operation in (ADD, SUB):
                number = (left.number + (right.number if operation == ADD else -right.number)) & most
                return left._replace(number=number, above=min(left.above, most - number))
            if operation == AND and right.number in (_U32, most):  # widening, as compilers spell it
                return left if right.number == most else low(left)
        function = (SIGNED_OPERATIONS if one.offset else OPERATIONS).get(operation)
        if function is None or one.offset not in (0, 1):
            raise self._unfollowed(one)
        number = function(left.number, right.number, 64 if wide else 32)
        return Value(number & most, left.inputs | right.inputs)

    def _moved(self, one: Instruction, *, wide: bool) -> Value:
        if wide and not one.offset and one.code & _FROM_REGISTER:
            return self._value(one.source)
        value = self._operand(one)
        if not one.offset:
            return value if wide else low(value)
        if one.offset not in (8, 16, 32):  # MOVSX
            raise self._unfollowed(one)
        return Value(signed(value.number, one.offset) & (_U64 if wide else _U32), value.inputs)

    def _address(self, one: Instruction, operation: int, address: Value, *, wide: bool) -> Value:
        """Addresses move by constants only."""
        step = self._operand(one)
        if not wide or operation not in (ADD, SUB) or step.inputs or one.offset:
            raise self._fault("calculates with an address")
        distance = signed(step.number, 64)
        return address._replace(number=address.number + (distance if operation == ADD else -distance))

    def _unary(self, one: Instruction, operation: int, value: Value, *, wide: bool) -> Value:
        if operation == _NEG:
            return Value(-value.number & (_U64 if wide else _U32), value.inputs)
        bits = one.immediate.number
        if bits not in (16, 32, 64):
            raise self._unfollowed(one)
        # Of the wider class it swaps in any case; else it makes the order that it names.
        swaps = wide or (sys.byteorder == "little") == bool(one.code & _FROM_REGISTER)
        raw = (value.number & ((1 << bits) - 1)).to_bytes(bits // 8, "little")
        return Value(int.from_bytes(raw, "big" if swaps else "little"), value.inputs)

    def _jump(self, one: Instruction, *, wide: bool) -> None:
        operation = one.code & 0xF0
        if operation == _JA:
            self._next += one.offset if wide else signed(one.immediate.number, 64)
            return
        relation = RELATIONS.get(operation)
        if relation is None:
            raise self._unfollowed(one)
        left, right = self._number(one.to), self._operand(one)
        if not wide:
            left, right = low(left), low(right)
        taken = relation.holds(left.number, right.number, 64 if wide else 32)
        if left.inputs or right.inputs:
            self._narrow(relation, left, right, taken=taken, bits=64 if wide else 32)
        if taken:
            self._next += one.offset

    def _narrow(self, relation: Relation, left: Value, right: Value, *, taken: bool, bits: int) -> None:
        """Keep only the inputs, from this one upwards, for which a comparison comes out the same."""
        moving = left if left.word and not right.inputs else right
        if not moving.word or (left.inputs and right.inputs) or not relation.ordered:
            self._decided(left)
            self._decided(right)
            return
        reach = relation.reach(left.number, right.number, bits, taken=taken, left_moves=moving is left)
        end = self._words[moving.word] + min(reach, moving.above)
        self.last[moving.word] = min(self.last[moving.word], end)

    def _load(self, one: Instruction) -> Value:
        mode, size = one.code & 0xE0, _SIZES[one.code & 0x18]
        base = self._value(one.source)
        if mode not in (_MEM, _MEMSX):
            raise self._unfollowed(one)
        if base.kind == _IN_CONTEXT:
            value = self._context(base.number + one.offset, size)
        else:
            kept, value = self._stack.get(base.number + one.offset, (0, base))
            if base.kind != _IN_STACK or kept != size:
                raise self._fault(f"reads {size} bytes that it did not write as one")
        if mode == _MEM:
            return value
        if value.kind != _NUMBER:
            raise self._fault("takes an address for a number")
        return Value(signed(value.number, size * 8) & _U64, value.inputs)

    def _context(self, offset: int, size: int) -> Value:
        word, within = divmod(offset, _WORD)
        if not 0 <= word < _WORDS or within + size > _WORD:
            raise self._fault(f"reads {size} bytes at {offset} of its context")
        number = self._words[word]
        if size < _WORD:
            shift = within if sys.byteorder == "little" else _WORD - size - within
            return Value(number >> shift * 8 & ((1 << size * 8) - 1), 1 << word if word else 0)
        return Value(number, 1 << word, word, _U32 - number) if word else Value(number)

    def _store(self, one: Instruction) -> None:
        if one.code == _NOSPEC:
            return
        size, base = _SIZES[one.code & 0x18], self._value(one.to)
        offset = base.number + one.offset
        if one.code & 0xE0 != _MEM or base.kind != _IN_STACK or not -_STACK <= offset <= -size:
            raise self._fault("writes to memory other than its stack, or in another way than plainly")
        value = one.immediate if one.code & 7 == _ST else self._value(one.source)
        if size < 8:
            if value.kind != _NUMBER:
                raise self._fault("takes an address for a number")
            value = low(value) if size == 4 else Value(value.number & ((1 << size * 8) - 1), value.inputs)
        for other, (kept, _) in tuple(self._stack.items()):
            if other < offset + size and offset < other + kept:
                del self._stack[other]
        self._stack[offset] = (size, value)

    def _long(self, one: Instruction) -> Value:
        """A number of 64 bits; with a source register set it is the address of a map or a variable."""
        if one.source or self._next >= len(self._program):
            raise self._fault("takes the address of a map")
        second = self._program[self._next]
        self._next += 1
        return Value(one.immediate.number & _U32 | (second.immediate.number & _U32) << 32)


def low(value: Value) -> Value:
    """The low 32 bits; what moves in lockstep goes on doing so until they overflow."""
    number = value.number & _U32
    if not value.word:
        return value if number == value.number else Value(number, value.inputs)
    return value._replace(number=number, above=min(value.above, _U32 - number))
