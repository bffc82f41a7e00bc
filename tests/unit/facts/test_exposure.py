from __future__ import annotations

import pytest
from support.ebpf import CHARACTER, Entry
from support.ebpf import program as entries_program
from support.facts import (
    CAPTURED_PROGRAMS,
    DEFAULT_NODES,
    DOCKER_DEVICES,
    PID,
    cgroup_v1,
    cgroup_v2,
    denied,
    device_programs,
    known,
    make_container,
    make_status,
    node,
)
from support.filters import program, stack

from isoaudit.facts.cgroup import Cgroup, Membership
from isoaudit.facts.container import Container, Process
from isoaudit.facts.devices import DevicePolicy, DeviceProgram, RuleList, parse_devices_list
from isoaudit.facts.exposure import (
    Exposure,
    exposed_nodes,
    foreign_nodes,
    makeable,
    may_mknod,
    permitted,
    policy,
    policy_command,
    policy_evidence,
)
from isoaudit.facts.idmap import IdRange
from isoaudit.kernel.capability import mask
from isoaudit.model import FactMissing, Known, Reading, Unknown, require

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


def test_the_policy_of_v2_holds_on_all_levels() -> None:
    reading = policy(make_container(cgroup=cgroup_v2()))
    assert isinstance(reading, Known)
    assert reading.value.access("c", 10, 200) == "rwm"
    assert reading.value.access("b", 8, 0) == "m"
    both = policy(
        make_container(cgroup=cgroup_v2(programs=device_programs("docker", "systemd_private_devices")))
    )
    assert isinstance(both, Known)
    assert both.value.access("c", 10, 200) == ""
    assert both.value.access("c", 136, 1) == "rw"
    assert "/system.slice/docker-0123.scope" in both.source


def test_an_unreadable_list_or_program_is_not_known() -> None:
    refused = denied("bpf(2)")
    assert policy(make_container(cgroup=cgroup_v2(programs=refused))) is refused
    assert isinstance(policy(make_container(cgroup=cgroup_v1(devices__list="nonsense"))), Unknown)
    assert isinstance(policy(make_container(cgroup=cgroup_v1(devices__list=denied()))), Unknown)


def hybrid(devices_list: str, programs: Reading[tuple[DeviceProgram, ...]]) -> Container:
    """A container with a list on v1 and programs on v2."""
    cgroup = require(cgroup_v1(devices__list=devices_list))
    return make_container(cgroup=known(cgroup._replace(device_programs=programs)))


def test_on_a_hybrid_host_both_apply() -> None:
    reading = policy(hybrid("a *:* rwm", device_programs("crun")))
    assert isinstance(reading, Known)
    assert reading.value.access("b", 8, 0) == "m"
    reading = policy(hybrid(DOCKER_DEVICES, device_programs("docker_privileged")))
    assert isinstance(reading, Known)
    assert reading.value.access("b", 8, 0) == "m"
    assert reading.source.endswith("devices.list")


def test_on_a_hybrid_host_the_list_alone_can_only_deny() -> None:
    refused = denied("bpf(2)")
    assert policy(hybrid("a *:* rwm", refused)) is refused
    reading = policy(hybrid(DOCKER_DEVICES, refused))
    assert isinstance(reading, Known)
    assert not reading.value.allows("b", 8, 0, "r")
    with pytest.raises(FactMissing, match="run isoaudit as root"):
        reading.value.allows("c", 1, 3, "r")


def test_evidence_shows_lists_as_they_are_and_programs_as_rules() -> None:
    container = hybrid(DOCKER_DEVICES, device_programs("crun", path="/c"))
    listed, shown = policy_evidence(container)
    assert listed.observed == DOCKER_DEVICES
    assert shown.source == "device program of cgroup /c"
    assert shown.observed.splitlines() == list(CAPTURED_PROGRAMS["crun"]["rules"])
    assert policy_command(container) == "bpftool prog dump xlated id 30"
    (nothing,) = policy_evidence(make_container(cgroup=cgroup_v2(programs=device_programs())))
    assert nothing.observed == "no device program"
    assert policy_command(make_container()) == ""


def test_evidence_of_a_long_policy_is_cut() -> None:
    many = entries_program([Entry(CHARACTER, 300 + 2 * at, None, 7) for at in range(100)])
    programs = known((DeviceProgram(1, "", "", many.hex(), "/c"),))
    (evidence,) = policy_evidence(make_container(cgroup=cgroup_v2(programs=programs)))
    assert evidence.observed.splitlines()[63:] == ["c 426:* rwm", "and 36 more"]


def test_makers_are_those_whose_filter_lets_them() -> None:
    both = {"status": make_status(cap_permitted=MKNOD)}
    assert may_mknod(make_container(**both, filters=known((stack(program(deny=("mknod",))),))))
    assert not may_mknod(make_container(**both, filters=known((stack(program(deny=("mknod", "mknodat"))),))))
    assert may_mknod(make_container(**both, filters=denied()))
    assert not may_mknod(make_container(filters=denied()))


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
    assert isinstance(policy(make_container(cgroup=cgroup_v2(programs=denied()))), Unknown)
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
    rules = DevicePolicy((RuleList(parse_devices_list(f"{DOCKER_DEVICES}\nb 259:3 r\nc 226:128 rwm")),), "test")
    found = makeable(rules, (("b", 259, "blkext"),), ((254, 0),))
    shown = {stem: (one.node.number, one.access) for stem, one in found.items() if stem != "default"}
    assert shown == {
        "block": ("b 259:3", "r"),
        "console": ("c 5:1", "rw"),
        "gpu": ("c 226:128", "rw"),
        "tun": ("c 10:200", "rw"),
    }


def test_makeable_takes_numbers_from_programs() -> None:
    rules = require(policy(make_container(cgroup=cgroup_v2(programs=device_programs("docker_device_rules")))))
    found = makeable(rules, (), ())
    shown = {stem: (one.node.number, one.access) for stem, one in found.items() if stem != "default"}
    assert shown == {
        "console": ("c 5:1", "rw"),
        "kmsg": ("c 1:11", "r"),
        "loop": ("b 7:0", "r"),
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
