from __future__ import annotations

import pytest
from support.facts import (
    DEFAULT_NODES,
    DOCKER_DEVICES,
    PID,
    cgroup_v1,
    cgroup_v2,
    denied,
    known,
    make_container,
    make_status,
    node,
)

from isoaudit.facts.cgroup import Cgroup, Membership
from isoaudit.facts.container import Container, Process
from isoaudit.facts.devices import DevicePolicy, parse_devices_list
from isoaudit.facts.exposure import (
    Exposure,
    exposed_nodes,
    foreign_nodes,
    makeable,
    may_mknod,
    permitted,
    policy,
)
from isoaudit.facts.idmap import IdRange
from isoaudit.kernel.capability import mask
from isoaudit.model import FactMissing, Known, Unknown

DISK = node("/dev/sda", "b", 8, 0, mode=0o660, gid=6)
MKNOD = mask("CAP_MKNOD")


def running(**changes: object) -> Container:
    return make_container(status=make_status(**changes))


def test_the_policy_of_v1_holds_on_all_levels() -> None:
    reading = policy(make_container(cgroup=cgroup_v1(parent={"devices.list": "c 1:3 rw"})))
    assert isinstance(reading, Known)
    assert len(reading.value.levels) == 2
    assert reading.value.access("c", 1, 3) == "rw"
    assert reading.value.access("c", 1, 5) == ""


def test_the_policy_of_v2_is_not_known() -> None:
    reading = policy(make_container(cgroup=cgroup_v2()))
    assert isinstance(reading, Unknown)
    assert "BPF" in reading.reason


def test_without_a_hierarchy_there_is_no_policy() -> None:
    cgroup = Cgroup((Membership(1, ("memory",), "/x"),), {}, {})
    reading = policy(make_container(cgroup=known(cgroup)))
    assert isinstance(reading, Known)
    assert reading.value.unrestricted


def test_a_hierarchy_without_the_file_is_not_known() -> None:
    assert isinstance(policy(make_container(cgroup=cgroup_v1(devices__list=None))), Unknown)
    assert isinstance(policy(make_container(cgroup=denied())), Unknown)


def test_the_answer_kept_is_the_containers_own() -> None:
    assert isinstance(policy(make_container()), Known)
    assert isinstance(policy(make_container(cgroup=cgroup_v2())), Unknown)
    assert foreign_nodes(make_container()) == ()
    assert foreign_nodes(make_container(devices=known((DISK,)))) == (DISK,)


def test_exposed_nodes_need_policy_and_no_nodev() -> None:
    hidden = node("/dev/kvm", "c", 10, 232, nodev=True)
    container = make_container(
        devices=known((*DEFAULT_NODES[:1], DISK, hidden)),
        cgroup=cgroup_v1(devices__list="c 1:3 rwm\nb 8:0 r\nc 10:232 rw"),
    )
    assert exposed_nodes(container) == (Exposure(DEFAULT_NODES[0], "rw"), Exposure(DISK, "r"))
    with pytest.raises(FactMissing):
        exposed_nodes(make_container(devices=denied()))


def test_may_mknod_only_over_the_host() -> None:
    assert may_mknod(running(cap_permitted=MKNOD))
    assert may_mknod(running(cap_effective=MKNOD))
    assert not may_mknod(running(cap_bounding=MKNOD))
    inside = running(cap_effective=MKNOD)
    own = inside.namespaces._replace(user=known(4026533000))
    assert not may_mknod(inside._replace(namespaces=own))


def test_a_neighbours_own_user_namespace_counts_for_it() -> None:
    fine = make_container()
    status = known(make_status(cap_effective=MKNOD))
    neighbour = Process(PID + 1, status, known(4026533000))
    assert not may_mknod(fine._replace(processes=(*fine.processes, neighbour)))
    assert may_mknod(
        fine._replace(processes=(*fine.processes, neighbour._replace(user_namespace=known(4026531837))))
    )
    with pytest.raises(FactMissing):
        may_mknod(fine._replace(processes=(*fine.processes, Process(PID + 1, denied(), denied()))))


def test_makeable_takes_numbers_from_rules_disks_and_classes() -> None:
    rules = DevicePolicy((parse_devices_list(f"{DOCKER_DEVICES}\nb 259:3 r\nc 226:128 rwm"),), "test")
    found = makeable(rules, (("b", 259, "blkext"),), ((254, 0),))
    shown = {stem: (one.node.number, one.access) for stem, one in found.items() if stem != "default"}
    assert shown == {
        "block": ("b 259:3", "r"),
        "console": ("c 5:1", "rw"),
        "gpu": ("c 226:128", "rw"),
        "tun": ("c 10:200", "rw"),
    }


def test_makeable_under_an_open_policy_is_everything() -> None:
    found = makeable(DevicePolicy((), "test"), (), ((254, 0),))
    assert found["block"].node.number == "b 254:0"
    assert {"memory", "kvm", "kmsg", "fuse", "tun", "vhost", "loop", "input", "console", "gpu"} <= set(found)


def test_permission_bits() -> None:
    assert permitted(make_container(), node("/x", "c", 1, 1, mode=0o604))
    assert not permitted(make_container(), node("/x", "b", 8, 0, mode=0o600))
    assert permitted(running(uids=(0, 0, 0, 0)), node("/x", "b", 8, 0, mode=0o600))
    assert not permitted(running(uids=(0, 0, 0, 0)), node("/x", "b", 8, 0, mode=0o000))
    override = mask("CAP_DAC_OVERRIDE")
    assert permitted(running(cap_effective=override), node("/x", "b", 8, 0, mode=0o000))


def test_a_capability_reaches_no_further_than_the_id_map() -> None:
    rootless = known((IdRange(0, 1000, 1),))
    inside = running(cap_effective=mask("CAP_DAC_OVERRIDE"))._replace(uid_map=rootless, gid_map=rootless)
    assert not permitted(inside, node("/x", "b", 8, 0, mode=0o600))
    assert permitted(inside, node("/x", "b", 8, 0, mode=0o600, uid=1000, gid=1000))
