from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoaudit.facts.seccomp_profile import compiled, parse
from isoaudit.facts.seccomp_programs import Answer, new_number_answer, programs_answer
from isoaudit.kernel import cbpf

ALLOW = "SCMP_ACT_ALLOW"
X86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "architectures": X86, "syscalls": list(rules), **more}


def rule(
    *names: str, action: str = ALLOW, args: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Any]:
    return {"names": list(names), "action": action, "args": list(args), **more}


def ask(
    document: Any,
    call: str,
    arguments: dict[int, int] | None = None,
    architecture: str = "x86_64",
    *,
    runc: bool = True,
) -> Answer:
    program = compiled(parse(document, by_runc=runc), "x86_64")
    return programs_answer((program,), architecture, call, tuple((arguments or {}).items()))


def test_rules_by_name_on_every_architecture() -> None:
    document = profile(rule("read", "socketcall"), rule("mount", action="SCMP_ACT_KILL_PROCESS"))
    assert ask(document, "read").allowed
    assert ask(document, "read", architecture="x32").allowed
    assert ask(document, "socketcall", architecture="i386").allowed
    assert ask(document, "mount", architecture="i386").action == "KILL_PROCESS"
    assert ask(document, "write").error == errno.EPERM
    assert ask(document, "read", architecture="aarch64").action == "KILL_THREAD"


def test_architectures_that_are_not_named_are_killed() -> None:
    document = {**profile(rule("read")), "architectures": ["SCMP_ARCH_X86_64"]}
    assert ask(document, "read").allowed
    for other in ("i386", "x32"):
        assert ask(document, "read", architecture=other).action == "KILL_THREAD"


def test_errno_of_a_rule_and_of_all_else() -> None:
    document = profile(rule("clone3", action="SCMP_ACT_ERRNO", errnoRet=38), defaultErrnoRet=13)
    assert ask(document, "clone3").error == errno.ENOSYS
    assert ask(document, "mount").error == errno.EACCES


def test_numbers_above_the_profile_are_unknown_to_runc_only() -> None:
    document = profile(rule("read", "clone3"))
    program = compiled(parse(document, by_runc=True), "x86_64")
    assert programs_answer((program,), "x86_64", "close_range").error == errno.ENOSYS
    assert new_number_answer((program,), "x86_64").error == errno.ENOSYS
    other = compiled(parse(document, by_runc=False), "x86_64")
    assert new_number_answer((other,), "x86_64").error == errno.EPERM
    lenient = compiled(parse(profile(default=ALLOW), by_runc=True), "x86_64")
    assert new_number_answer((lenient,), "x86_64").allowed


BIG = (7 << 32) | 9


@pytest.mark.parametrize(
    ("operator", "value", "second", "meets", "fails"),
    [
        ("EQ", BIG, 0, {BIG}, {BIG + 1, BIG + (1 << 32), 9}),
        ("NE", BIG, 0, {BIG + 1, BIG + (1 << 32), 9, 0}, {BIG}),
        ("GT", BIG, 0, {BIG + 1, 8 << 32}, {BIG, BIG - 1, 6 << 32, 10}),
        ("GE", BIG, 0, {BIG, BIG + 1, 8 << 32}, {BIG - 1, 10}),
        ("LT", BIG, 0, {BIG - 1, 10, 0}, {BIG, BIG + 1, 8 << 32}),
        ("LE", BIG, 0, {BIG, BIG - 1, 0}, {BIG + 1, 8 << 32}),
        (
            "MASKED_EQ",
            0xFF << 32 | 0xF0,
            0x12 << 32 | 0x30,
            {0x12 << 32 | 0x3F, 0xF12 << 32 | 0x30},
            {0x30, 0x12 << 32},
        ),
    ],
)
def test_conditions_are_of_64_bits(
    operator: str, value: int, second: int, meets: set[int], fails: set[int]
) -> None:
    condition = {"index": 2, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{operator}"}
    document = profile(rule("ioctl", args=(condition,)))
    for argument in meets:
        assert ask(document, "ioctl", {2: argument}).action == "ALLOW", hex(argument)
    for argument in fails:
        assert ask(document, "ioctl", {2: argument}).error == errno.EPERM, hex(argument)


def test_several_conditions_are_met_together_and_rules_one_by_one() -> None:
    def equal(index: int, value: int) -> dict[str, Any]:
        return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}

    document = profile(rule("socket", args=(equal(0, 16), equal(2, 9))), rule("socket", args=(equal(0, 2),)))
    assert ask(document, "socket", {0: 16, 2: 9}).allowed
    assert not ask(document, "socket", {0: 16, 2: 8}).allowed
    assert ask(document, "socket", {0: 2, 2: 8}).allowed
    either = profile(rule("socket", args=(equal(0, 1), equal(0, 2))))
    assert ask(either, "socket", {0: 1}).allowed
    assert ask(either, "socket", {0: 2}).allowed
    assert not ask(either, "socket", {0: 3}).allowed


def test_as_runc_notes_it() -> None:
    document = {
        "default_action": 2,
        "architectures": ["amd64", "x86", "x32"],
        "syscalls": [
            {"name": "read", "action": 4, "errnoRet": None, "args": []},
            {"name": "clone", "action": 4, "errnoRet": None, "args": [{"index": 0, "value": 0x7E020000, "value_two": 0, "op": 7}]},
            {"name": "clone3", "action": 2, "errnoRet": 38, "args": []},
        ],
        "default_errno_ret": None,
    }  # fmt: skip
    assert ask(document, "read").allowed
    assert ask(document, "clone", {0: 0x11}).allowed
    assert not ask(document, "clone", {0: 0x10000011}).allowed
    assert ask(document, "clone3").error == errno.ENOSYS
    assert ask(document, "mount").error == errno.EPERM


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"defaultAction": "SCMP_ACT_NEW"},
        {"defaultAction": ["x"]},
        profile({"names": ["read"]}),
        profile({"names": 5, "action": ALLOW}),
        profile(rule("read", args=({"index": 0, "value": 1, "op": "SCMP_CMP_NEW"},))),
        profile(rule("read", args=({"index": 9, "value": 1, "op": "SCMP_CMP_EQ"},))),
        profile(rule("read", args=({"index": "x", "value": 1, "op": "SCMP_CMP_EQ"},))),
        profile(rule("read", action="SCMP_ACT_ERRNO", errnoRet="EPERM")),
    ],
)
def test_what_is_no_profile(document: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each has its own complaint
        parse(document, by_runc=False)


def test_too_many_rules_for_a_filter() -> None:
    conditions = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in range(5000)]
    document = profile(*(rule("ioctl", args=(one,)) for one in conditions))
    with pytest.raises(ValueError, match="more than the 4096"):
        compiled(parse(document, by_runc=True), "x86_64")


def test_conditions_on_one_call_that_no_jump_reaches_over() -> None:
    conditions = tuple(
        {"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index in range(4) for value in range(60)
    )
    document = profile(*(rule("ioctl", args=(one,)) for one in conditions))
    assert ask(document, "ioctl", {0: 59}).allowed
    assert ask(document, "read").error == errno.EPERM


@settings(max_examples=100, deadline=None)
@given(
    operator=st.sampled_from(["EQ", "NE", "GT", "GE", "LT", "LE"]),
    value=st.integers(0, (1 << 64) - 1),
    argument=st.integers(0, (1 << 64) - 1),
    near=st.integers(-1, 1),
)
def test_comparisons_are_the_machine_s(operator: str, value: int, argument: int, near: int) -> None:
    condition = {"index": 0, "value": value, "op": f"SCMP_CMP_{operator}"}
    program = compiled(parse(profile(rule("ioctl", args=(condition,))), by_runc=False), "x86_64")
    for one in (argument, (value + near) % (1 << 64)):
        holds = {
            "EQ": one == value,
            "NE": one != value,
            "GT": one > value,
            "GE": one >= value,
            "LT": one < value,
            "LE": one <= value,
        }
        (returned,) = cbpf.run(cbpf.decode(bytes.fromhex(program)), 0xC000003E, (16,), cbpf.words_of({0: one}))
        assert (returned == cbpf.ALLOW) is holds[operator]
