"""What limits a container: numbers from its cgroups' files, in one vocabulary for v1 and v2.

A limit binds through all ancestors, so the effective one is the tightest on the way to the root. The unit is in
each function's name, `None` is "unlimited", and the evidence is the file that decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import Basis, Evidence, Known, Unknown, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoaudit.facts.cgroup import Cgroup
    from isoaudit.facts.probe import ProbeAnswer
    from isoaudit.model import Reading

# v1 spells "unlimited" as the largest page counter in bytes: LONG_MAX rounded down to the page size, for
# hugetlb to the huge page's, which is up to 16 GiB (mm/page_counter.c, mm/hugetlb_cgroup.c). No machine has
# that much memory.
V1_UNLIMITED_BYTES = 1 << 62


class Limit(NamedTuple):
    """An effective limit: `amount` is None where nothing limits. `source` says what in `observed`'s words."""

    amount: float | None
    source: str
    observed: str


NO_CONTROLLER = "no hierarchy has the controller at this container's cgroup"


def tightest(
    readings: Sequence[Reading[str]], parse: Callable[[str], float | None], missing: str
) -> Reading[Limit]:
    """The tightest limit of a chain of cgroups.

    Args:
        readings: one file on every cgroup up to the root.
        parse: the number in the file, None for "unlimited"; ValueError where it is neither.
        missing: where one would look if there are no readings at all.

    Returns:
        Unknown if a file could not be read, unless another one already limits: the effective limit can
        then only be tighter still.
    """
    if not readings:
        return Known(Limit(None, missing, NO_CONTROLLER), missing)
    limit: Limit | None = None
    refused: Unknown | None = None
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        try:
            amount = parse(reading.value)
        except ValueError:
            refused = refused or Unknown(reading.source, f"not a limit: {reading.value[:80]!r}")
            continue
        if limit is None or (amount is not None and (limit.amount is None or amount < limit.amount)):
            limit = Limit(amount, reading.source, reading.value)
    if refused and (limit is None or limit.amount is None):
        return refused
    assert limit is not None  # noqa: S101  readings were there and none was refused
    return Known(limit, limit.source)


def _max(value: str) -> float | None:
    return None if value == "max" else int(value)


def _v1_bytes(value: str) -> float | None:
    amount = int(value)
    return None if amount >= V1_UNLIMITED_BYTES else amount


def memory_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of memory in bytes (memory.limit_in_bytes, memory.max)."""
    readings, parse = memory_limits(cgroup)
    return tightest(readings, parse, "memory.limit_in_bytes" if parse is _v1_bytes else "memory.max")


def memory_limits(cgroup: Cgroup) -> tuple[tuple[Reading[str], ...], Callable[[str], float | None]]:
    """Every level that limits its memory, and how the number in the file is read."""
    if v1 := cgroup.readings("memory.limit_in_bytes"):
        return _hierarchical(cgroup, v1), _v1_bytes
    return cgroup.readings("memory.max"), _max


def _hierarchical(cgroup: Cgroup, readings: tuple[Reading[str], ...]) -> tuple[Reading[str], ...]:
    """The levels whose memory limit binds: before Linux 5.11, a v1 cgroup could leave those below it alone."""
    flat = {
        _folder(reading)
        for reading in cgroup.readings("memory.use_hierarchy")
        if isinstance(reading, Known) and reading.value == "0"
    }
    if not flat:
        return readings
    end = next((level for level, one in enumerate(readings) if level and _folder(one) in flat), len(readings))
    return readings[:end]


def _folder(reading: Reading[str]) -> str:
    return reading.source.rpartition("/")[0]


def memory_high_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Bytes above which its memory is reclaimed and its processes wait, and it may grow still (memory.high)."""
    return tightest(cgroup.readings("memory.high"), _max, "memory.high")


def memory_and_swap_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of memory and swap together in bytes, on v1 (memory.memsw.limit_in_bytes)."""
    file = "memory.memsw.limit_in_bytes"
    return tightest(_hierarchical(cgroup, cgroup.readings(file)), _v1_bytes, file)


def swap_bytes(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of swap alone in bytes, on v2 (memory.swap.max)."""
    return tightest(cgroup.readings("memory.swap.max"), _max, "memory.swap.max")


def pids_count(cgroup: Cgroup) -> Reading[Limit]:
    """Effective limit of tasks (pids.max)."""
    return tightest(cgroup.readings("pids.max"), _max, "pids.max")


def _cpu_max(value: str) -> float | None:
    quota, _, period = value.partition(" ")
    return None if quota == "max" else int(quota) / int(period)


def cpu_count(cgroup: Cgroup) -> Reading[Limit]:
    """Effective CPU quota in CPUs: quota ÷ period (cpu.cfs_quota_us and cpu.cfs_period_us, cpu.max)."""
    quotas, periods = cgroup.readings("cpu.cfs_quota_us"), cgroup.readings("cpu.cfs_period_us")
    if not quotas:
        return tightest(cgroup.readings("cpu.max"), _cpu_max, "cpu.max")
    # v1 keeps the two in two files: join them as v2 shows them, so that one rule judges both.
    joined: list[Reading[str]] = []
    for quota, period in zip(quotas, periods, strict=False):
        if isinstance(quota, Known) and isinstance(period, Known):
            shown = "max" if quota.value.startswith("-") else quota.value
            joined.append(Known(f"{shown} {period.value}", quota.source))
        else:
            joined.append(quota if isinstance(quota, Unknown) else period)
    return tightest(joined, _cpu_max, "cpu.cfs_quota_us")


def in_cpus(amount: float) -> str:
    """A share of CPU time in words: "0.5 CPUs"."""
    return "1 CPU" if amount == 1 else f"{amount:.4g} CPUs"


class Bound(NamedTuple):
    """Whether a resource is bounded: what the files say and what a probe found, together."""

    bounded: bool
    amount: float | None  # what the files say; None where they set no limit or could not be read
    basis: Basis
    evidence: tuple[Evidence, ...]


def bound(limit: Reading[Limit], probe: Reading[ProbeAnswer], expected: str) -> Bound:
    """Judge a limit by its files and by the probe that tried to pass it.

    A probe that was stopped proves a limit, even one that no file showed. One that was not stopped proves that
    there is none only where no file sets one: else it may have ended below the limit, or the limit does not
    hold, which is another gap than having none.

    Args:
        limit: the effective limit.
        probe: the answer of the probe for it.
        expected: what evidence would have been fine.

    Raises:
        FactMissing: neither decides.
    """
    files = limit.value if isinstance(limit, Known) else None
    evidence = [Evidence(files.source, files.observed, expected)] if files else []
    amount = files.amount if files else None
    if isinstance(probe, Unknown):
        require(limit)
        return Bound(amount is not None, amount, Basis.OBSERVED, tuple(evidence))
    answer = probe.value
    evidence.append(Evidence(probe.source, f"{answer.call} = {answer.answer}", "stopped by the limit"))
    proven = amount is None or not answer.succeeded
    return Bound(
        not (proven and answer.succeeded),
        amount,
        Basis.PROVEN if proven else Basis.OBSERVED,
        tuple(evidence),
    )


def hugetlb_bytes(cgroup: Cgroup, size: str) -> Reading[Limit]:
    """Effective limit of huge pages of a size ("2MB") in bytes (hugetlb.SIZE.limit_in_bytes, .max)."""
    if v1 := cgroup.readings(f"hugetlb.{size}.limit_in_bytes"):
        return tightest(v1, _v1_bytes, f"hugetlb.{size}.limit_in_bytes")
    return tightest(cgroup.readings(f"hugetlb.{size}.max"), _max, f"hugetlb.{size}.max")


_THROTTLES = (
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
    "io.max",
)
# Weights as a new cgroup has them (block/blk-cgroup.h, block/bfq-cgroup.c, cfq's last in Linux 4.20).
_IO_WEIGHTS: dict[str, str] = {
    "blkio.weight": "500",
    "blkio.bfq.weight": "100",
    "io.weight": "default 100",
    "io.bfq.weight": "default 100",
}


def io_bound(cgroup: Cgroup) -> Reading[str]:
    """The line that bounds block I/O: a throttle that binds, else a weight of its own; "" without either.

    A line of io.max may leave everything at "max"; a v1 throttle file is empty without a limit, and binds no
    more than the one cgroup (block/blk-throttle.c, throtl_pd_init).
    """
    refused: Unknown | None = None
    readings = [
        reading for file in _THROTTLES for reading in cgroup.readings(file)[: None if file == "io.max" else 1]
    ]
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        for entry in reading.value.splitlines():
            if any(not amount.endswith("=max") for amount in entry.split()[1:]):
                return Known(entry, reading.source)
    idle = idle_io_weight(cgroup)
    for file, default in _IO_WEIGHTS.items():
        for weight in cgroup.readings(file):
            if isinstance(weight, Unknown):
                refused = refused or weight
            elif weight.value != default and not (idle and file == "io.weight"):
                return Known(weight.value, weight.source)
    return refused or Known("", readings[0].source if readings else "io.max")


def idle_io_weight(cgroup: Cgroup) -> Evidence | None:
    """An io.weight of its own that nothing enforces: the cost model is on for no disk (root's io.cost.qos)."""
    models = cgroup.readings("io.cost.qos")
    if any(isinstance(model, Unknown) or "enable=1" in model.value.split() for model in models) or not models:
        return None
    for weight in cgroup.readings("io.weight"):
        if isinstance(weight, Known) and weight.value != _IO_WEIGHTS["io.weight"]:
            return Evidence(weight.source, weight.value, f"enable=1 for the disk in {models[0].source}")
    return None


def pool_limits(readings: Sequence[Reading[str]]) -> Reading[dict[str, bool]]:
    """Every pool that rdma.max or misc.max lists, and whether some level limits it.

    `mlx5_0 hca_handle=2 hca_object=max` lists two pools of one device, `sev max` one.
    """
    limited: dict[str, bool] = {}
    refused: Unknown | None = None
    for reading in readings:
        if isinstance(reading, Unknown):
            refused = refused or reading
            continue
        for entry in reading.value.splitlines():
            name, *amounts = entry.split()
            for amount in amounts:
                kind, separator, value = amount.rpartition("=")
                pool = f"{name} {kind}" if separator else name
                limited[pool] = limited.get(pool, False) or value != "max"
    if refused and not (limited and all(limited.values())):
        return refused
    return Known(limited, readings[0].source if readings else "")
