"""Containers have one SELinux category pair.

## What it detects
Another container of the scan has the same SELinux level, with the same MCS categories (`s0:c12,c345` at the
end of `/proc/PID/attr/current`). AppArmor's profiles are the same for all containers by design and are not
judged.

## Why it matters
Engines give every container a pair of its own, and SELinux keeps containers apart by nothing else: the type
is common to them. With one level each may read and write the other's files and signal its processes.

## Remediation
Leave the level to the engine, which chooses a pair for each container.

- docker, podman: leave out `--security-opt label=level:…` and `label=disable`; volumes with `:Z`, not `:z`
- compose: remove them from `security_opt`
- Kubernetes: no `seLinuxOptions.level` that two pods have in common

## When it is fine
Containers of one pod, which have one level by design, and containers that share a volume on purpose.

## References
- selinux(8), mcs(8)
- CIS Docker Benchmark 1.6.0, 5.3
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Peers,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.lsm import MAJOR, parse_label
from isoaudit.facts.processes import listed

_SHOWN = 4


@check(severity="medium")
def label_shared(host: Host, container: Container, peers: Peers) -> Outcome:
    if isinstance(host.lsms, Known) and not MAJOR.intersection(host.lsms.value):
        return not_applicable("no security module that labels processes is active on the host")
    raw = require(container.lsm_label)
    label = parse_label(raw)
    if label is None or not label.level:
        return not_applicable("it has no SELinux level")
    sharers = peers.at_level(label.level, container.key)
    evidence = [Evidence(container.lsm_label.source, raw, "a level of no other container")]
    if sharers:
        pod = container.identity.pod
        outside = [peer.identity.key for peer in sharers if not pod or peer.identity.pod != pod]
        keys = outside or [peer.identity.key for peer in sharers]
        return fail(
            f"its SELinux level {label.level} is also that of {listed(keys[:_SHOWN], len(keys))}",
            evidence,
            severity=None if outside else "info",
        )
    refused = peers.unread.get("label")
    if refused:
        return unknown(refused.reason, refused.source)
    return passed(f"no other container has its SELinux level {label.level}", evidence)
