"""Its network traffic cannot be told apart.

## What it detects
On v1 `net_cls.classid` is 0 and every interface in `net_prio.ifpriomap` has priority 0, or neither
controller holds the container; and it has no v2 cgroup of its own, by whose path nftables and BPF can
match.

## Why it matters
Firewall rules, traffic shaping and accounting on the host then see packets of nobody. It matters most for
containers on the host's network, where no interface of their own tells them apart.

## Remediation
Give the container a v2 cgroup of its own, or a class id.

- host: cgroup v2, and `nft … socket cgroupv2 level 2 "machine.slice/…"`
- v1: `echo 0x100001 > …/net_cls.classid`; OCI runtimes: `linux.resources.network` in config.json
- docker, podman, Kubernetes: their containers have a v2 cgroup of their own where v2 is mounted

## When it is fine
Where each container has a network namespace with an interface, which tells its traffic apart as well.

## References
- cgroup-v1/net_cls.rst, cgroup-v1/net_prio.rst
- nft(8), "socket cgroupv2"; iptables-extensions(8), "cgroup"
"""

from isoaudit import Container, Evidence, Outcome, check, fail, passed, require


@check(severity="info")
def network_unclassified(container: Container) -> Outcome:
    cgroup = require(container.cgroup)
    unified = cgroup.unified
    if unified is not None and unified.own:
        evidence = [Evidence(container.cgroup.source, unified.path)]
        return passed("its traffic can be matched by the path of its v2 cgroup", evidence)
    evidence = []
    for file in ("net_cls.classid", "net_prio.ifpriomap"):
        if cgroup.readings(file):
            reading = cgroup.leaf(file)
            value = require(reading)
            if any(entry.split()[-1:] not in ([], ["0"]) for entry in value.splitlines()):
                return passed("its traffic is tagged", [Evidence(reading.source, value)])
            evidence.append(Evidence(reading.source, value, "other than 0"))
    if not evidence:
        shown = "neither net_cls nor net_prio, and no v2 cgroup of its own"
        evidence = [Evidence(container.cgroup.source, shown, "one of them")]
    return fail("its network traffic carries no mark of whose it is", evidence)
