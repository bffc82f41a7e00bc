"""Who gets a system call through: processes, their threads, and what is not known of them."""

from __future__ import annotations

import pytest
from support.facts import PID, denied, filters, known, make_container, make_status
from support.filters import SOURCE, program, stack

from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.container import Process, Thread
from isoaudit.facts.grants import Grant, granted
from isoaudit.facts.opening import MOUNT
from isoaudit.facts.seccomp import FilterStack
from isoaudit.kernel import cbpf
from isoaudit.kernel.capability import bit
from isoaudit.model import Basis, FactMissing, Known, Outcome

ADMIN = make_status(cap_effective=bit("CAP_SYS_ADMIN"), cap_permitted=bit("CAP_SYS_ADMIN"))
SWAP = ways("swapon")


def processes(*pids: int) -> tuple[Process, ...]:
    return tuple(Process(pid, Known(make_status(), f"/proc/{pid}/status")) for pid in pids)


def test_each_process_by_its_own_filters() -> None:
    stacks = (stack(program(deny=("swapon",)), pids=(1, 2)), stack(program(), pids=(3,)))
    container = make_container(processes=processes(1, 2, 3), filters=Known(stacks, SOURCE))
    found = letting(container, container.processes, SWAP)
    assert [process.pid for process in found.processes] == [3]
    assert found.calls == ("swapon",)
    assert found.evidence[0].observed == "swapon: ALLOW"
    assert found.basis is Basis.OBSERVED


def test_what_refuses_is_shown() -> None:
    container = make_container(filters=filters(deny=("swapon",)))
    found = letting(container, container.processes, SWAP)
    assert not found.processes
    assert found.evidence[0].observed == "swapon: ERRNO(EPERM)"
    assert not found.missing


def test_all_calls_of_a_way_are_needed() -> None:
    container = make_container(filters=filters(allow=("fsopen", "fsconfig")))
    assert not letting(container, container.processes, MOUNT).processes
    container = make_container(filters=filters(allow=("fsopen", "fsconfig", "fsmount")))
    assert letting(container, container.processes, MOUNT).calls == ("fsmount",)


def test_the_32_bit_entry_counts_where_the_kernel_has_one() -> None:
    both = make_container(filters=filters(deny=("swapon",), pinned=False))
    assert letting(both, both.processes, SWAP).calls == ("swapon (i386)",)
    alone = stack(program(deny=("swapon",), pinned=False), architectures=("x86_64",))
    native = make_container(filters=Known((alone,), SOURCE))
    assert not letting(native, native.processes, SWAP).processes


def test_arguments_decide() -> None:
    container = make_container()
    assert letting(container, container.processes, ways(Call("clone", ((0, 0),)))).processes
    assert not letting(container, container.processes, ways(Call("clone", ((0, 1 << 28),)))).processes


def test_what_a_supervisor_answers_is_not_known() -> None:
    container = make_container(filters=filters(deny=("swapon",), error=cbpf.USER_NOTIF))
    found = letting(container, container.processes, SWAP)
    assert found.undecided == container.processes
    with pytest.raises(FactMissing, match="supervisor"):
        found.decided()


def test_a_known_process_decides_before_an_unknown_one() -> None:
    stacks = (stack(program(), pids=(2,)),)
    container = make_container(processes=processes(1, 2), filters=Known(stacks, SOURCE))
    assert [process.pid for process in letting(container, container.processes, SWAP).decided().processes] == [2]


def test_a_thread_with_a_capability_and_a_filter_of_its_own() -> None:
    thread = Thread(4243, Known(ADMIN._replace(tgid=PID, name="worker"), "/proc/4242/task/4243/status"))
    first = Process(PID, Known(make_status(threads=2), f"/proc/{PID}/status"), threads=Known((thread,), "task"))
    of_thread = FilterStack(((PID, 4243),), *stack(program())[1:])
    of_first = FilterStack(((PID, PID),), *stack(program(deny=("swapon",)))[1:])
    container = make_container(
        processes=(first._replace(user_namespace=Known(4026531837, "u")),),
        filters=Known((of_first, of_thread), SOURCE),
    )
    grant = granted(container, bit("CAP_SYS_ADMIN"), SWAP)
    assert isinstance(grant, Grant)
    assert grant.who == "thread 4243 (worker) of 4242"


def test_a_refused_holder_leaves_it_to_who_is_let() -> None:
    """The nearest to the capability is refused; one that is further from it is not."""
    latent = make_status(
        cap_bounding=bit("CAP_SYS_ADMIN"), no_new_privs=known(False), seccomp=known(0), uids=(0, 0, 0, 0)
    )
    container = make_container(
        processes=(
            Process(PID, Known(ADMIN, f"/proc/{PID}/status")),
            Process(4300, Known(latent, "/proc/4300/status"), known(4026531837)),
        ),
        filters=filters(deny=("swapon",)),
    )
    grant = granted(container, bit("CAP_SYS_ADMIN"), SWAP)
    assert isinstance(grant, Grant)
    assert grant.who == "4300 (app)"
    assert grant.capability == "CAP_SYS_ADMIN, which executing any program gives it,"


def test_a_filter_that_was_not_read() -> None:
    container = make_container(status=ADMIN, filters=denied("filter"))
    with pytest.raises(FactMissing):
        granted(container, bit("CAP_SYS_ADMIN"), SWAP)
    presumed = granted(container, bit("CAP_SYS_ADMIN"), SWAP, presume=True)
    assert isinstance(presumed, Grant)
    assert presumed.unread
    assert "was not read" in presumed.who


def test_without_the_capability_no_filter_is_asked() -> None:
    outcome = granted(make_container(filters=denied("filter")), bit("CAP_SYS_ADMIN"), SWAP)
    assert isinstance(outcome, Outcome)
