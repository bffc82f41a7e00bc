from __future__ import annotations

import resource
from typing import Any

import pytest
from support import facts
from support.facts import make_container, make_host, make_status
from support.filters import captured, program, stack

from isoaudit.facts.cgroup import Owners
from isoaudit.facts.devices import DeviceProgram
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.rlimits import Rlimit
from isoaudit.facts.scheduling import Scheduling
from isoaudit.kernel.capability import bit
from isoaudit.model import Known, Unknown
from isoaudit.probes.twin import RLIMITS, NoTwinError, Recipe, recipe

HOST = make_host()
FILTERED = make_status(no_new_privs=Known(False, "s"))
UNCONFINED = make_status(seccomp=Known(0, "s"), uids=(0, 0, 0, 0), gids=(0, 0, 0, 0))


def made(**changes: Any) -> Recipe:
    return recipe(HOST, make_container(**changes))


def test_namespaces_are_new_where_they_differ_from_the_hosts() -> None:
    assert made().confinement.namespaces == {"ipc", "mnt", "net", "pid", "uts"}


def test_a_shared_namespace_is_shared() -> None:
    inodes = {**facts.OWN_INODES, "pid": facts.HOST_INODES["pid"]}
    assert "pid" not in made(namespaces=facts.namespaces(1, **inodes)).confinement.namespaces


def test_a_namespace_that_could_not_be_read_is_taken_as_own_and_noted() -> None:
    found = made(namespaces=make_container().namespaces._replace(net=facts.denied()))
    assert "net" in found.confinement.namespaces
    assert any(note.startswith("net namespace") for note in found.not_copied)


def test_the_mount_namespace_is_always_new() -> None:
    inodes = {**facts.OWN_INODES, "mnt": facts.HOST_INODES["mnt"]}
    found = made(namespaces=facts.namespaces(1, **inodes), status=UNCONFINED, lsm_label=Known("", "l"))
    assert "mnt" in found.confinement.namespaces
    assert found.doubt("user-namespace-create")
    assert not found.doubt("clock-set")


def test_ids_are_counted_as_inside_its_user_namespace() -> None:
    ranges = Known((IdRange(0, 100000, 1000), IdRange(1000, 500000, 10)), "m")
    found = made(
        namespaces=facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}),
        uid_map=ranges,
        gid_map=ranges,
        status=make_status(uids=(500001,) * 4, gids=(100000,) * 4),
    ).confinement
    assert (found.uids, found.gids) == ((1001,) * 3, (0,) * 3)
    assert found.uid_map == ranges.value


def test_an_id_that_is_not_mapped_is_noted() -> None:
    ranges = Known((IdRange(0, 100000, 1000),), "m")
    found = made(
        namespaces=facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}),
        uid_map=ranges,
        gid_map=ranges,
        status=make_status(uids=(5,) * 4, gids=(100000,) * 4),
    )
    assert found.confinement.uids == (0, 0, 0)
    assert any("user id 5" in note for note in found.not_copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": facts.DENIED},
        {"namespaces": make_container().namespaces._replace(user=facts.denied())},
        {"namespaces": facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}), "uid_map": facts.denied()},
        {"namespaces": facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}), "gid_map": Known((), "m")},
    ],
)
def test_without_credentials_there_is_no_twin(changes: dict[str, Any]) -> None:
    with pytest.raises(NoTwinError):
        made(**changes)


def test_limits_are_the_tightest_of_all_levels() -> None:
    cgroup = facts.cgroup_v1(parent={"pids.max": "20", "memory.limit_in_bytes": str(64 << 20)})
    limits = made(cgroup=cgroup).limits
    assert (limits.pids, limits.memory, limits.cpu) == (20, 64 << 20, (50000, 100000))
    assert limits.cpus == "0"
    assert limits.freezer
    assert limits.devices is not None
    assert "c 1:3 rwm" in limits.devices


def test_limits_of_v2() -> None:
    limits = made(cgroup=facts.cgroup_v2()).limits
    assert (limits.pids, limits.memory, limits.swap, limits.cpu) == (100, 512 << 20, 0, (50000, 100000))
    assert limits.devices is None


def test_an_open_device_policy_is_none() -> None:
    assert made(cgroup=facts.cgroup_v1(devices__list="a *:* rwm")).limits.devices is None


@pytest.mark.parametrize(
    ("cgroup", "reason"),
    [
        (facts.cgroup_v1(pids__max="max"), "no limit to measure"),
        (facts.cgroup_v1(pids__max=facts.denied()), "could not be read"),
        (facts.denied(), "could not be read"),
    ],
)
def test_why_there_is_no_limit_to_measure(cgroup: Any, reason: str) -> None:
    assert reason in dict(made(cgroup=cgroup).unlimited)["pids-limit"]


def test_a_live_filter_and_a_plain_profile_are_copied() -> None:
    recipe = made()
    assert recipe.confinement.profile == "docker-default"
    (program,) = recipe.confinement.seccomp
    assert program == captured("docker-29.4.2")
    assert recipe.doubt("clock-set") == ""


def test_filters_are_installed_in_the_order_they_came() -> None:
    older, newer = program(deny=("mount",)), program(deny=("ptrace",))
    found = made(filters=Known((stack(newer, older),), "ptrace(2)"))
    assert found.confinement.seccomp == (older, newer)


@pytest.mark.parametrize(
    ("filters", "doubt"),
    [
        (facts.denied("ptrace(2)"), "seccomp filter: EACCES"),
        (Known((stack(program(), inferred=True),), "state.json"), "state file"),
        (Known((stack(program(deny=("setresuid",))),), "ptrace(2)"), "setresuid"),
        (Known((stack(program(deny=("wait4",))),), "ptrace(2)"), "wait4"),
        (
            Known((stack(program()), stack(program(deny=("mount",)))), "ptrace(2)"),
            "not the same for all threads",
        ),
    ],
)
def test_a_filter_that_cannot_be_copied_is_a_doubt(filters: Any, doubt: str) -> None:
    found = made(filters=filters, status=FILTERED)
    assert found.confinement.seccomp == ()
    assert doubt in found.doubt("clock-set")


def test_with_no_new_privs_ids_are_taken_before_the_filter() -> None:
    strict = Known((stack(program(deny=("setresuid", "capset"))),), "ptrace(2)")
    assert made(filters=strict).confinement.seccomp
    assert not made(filters=strict, status=FILTERED).confinement.seccomp


@pytest.mark.parametrize(
    ("label", "profile", "doubt"),
    [
        ("docker-default (enforce)", "docker-default", ""),
        ("mine (complain)", "mine", ""),
        ("unconfined", "", ""),
        ("crun (unconfined)", "", ""),
        ("a//&b (enforce)", "", "LSM label"),
        (":root:a (enforce)", "", "LSM label"),
        ("system_u:system_r:container_t:s0:c1,c2", "", "LSM label"),
    ],
)
def test_labels(label: str, profile: str, doubt: str) -> None:
    found = made(lsm_label=Known(label, "l"))
    assert found.confinement.profile == profile
    assert found.doubt("clock-set") == doubt
    assert "if it has one" in made(lsm_label=Unknown("l", "EACCES")).doubt("clock-set")


OTHER = next(name for name in facts.CAPTURED_PROGRAMS if name != "docker")


def test_device_programs_are_copied() -> None:
    programs = facts.device_programs("docker", OTHER, "docker")
    found = made(cgroup=facts.cgroup_v2(programs=programs))
    assert isinstance(programs, Known)
    assert found.limits.device_programs == tuple(one.instructions for one in programs.value[:2])
    assert found.doubt("device-open") == ""


@pytest.mark.parametrize(
    ("programs", "doubt"),
    [
        (facts.denied("bpf(2)"), "if it has one): EACCES"),
        (Known((DeviceProgram(1, "t", "", "8500000001000000", "/"),), "bpf(2)"), "which is not followed"),
    ],
)
def test_a_device_program_that_cannot_be_copied_is_a_doubt_about_devices_alone(
    programs: Any, doubt: str
) -> None:
    cgroup = facts.cgroup_v2(programs=programs)
    found = made(status=UNCONFINED, lsm_label=Known("", "l"), cgroup=cgroup)
    assert found.limits.device_programs == ()
    assert doubt in found.doubt("device-open")
    assert found.doubt("mount") == ""


def test_who_owns_its_cgroup() -> None:
    cgroup = facts.cgroup_v2()
    assert isinstance(cgroup, Known)
    owners = {"": Owners(100000, 0), "memory": Owners(0, 0)}
    found = made(cgroup=Known(cgroup.value._replace(owners=owners), "c"))
    assert found.limits.owners == (("", 100000, 0),)


def test_resource_limits_are_copied_but_those_that_hinder_the_interpreter() -> None:
    limits = {
        "Max processes": Rlimit(5, 6),
        "Max open files": Rlimit(20, None),
        "Max address space": Rlimit(1, 1),
        "Max core file size": Rlimit(0, None),
    }
    found = made(rlimits=Known(limits, "l"))
    assert set(found.confinement.rlimits) == {
        (resource.RLIMIT_NPROC, 5, 6),
        (resource.RLIMIT_NOFILE, 64, None),
        (resource.RLIMIT_CORE, 0, None),
    }
    assert any("open files" in note for note in found.not_copied)
    assert any("could not be read" in note for note in made(rlimits=facts.denied()).not_copied)


def test_the_numbers_of_resource_limits_are_the_kernels() -> None:
    names = {
        "Max file size": resource.RLIMIT_FSIZE,
        "Max core file size": resource.RLIMIT_CORE,
        "Max processes": resource.RLIMIT_NPROC,
        "Max open files": resource.RLIMIT_NOFILE,
        "Max locked memory": resource.RLIMIT_MEMLOCK,
        "Max pending signals": resource.RLIMIT_SIGPENDING,
        "Max msgqueue size": resource.RLIMIT_MSGQUEUE,
        "Max nice priority": resource.RLIMIT_NICE,
        "Max realtime priority": resource.RLIMIT_RTPRIO,
        "Max realtime timeout": resource.RLIMIT_RTTIME,
    }
    assert {**RLIMITS, **names} == RLIMITS


def test_supplementary_groups() -> None:
    assert made(status=make_status(groups=Known((4, 10), "s"))).confinement.groups == (4, 10)
    unread = made()
    assert unread.confinement.groups == ()
    assert any("supplementary groups" in note for note in unread.not_copied)


def test_supplementary_groups_are_counted_as_inside_its_user_namespace() -> None:
    ranges = Known((IdRange(0, 100000, 1000),), "m")
    found = made(
        namespaces=facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}),
        uid_map=ranges,
        gid_map=ranges,
        status=make_status(uids=(100000,) * 4, gids=(100000,) * 4, groups=Known((100005, 9), "s")),
    )
    assert found.confinement.groups == (5,)
    assert any("supplementary group 9" in note for note in found.not_copied)


def test_scheduling() -> None:
    batch = Scheduling(3, 0, -5)
    assert made(scheduling=Known(batch, "s")).confinement.scheduling == batch
    assert any("scheduling" in note for note in made().not_copied)


@pytest.mark.parametrize("policy", [1, 2, 6, 99])
def test_no_twin_runs_before_the_hosts_processes(policy: int) -> None:
    found = made(scheduling=Known(Scheduling(policy, 50, 0), "s"))
    assert found.confinement.scheduling == (0, 0, 0)
    assert "already" in dict(found.unlimited)["realtime-schedule"]
    able = made(
        scheduling=Known(Scheduling(policy, 50, 0), "s"), status=make_status(cap_effective=bit("CAP_SYS_NICE"))
    )
    assert "realtime-schedule" not in dict(able.unlimited)


def test_a_namespace_that_is_shared_with_others_is_the_twins_own() -> None:
    pods = {("net", facts.OWN_INODES["net"])}
    found = recipe(HOST, make_container(), pods)
    assert "net" in found.confinement.namespaces
    assert any(note.startswith("net namespace: it shares it") for note in found.not_copied)
    assert found.doubt("mount") == ""
    ranges = Known((IdRange(0, 100000, 1000),), "m")
    mapped = make_container(
        namespaces=facts.namespaces(1, **{**facts.OWN_INODES, "user": 7}),
        uid_map=ranges,
        gid_map=ranges,
        status=make_status(uids=(100000,) * 4, gids=(100000,) * 4),
    )
    assert "another user namespace may own" in recipe(HOST, mapped, pods).doubt("mount")


def test_alike_containers_share_a_recipe() -> None:
    one, other = make_container(), make_container(identity=facts.make_identity(key="web-2", pid=9))
    assert recipe(HOST, one) == recipe(HOST, other)
    assert hash(recipe(HOST, one)) == hash(recipe(HOST, other))
    assert recipe(HOST, one) != made(status=UNCONFINED)
