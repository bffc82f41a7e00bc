"""Every device is allowed.

## What it detects
The container's device policy lets every device be read and written: `devices.list` says `a *:* rwm` on its
v1 cgroup and all ancestors, and no BPF program on its v2 cgroup or an ancestor denies any. Programs are read
from the kernel and taken apart for all numbers that a device can have, so that what a program allows is known
exactly and shown as rules. A program that calls helpers or looks into maps is not understood. Then, and where
programs may not be read, the probe `device-open` decides, which tries in a test container whether a device
outside the default list may be opened.

## Why it matters
Whoever can make or finds a node of the host's disk reads and writes it whole, past every file permission:
that is the host's root in one step. Kernel memory, consoles and other hardware are open likewise.

## Remediation
Run the container unprivileged, and allow the devices that it needs one by one.

- docker, podman: remove `--privileged` and `--device-cgroup-rule 'a *:* rwm'`; use `--device /dev/fuse`
- compose: remove `privileged: true`; use `devices:`
- Kubernetes: `securityContext.privileged: false`; use a device plugin
- systemd, quadlet: `DevicePolicy=closed`, `DeviceAllow=/dev/fuse rw`

## When it is fine
Never for a workload; for an agent that manages the host's storage, and is as trusted as the host's root.

## References
- cgroup-v1/devices.rst, cgroup-v2.rst "Device controller", bpf(2)
- CIS Docker Benchmark 1.6.0, 5.5 and 5.18
"""

from isoaudit import Basis, Container, Evidence, Known, Outcome, Unknown, check, fail, passed, require, unknown
from isoaudit.facts.confinement import presumed
from isoaudit.facts.devices import classify
from isoaudit.facts.exposure import may_mknod, policy, policy_command, policy_evidence


@check(severity="critical")
def devices_unrestricted(container: Container) -> Outcome:
    probe, rules = container.probe("device-open"), policy(container)
    evidence = []
    opened = None
    if isinstance(probe, Known):
        opened = probe.value.succeeded
        evidence.append(Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM"))
    if isinstance(rules, Unknown):
        if opened is None:
            return unknown(rules.reason, rules.source)
        if opened:
            return _open(
                "a device that no container needs could be opened under its policy",
                evidence,
                Basis.PROVEN,
                container,
            )
        return passed("its device policy refuses what no container needs", evidence, basis=Basis.PROVEN)
    evidence += policy_evidence(container)
    if rules.value.unrestricted:
        basis = Basis.PROVEN if opened else Basis.OBSERVED
        return _open("its device policy allows every device", evidence, basis, container)
    basis = Basis.PROVEN if opened is False else Basis.OBSERVED
    return passed("its device policy allows only what it lists", evidence, basis=basis)


def _open(message: str, evidence: list[Evidence], basis: Basis, container: Container) -> Outcome:
    """Critical where a node can be had: made with CAP_MKNOD, or there already."""
    command = policy_command(container)
    if presumed(may_mknod, container) or presumed(_has_node, container):
        return fail(message, evidence, basis=basis, reproduce=command)
    message += ", though it has no node of one and cannot make any"
    return fail(message, evidence, severity="medium", basis=basis, reproduce=command)


def _has_node(container: Container) -> bool:
    return any(
        classify(node.kind, node.major, node.minor) != "default" and not node.nodev
        for node in require(container.devices)
    )
