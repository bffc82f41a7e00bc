"""Each word of the data, against walls that leave what it means and walls that do not."""

from __future__ import annotations

from typing import Any

import pytest
from support.facts import (
    OWN_INODES,
    PID,
    denied,
    filters,
    known,
    make_container,
    make_host,
    make_mounts,
    make_status,
    namespaces,
)

from isoaudit.facts.container import Container, Process
from isoaudit.facts.files import PrivilegedFile
from isoaudit.facts.host import Host
from isoaudit.facts.kernel_build import KernelBuild
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.prerequisites import Answer, actors, any_reach
from isoaudit.kernel.capability import bit
from isoaudit.model import Known, require

INITIAL_USER = known(INITIAL["user"])
GAINING = Known(False, f"/proc/{PID}/status")
OPEN = {"user.max_user_namespaces": "100", "kernel.modules_disabled": "0", "kernel.modprobe": "/sbin/modprobe"}
BUILD = known(KernelBuild(frozenset({"KEYS"}), frozenset({"TIPC"})), "/boot/config")


def ask(word: str, host: Host | None = None, **changes: Any) -> Answer:
    container: Container = make_container(**changes)
    return any_reach(actors(host or machine(), container), ((word,),))


def machine(**changes: Any) -> Host:
    return make_host(
        **{
            "kernel_build_options": BUILD,
            "modules": known(frozenset(), "/proc/modules"),
            **changes,
            "sysctls": {**OPEN, **changes.get("sysctls", {})},
        }
    )


def holding(name: str, **changes: Any) -> Any:
    return make_status(cap_effective=bit(name), cap_permitted=bit(name), cap_bounding=bit(name), **changes)


def test_a_capability_that_is_held() -> None:
    assert ask("cap:NET_RAW@userns", status=holding("CAP_NET_RAW")) == (True, "CAP_NET_RAW")
    assert ask("cap:NET_RAW@host", status=holding("CAP_NET_RAW")).met


def test_a_capability_of_its_own_user_namespace_is_not_over_the_host() -> None:
    own = namespaces(PID, **{**OWN_INODES, "user": 4026532299})
    status = holding("CAP_SYS_ADMIN")
    assert ask("cap:SYS_ADMIN@userns", status=status, namespaces=own).met
    assert ask("cap:SYS_ADMIN@host", status=status, namespaces=own).met is False


@pytest.mark.parametrize(("uid", "gaining", "met"), [(0, True, True), (0, False, False), (1000, True, False)])
def test_a_capability_in_the_bounding_set(uid: int, gaining: bool, met: bool) -> None:  # noqa: FBT001  a table
    status = make_status(
        uids=(uid,) * 4,
        no_new_privs=GAINING if gaining else Known(True, "test"),
        cap_bounding=bit("CAP_NET_RAW"),
    )
    assert ask("cap:NET_RAW@host", status=status).met is met


@pytest.mark.parametrize(
    ("setting", "value", "met"),
    [
        ("user.max_user_namespaces", "100", True),
        ("user.max_user_namespaces", "0", False),
        ("kernel.unprivileged_userns_clone", "0", False),
        ("kernel.unprivileged_userns_clone", "1", True),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", None),
    ],
)
def test_user_namespaces(setting: str, value: str, met: bool | None) -> None:  # noqa: FBT001  a table
    absent = frozenset({"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"})
    host = machine(sysctls={setting: value}, absent_sysctls=absent - {setting})
    assert ask("userns", host, filters=filters()).met is met
    assert ask("cap:NET_ADMIN@userns", host, filters=filters()).met is met


def test_the_default_filter_refuses_user_namespaces() -> None:
    host = machine(
        absent_sysctls=frozenset(
            {"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"}
        )
    )
    answer = ask("cap:NET_ADMIN@userns", host)
    assert answer.met is False
    assert "seccomp" in answer.says


def test_a_kernel_without_user_namespaces() -> None:
    host = machine(kernel_files={"/proc/self/ns/user": known(False)})
    assert ask("userns", host, filters=filters()) == (False, "the kernel has no user namespaces")


@pytest.mark.parametrize(("denied_call", "met"), [("keyctl", False), ("ptrace", True)])
def test_calls(denied_call: str, met: bool) -> None:  # noqa: FBT001  a table
    assert ask("syscall:keyctl", filters=filters(deny=[denied_call])).met is met


def test_families() -> None:
    assert ask("family:38", filters=filters()) == (True, "AF_ALG sockets")
    assert ask("family:38", filters=filters(deny=["socket"])).met is False


@pytest.mark.parametrize(
    ("host", "met"),
    [
        (machine(), True),
        (machine(sysctls={"kernel.modules_disabled": "1"}), False),
        (machine(sysctls={"kernel.modprobe": "/bin/false"}), False),
        (machine(sysctls={"kernel.modules_disabled": "1"}, modules=known(frozenset({"tipc"}))), True),
        (machine(kernel_build_options=known(KernelBuild(frozenset({"TIPC"}), frozenset()))), True),
        (machine(kernel_build_options=known(KernelBuild(frozenset(), frozenset()))), False),
        (machine(kernel_build_options=denied("/boot/config")), None),
        (machine(kernel_build_options=denied("/boot/config"), modules=known(frozenset({"tipc"}))), True),
    ],
)
def test_modules(host: Host, met: bool | None) -> None:  # noqa: FBT001  a table
    assert ask("module:tipc", host).met is met


@pytest.mark.parametrize(("word", "met"), [("KEYS", True), ("!KEYS", False), ("TIPC", True), ("!XFS_FS", True)])
def test_options(word: str, met: bool) -> None:  # noqa: FBT001  a table
    assert ask(f"config:{word}").met is met
    assert ask(f"config:{word}", machine(kernel_build_options=denied("config"))).met is None


@pytest.mark.parametrize(("values", "met"), [("0,1", True), ("0", False), ("1,2", True)])
def test_settings(values: str, met: bool) -> None:  # noqa: FBT001  a table
    assert ask(f"sysctl:kernel.yama.ptrace_scope={values}").met is met
    absent = machine(absent_sysctls=frozenset({"kernel.yama.ptrace_scope"}))
    assert ask(f"sysctl:kernel.yama.ptrace_scope={values}", absent).met, (
        "what it does not know it does not forbid"
    )
    refused = machine(sysctls={"kernel.yama.ptrace_scope": denied("ptrace_scope")})
    assert ask(f"sysctl:kernel.yama.ptrace_scope={values}", refused).met is None


def test_set_user_id_programs() -> None:
    files = known((PrivilegedFile("/bin/su", "SET_UID", 0),))
    gaining = make_status(no_new_privs=GAINING)
    assert ask("setid", status=gaining, privileged_files=files) == (True, "a set-user-ID program (/bin/su)")
    assert ask("setid", status=gaining).met is False
    assert ask("setid", privileged_files=files) == (False, "no_new_privs is set")
    assert ask("setid", status=gaining, privileged_files=denied("root")).met is None


def test_filesystems() -> None:
    assert ask("fs:xfs").met is False
    writable = b"200 100 254:1 / /data rw,relatime - xfs /dev/vdb rw"
    assert ask("fs:xfs", mounts=make_mounts(writable)) == (True, "xfs at /data")
    assert ask("fs:xfs", mounts=make_mounts(writable.replace(b"rw,relatime", b"ro"))).met is False
    assert ask("fs:xfs", mounts=denied("mountinfo")).met is None


def test_devices_and_hardware() -> None:
    assert ask("device:/dev/kvm") == (False, "it has no /dev/kvm")
    assert ask("device:/dev/kvm", devices=denied("dev")).met is None
    assert ask("hardware:a network card").met is None


def test_all_words_of_a_list_are_one_processes() -> None:
    """Of two processes each of which meets half, neither does."""
    holder = holding("CAP_SYS_ADMIN")
    container = make_container(
        processes=(Process(PID, known(make_status())), Process(PID + 1, known(holder), INITIAL_USER)),
        filters=Known(
            require(filters(pids=(PID,))) + require(filters(deny=["bpf"], pids=(PID + 1,))), "filters"
        ),
    )
    who = actors(machine(), container)
    assert len(who) == 2
    assert any_reach(who, (("syscall:bpf",),)).met
    assert any_reach(who, (("cap:SYS_ADMIN@host",),)).met
    assert any_reach(who, (("syscall:bpf", "cap:SYS_ADMIN@host"),)).met is False


def test_any_list_is_enough_and_doubt_beats_a_refusal() -> None:
    who = actors(machine(), make_container())
    assert any_reach(who, ((),)) == (True, "")
    assert any_reach(who, (("device:/dev/kvm",), ("config:KEYS",))).met
    assert any_reach(who, (("device:/dev/kvm",), ("hardware:x",))).met is None
    assert any_reach(who, (("hardware:x", "device:/dev/kvm"),)).met is False
    assert any_reach((), ((),)).met is None


def test_a_process_that_was_not_read_is_in_doubt() -> None:
    assert ask("syscall:keyctl", status=denied()).met is None


def test_like_processes_are_asked_once() -> None:
    host = machine()
    processes = tuple(Process(PID + at, known(make_status()), INITIAL_USER) for at in range(5))
    container = make_container(processes=processes, filters=filters(pids=range(PID, PID + 5)))
    assert len(actors(host, container)) == 1
    first = actors(host, container)[0]
    any_reach([first], (("syscall:keyctl",),))
    again = actors(host, make_container(filters=filters()))[0]
    assert "syscall:keyctl" in again.answers, "another container with the same walls is not asked again"
    assert (("syscall:keyctl",),) in again.reached
    any_reach([first], (("fs:xfs",),))
    assert (("fs:xfs",),) not in again.reached, "its mounts are its own"
