"""A hardware clock is usable inside.

## What it detects
A node of a real-time clock (`/dev/rtc*`) or of a network card's clock (`/dev/ptp*`) lies inside on a mount
without nodev, and the device policy lets it be opened; or CAP_MKNOD and the policy let one be made.

## Why it matters
The host sets its clock from the RTC at boot. Who writes the RTC decides what time it is after the next one,
and its alarm wakes a sleeping host. A PTP clock is what all of a cluster's machines may be steered by.

## Remediation
Take the device out of the container and of its device policy.

- docker, podman: leave out `--device /dev/rtc0`, `--device-cgroup-rule` and `--privileged`
- compose: remove it from `devices` and `device_cgroup_rules`
- Kubernetes: `privileged: false`, no `hostPath` volume of /dev, no device plugin for it
- systemd: `PrivateDevices=yes`, `ProtectClock=yes`

## When it is fine
One container whose work is to keep the host's time (chronyd, ptp4l).

## References
- rtc(4), Documentation/driver-api/ptp.rst
- CIS Docker Benchmark 1.6.0, 5.18
"""

from isoaudit import Container, Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.devices import CHARACTER, DeviceNode, classify
from isoaudit.facts.exposure import exposed_nodes, may_mknod, policy

# The fixed number of the legacy driver's /dev/rtc (include/linux/miscdevice.h, RTC_MINOR).
_LEGACY = (10, 135)


@check(severity="high")
def rtc_exposed(host: Host, container: Container) -> Outcome:
    names = host.device_names.value if isinstance(host.device_names, Known) else ()

    def is_clock(node: DeviceNode) -> bool:
        return not node.nodev and classify(node.kind, node.major, node.minor, names) == "rtc"

    if any(is_clock(node) for node in require(container.devices)):
        for node, access in exposed_nodes(container):
            if is_clock(node):
                return fail(
                    f"{node.path} is usable inside: it is a clock of the hardware's",
                    [
                        Evidence(
                            f"{container.devices.source}, {node.path}",
                            f"{node.number} {access}",
                            "no such node",
                        )
                    ],
                )
    # RTC and PTP majors are given out at boot: without their names another node may be one.
    majors = [
        major
        for kind, major, name in require(host.device_names)
        if kind == CHARACTER and name in ("rtc", "ptp")
    ]
    if may_mknod(container):
        rules = require(policy(container))
        for major, minor in (*((major, 0) for major in majors), _LEGACY):
            access = rules.access(CHARACTER, major, minor)
            if "m" in access and access != "m":
                return fail(
                    f"CAP_MKNOD and the device policy let it make a clock of the hardware's, c {major}:{minor}",
                    [Evidence(rules.source, f"allows c {major}:{minor} {access}", "no rule that allows it")],
                )
    return passed("no clock of the hardware's is usable inside")
