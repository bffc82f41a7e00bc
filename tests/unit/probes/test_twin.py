from __future__ import annotations

from typing import Any

import pytest
from support import facts
from support.facts import make_container, make_host, make_status

from isoaudit.facts.idmap import IdRange
from isoaudit.model import Known, Unknown
from isoaudit.probes.twin import NoTwinError, Recipe, recipe

HOST = make_host()
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


def test_a_filter_and_a_label_are_doubts() -> None:
    assert made().doubt("clock-set") == "seccomp filter"
    assert made(status=UNCONFINED).doubt("clock-set") == "LSM label"
    assert made(status=UNCONFINED, lsm_label=Known("unconfined", "l")).doubt("clock-set") == ""
    assert "if it has one" in made(status=UNCONFINED, lsm_label=Unknown("l", "EACCES")).doubt("clock-set")


def test_the_device_policy_of_v2_is_a_doubt_about_devices_alone() -> None:
    found = made(status=UNCONFINED, lsm_label=Known("", "l"), cgroup=facts.cgroup_v2())
    assert "device program" in found.doubt("device-open")
    assert found.doubt("mount") == ""


def test_alike_containers_share_a_recipe() -> None:
    one, other = make_container(), make_container(identity=facts.make_identity(key="web-2", pid=9))
    assert recipe(HOST, one) == recipe(HOST, other)
    assert hash(recipe(HOST, one)) == hash(recipe(HOST, other))
    assert recipe(HOST, one) != made(status=UNCONFINED)
