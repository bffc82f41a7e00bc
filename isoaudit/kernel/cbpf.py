"""Classic BPF as seccomp runs it: what a filter answers to system calls whose arguments are not all known.

seccomp_check_filter() and seccomp_run_filters() in kernel/seccomp.c, bpf_check_classic() in net/core/filter.c.
A program only jumps forward, so that one pass over it, instruction by instruction, follows all its paths for
all numbers at once: what differs between paths is kept apart, what has become alike is merged again.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALLOW, LOG, TRACE, USER_NOTIF = 0x7FFF0000, 0x7FFC0000, 0x7FF00000, 0x7FC00000
ERRNO, TRAP, KILL_THREAD, KILL_PROCESS = 0x00050000, 0x00030000, 0x00000000, 0x80000000
ACTION, DATA = 0xFFFF0000, 0x0000FFFF
MOST_INSTRUCTIONS = 4096

_WORD = 0xFFFFFFFF
_DATA_SIZE = 64  # struct seccomp_data: number, architecture, instruction pointer, six arguments
_SLOTS = 16
# In place of a 32-bit value: anything; the number of the system call.
_ANY, _NUMBER = -1, -2
# A profile of an engine takes one step an instruction; only a program made to be slow takes ten.
_MOST_STEPS = 60_000

_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_IMM, _ABS, _MEM, _LEN = 0x00, 0x20, 0x60, 0x80
_JA, _JEQ, _JGT, _JGE, _JSET = 0x00, 0x10, 0x20, 0x30, 0x40
_X, _A = 0x08, 0x10
_TXA = 0x80
_ADD, _SUB, _MUL, _DIV, _OR, _AND, _LSH, _RSH, _NEG, _XOR = (*range(0x00, 0x90, 0x10), 0xA0)
_OPERATIONS = (_ADD, _SUB, _MUL, _DIV, _OR, _AND, _LSH, _RSH, _XOR)
_JUMPS = (_JEQ, _JGT, _JGE, _JSET)
# What seccomp admits, by its whole code.
_ADMITTED = frozenset(
    {_RET, _RET | _A, _ALU | _NEG, _MISC, _MISC | _TXA, _JMP | _JA, _ST, _STX}
    | {_LD | _ABS, _LD | _LEN, _LDX | _LEN, _LD | _IMM, _LDX | _IMM, _LD | _MEM, _LDX | _MEM}
    | {_ALU | operation | source for operation in _OPERATIONS for source in (0, _X)}
    | {_JMP | jump | source for jump in _JUMPS for source in (0, _X)}
)


class ProgramError(ValueError):
    """Not a program that the kernel would run, or one that cannot be followed in bearable time."""


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    if_true: int
    if_false: int
    operand: int


class _State(NamedTuple):
    """The registers and the memory on some paths."""

    accumulator: int
    x: int  # the index register
    memory: tuple[tuple[int, int], ...]  # (slot, value), by slot


_START = _State(0, 0, ())


def decode(raw: bytes) -> tuple[Instruction, ...]:
    """The instructions of a program, checked as the kernel checks them.

    Args:
        raw: struct sock_filter after struct sock_filter, little-endian.

    Raises:
        ProgramError: the kernel would not have taken it.
    """
    if not raw or len(raw) % 8 or len(raw) > 8 * MOST_INSTRUCTIONS:
        raise ProgramError(f"{len(raw)} bytes are no filter: it has 1 to {MOST_INSTRUCTIONS} times 8")
    program = tuple(Instruction(*fields) for fields in struct.iter_unpack("<HBBI", raw))
    for at, one in enumerate(program):
        _check(one, at, len(program))
    if program[-1].code & 7 != _RET:
        raise ProgramError("its last instruction does not return")
    return program


def _check(one: Instruction, at: int, length: int) -> None:
    code, operand = one.code, one.operand
    kind = code & 7
    # The kernel takes the two stores by class, and loads of a word by the whole code.
    bad = code not in _ADMITTED
    if code == _LD | _ABS:
        bad = operand >= _DATA_SIZE or operand % 4 != 0
    elif code in (_LD | _MEM, _LDX | _MEM, _ST, _STX):
        bad = operand >= _SLOTS
    elif code == _ALU | _DIV:
        bad = operand == 0
    elif code in (_ALU | _LSH, _ALU | _RSH):
        bad = operand >= 32
    elif code == _JMP | _JA:
        bad = at + 1 + operand >= length
    elif kind == _JMP and not bad:
        bad = at + 1 + max(one.if_true, one.if_false) >= length
    if bad:
        raise ProgramError(f"instruction {at} is none that seccomp admits: {tuple(one)}")


def run(
    program: Sequence[Instruction],
    architecture: int,
    numbers: Sequence[int],
    words: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """What a filter may return for each of some system calls.

    Args:
        program: as `decode` gives it.
        architecture: AUDIT_ARCH_*.
        numbers: of the system calls, each once, rising.
        words: what is known of the arguments: the 32 bits at each offset of struct seccomp_data (`words_of`).

    Returns:
        By value returned, the set of numbers for which some path returns it: bit n stands for `numbers[n]`.
        More values than one for a number is "by its arguments". A path that no arguments take, because it asks
        two things of one argument that exclude each other, counts as well.

    Raises:
        ProgramError: it reads memory that it never wrote, returns what it worked out from an argument, or takes
            too many different paths.
    """
    machine = _Machine(architecture, tuple(numbers), words or {})
    machine.follow(program)
    return machine.returned


def words_of(arguments: Mapping[int, int]) -> dict[int, int]:
    """Arguments by index, 64 bits each, as the words of struct seccomp_data by offset."""
    words = {}
    for index, value in arguments.items():
        words[16 + 8 * index] = value & _WORD
        words[20 + 8 * index] = value >> 32 & _WORD
    return words


class _Machine:
    """One pass over a program. `pending` holds, by instruction, the states that reach it, for which numbers."""

    def __init__(self, architecture: int, numbers: tuple[int, ...], words: Mapping[int, int]) -> None:
        self.numbers = numbers
        self.words = {**words, 4: architecture}
        self.words[0] = numbers[0] if len(numbers) == 1 else _NUMBER
        self.returned: dict[int, int] = {}
        self.pending: dict[int, dict[_State, int]] = {0: {_START: (1 << len(numbers)) - 1}}

    def follow(self, program: Sequence[Instruction]) -> None:
        steps = 0
        for at, one in enumerate(program):
            states = self.pending.pop(at, None)
            if not states:
                continue
            # It may grow: a state is taken apart by number where an instruction needs the number itself.
            todo = list(states.items())
            while todo:
                steps += 1
                if steps > _MOST_STEPS:
                    raise ProgramError("it takes too many different paths to be followed")
                state, which = todo.pop()
                kind = one.code & 7
                if kind == _RET:
                    apart = self._return(one, state, which)
                elif kind == _JMP:
                    apart = self._jump(one, at, state, which)
                else:
                    if one.code == _ALU | _DIV | _X and state.x in (0, _ANY):
                        # Division by zero ends the program, as if it returned 0.
                        self.returned[KILL_THREAD] = self.returned.get(KILL_THREAD, 0) | which
                        if state.x == 0:
                            continue
                    after = self._step(one, state)
                    apart = after is None
                    if after is not None:
                        self._arrive(at + 1, after, which)
                if apart:
                    todo += self._apart(state, which)

    def _arrive(self, at: int, state: _State, which: int) -> None:
        if which:
            states = self.pending.setdefault(at, {})
            states[state] = states.get(state, 0) | which

    def _apart(self, state: _State, which: int) -> list[tuple[_State, int]]:
        """A state once for every number, with the number in it."""
        found = []
        for position, number in enumerate(self.numbers):
            if which >> position & 1:
                value = [number if one == _NUMBER else one for one in state[:2]]
                memory = tuple((slot, number if one == _NUMBER else one) for slot, one in state.memory)
                found.append((_State(value[0], value[1], memory), 1 << position))
        return found

    def _return(self, one: Instruction, state: _State, which: int) -> bool:
        value = state.accumulator if one.code & _A else one.operand
        if value == _NUMBER:
            return True
        if value == _ANY:
            raise ProgramError("it returns what it works out from an argument")
        self.returned[value] = self.returned.get(value, 0) | which
        return False

    def _jump(self, one: Instruction, at: int, state: _State, which: int) -> bool:
        kind = one.code & 0xF0
        if kind == _JA:
            self._arrive(at + 1 + one.operand, state, which)
            return False
        operand = state.x if one.code & _X else one.operand
        taken = self._holding(kind, state.accumulator, operand)
        if taken is None:
            return True
        yes, no = taken
        self._arrive(at + 1 + one.if_true, state, which & yes)
        self._arrive(at + 1 + one.if_false, state, which & no)
        return False

    def _holding(self, kind: int, value: int, operand: int) -> tuple[int, int] | None:
        """For which numbers a comparison may hold and for which it may not; None where each must be asked."""
        every = (1 << len(self.numbers)) - 1
        if value >= 0 and operand >= 0:
            return (every, 0) if _compare(kind, value, operand) else (0, every)
        if value == _NUMBER and operand >= 0 and kind != _JSET:
            if kind == _JEQ:
                position = bisect_left(self.numbers, operand)
                found = position < len(self.numbers) and self.numbers[position] == operand
                yes = 1 << position if found else 0
            else:
                bisect = bisect_left if kind == _JGE else bisect_right
                position = bisect(self.numbers, operand)
                yes = every >> position << position
            return yes, every & ~yes
        if _NUMBER in (value, operand) and _ANY not in (value, operand):
            return None
        # Nothing is above the highest word, everything at or above 0, and no bit is in 0.
        if value == _ANY and operand in (0, _WORD):
            if kind == _JGE and operand == 0:
                return every, 0
            if (kind == _JSET and operand == 0) or (kind == _JGT and operand == _WORD):
                return 0, every
        return every, every

    def _step(self, one: Instruction, state: _State) -> _State | None:
        """The state after a load, store or operation; None where each number must be asked."""
        code, operand = one.code, one.operand
        accumulator, index, memory = state
        kind = code & 7
        if kind == _ALU:
            source = index if code & _X else operand
            if (code & 0xF0) == _NEG:
                source = 0
            if _NUMBER in (accumulator, source):
                return None
            return _State(_operate(code & 0xF0, accumulator, source), index, memory)
        if kind == _MISC:
            return _State(index, index, memory) if code & _TXA else _State(accumulator, accumulator, memory)
        if kind in (_ST, _STX):
            slots = dict(memory)
            slots[operand] = accumulator if kind == _ST else index
            return _State(accumulator, index, tuple(sorted(slots.items())))
        value = self._loaded(code & 0xE0, operand, memory)
        return _State(value, index, memory) if kind == _LD else _State(accumulator, value, memory)

    def _loaded(self, mode: int, operand: int, memory: tuple[tuple[int, int], ...]) -> int:
        if mode == _ABS:
            return self.words.get(operand, _ANY)
        if mode == _LEN:
            return _DATA_SIZE
        if mode == _IMM:
            return operand
        for slot, value in memory:
            if slot == operand:
                return value
        raise ProgramError("it reads memory that it never wrote")


def _compare(kind: int, value: int, operand: int) -> bool:
    if kind == _JEQ:
        return value == operand
    if kind == _JGT:
        return value > operand
    if kind == _JGE:
        return value >= operand
    return bool(value & operand)


def _operate(operation: int, value: int, operand: int) -> int:
    if _ANY in (value, operand):
        return 0 if operation in (_AND, _MUL) and 0 in (value, operand) else _ANY
    results = {
        _ADD: value + operand,
        _SUB: value - operand,
        _MUL: value * operand,
        _DIV: value // (operand or 1),  # `follow` ends a division by 0
        _OR: value | operand,
        _AND: value & operand,
        _LSH: value << (operand & 31),
        _RSH: value >> (operand & 31),
        _NEG: -value,
        _XOR: value ^ operand,
    }
    return results[operation] & _WORD
