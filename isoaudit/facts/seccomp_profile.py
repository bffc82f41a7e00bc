"""Seccomp profiles as runtimes write them down, made into the filter that they stand for.

runtime-spec config-linux.md "Seccomp" (a bundle's config.json); libcontainer/configs (runc's state.json).
What libseccomp makes of a profile differs in form, and in answers only to calls that it is too old to know.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.kernel import calls, cbpf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WORD = 0xFFFFFFFF
_LOAD, _AND = 0x20, 0x54
_EQUAL, _ABOVE, _NOT_BELOW = 0x15, 0x25, 0x35
_RETURN, _JUMP = 0x06, 0x05


# By their OCI names and by runc's numbers (configs.Action, configs.Operator).
_ACTIONS: Mapping[object, int] = {
    "SCMP_ACT_KILL": cbpf.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": cbpf.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": cbpf.KILL_PROCESS,
    "SCMP_ACT_TRAP": cbpf.TRAP,
    "SCMP_ACT_ERRNO": cbpf.ERRNO,
    "SCMP_ACT_TRACE": cbpf.TRACE,
    "SCMP_ACT_ALLOW": cbpf.ALLOW,
    "SCMP_ACT_LOG": cbpf.LOG,
    "SCMP_ACT_NOTIFY": cbpf.USER_NOTIF,
    1: cbpf.KILL_THREAD,
    2: cbpf.ERRNO,
    3: cbpf.TRAP,
    4: cbpf.ALLOW,
    5: cbpf.TRACE,
    6: cbpf.LOG,
    7: cbpf.USER_NOTIF,
    8: cbpf.KILL_THREAD,
    9: cbpf.KILL_PROCESS,
}
_OPERATORS: Mapping[object, str] = {
    **{f"SCMP_CMP_{name}": name for name in ("EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ")},
    **dict(enumerate(("EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ"), 1)),
}
_ARCHITECTURES: Mapping[object, str] = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
    "SCMP_ARCH_RISCV64": "riscv64",
    "amd64": "x86_64",
    "x86": "i386",
    "x32": "x32",
    "arm64": "aarch64",
    "arm": "arm",
    "riscv64": "riscv64",
}


class Condition(NamedTuple):
    """A condition on an argument; with MASKED_EQ, `value` is the mask and `second` what is left to be."""

    argument: int  # by index from 0
    operator: str
    value: int
    second: int


class Rule(NamedTuple):
    """What calls get whose arguments meet all conditions."""

    names: tuple[str, ...]
    returned: int
    tests: tuple[Condition, ...]


class Profile(NamedTuple):
    """A profile whose conditions on capabilities, kernel and architecture an engine has resolved."""

    default: int  # what all other calls get
    architectures: tuple[str, ...]  # beside the machine's own
    rules: tuple[Rule, ...]
    enosys_above: bool  # runc since 1.0.0-rc93: numbers above all that have a rule get ENOSYS


def parse(document: Any, *, by_runc: bool) -> Profile:
    """A profile from the object `linux.seccomp` of a bundle, or `config.seccomp` of a state file.

    Args:
        document: the JSON.
        by_runc: that runc made it a filter.

    Raises:
        ValueError: it is no such object, or says what we do not know.
    """
    try:
        # runc's own spelling first, then the specification's.
        default = _returned(
            document, ("default_action", "defaultAction"), "default_errno_ret", "defaultErrnoRet"
        )
        rules = tuple(
            rule
            for one in document.get("syscalls") or ()
            for rule in _rules(tuple(one["names"]) if "names" in one else (one["name"],), one)
        )
        architectures = tuple(
            _ARCHITECTURES[name] for name in document.get("architectures") or () if name in _ARCHITECTURES
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a seccomp profile: {type(error).__name__}: {error}") from error
    # A tracer is trusted to know what to do with new calls.
    lenient = default & cbpf.ACTION in (cbpf.ALLOW, cbpf.LOG, cbpf.TRACE)
    return Profile(default, architectures, rules, by_runc and not lenient)


def _returned(one: Any, action_keys: tuple[str, ...], *errno_keys: str) -> int:
    action = _ACTIONS[one[action_keys[0]] if action_keys[0] in one else one[action_keys[-1]]]
    if action not in (cbpf.ERRNO, cbpf.TRACE):
        return action
    given = next((one[key] for key in errno_keys if one.get(key) is not None), errno.EPERM)
    return action | (int(given) & cbpf.DATA)


def _rules(names: tuple[str, ...], one: Any) -> Iterator[Rule]:
    returned = _returned(one, ("action",), "errnoRet")
    tests = tuple(map(_condition, one.get("args") or ()))
    if len({test.argument for test in tests}) < len(tests):
        # runc and crun take conditions on one argument as alternatives.
        for test in tests:
            yield Rule(names, returned, (test,))
    else:
        yield Rule(names, returned, tests)


def _condition(one: Any) -> Condition:
    argument = int(one["index"])
    if not 0 <= argument < 6:
        raise ValueError(f"a system call has no argument {argument}")
    second = one.get("value_two", one.get("valueTwo", 0))
    return Condition(argument, _OPERATORS[one["op"]], int(one["value"]), int(second))


def compiled(profile: Profile, machine: str) -> str:
    """A filter that answers as the runtime's would on a machine, in hexadecimal.

    Raises:
        ValueError: it would be longer than the kernel takes.
    """
    tables = (machine, *(one for one in profile.architectures if one != machine))
    code = _Assembler()
    code.add(_LOAD, 4)
    for audit in dict.fromkeys(calls.AUDIT[table] for table in tables):
        mine = [table for table in tables if calls.AUDIT[table] == audit]
        code.add(_EQUAL, audit, if_false=f"after {audit}", far=True)
        code.add(_LOAD, 0)
        if audit == calls.AUDIT["x86_64"] and "x32" not in mine:
            code.add(_NOT_BELOW, calls.X32_BIT, if_false="no x32")
            code.add(_RETURN, cbpf.KILL_THREAD)
            code.mark("no x32")
        _calls(code, profile, mine)
        code.add(_RETURN, profile.default)
        code.mark(f"after {audit}")
    code.add(_RETURN, cbpf.KILL_THREAD)
    return code.assembled()


def _calls(code: _Assembler, profile: Profile, tables: Iterable[str]) -> None:
    for table in tables:
        numbers = calls.table(table)
        by_number: dict[int, list[Rule]] = {}
        for rule in profile.rules:
            for name in rule.names:
                if name in numbers:
                    by_number.setdefault(numbers[name], []).append(rule)
        if profile.enosys_above and by_number:
            if max(by_number) < calls.X32_BIT:
                code.add(_NOT_BELOW, calls.X32_BIT, if_true="known")
            code.add(_ABOVE, max(by_number), if_false="known")
            code.add(_RETURN, cbpf.ERRNO | errno.ENOSYS)
            code.mark("known")
        for number, rules in sorted(by_number.items()):
            _call(code, number, rules, profile.default)


def _call(code: _Assembler, number: int, rules: list[Rule], default: int) -> None:
    # A rule without conditions holds for all arguments, whatever else is said.
    whole = next((rule for rule in rules if not rule.tests), None)
    code.add(_EQUAL, number, if_false="next call", far=whole is None)
    if whole is not None:
        code.add(_RETURN, whole.returned)
    else:
        for rule in rules:
            for test in rule.tests:
                _test(code, test)
            code.add(_RETURN, rule.returned)
            code.mark("next rule")
        code.add(_RETURN, default)
    code.mark("next call")


def _test(code: _Assembler, test: Condition) -> None:
    """Go on where an argument meets a condition, to "next rule" where not: the high word first."""
    low, high = test.value & _WORD, test.value >> 32 & _WORD
    at = 16 + 8 * test.argument
    fails = "next rule"
    operator = test.operator
    code.add(_LOAD, at + 4)
    if operator == "MASKED_EQ":
        code.add(_AND, high)
        code.add(_EQUAL, test.second >> 32 & _WORD, if_false=fails)
        code.add(_LOAD, at)
        code.add(_AND, low)
        code.add(_EQUAL, test.second & _WORD, if_false=fails)
    elif operator == "EQ":
        code.add(_EQUAL, high, if_false=fails)
        code.add(_LOAD, at)
        code.add(_EQUAL, low, if_false=fails)
    elif operator == "NE":
        code.add(_EQUAL, high, if_false="met")
        code.add(_LOAD, at)
        code.add(_EQUAL, low, if_true=fails)
    else:
        # LT is not GE, LE is not GT.
        met, failed = ("met", fails) if operator in ("GT", "GE") else (fails, "met")
        code.add(_ABOVE, high, if_true=met)
        code.add(_EQUAL, high, if_false=failed)
        code.add(_LOAD, at)
        jump = _NOT_BELOW if operator in ("GE", "LT") else _ABOVE
        if failed == fails:
            code.add(jump, low, if_false=fails)
        else:
            code.add(jump, low, if_true=fails)
    code.mark("met")


class _Assembler:
    """Instructions whose jumps aim at names; a name is where it is marked next."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int]] = []
        self._waiting: dict[str, list[tuple[int, int]]] = {}

    def add(self, code: int, operand: int, *, if_true: str = "", if_false: str = "", far: bool = False) -> None:
        """An instruction; `far` where `if_false` may be more than 255 instructions away."""
        if far:
            self._code.append((code, 1, 0, operand))
            self._waiting.setdefault(if_false, []).append((len(self._code), 3))
            self._code.append((_JUMP, 0, 0, 0))
            return
        for name, field in ((if_true, 1), (if_false, 2)):
            if name:
                self._waiting.setdefault(name, []).append((len(self._code), field))
        self._code.append((code, 0, 0, operand))

    def mark(self, name: str) -> None:
        """The next instruction is where all jumps to that name go that were added so far."""
        for position, field in self._waiting.pop(name, ()):
            distance = len(self._code) - position - 1
            if field < 3 and distance > 255:
                raise ValueError(f"too many conditions on one call for a jump to {name!r}")
            instruction = list(self._code[position])
            instruction[field] = distance
            self._code[position] = (instruction[0], instruction[1], instruction[2], instruction[3])

    def assembled(self) -> str:
        """The program in hexadecimal.

        Raises:
            ValueError: it is longer than the kernel takes.
        """
        if len(self._code) > cbpf.MOST_INSTRUCTIONS:
            raise ValueError(
                f"{len(self._code)} instructions are more than the {cbpf.MOST_INSTRUCTIONS} of a filter"
            )
        return b"".join(struct.pack("<HBBI", *one) for one in self._code).hex()
