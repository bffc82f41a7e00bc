"""Container shares the host's network namespace.

## What it detects
The first process of the container is in the network namespace of the host's PID 1: the inode of
`/proc/PID/ns/net` is the same. That holds as well where it joined another container that is in it.

## Why it matters
It sees all interfaces and sockets of the host, reaches what listens on 127.0.0.1 and on abstract unix sockets
(such as containerd's shim API before 1.3.9), listens on any port, and with CAP_NET_RAW or CAP_NET_ADMIN reads
and redirects everybody's traffic.

## Remediation
Give the container a network namespace of its own and publish the ports it serves.

- docker, podman: leave out `--network host`; `--publish 127.0.0.1:8080:80`
- compose: remove `network_mode: host`
- Kubernetes: `hostNetwork: false`
- systemd: `PrivateNetwork=yes`; systemd-nspawn: `--private-network`; bubblewrap: `--unshare-net`

## When it is fine
Network plugins, load balancers and node agents whose work is the host's network.

## References
- network_namespaces(7), unix(7) "abstract"
- CVE-2020-15257
- CIS Docker Benchmark 1.6.0, 5.10
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require


@check(severity="high")
def net_shared(host: Host, container: Container) -> Outcome:
    ours, theirs = require(host.namespaces.net), require(container.namespaces.net)
    evidence = [Evidence(container.namespaces.net.source, f"net:[{theirs}]", f"not the host's net:[{ours}]")]
    if ours == theirs:
        return fail("it is on the host's network: all its interfaces, ports and local sockets", evidence)
    return passed("its network namespace is its own", evidence)
