"""What stacks of seccomp programs answer to system calls; remembered, as most containers have the same ones.

A program is hexadecimal: struct sock_filter after struct sock_filter, little-endian. A stack's newest is first.
"""

from __future__ import annotations

import errno
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.kernel import calls, cbpf
from isoaudit.model import FactMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PASSING = frozenset({cbpf.ALLOW, cbpf.LOG, cbpf.TRACE})


class Answer(NamedTuple):
    """What a system call gets."""

    allowed: bool  # for some arguments at least
    conditional: bool  # allowed or not by arguments that were not given, or by a tracer
    error: int  # errno of a refusal; 0 where it is allowed, killed or trapped
    action: str  # in words, for evidence: "ALLOW", "ERRNO(EPERM)", "ALLOW or ERRNO(EPERM), by its arguments"


@lru_cache(maxsize=4096)
def programs_answer(
    stacked: tuple[str, ...],
    architecture: str,
    call: str,
    arguments: tuple[tuple[int, int], ...] | None = None,
) -> Answer:
    """What a stack of programs answers to a call.

    Raises:
        FactMissing: a program cannot be followed, or asks a supervisor.
        ValueError: no architecture has such a call.
    """
    number = calls.table(architecture).get(call)
    if number is None:
        if not calls.exists(call):
            raise ValueError(f"no architecture has a system call {call!r}")
        return Answer(False, False, errno.ENOSYS, f"{architecture} has no such call")
    values = every_value(stacked, architecture)[number]
    # What does not depend on arguments needs none.
    if arguments and len(values) > 1:
        words, audit = cbpf.words_of(dict(arguments)), calls.AUDIT[architecture]
        values = _values([list(cbpf.run(_decoded(one), audit, (number,), words)) for one in stacked])
    return _answer(values)


@lru_cache(maxsize=256)
def new_number_answer(stacked: tuple[str, ...], architecture: str) -> Answer:
    """What a stack of programs answers to numbers that no kernel has yet: the strictest of some.

    Raises:
        FactMissing: a program cannot be followed, or asks a supervisor.
    """
    values = every_value(stacked, architecture)
    answers = [_answer(values[number]) for number in _new_numbers(architecture)]
    return min(answers, key=lambda one: (one.allowed, one.error == errno.ENOSYS))


def _new_numbers(architecture: str) -> tuple[int, ...]:
    bit = calls.X32_BIT if architecture == "x32" else 0
    return tuple(bit | number for number in (*range(calls.newest() + 1, calls.newest() + 33), 600))


@lru_cache(maxsize=16)
def numbers_of(architecture: str) -> tuple[int, ...]:
    """The numbers that are evaluated: all known ones, and some that no kernel has yet; rising."""
    return tuple(sorted({*calls.table(architecture).values(), *_new_numbers(architecture)}))


def every_value(stacked: tuple[str, ...], architecture: str) -> Mapping[int, tuple[int, ...]]:
    """The values that a stack may return, by number.

    Raises:
        FactMissing: a program cannot be followed.
    """
    found = _every_value(stacked, architecture)
    if isinstance(found, str):
        raise FactMissing("seccomp filter", f"its program cannot be followed: {found}")
    return found


@lru_cache(maxsize=256)
def _every_value(stacked: tuple[str, ...], architecture: str) -> Mapping[int, tuple[int, ...]] | str:
    # A failure is remembered too: a program that takes long to fail must not do so for every check.
    numbers = numbers_of(architecture)
    try:
        by_program = [cbpf.run(_decoded(one), calls.AUDIT[architecture], numbers) for one in stacked]
    except cbpf.ProgramError as error:
        return str(error)
    return {
        number: _values(
            [[value for value, which in returned.items() if which >> position & 1] for returned in by_program]
        )
        for position, number in enumerate(numbers)
    }


@lru_cache(maxsize=256)
def _decoded(program: str) -> tuple[cbpf.Instruction, ...]:
    try:
        raw = bytes.fromhex(program)
    except ValueError as error:
        raise cbpf.ProgramError(str(error)) from error
    return cbpf.decode(raw)


def _strictness(value: int) -> int:
    """Rises from the strictest action to the most lenient (seccomp_run_filters compares signed)."""
    action = value & cbpf.ACTION
    return action - (1 << 32) if action >> 31 else action


def _values(by_program: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """What a stack may return, given what each of its programs may, the newest first.

    Each filter's choice is taken to be independent of the others', which errs towards "by its arguments".
    """
    stack: list[int] = [cbpf.ALLOW]
    for values in by_program:
        # The strictest counts, and of equal ones the first asked.
        lenient = max(map(_strictness, stack)), max(map(_strictness, values))
        kept = [value for value in stack if _strictness(value) <= lenient[1]]
        stack = kept + [value for value in values if _strictness(value) < lenient[0] and value not in kept]
    return tuple(stack)


@lru_cache(maxsize=1024)
def _answer(values: tuple[int, ...]) -> Answer:
    actions = {value & cbpf.ACTION for value in values}
    if cbpf.USER_NOTIF in actions:
        raise FactMissing("seccomp filter", "a supervisor in user space decides about the call")
    passing = actions & _PASSING
    words = sorted(map(action_name, values))
    if passing:
        conditional = bool(actions - _PASSING) or cbpf.TRACE in actions
        suffix = ", by its arguments" if len(words) > 1 else ""
        return Answer(True, conditional, 0, " or ".join(words) + suffix)
    errors = [value & cbpf.DATA for value in values if value & cbpf.ACTION == cbpf.ERRNO]
    return Answer(False, False, min(errors, default=0), " or ".join(words))


def action_name(value: int) -> str:
    """A filter's answer as seccomp(2) calls it."""
    action, data = value & cbpf.ACTION, value & cbpf.DATA
    if action == cbpf.ERRNO:
        return f"ERRNO({errno.errorcode.get(data, data)})"
    # An action that the kernel does not know kills the process.
    return _NAMES.get(action, f"KILL_PROCESS (unknown action {value:#x})")


_NAMES = {
    cbpf.ALLOW: "ALLOW",
    cbpf.LOG: "LOG",
    cbpf.TRACE: "TRACE",
    cbpf.USER_NOTIF: "USER_NOTIF",
    cbpf.TRAP: "TRAP",
    cbpf.KILL_THREAD: "KILL_THREAD",
    cbpf.KILL_PROCESS: "KILL_PROCESS",
}


@lru_cache(maxsize=256)
def supervised_calls(stacked: tuple[str, ...], architecture: str) -> frozenset[str]:
    """The calls of which a supervisor in user space decides (SECCOMP_RET_USER_NOTIF).

    Raises:
        FactMissing: a program cannot be followed.
    """
    values = every_value(stacked, architecture)
    return frozenset(
        name
        for name, number in calls.table(architecture).items()
        if any(value & cbpf.ACTION == cbpf.USER_NOTIF for value in values[number])
    )


@lru_cache(maxsize=256)
def allowed_calls(stacked: tuple[str, ...], architecture: str) -> tuple[frozenset[str], int]:
    """The calls that a stack of programs lets through, for some arguments at least, and how many there are.

    Raises:
        FactMissing: a program cannot be followed.
    """
    values = every_value(stacked, architecture)
    table = calls.table(architecture)
    passing = {
        name
        for name, number in table.items()
        if any(value & cbpf.ACTION in _PASSING for value in values[number])
    }
    return frozenset(passing), len(table)
