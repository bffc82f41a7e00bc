from __future__ import annotations

import errno

import pytest

from isoaudit.kernel import seccomp


def evaluate(
    program: list[tuple[int, int, int, int]], number: int, architecture: int, argument: int = 0
) -> int:
    """What a filter returns: loads, jumps and returns are all it is made of."""
    at, register = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            register = {0: number, 4: architecture, 16: argument}[operand]
        elif code == 0x15:
            at += if_true if register == operand else if_false
        elif code == 0x35:
            at += if_true if register >= operand else if_false
        elif code == 0x45:
            at += if_true if register & operand else if_false
        else:
            return operand


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return seccomp.deny_list([165, 272, 321])


@pytest.mark.parametrize("number", [165, 272, 321, 0x40000000, 0x40000000 + 165])
def test_what_is_denied_gets_eperm(program: list[tuple[int, int, int, int]], number: int) -> None:
    assert evaluate(program, number, 0xC000003E) == 0x00050000 | errno.EPERM


@pytest.mark.parametrize("number", [0, 1, 164, 166, 320, 322, 600])
def test_the_rest_is_allowed(program: list[tuple[int, int, int, int]], number: int) -> None:
    assert evaluate(program, number, 0xC000003E) == 0x7FFF0000


def test_a_foreign_architecture_is_killed(program: list[tuple[int, int, int, int]]) -> None:
    assert evaluate(program, 1, 0x40000003) == 0x80000000


@pytest.mark.parametrize("flags", [0x10000000, 0x20000 | 17, 0x02000000])
def test_clone_makes_no_namespace(flags: int) -> None:
    program = seccomp.deny_list([165, 272], clone=56)
    architecture = program[1][3]
    assert evaluate(program, 56, architecture, flags) == 0x00050000 | errno.EPERM
    assert evaluate(program, 56, architecture, 0x01200000 | 17) == 0x7FFF0000
    assert evaluate(program, 57, architecture, flags) == 0x7FFF0000
    assert evaluate(program, 272, architecture) == 0x00050000 | errno.EPERM
    assert evaluate(program, 0x40000000, architecture) == 0x00050000 | errno.EPERM
