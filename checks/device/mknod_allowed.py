"""Device nodes can be made.

## What it detects
A process of the container has CAP_MKNOD in the initial user namespace and no seccomp filter that refuses
mknod(2), and the device policy lets nodes be made of any device. If probes ran, a test container with the same
walls tried it: it made a node of a disk's number in a tmpfs of its own (`device-mknod`) and asked whether it
might open one (`device-open`).

## Why it matters
A node alone opens nothing that the device policy forbids, and Docker's default policy lets every node be made
and hardly any be opened. But the policy is then the only wall before every disk: where it is open too, one
`mknod` and one `read` give all of the host's files. A node that is left behind on a shared volume can be opened
by whoever has a wider policy.

## Remediation
Drop CAP_MKNOD: programs hardly ever make device nodes.

- docker, podman: `--cap-drop MKNOD` (podman drops it by default)
- compose: `cap_drop: [MKNOD]`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`
- systemd: `CapabilityBoundingSet=~CAP_MKNOD`, or `PrivateDevices=yes`

## When it is fine
While an image is built or a system is installed. Not in a service.

## References
- mknod(2); capabilities(7), "CAP_MKNOD"; cgroup-v1/devices.rst
- CIS Docker Benchmark 1.6.0, 5.3
"""

from __future__ import annotations

from isoaudit import Basis, Container, Evidence, Known, Outcome, check, fail, passed, require
from isoaudit.facts.devices import BLOCK, CHARACTER
from isoaudit.facts.exposure import makers, policy

# A disk and a device that no engine's default list names: their rules say "any of its kind".
_PROBES = ((BLOCK, 259, 0), (CHARACTER, 10, 231))


@check(severity="low")
def mknod_allowed(container: Container) -> Outcome:
    made, opened = container.probe("device-mknod"), container.probe("device-open")
    if isinstance(made, Known):
        evidence = [Evidence(made.source, f"{made.value.call}: {made.value.answer}", "EPERM")]
        if not made.value.succeeded:
            return passed(
                "a test container with its walls cannot make device nodes", evidence, basis=Basis.PROVEN
            )
        if isinstance(opened, Known):
            evidence.append(Evidence(opened.source, f"{opened.value.call}: {opened.value.answer}", "EPERM"))
            is_open = opened.value.succeeded
        else:
            rules = policy(container)
            is_open = isinstance(rules, Known) and rules.value.unrestricted
        return _failed(evidence, is_open=is_open, basis=Basis.PROVEN)
    holders = makers(container)
    if not holders:
        return passed("no process of it has CAP_MKNOD over the host and a seccomp filter that lets it use it")
    rules = policy(container)
    allowed = require(rules)
    if not any(allowed.allows(kind, major, minor, "m") for kind, major, minor in _PROBES):
        return passed("its device policy lets no node be made but of the devices that it names")
    status = require(holders[0].status)
    evidence = [
        Evidence(
            holders[0].status.source,
            f"CapPrm:\t{status.cap_permitted:016x}",
            "no CAP_MKNOD",
        ),
        Evidence(
            allowed.source,
            "no device policy" if not allowed.levels else "allows *:* m",
            "a policy that lets no other node be made",
        ),
    ]
    return _failed(evidence, is_open=allowed.unrestricted, basis=Basis.OBSERVED)


def _failed(evidence: list[Evidence], *, is_open: bool, basis: Basis) -> Outcome:
    if is_open:
        message = "it can make a node of any device, and its device policy lets it open it"
        return fail(message, evidence, severity="critical", basis=basis)
    return fail(
        "it can make a node of any device: only its device policy is left before opening it",
        evidence,
        basis=basis,
    )
