from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from support.facts import denied, filters, make_container, make_status
from support.filters import captured, program, real, stack

from isoaudit.facts.container import Container, Process, Thread
from isoaudit.facts.seccomp import Answer, FilterStack, answer, lets
from isoaudit.facts.seccomp_programs import allowed_calls, new_number_answer, programs_answer, supervised_calls
from isoaudit.kernel import cbpf
from isoaudit.model import FactMissing, Known, Unknown

ALLOWED = Answer(allowed=True, conditional=False, error=0, action="ALLOW")
REFUSED = Answer(allowed=False, conditional=False, error=errno.EPERM, action="ERRNO(EPERM)")
FREE = make_status(seccomp=Known(0, "s"), seccomp_filters=Known(0, "s"))


def stacked(*programs: str) -> Container:
    return make_container(filters=Known((stack(*programs),), "test"))


def ask(
    container: Container, call: str, arguments: dict[int, int] | None = None, architecture: str = ""
) -> Answer:
    return answer(container, container.processes[0], call, arguments, architecture)


def test_a_call_and_its_refusal() -> None:
    container = make_container(filters=filters(deny=["mount"]))
    assert ask(container, "mount") == REFUSED
    assert ask(container, "read") == ALLOWED
    only = make_container(filters=filters(allow=["read"], error=errno.ENOSYS))
    assert ask(only, "mount").error == errno.ENOSYS
    assert ask(only, "read") == ALLOWED


def test_arguments_decide_where_they_are_given() -> None:
    container = make_container(filters=real("docker-29.4.3"))
    assert ask(container, "socket") == Answer(True, True, 0, "ALLOW or ERRNO(EPERM), by its arguments")
    assert ask(container, "socket", {0: 40}) == REFUSED
    assert ask(container, "socket", {0: 38}) == REFUSED
    assert ask(container, "socket", {0: 2, 1: 1}) == ALLOWED
    assert ask(container, "clone", {0: 0x11}) == ALLOWED
    assert ask(container, "clone", {0: 0x10000011}) == REFUSED
    assert ask(container, "personality", {0: 0xFFFFFFFF}) == ALLOWED
    assert ask(container, "personality", {0: 0x1FFFFFFFF}) == REFUSED


def test_another_table() -> None:
    container = make_container(filters=real("docker-29.4.3"))
    assert ask(container, "socketcall", architecture="i386").allowed
    assert ask(container, "mount", architecture="i386") == REFUSED
    assert ask(container, "mount", architecture="aarch64").action == "KILL_THREAD"
    assert ask(container, "socketcall") == Answer(False, False, errno.ENOSYS, "x86_64 has no such call")
    with pytest.raises(ValueError, match="no architecture has"):
        ask(container, "socket_call")


def test_no_filter_and_strict_mode() -> None:
    assert ask(make_container(status=FREE, filters=Known((), "test")), "mount").allowed
    strict = make_container(status=make_status(seccomp=Known(1, "s")), filters=Known((), "test"))
    assert ask(strict, "read").allowed
    assert ask(strict, "openat") == Answer(False, False, 0, "KILL_THREAD (strict mode)")


def test_the_strictest_of_a_stack_counts() -> None:
    lenient, refusing = program(), program(deny=["mount"])
    assert ask(stacked(lenient, refusing), "mount") == REFUSED
    assert ask(stacked(refusing, lenient), "mount") == REFUSED
    order = [
        cbpf.KILL_PROCESS,
        cbpf.KILL_THREAD,
        cbpf.TRAP,
        cbpf.ERRNO | 5,
        cbpf.USER_NOTIF,
        cbpf.TRACE,
        cbpf.LOG,
    ]
    names = ["KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO(EIO)", "", "TRACE", "LOG"]
    for position, (value, name) in enumerate(zip(order, names, strict=True)):
        for milder in order[position:]:
            programs = program(deny=["mount"], error=milder), program(deny=["mount"], error=value)
            for container in (stacked(*programs), stacked(*reversed(programs))):
                if name:
                    assert ask(container, "mount").action == name
                else:
                    with pytest.raises(FactMissing, match="a supervisor"):
                        ask(container, "mount")


def test_of_equal_refusals_the_newest_filter_s_errno_counts() -> None:
    newest, oldest = program(deny=["mount"], error=errno.EIO), program(deny=["mount"], error=errno.EPERM)
    assert ask(stacked(newest, oldest), "mount").error == errno.EIO


def test_an_action_that_no_kernel_knows_kills() -> None:
    found = ask(stacked(program(deny=["mount"], error=0x12340000)), "mount")
    assert not found.allowed
    assert found.action == "KILL_PROCESS (unknown action 0x12340000)"


def test_success_by_a_filter_is_none() -> None:
    assert ask(stacked(program(deny=["mount"], error=cbpf.ERRNO)), "mount") == Answer(
        False, False, 0, "ERRNO(0)"
    )


def test_a_tracer_may_be_one_s_own() -> None:
    found = ask(stacked(program(deny=["mount"], error=cbpf.TRACE)), "mount")
    assert found.allowed
    assert found.conditional


def threads(*statuses: int) -> tuple[Process, Sequence[Thread]]:
    differing = tuple(
        Thread(5000 + number, Known(make_status(seccomp=Known(mode, "s")), "s"))
        for number, mode in enumerate(statuses)
    )
    process = make_container().processes[0]._replace(threads=Known(differing, "s"))
    return process, differing


def test_the_freest_thread_counts() -> None:
    process, _ = threads(0)
    container = make_container(processes=(process,), filters=filters(deny=["mount"]))
    assert ask(container, "mount").allowed
    process, _ = threads(2)
    other = stack(program())._replace(threads=((4242, 5000),))
    container = make_container(
        processes=(process,), filters=Known((stack(program(deny=["mount"])), other), "test")
    )
    assert ask(container, "mount") == ALLOWED
    thread = process.tasks[1]
    assert answer(container, thread, "mount") == ALLOWED


def test_one_unread_thread_leaves_a_refusal_open_but_no_permission() -> None:
    process, _ = threads(2)
    unread = FilterStack(((4242, 5000),), Unknown("ptrace", "it sleeps in epoll_wait"), False, ("x86_64",))
    known = Known((stack(program(deny=["mount"])), unread), "test")
    container = make_container(processes=(process,), filters=known)
    assert ask(container, "read") == ALLOWED
    with pytest.raises(FactMissing, match="epoll_wait"):
        ask(container, "mount")


@pytest.mark.parametrize(
    ("container", "says"),
    [
        (make_container(filters=Unknown("ptrace", "--no-ptrace leaves it unread")), "--no-ptrace"),
        (make_container(status=denied()), "EACCES"),
        (make_container(status=make_status(seccomp=Unknown("s", "no Seccomp line"))), "no Seccomp line"),
        (make_container(filters=Known((stack(program(), pids=[1]),), "test")), "4242 were not read"),
        (stacked("zz"), "cannot be followed"),
        (stacked("00"), "cannot be followed"),
    ],
)
def test_what_is_not_known(container: Container, says: str) -> None:
    with pytest.raises(FactMissing, match=says):
        ask(container, "mount")


def test_lets() -> None:
    first, second = make_container().processes[0], Process(4300, Known(make_status(), "s"))
    both = make_container(
        processes=(first, second),
        filters=Known((stack(program(deny=["mount"])), stack(program(), pids=[4300])), "test"),
    )
    assert lets(both, both.processes, "mount") == (second,)
    assert lets(both, (first,), "mount") == ()
    partly = both._replace(filters=Known((stack(program(deny=["mount"])),), "test"))
    with pytest.raises(FactMissing):
        lets(partly, both.processes, "mount")
    assert lets(partly, both.processes, "read") == (first,)


def test_counts_of_a_real_filter() -> None:
    programs = (captured("docker-20.10.24"),)
    assert len(allowed_calls(programs, "x86_64")[0]) == 292  # 290, and clone and personality by their arguments
    assert len(allowed_calls(programs, "i386")[0]) == 344
    assert allowed_calls(programs, "x86_64")[1] == 383


def test_numbers_of_the_future() -> None:
    assert new_number_answer((captured("docker-20.10.24"),), "x86_64").error == errno.ENOSYS
    assert new_number_answer((program(allow=["read"]),), "x86_64").error == errno.EPERM
    assert new_number_answer((program(),), "x86_64").allowed


def test_supervised() -> None:
    assert supervised_calls((program(deny=["mount"], error=cbpf.USER_NOTIF),), "x86_64") == {"mount"}
    refused = program(deny=["mount"]), program(deny=["mount"], error=cbpf.USER_NOTIF)
    assert supervised_calls(refused, "x86_64") == frozenset()
    with pytest.raises(FactMissing):
        programs_answer(("00",), "x86_64", "mount")
