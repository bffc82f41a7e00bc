"""Abstract sockets of the host are reachable.

## What it detects
The container is in the host's network namespace, and processes that are not its own listen on abstract unix
sockets there (names that begin with `@` in `/proc/net/unix`).

## Why it matters
An abstract socket lies in no filesystem: no mount hides it and no file mode guards it. Whoever is in its
network namespace may connect, and only the service itself can refuse. containerd's shims listened on such a
socket, and any container on the host's network could have them start processes on the host (CVE-2020-15257).
X servers, D-Bus and multipathd use them as well.

## Remediation
Give the container a network namespace of its own.

- docker, podman: leave out `--network host`
- compose: remove `network_mode: host`
- Kubernetes: `hostNetwork: false`
- systemd: `PrivateNetwork=yes`; systemd-nspawn: `--private-network`; bubblewrap: `--unshare-net`
- AppArmor: a profile without the rule `unix (connect)` for peers outside; Landlock from Linux 6.12 on: scope
  `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`

## When it is fine
Every listener asks who connects (SO_PEERCRED) and refuses uid 0 of a container too.

## References
- unix(7) "Abstract sockets", network_namespaces(7)
- CVE-2020-15257
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require
from isoaudit.facts.network import on_host
from isoaudit.facts.processes import listed
from isoaudit.facts.units import count

_SHOWN = 5


@check(severity="high")
def abstract_socket_reachable(host: Host, container: Container) -> Outcome:
    if not on_host(host, container):
        return passed("its network namespace is its own: it sees no abstract socket of the host")
    abstract = require(container.network).abstract
    names = require(abstract)
    if not names:
        return passed("it is on the host's network, where nobody else listens on an abstract socket")
    evidence = [Evidence(abstract.source, name, "no listener besides its own") for name in names[:_SHOWN]]
    shown = listed(names[:_SHOWN], len(names))
    return fail(f"it can connect to {count(len(names), 'abstract socket')} of others: {shown}", evidence)
