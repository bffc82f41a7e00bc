"""Block I/O is neither limited nor weighted.

## What it detects
No throttle (`blkio.throttle.*_device` on v1, `io.max` on v2) stands on the container's cgroup or an
ancestor, and its I/O weight is the kernel's default.

## Why it matters
One container can keep a disk so busy that every other one on it, and the host, waits seconds for each read.

## Remediation
Limit bytes or operations a second of the disks it uses, or give it a weight.

- docker, podman: `--device-write-bps /dev/sda:20mb`, `--device-read-iops /dev/sda:1000`, `--blkio-weight 100`
- compose: `blkio_config:` with `device_write_bps`, `device_read_iops`, `weight`
- Kubernetes: no field; a runtime with block I/O classes (`blockio.resources.beta.kubernetes.io` annotations)
- systemd, quadlet: `IOWriteBandwidthMax=/dev/sda 20M`, `IOReadIOPSMax=/dev/sda 1000`, `IOWeight=50`

An engine drops silently what the kernel lacks: compare the cgroup file with what was asked for. On v1 only
direct I/O is throttled, as nobody is charged for writing back the page cache.

## When it is fine
Where nothing else uses the disk, or it is faster than all containers together.

## References
- cgroup-v1/blkio-controller.rst, cgroup-v2.rst "IO Interface Files"
"""

from isoaudit import Container, Evidence, Outcome, check, fail, passed, require
from isoaudit.facts.limits import idle_io_weight, io_bound


@check(severity="low")
def io_unlimited(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    reading = io_bound(cgroup)
    bound = require(reading)
    if bound:
        return passed("its block I/O is bounded", [Evidence(reading.source, bound)])
    why = cgroup.obstacle("blkio") or "it can keep a disk busy for everyone"
    evidence = [Evidence(reading.source, "no throttle, and no weight but the default", "either of them")]
    idle = idle_io_weight(cgroup)
    if idle is not None:
        why, evidence = "its io.weight has no effect, as io.cost is on for no disk", [idle]
    return fail(f"nothing limits its block I/O: {why}", evidence)
