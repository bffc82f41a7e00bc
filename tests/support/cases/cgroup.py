"""Cases of checks/cgroup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.audit import peers_of
from isoaudit.facts.cgroup import Cgroup, Hierarchy, Membership, Owners
from isoaudit.facts.idmap import IdRange
from isoaudit.facts.peers import Peers
from isoaudit.facts.rlimits import Rlimit
from isoaudit.kernel.capability import OCI_DEFAULT, bit
from isoaudit.model import Basis, Known, Severity, Verdict
from support.cases import Case
from support.facts import (
    CGROUP_PATH,
    GIB,
    OWN_INODES,
    PID,
    RLIMITS,
    V1_HIERARCHIES,
    answered,
    cgroup_v1,
    cgroup_v2,
    denied,
    device_programs,
    filters,
    known,
    make_container,
    make_host,
    make_identity,
    make_mounts,
    make_status,
    namespaces,
    node,
)

if TYPE_CHECKING:
    from isoaudit.facts.container import Container
    from isoaudit.model import Reading

UNLIMITED = "9223372036854771712"
UNLIMITED_HUGETLB = "9223372036852678656"
SOURCE = f"/proc/{PID}/cgroup"
V2_PATH = "/system.slice/docker-0123.scope"


def cgroup_at(path: str = CGROUP_PATH, *controllers: str, unified: str = "", **files: str) -> Reading[Cgroup]:
    """A cgroup with the v1 controllers named, all at one path; `unified` is its path on v2."""
    memberships = [Membership(number, (name,), path) for number, name in enumerate(controllers, 1)]
    if unified:
        memberships.append(Membership(0, (), unified))
    settings = {
        name.replace("__", "."): (known(value, f"/sys/fs/cgroup/{name.replace('__', '.')}"),)
        for name, value in files.items()
    }
    return Known(Cgroup(tuple(memberships), settings, {}), SOURCE)


FILTERED_ADMIN = make_status(
    uids=(0, 0, 0, 0), cap_effective=bit("CAP_SYS_ADMIN"), cap_permitted=bit("CAP_SYS_ADMIN")
)
FILTERED_NICE = make_status(cap_effective=bit("CAP_SYS_NICE"), cap_permitted=bit("CAP_SYS_NICE"))


def held(*capabilities: str, **changes: object) -> Container:
    """A container whose first process holds those capabilities besides the default ones, as root."""
    mask = OCI_DEFAULT | sum(bit(name) for name in capabilities)
    status = make_status(
        uids=(0, 0, 0, 0), cap_effective=mask, cap_permitted=mask, cap_bounding=mask, seccomp=known(0)
    )
    return make_container(**{"status": status, **changes})


def neighbour(key: str, **changes: object) -> Container:
    """Another container, in the same cgroup unless told otherwise."""
    identity = make_identity(key=key, pid=PID + 1, name=key, id="", pod=str(changes.pop("pod", "")))
    return make_container(**{"identity": identity, "cgroup": cgroup_v2(), **changes})


def owned(directory: int, limits: int, cgroup: Reading[Cgroup] | None = None) -> Reading[Cgroup]:
    """A v2 cgroup, and whose it and its limits are."""
    reading = cgroup or cgroup_v2()
    assert isinstance(reading, Known)
    owners = {key: Owners(directory, limits) for key in ("", "pids")}
    return Known(reading.value._replace(owners=owners), reading.source)


NO_CGROUP = make_container(cgroup=denied(SOURCE))
ROOT = cgroup_at("/", "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "perf_event")
NONE = make_container(cgroup=cgroup_at())
UNREADABLE_CONTROLLERS = make_container(cgroup=cgroup_v2(cgroup__controllers=denied("cgroup.controllers")))
BELOW = "cpuset cpu io memory pids"
# As it is where a v2 controller is enabled for the parent and not for the container.
NOT_ENABLED = make_container(
    cgroup=cgroup_v2(
        parent={"cgroup.controllers": BELOW},
        cgroup__controllers="",
        cpu__max=None,
        cpu__weight=None,
        memory__max=None,
        pids__max=None,
    )
)
OWN_USER = namespaces(PID, **{**OWN_INODES, "user": 4026532999})
OWN_CGROUP = namespaces(PID, **{**OWN_INODES, "cgroup": 4026532998})
V1_RW = b"200 105 0:31 /docker/0123 /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"
V1_ROOT_RW = b"201 105 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"
V1_ROOT_RO = b"201 105 0:31 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids"
V1_NAMED_RW = b"202 105 0:32 /docker/0123 /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd"
V2_RW = b"203 104 0:33 /system.slice/docker-0123.scope /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate"


_LIMITS = (
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "v1 without a limit",
        container=make_container(cgroup=cgroup_v1(memory__limit_in_bytes=UNLIMITED)),
        severity=Severity.HIGH,
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "a limit above the host's memory",
        container=make_container(cgroup=cgroup_v2(memory__max=str(1 << 50))),
        says=("not below",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "the host has no memory controller",
        container=make_container(cgroup=cgroup_at("/docker/0123", "cpu")),
        says=("no cgroup hierarchy of the host has the memory controller",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "v2 with the controller not enabled",
        container=NOT_ENABLED,
        says=("the memory controller is not enabled down to its cgroup",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "a probe took more than any limit",
        container=make_container(
            cgroup=cgroup_v1(memory__limit_in_bytes=UNLIMITED),
            probes=answered("memory-limit", succeeded=True, answer="touched 256 MiB unhindered"),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "slowed down, and not stopped",
        container=make_container(cgroup=cgroup_v2(memory__max="max", memory__high=str(256 << 20))),
        says=("memory.high of 256 MiB",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "v1 that forgets the parent's limit",
        container=make_container(
            cgroup=cgroup_v1(
                parent={"memory.limit_in_bytes": str(100 << 20)},
                memory__limit_in_bytes=UNLIMITED,
                memory__use_hierarchy=known("0", "/sys/fs/cgroup/memory/docker/memory.use_hierarchy"),
            )
        ),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.FAIL,
        "threaded, with the controller on its domain",
        container=make_container(
            cgroup=cgroup_v2(
                parent={"cgroup.controllers": BELOW, "cgroup.type": "domain threaded", "memory.max": "max"},
                cgroup__controllers="cpu pids",
                cgroup__type="threaded",
                memory__max="max",
            )
        ),
        says=("it can take all",),
    ),
    Case("cgroup-memory-unlimited", Verdict.PASS, "v1", says=("512 MiB",), basis=Basis.OBSERVED),
    Case(
        "cgroup-memory-unlimited",
        Verdict.PASS,
        "a probe was stopped",
        container=make_container(probes=answered("memory-limit", succeeded=False, answer="killed at 511 MiB")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.PASS,
        "a probe was stopped by what no file shows",
        container=make_container(
            cgroup=cgroup_v1(memory__limit_in_bytes=denied()),
            probes=answered("memory-limit", succeeded=False, answer="killed at 511 MiB"),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.PASS,
        "set, though a probe went past it",
        container=make_container(probes=answered("memory-limit", succeeded=True, answer="unhindered")),
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.PASS,
        "the parent limits",
        container=make_container(
            cgroup=cgroup_v1(parent={"memory.limit_in_bytes": str(100 << 20)}, memory__limit_in_bytes=UNLIMITED)
        ),
        says=("100 MiB",),
    ),
    Case(
        "cgroup-memory-unlimited",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(cgroup=cgroup_v1(memory__limit_in_bytes=denied())),
    ),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.FAIL,
        "v1",
        container=make_container(cgroup=cgroup_v1(cpu__cfs_quota_us="-1")),
        severity=Severity.MEDIUM,
    ),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.FAIL,
        "v2",
        container=make_container(cgroup=cgroup_v2(cpu__max="max 100000")),
    ),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.FAIL,
        "in the root cgroup",
        container=make_container(cgroup=ROOT),
        says=("it is in the root cgroup",),
    ),
    Case("cgroup-cpu-unlimited", Verdict.PASS, "v1", says=("0.5 CPUs",)),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.PASS,
        "v2 by the parent, throttled",
        container=make_container(
            cgroup=cgroup_v2(parent={"cpu.max": "100000 100000"}, cpu__max="max 100000"),
            probes=answered("cpu-quota", succeeded=False, answer="1.00 CPUs", measured=1.0),
        ),
        basis=Basis.PROVEN,
        says=("1 CPU",),
    ),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.PASS,
        "throttled by what no file shows",
        container=make_container(
            cgroup=cgroup_v1(cpu__cfs_quota_us=denied()),
            probes=answered("cpu-quota", succeeded=False, answer="0.50 CPUs", measured=0.5),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-cpu-unlimited",
        Verdict.UNKNOWN,
        "unreadable period",
        container=make_container(cgroup=cgroup_v1(cpu__cfs_period_us=denied())),
    ),
    Case(
        "cgroup-pids-unlimited",
        Verdict.FAIL,
        "max",
        container=make_container(cgroup=cgroup_v1(pids__max="max")),
        severity=Severity.HIGH,
    ),
    Case("cgroup-pids-unlimited", Verdict.PASS, "v1", says=("100 processes",)),
    Case(
        "cgroup-pids-unlimited",
        Verdict.PASS,
        "a fork failed",
        container=make_container(
            cgroup=cgroup_v2(pids__max=denied()),
            probes=answered("pids-limit", succeeded=False, answer="EAGAIN after 63 forks", measured=64),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-pids-unlimited",
        Verdict.UNKNOWN,
        "nonsense",
        container=make_container(cgroup=cgroup_v1(pids__max="many")),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.FAIL,
        "larger than the machine",
        container=make_container(
            cgroup=cgroup_v2(cpu__max="800000 100000", memory__max=str(64 * GIB), pids__max="4194304")
        ),
        severity=Severity.MEDIUM,
        basis=Basis.OBSERVED,
        says=("64 GiB", "8 CPUs is not below the host's 2 CPUs", "4194304"),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.FAIL,
        "a probe went past it",
        container=make_container(
            probes=answered("pids-limit", succeeded=True, answer="150 forks and no refusal", measured=151)
        ),
        basis=Basis.PROVEN,
        says=("does not hold",),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.FAIL,
        "a promise that the parent does not back",
        container=make_container(
            cgroup=cgroup_v2(parent={"memory.low": "0"}, memory__low=str(64 << 20), memory__min="0")
        ),
        severity=Severity.LOW,
        says=("memory.low of 64 MiB is worth 0 B",),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.FAIL,
        "a promise of more than there is",
        container=make_container(cgroup=cgroup_v2(memory__min="max")),
        severity=Severity.LOW,
        says=("memory.min of all memory",),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.FAIL,
        "a weight without a cost model",
        container=make_container(cgroup=cgroup_v2(io__weight="default 50", io__cost__qos="")),
        severity=Severity.LOW,
        says=("io.weight of default 50",),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.PASS,
        "a promise that the parent backs",
        container=make_container(
            cgroup=cgroup_v2(parent={"memory.low": "max"}, memory__low=str(64 << 20), memory__min="0")
        ),
    ),
    Case("cgroup-limit-ineffective", Verdict.PASS, "v1"),
    Case(
        "cgroup-limit-ineffective",
        Verdict.NOT_APPLICABLE,
        "no limits",
        container=make_container(
            cgroup=cgroup_v2(cpu__max="max 100000", memory__max="max", pids__max="max"),
        ),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.UNKNOWN,
        "one unreadable",
        container=make_container(cgroup=cgroup_v1(memory__limit_in_bytes=denied())),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.UNKNOWN,
        "the machine's size unreadable",
        host=make_host(cpus=denied()),
    ),
    Case(
        "cgroup-limit-ineffective",
        Verdict.UNKNOWN,
        "pid_max nonsense",
        host=make_host(sysctls={"kernel.pid_max": "many"}),
    ),
)

_CPU = (
    Case(
        "cgroup-cpu-weight-default",
        Verdict.FAIL,
        "v1",
        container=make_container(cgroup=cgroup_v1(cpu__shares="1024")),
        severity=Severity.INFO,
    ),
    Case(
        "cgroup-cpu-weight-default",
        Verdict.FAIL,
        "v2",
        container=make_container(cgroup=cgroup_v2(cpu__weight="100")),
    ),
    Case("cgroup-cpu-weight-default", Verdict.FAIL, "no controller", container=NONE, says=("no cgroup",)),
    Case(
        "cgroup-cpu-weight-default", Verdict.FAIL, "not enabled", container=NOT_ENABLED, says=("not enabled",)
    ),
    Case("cgroup-cpu-weight-default", Verdict.PASS, "v1", says=("512",)),
    Case(
        "cgroup-cpu-weight-default",
        Verdict.PASS,
        "on its scope, above the cgroup of systemd inside",
        container=make_container(cgroup=cgroup_v2(parent={"cpu.weight": "40"}, cpu__weight="100")),
        says=("40",),
    ),
    Case(
        "cgroup-cpu-weight-default",
        Verdict.PASS,
        "idle",
        container=make_container(cgroup=cgroup_v2(cpu__weight="100", cpu__idle="1")),
        says=("nobody else",),
    ),
    Case(
        "cgroup-cpu-weight-default",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(cgroup=cgroup_v2(cpu__weight=denied())),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "CAP_SYS_NICE without real-time groups",
        container=held("CAP_SYS_NICE", cgroup=cgroup_v1(cpu__rt_runtime_us=None)),
        severity=Severity.MEDIUM,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "the host keeps nothing free",
        host=make_host(sysctls={"kernel.sched_rt_runtime_us": "-1"}),
        container=held("CAP_SYS_NICE"),
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "a priority limit",
        container=make_container(
            cgroup=cgroup_v2(), rlimits=known({**RLIMITS, "Max realtime priority": Rlimit(0, 99)})
        ),
        says=("priority limit",),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "run time granted that nothing may use",
        container=make_container(cgroup=cgroup_v1(cpu__rt_runtime_us="950000")),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "a probe got SCHED_FIFO",
        container=make_container(probes=answered("realtime-schedule", succeeded=True, answer="0")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "SCHED_DEADLINE remains",
        container=held("CAP_SYS_NICE", probes=answered("realtime-schedule", succeeded=False, answer="EPERM")),
        says=("SCHED_DEADLINE",),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.FAIL,
        "CAP_SYS_NICE and a filter that was not read",
        container=make_container(status=FILTERED_NICE, cgroup=cgroup_v2(), filters=denied("filter")),
        says=("CAP_SYS_NICE",),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "CAP_SYS_NICE and a filter that forbids it",
        container=make_container(
            status=FILTERED_NICE,
            cgroup=cgroup_v2(),
            filters=filters(deny=("sched_setscheduler", "sched_setattr")),
        ),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "a priority limit and a filter that forbids it",
        container=make_container(
            cgroup=cgroup_v2(),
            rlimits=known({**RLIMITS, "Max realtime priority": Rlimit(0, 99)}),
            filters=filters(deny=("sched_setscheduler", "sched_setattr")),
        ),
        says=("filter refuses",),
    ),
    Case("cgroup-cpu-realtime-allowed", Verdict.PASS, "v1"),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "a priority limit without run time",
        container=make_container(rlimits=known({**RLIMITS, "Max realtime priority": Rlimit(None, None)})),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "CAP_SYS_NICE in a user namespace",
        container=held("CAP_SYS_NICE", namespaces=OWN_USER),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "a probe was refused",
        container=make_container(probes=answered("realtime-schedule", succeeded=False, answer="EPERM")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.PASS,
        "a probe with CAP_SYS_NICE was refused by a filter",
        container=held(
            "CAP_SYS_NICE",
            cgroup=cgroup_v2(),
            probes=answered("realtime-schedule", succeeded=False, answer="EPERM"),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.UNKNOWN,
        "limits unreadable",
        container=make_container(rlimits=denied()),
    ),
    Case(
        "cgroup-cpu-realtime-allowed",
        Verdict.UNKNOWN,
        "no such limit",
        container=make_container(rlimits=known({})),
    ),
    Case(
        "cgroup-cpuset-unrestricted",
        Verdict.FAIL,
        "v1",
        container=make_container(cgroup=cgroup_v1(cpuset__effective_cpus="0-1")),
        severity=Severity.INFO,
    ),
    Case(
        "cgroup-cpuset-unrestricted", Verdict.FAIL, "no cpuset", container=NONE, says=("no cgroup hierarchy",)
    ),
    Case("cgroup-cpuset-unrestricted", Verdict.PASS, "v1", says=("CPUs 0 ",)),
    Case(
        "cgroup-cpuset-unrestricted",
        Verdict.PASS,
        "one of two nodes",
        host=make_host(memory_nodes=known(frozenset({0, 1}))),
        container=make_container(cgroup=cgroup_v2(cpuset__cpus__effective="0-1")),
    ),
    Case(
        "cgroup-cpuset-unrestricted",
        Verdict.NOT_APPLICABLE,
        "one CPU",
        host=make_host(cpus=known(frozenset({0}))),
    ),
    Case(
        "cgroup-cpuset-unrestricted",
        Verdict.UNKNOWN,
        "empty",
        container=make_container(cgroup=cgroup_v1(cpuset__effective_cpus="")),
        says=("empty",),
    ),
    Case(
        "cgroup-cpuset-unrestricted",
        Verdict.UNKNOWN,
        "nonsense",
        container=make_container(cgroup=cgroup_v1(cpuset__effective_cpus="all")),
    ),
    Case(
        "cgroup-cpuacct-missing",
        Verdict.FAIL,
        "in the root",
        container=make_container(cgroup=ROOT),
        severity=Severity.LOW,
        says=("with the host's",),
    ),
    Case("cgroup-cpuacct-missing", Verdict.FAIL, "no hierarchy", container=NONE, says=("no hierarchy",)),
    Case("cgroup-cpuacct-missing", Verdict.PASS, "v1"),
    Case(
        "cgroup-cpuacct-missing",
        Verdict.PASS,
        "hybrid with cpuacct at the root",
        container=make_container(cgroup=cgroup_at("/", "cpuacct", unified=V2_PATH, cgroup__freeze="0")),
    ),
    Case("cgroup-cpuacct-missing", Verdict.UNKNOWN, "unreadable", container=NO_CGROUP),
)

_MEMORY = (
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.FAIL,
        "v1",
        host=make_host(swap_bytes=known(GIB)),
        container=make_container(cgroup=cgroup_v1(memory__memsw__limit_in_bytes=UNLIMITED)),
        severity=Severity.LOW,
        says=("1 GiB",),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.FAIL,
        "v2 with as much as there is",
        host=make_host(swap_bytes=known(GIB)),
        container=make_container(cgroup=cgroup_v2(memory__swap__max=str(GIB))),
        says=("not below",),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.FAIL,
        "v1 without swap accounting",
        host=make_host(swap_bytes=known(GIB)),
        container=make_container(cgroup=cgroup_v1(memory__memsw__limit_in_bytes=None)),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.FAIL,
        "no memory controller",
        host=make_host(swap_bytes=known(GIB)),
        container=NONE,
        says=("memory controller",),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.PASS,
        "v1",
        host=make_host(swap_bytes=known(GIB)),
        says=("512 MiB",),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.PASS,
        "v2 without swap",
        host=make_host(swap_bytes=known(GIB)),
        container=make_container(cgroup=cgroup_v2()),
        says=("0 B",),
    ),
    Case(
        "cgroup-memory-swap-unlimited",
        Verdict.PASS,
        "never swapped",
        host=make_host(swap_bytes=known(GIB)),
        container=make_container(
            cgroup=cgroup_v1(memory__memsw__limit_in_bytes=UNLIMITED, memory__swappiness="0")
        ),
    ),
    Case("cgroup-memory-swap-unlimited", Verdict.NOT_APPLICABLE, "no swap"),
    Case("cgroup-memory-swap-unlimited", Verdict.UNKNOWN, "swap unknown", host=make_host(swap_bytes=denied())),
    Case(
        "cgroup-memory-oom-disabled",
        Verdict.FAIL,
        "v1",
        container=make_container(
            cgroup=cgroup_v1(memory__oom_control="oom_kill_disable 1\nunder_oom 0\noom_kill 0")
        ),
        severity=Severity.MEDIUM,
    ),
    Case(
        "cgroup-memory-oom-disabled",
        Verdict.FAIL,
        "on the parent",
        container=make_container(cgroup=cgroup_v1(parent={"memory.oom_control": "oom_kill_disable 1"})),
    ),
    Case("cgroup-memory-oom-disabled", Verdict.PASS, "v1"),
    Case("cgroup-memory-oom-disabled", Verdict.PASS, "v2", container=make_container(cgroup=cgroup_v2())),
    Case("cgroup-memory-oom-disabled", Verdict.NOT_APPLICABLE, "no controller", container=NONE),
    Case(
        "cgroup-memory-oom-disabled",
        Verdict.UNKNOWN,
        "controllers unreadable",
        container=UNREADABLE_CONTROLLERS,
    ),
    Case(
        "cgroup-memory-oom-disabled",
        Verdict.UNKNOWN,
        "no such file",
        container=make_container(cgroup=cgroup_v1(memory__oom_control=None)),
    ),
    Case(
        "cgroup-memory-kernel-uncounted",
        Verdict.FAIL,
        "booted with nokmem",
        container=make_container(cgroup=cgroup_v1(memory__kmem__usage_in_bytes="0")),
        severity=Severity.LOW,
        basis=Basis.INFERRED,
    ),
    Case(
        "cgroup-memory-kernel-uncounted",
        Verdict.FAIL,
        "built without",
        container=make_container(cgroup=cgroup_v1(memory__kmem__usage_in_bytes=None)),
    ),
    Case(
        "cgroup-memory-kernel-uncounted",
        Verdict.FAIL,
        "in the root",
        container=make_container(cgroup=ROOT),
        says=("host's memory cgroup",),
    ),
    Case("cgroup-memory-kernel-uncounted", Verdict.FAIL, "no controller", container=NONE, says=("no cgroup",)),
    Case(
        "cgroup-memory-kernel-uncounted",
        Verdict.FAIL,
        "v2 booted with nokmem",
        host=make_host(command_line=known("quiet cgroup.memory=nosocket,nokmem", "/proc/cmdline")),
        container=make_container(cgroup=cgroup_v2()),
        basis=Basis.OBSERVED,
        says=("booted",),
    ),
    Case(
        "cgroup-memory-kernel-uncounted",
        Verdict.UNKNOWN,
        "v2 with the command line unread",
        host=make_host(command_line=denied("/proc/cmdline")),
        container=make_container(cgroup=cgroup_v2()),
    ),
    Case("cgroup-memory-kernel-uncounted", Verdict.PASS, "v1"),
    Case("cgroup-memory-kernel-uncounted", Verdict.PASS, "v2", container=make_container(cgroup=cgroup_v2())),
    Case("cgroup-memory-kernel-uncounted", Verdict.UNKNOWN, "unreadable", container=UNREADABLE_CONTROLLERS),
)

_OTHERS = (
    Case(
        "cgroup-io-unlimited",
        Verdict.FAIL,
        "v1",
        container=make_container(
            cgroup=cgroup_v1(
                blkio__throttle__read_bps_device="",
                blkio__throttle__write_bps_device="",
                blkio__bfq__weight="100",
            )
        ),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-io-unlimited",
        Verdict.FAIL,
        "v2",
        container=make_container(cgroup=cgroup_v2(io__max="254:0 rbps=max wbps=max riops=max wiops=max")),
    ),
    Case(
        "cgroup-io-unlimited",
        Verdict.FAIL,
        "a weight that nothing enforces",
        container=make_container(
            cgroup=cgroup_v2(io__max="", io__weight="default 50", io__cost__qos="8:0 enable=0 ctrl=auto")
        ),
        says=("io.cost is on for no disk",),
    ),
    Case(
        "cgroup-io-unlimited",
        Verdict.PASS,
        "a weight that the cost model enforces",
        container=make_container(
            cgroup=cgroup_v2(io__max="", io__weight="default 50", io__cost__qos="8:0 enable=1 ctrl=auto")
        ),
    ),
    Case("cgroup-io-unlimited", Verdict.FAIL, "no controller", container=NONE, says=("io controller",)),
    Case("cgroup-io-unlimited", Verdict.PASS, "v1"),
    Case(
        "cgroup-io-unlimited",
        Verdict.PASS,
        "v2 by a weight",
        container=make_container(cgroup=cgroup_v2(io__max="", io__weight="default 50")),
    ),
    Case(
        "cgroup-io-unlimited",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(cgroup=cgroup_v2(io__max=denied())),
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v1 with CAP_MKNOD",
        container=held(cgroup=cgroup_v1(devices__list="a *:* rwm")),
        severity=Severity.CRITICAL,
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v1 with a node",
        container=make_container(
            cgroup=cgroup_v1(devices__list="a *:* rwm"), devices=known((node("/dev/sda", "b", 8, 0),))
        ),
        severity=Severity.CRITICAL,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v1 with neither",
        container=make_container(cgroup=cgroup_v1(devices__list="a *:* rwm")),
        severity=Severity.MEDIUM,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v2 by a probe",
        container=held(
            cgroup=cgroup_v2(programs=denied()), probes=answered("device-open", succeeded=True, answer="ENXIO")
        ),
        basis=Basis.PROVEN,
    ),
    Case("cgroup-devices-unrestricted", Verdict.FAIL, "no hierarchy at all", container=NONE),
    Case("cgroup-devices-unrestricted", Verdict.PASS, "v1", basis=Basis.OBSERVED),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.PASS,
        "v1 by a probe",
        container=make_container(probes=answered("device-open", succeeded=False, answer="EPERM")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.PASS,
        "v2 by a probe",
        container=make_container(
            cgroup=cgroup_v2(programs=denied()), probes=answered("device-open", succeeded=False, answer="EPERM")
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.UNKNOWN,
        "v2, unreadable, without a probe",
        container=make_container(cgroup=cgroup_v2(programs=denied())),
        says=("run isoaudit as root",),
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.PASS,
        "v2 with Docker's program",
        container=make_container(cgroup=cgroup_v2()),
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v2 with a program that allows everything",
        container=held(cgroup=cgroup_v2(programs=device_programs("docker_privileged"))),
        severity=Severity.CRITICAL,
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.PASS,
        "v2 with one of two programs that denies",
        container=held(cgroup=cgroup_v2(programs=device_programs("docker_privileged", "crun"))),
    ),
    Case(
        "cgroup-devices-unrestricted",
        Verdict.FAIL,
        "v2 without a program",
        container=held(cgroup=cgroup_v2(programs=device_programs())),
        severity=Severity.CRITICAL,
    ),
    Case(
        "cgroup-freezer-missing",
        Verdict.FAIL,
        "in the root",
        container=make_container(cgroup=ROOT),
        severity=Severity.INFO,
    ),
    Case("cgroup-freezer-missing", Verdict.FAIL, "no hierarchy", container=NONE),
    Case(
        "cgroup-freezer-missing",
        Verdict.FAIL,
        "v2 before Linux 5.2",
        container=make_container(cgroup=cgroup_v2(cgroup__freeze=None)),
    ),
    Case(
        "cgroup-freezer-missing",
        Verdict.FAIL,
        "a probe went on",
        container=make_container(probes=answered("freezer", succeeded=True, answer="its counter moved on")),
        basis=Basis.PROVEN,
    ),
    Case("cgroup-freezer-missing", Verdict.PASS, "v1", basis=Basis.OBSERVED),
    Case("cgroup-freezer-missing", Verdict.PASS, "v2", container=make_container(cgroup=cgroup_v2())),
    Case(
        "cgroup-freezer-missing",
        Verdict.PASS,
        "a probe stood still",
        container=make_container(probes=answered("freezer", succeeded=False, answer="its counter stood still")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-freezer-missing",
        Verdict.UNKNOWN,
        "unreadable",
        container=make_container(cgroup=cgroup_v1(freezer__state=denied())),
    ),
    Case(
        "cgroup-hugetlb-unlimited",
        Verdict.FAIL,
        "v1",
        host=make_host(hugepage_sizes=known(("2MB",))),
        container=make_container(
            cgroup=cgroup_at("/docker/0123", "hugetlb", hugetlb__2MB__limit_in_bytes=UNLIMITED_HUGETLB)
        ),
        severity=Severity.LOW,
        says=("2MB",),
    ),
    Case(
        "cgroup-hugetlb-unlimited",
        Verdict.FAIL,
        "no controller",
        host=make_host(hugepage_sizes=known(("2MB",))),
        says=("hugetlb controller",),
    ),
    Case(
        "cgroup-hugetlb-unlimited",
        Verdict.PASS,
        "v2",
        host=make_host(hugepage_sizes=known(("2MB",))),
        container=make_container(cgroup=cgroup_v2(hugetlb__2MB__max="0")),
    ),
    Case("cgroup-hugetlb-unlimited", Verdict.NOT_APPLICABLE, "no pool"),
    Case("cgroup-hugetlb-unlimited", Verdict.UNKNOWN, "unreadable", host=make_host(hugepage_sizes=denied())),
    Case(
        "cgroup-rdma-unlimited",
        Verdict.FAIL,
        "one of two resources",
        container=make_container(cgroup=cgroup_v2(rdma__max="mlx5_0 hca_handle=2 hca_object=max")),
        severity=Severity.LOW,
        says=("mlx5_0 hca_object",),
    ),
    Case(
        "cgroup-rdma-unlimited",
        Verdict.FAIL,
        "a node and no controller",
        container=make_container(devices=known((node("/dev/infiniband/uverbs0", "c", 231, 192),))),
        says=("/dev/infiniband/uverbs0",),
    ),
    Case(
        "cgroup-rdma-unlimited",
        Verdict.PASS,
        "by the parent",
        container=make_container(
            cgroup=cgroup_v2(
                parent={"rdma.max": "mlx5_0 hca_handle=2 hca_object=9"},
                rdma__max="mlx5_0 hca_handle=max hca_object=max",
            )
        ),
    ),
    Case("cgroup-rdma-unlimited", Verdict.NOT_APPLICABLE, "no node"),
    Case(
        "cgroup-rdma-unlimited",
        Verdict.NOT_APPLICABLE,
        "no device",
        container=make_container(cgroup=cgroup_v2(rdma__max="")),
    ),
    Case("cgroup-rdma-unlimited", Verdict.UNKNOWN, "nodes unread", container=make_container(devices=denied())),
    Case(
        "cgroup-misc-unlimited",
        Verdict.FAIL,
        "max",
        container=make_container(cgroup=cgroup_v2(misc__max="sev max\nsev_es 4")),
        severity=Severity.LOW,
        says=("sev",),
    ),
    Case(
        "cgroup-misc-unlimited",
        Verdict.FAIL,
        "a node and no controller",
        container=make_container(devices=known((node("/dev/sev", "c", 10, 124),))),
    ),
    Case(
        "cgroup-misc-unlimited",
        Verdict.PASS,
        "limited",
        container=make_container(cgroup=cgroup_v2(misc__max="sev 4")),
    ),
    Case("cgroup-misc-unlimited", Verdict.NOT_APPLICABLE, "no node"),
    Case(
        "cgroup-misc-unlimited",
        Verdict.NOT_APPLICABLE,
        "no resource",
        container=make_container(cgroup=cgroup_v2(misc__max="")),
    ),
    Case(
        "cgroup-misc-unlimited",
        Verdict.UNKNOWN,
        "virtual machines and no controller",
        container=make_container(devices=known((node("/dev/kvm", "c", 10, 232),))),
    ),
    Case(
        "cgroup-network-unclassified",
        Verdict.FAIL,
        "v1 untagged",
        container=make_container(
            cgroup=cgroup_at(
                "/docker/0123", "net_cls", "net_prio", net_cls__classid="0", net_prio__ifpriomap="lo 0\neth0 0"
            )
        ),
        severity=Severity.INFO,
    ),
    Case("cgroup-network-unclassified", Verdict.FAIL, "nothing", container=NONE),
    Case(
        "cgroup-network-unclassified",
        Verdict.PASS,
        "v1 tagged",
        container=make_container(cgroup=cgroup_at("/docker/0123", "net_cls", net_cls__classid="1048577")),
    ),
    Case("cgroup-network-unclassified", Verdict.PASS, "by its v2 path"),
    Case("cgroup-network-unclassified", Verdict.UNKNOWN, "unreadable", container=NO_CGROUP),
    Case(
        "cgroup-perf-event-shared",
        Verdict.FAIL,
        "in the root",
        container=make_container(cgroup=ROOT),
        severity=Severity.INFO,
    ),
    Case("cgroup-perf-event-shared", Verdict.FAIL, "kernel without it", host=make_host(controllers=known({}))),
    Case("cgroup-perf-event-shared", Verdict.FAIL, "no hierarchy", container=NONE),
    Case("cgroup-perf-event-shared", Verdict.PASS, "v2 has it without a controller"),
    Case("cgroup-perf-event-shared", Verdict.UNKNOWN, "unreadable", container=NO_CGROUP),
)

_PLACES = (
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "in the root",
        container=make_container(cgroup=ROOT),
        severity=Severity.MEDIUM,
        says=("cpu, cpuacct, cpuset, memory",),
    ),
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "in a login session",
        container=make_container(
            cgroup=cgroup_at(
                unified="/user.slice/user-1000.slice/session-2.scope", cgroup__controllers="cpu memory pids"
            )
        ),
    ),
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "only for what limits nothing",
        container=make_container(cgroup=cgroup_at("/", "net_cls", "perf_event")),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "v2 without memory enabled",
        container=make_container(
            cgroup=cgroup_v2(
                parent={"cgroup.controllers": "cpu io memory pids"}, cgroup__controllers="cpu io pids"
            )
        ),
        says=("for memory",),
    ),
    Case("cgroup-shared", Verdict.FAIL, "no hierarchy", container=NONE),
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "with another container",
        container=make_container(identity=make_identity(id="", name=""), cgroup=cgroup_v2()),
        peers=peers_of([neighbour("other")]),
        severity=Severity.MEDIUM,
        says=("in one cgroup with other",),
    ),
    Case(
        "cgroup-shared",
        Verdict.FAIL,
        "with many",
        container=make_container(identity=make_identity(id="", name=""), cgroup=cgroup_v2()),
        peers=peers_of([neighbour(f"c{number}") for number in range(5)]),
        says=("2 more containers",),
    ),
    Case(
        "cgroup-shared",
        Verdict.PASS,
        "another is inside it",
        container=make_container(identity=make_identity(id="0123"), cgroup=cgroup_v2()),
        peers=peers_of([neighbour("inner")]),
    ),
    Case(
        "cgroup-shared",
        Verdict.PASS,
        "its pod's",
        container=make_container(identity=make_identity(id="", name="", pod="web"), cgroup=cgroup_v2()),
        peers=peers_of([neighbour("side", pod="web")]),
    ),
    Case(
        "cgroup-shared",
        Verdict.PASS,
        "another is elsewhere",
        container=make_container(identity=make_identity(id="", name=""), cgroup=cgroup_v2()),
        peers=peers_of([neighbour("other", cgroup=cgroup_v1()), neighbour("unread", cgroup=denied())]),
    ),
    Case("cgroup-shared", Verdict.PASS, "v1"),
    Case("cgroup-shared", Verdict.PASS, "v2", container=make_container(cgroup=cgroup_v2())),
    Case("cgroup-shared", Verdict.UNKNOWN, "unreadable", container=NO_CGROUP),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "v1",
        container=make_container(mounts=make_mounts(V1_RW)),
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "the whole hierarchy",
        container=make_container(mounts=make_mounts(V1_ROOT_RW)),
        severity=Severity.HIGH,
        says=("whole",),
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "v1 in a user namespace",
        container=make_container(mounts=make_mounts(V1_RW), namespaces=OWN_USER),
        severity=Severity.MEDIUM,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "v2 in a user namespace",
        container=make_container(mounts=make_mounts(V2_RW), namespaces=OWN_USER),
        severity=Severity.INFO,
        says=("as is meant",),
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "v2 with nsdelegate",
        container=make_container(mounts=make_mounts(V2_RW), namespaces=OWN_CGROUP),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "a hierarchy without a controller",
        container=make_container(mounts=make_mounts(V1_NAMED_RW)),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "it can mount one",
        container=held("CAP_SYS_ADMIN", probes=answered("mount", succeeded=True, answer="EINVAL")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "given away with its limits",
        container=make_container(
            mounts=make_mounts(V2_RW.replace(b",nsdelegate", b"")),
            namespaces=OWN_USER,
            cgroup=owned(100000, 100000),
            uid_map=known((IdRange(0, 100000, 65536),)),
        ),
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "given away with its limits, which nsdelegate guards",
        container=make_container(
            mounts=make_mounts(V2_RW),
            namespaces=namespaces(PID, **{**OWN_INODES, "user": 4026532999, "cgroup": 4026532998}),
            cgroup=owned(100000, 100000),
            uid_map=known((IdRange(0, 100000, 65536),)),
        ),
        severity=Severity.INFO,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "given away without its limits",
        container=make_container(
            mounts=make_mounts(V2_RW),
            namespaces=OWN_USER,
            cgroup=owned(100000, 0),
            uid_map=known((IdRange(0, 100000, 65536),)),
        ),
        severity=Severity.INFO,
        says=("as is meant",),
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "root's, and no process is root",
        container=make_container(mounts=make_mounts(V1_RW), cgroup=owned(0, 0)),
        severity=Severity.LOW,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "root's, and a process is root",
        container=held(mounts=make_mounts(V1_RW), cgroup=owned(0, 0)),
        severity=Severity.HIGH,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "the whole hierarchy, and a process is root",
        container=held(mounts=make_mounts(V1_ROOT_RW), cgroup=owned(1000, 1000)),
        severity=Severity.HIGH,
        says=("whole",),
    ),
    Case("cgroup-writable", Verdict.PASS, "docker's default"),
    Case(
        "cgroup-writable",
        Verdict.PASS,
        "it cannot mount one",
        container=held("CAP_SYS_ADMIN", probes=answered("mount", succeeded=False, answer="EPERM")),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-writable",
        Verdict.FAIL,
        "a filter lets it mount one",
        container=held(
            "CAP_SYS_ADMIN", lsm_label=known("unconfined"), status=FILTERED_ADMIN, filters=filters()
        ),
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-writable",
        Verdict.PASS,
        "a filter forbids to mount one",
        container=held("CAP_SYS_ADMIN", status=FILTERED_ADMIN),
        says=("filter refuses",),
    ),
    Case(
        "cgroup-writable",
        Verdict.UNKNOWN,
        "AppArmor might refuse the mount",
        container=held("CAP_SYS_ADMIN"),
        says=("docker-default",),
    ),
    Case(
        "cgroup-writable",
        Verdict.UNKNOWN,
        "a filter that was not read",
        container=held(
            "CAP_SYS_ADMIN", lsm_label=known("unconfined"), status=FILTERED_ADMIN, filters=denied("filter")
        ),
    ),
    Case("cgroup-writable", Verdict.UNKNOWN, "unreadable", container=make_container(mounts=denied())),
    Case(
        "cgroup-release-agent-writable",
        Verdict.FAIL,
        "the root is mounted",
        container=held("CAP_SYS_ADMIN", mounts=make_mounts(V1_ROOT_RW)),
        severity=Severity.CRITICAL,
        says=("/sys/fs/cgroup/pids/release_agent",),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.FAIL,
        "privileged",
        container=held("CAP_SYS_ADMIN", lsm_label=known("unconfined")),
        basis=Basis.OBSERVED,
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.FAIL,
        "read-only until it is remounted",
        container=held(
            "CAP_SYS_ADMIN",
            lsm_label=known("unconfined"),
            mounts=make_mounts(V1_ROOT_RO),
            namespaces=OWN_CGROUP,
        ),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.PASS,
        "a filter forbids to mount one",
        container=held("CAP_SYS_ADMIN", status=FILTERED_ADMIN),
        says=("filter refuses",),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.UNKNOWN,
        "a filter that was not read",
        container=held(
            "CAP_SYS_ADMIN", lsm_label=known("unconfined"), status=FILTERED_ADMIN, filters=denied("filter")
        ),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.FAIL,
        "it can mount one",
        container=held("CAP_SYS_ADMIN", probes=answered("mount", succeeded=True, answer="EINVAL")),
        basis=Basis.PROVEN,
    ),
    Case("cgroup-release-agent-writable", Verdict.PASS, "no CAP_SYS_ADMIN"),
    Case(
        "cgroup-release-agent-writable",
        Verdict.PASS,
        "in a user namespace",
        container=held("CAP_SYS_ADMIN", namespaces=OWN_USER),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.PASS,
        "in a cgroup namespace",
        container=held("CAP_SYS_ADMIN", namespaces=OWN_CGROUP),
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.PASS,
        "read-only, and it cannot mount",
        container=held(
            "CAP_SYS_ADMIN",
            mounts=make_mounts(V1_ROOT_RO),
            probes=answered("mount", succeeded=False, answer="EPERM"),
        ),
        basis=Basis.PROVEN,
    ),
    Case(
        "cgroup-release-agent-writable",
        Verdict.UNKNOWN,
        "AppArmor might refuse the mount",
        container=held("CAP_SYS_ADMIN"),
    ),
)


def at(path: str, limit: int | None, above: int | None = None, key: str = "") -> Container:
    """A container at a path on v2, with a memory limit there and perhaps one on the cgroup above."""
    readings = [known("max" if limit is None else str(limit), f"/sys/fs/cgroup{path}/memory.max")]
    if above is not None:
        readings.append(known(str(above), f"/sys/fs/cgroup{path.rpartition('/')[0]}/memory.max"))
    cgroup = Cgroup((Membership(0, (), path),), {"memory.max": tuple(readings)}, {})
    return neighbour(key or path, cgroup=known(cgroup))


_HOST = (
    Case(
        "cgroup-controller-missing",
        Verdict.FAIL,
        "no memory",
        host=make_host(
            hierarchies=known(tuple(h for h in V1_HIERARCHIES if "memory" not in h.controllers)),
            controllers=known({"memory": False}),
        ),
        severity=Severity.MEDIUM,
        says=("memory",),
    ),
    Case(
        "cgroup-controller-missing",
        Verdict.FAIL,
        "v2 without cpuset",
        host=make_host(
            hierarchies=known((Hierarchy(2, ("cpu", "io", "memory", "pids"), "", "/sys/fs/cgroup"),)),
            controllers=denied(),
        ),
        severity=Severity.LOW,
        says=("cpuset",),
    ),
    Case(
        "cgroup-controller-missing",
        Verdict.FAIL,
        "nothing is mounted",
        host=make_host(hierarchies=known(()), controllers=known({"cpu": True})),
    ),
    Case("cgroup-controller-missing", Verdict.PASS, "hybrid"),
    Case(
        "cgroup-controller-missing",
        Verdict.UNKNOWN,
        "v2 does not tell",
        host=make_host(
            hierarchies=known((Hierarchy(2, (), "", "/sys/fs/cgroup", "EACCES: Permission denied"),))
        ),
        says=("EACCES",),
    ),
    Case(
        "cgroup-memory-overcommitted",
        Verdict.FAIL,
        "more than there is",
        peers=peers_of([at("/a", 16 * GIB), at("/b", 16 * GIB)]),
        severity=Severity.INFO,
        says=("32 GiB", "24 GiB"),
    ),
    Case(
        "cgroup-memory-overcommitted",
        Verdict.FAIL,
        "one without a limit",
        peers=peers_of([at("/a", GIB), at("/b", None)]),
        says=("1 of 2", "/b"),
    ),
    Case(
        "cgroup-memory-overcommitted",
        Verdict.PASS,
        "below one limit of all",
        peers=peers_of([at("/all/a", 16 * GIB, above=20 * GIB), at("/all/b", 16 * GIB, above=20 * GIB)]),
        says=("20 GiB",),
    ),
    Case(
        "cgroup-memory-overcommitted",
        Verdict.PASS,
        "one cgroup of two",
        peers=peers_of([at("/a", 16 * GIB, key="one"), at("/a", 16 * GIB, key="two")]),
        says=("16 GiB",),
    ),
    Case("cgroup-memory-overcommitted", Verdict.NOT_APPLICABLE, "no container", peers=Peers(())),
    Case(
        "cgroup-memory-overcommitted",
        Verdict.UNKNOWN,
        "one unread",
        peers=peers_of([at("/a", GIB), neighbour("unread", cgroup=denied())]),
    ),
    Case("cgroup-controller-missing", Verdict.UNKNOWN, "unreadable", host=make_host(hierarchies=denied())),
    Case("cgroup-v1-in-use", Verdict.FAIL, "hybrid", severity=Severity.LOW, says=("hybrid",)),
    Case(
        "cgroup-v1-in-use",
        Verdict.PASS,
        "v2",
        host=make_host(
            cgroup_layout=known("v2"), hierarchies=known((Hierarchy(2, ("memory",), "", "/sys/fs/cgroup"),))
        ),
    ),
    Case("cgroup-v1-in-use", Verdict.NOT_APPLICABLE, "none", host=make_host(cgroup_layout=known("none"))),
    Case("cgroup-v1-in-use", Verdict.UNKNOWN, "unreadable", host=make_host(cgroup_layout=denied())),
)

CASES = (*_LIMITS, *_CPU, *_MEMORY, *_OTHERS, *_PLACES, *_HOST)
