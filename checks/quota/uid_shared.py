"""Quotas of a user are shared with others.

## What it detects
A process inside runs as a user of the host that processes of the host or of another container run as too: the
kernel keeps one quota for all of them, wherever they are. Pipe buffers, keys and epoll watches go by uid
alone; inotify instances and watches, pending signals, message queues, locked memory and processes by user
namespace and uid. What a container with a user namespace of its own takes of inotify is charged to whoever
made the namespace as well: two containers of one engine share that, whatever their uids. Within a pod it is
worth knowing, no more.

## Why it matters
One container can take all 128 inotify instances or 200 keys of the user, and then programs of the others, and
of the host, fail: file watchers, service managers, container engines themselves. Nothing but the user's own
limits stands in the way.

## Remediation
Give each container a user of its own on the host, and raise the limits for what is left.

- docker: `--user` with a uid of its own; podman: `--userns=auto`
- compose: `user:`
- Kubernetes: `runAsUser` from a range for each namespace; `hostUsers: false`
- systemd: `DynamicUser=yes`, `PrivateUsers=`
- host: `sysctl fs.inotify.max_user_instances=8192`; inside a user namespace of its own, a lower
  `user.max_inotify_instances` bounds that container

## When it is fine
Where the user's limits are far above what all of its containers need.

## References
- inotify(7), pipe(7), keyrings(7), getrlimit(2): RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK
- namespaces(7), "The /proc/sys/user directory"; kernel/ucount.c
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from isoaudit import Container, Evidence, Host, Known, Outcome, Peers, Severity, check, fail, passed, require
from isoaudit.facts.namespaces import INITIAL
from isoaudit.facts.processes import listed
from isoaudit.facts.quotas import Account, Accounts, accounts_of
from isoaudit.facts.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoaudit.facts.peers import Peer

_SHOWN = 4
_EVERY = "inotify, pipe buffers, keys, pending signals, message queues, locked memory, processes"
_BY_UID = "pipe buffers, keys, epoll watches"
_BY_OWNER = "inotify instances and watches"
_SETTINGS = (
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.epoll.max_user_watches",
    "fs.pipe-user-pages-soft",
    "kernel.keys.maxkeys",
)


class _Shared(NamedTuple):
    """Some quotas, and who uses them up besides the container."""

    what: str
    users: frozenset[int]  # of the host
    peers: Sequence[Peer]  # of the user whom most have; the container may be among them
    severity: Severity


@check(severity="medium")
def uid_shared(host: Host, container: Container, peers: Peers) -> Outcome:
    ours = accounts_of(container.processes, container.namespaces, container.owners)
    # The first that is shared includes those after it.
    for shared in _shared(ours, _host_users(host), peers):
        others = _Others(container, shared.peers)
        if shared.users or others.count:
            return _fail(host, container, shared, others)
    if ours.missing is not None:
        require(ours.missing)
    require(require(host.quotas).users)
    if "accounts" in peers.unread:
        require(peers.unread["accounts"])
    return passed("no quota of a user's is shared with the host or another container")


def _shared(ours: Accounts, users: frozenset[int], peers: Peers) -> Iterator[_Shared]:
    same = max(map(peers.with_account, ours.own), key=len, default=())
    yield _Shared(_EVERY, _initial(ours.own) & users, same, Severity.MEDIUM)
    uids = frozenset(account.uid for account in ours.own)
    alike = max(map(peers.with_uid, uids), key=len, default=())
    yield _Shared(_BY_UID, uids & users, alike, Severity.MEDIUM)
    charged = max(map(peers.charged_to, ours.own | ours.owners), key=len, default=())
    yield _Shared(_BY_OWNER, _initial(ours.owners) & users, charged, Severity.LOW)


class _Others:
    """The other containers of a list as long as the scan may be: no more is looked at than is shown."""

    def __init__(self, container: Container, peers: Sequence[Peer]) -> None:
        others = (peer for peer in peers if peer.identity.key != container.key)
        pod = container.identity.pod
        self.shown = list(islice(others, _SHOWN))
        self.count = len(peers) - 1 if len(peers) > _SHOWN else len(self.shown)
        self.outside = any(not pod or peer.identity.pod != pod for peer in chain(self.shown, others))


def _initial(accounts: frozenset[Account]) -> frozenset[int]:
    return frozenset(account.uid for account in accounts if account.user_namespace == INITIAL["user"])


def _host_users(host: Host) -> frozenset[int]:
    """Who is known to run something on the host: root always does."""
    if isinstance(host.quotas, Known) and isinstance(host.quotas.value.users, Known):
        return host.quotas.value.users.value | {0}
    return frozenset({0})


def _fail(host: Host, container: Container, shared: _Shared, others: _Others) -> Outcome:
    sharers = []
    if shared.users:
        uids = listed([str(uid) for uid in sorted(shared.users)[:_SHOWN]], len(shared.users))
        sharers.append(f"the host's uid {uids}")
    if others.count:
        where = "" if others.outside else "of its pod "
        keys = listed([peer.identity.key for peer in others.shown], others.count)
        sharers.append(f"{count(others.count, 'container')} {where}({keys})")
    return fail(
        f"it uses up the same quotas ({shared.what}) as {' and '.join(sharers)}",
        _evidence(host, container),
        severity=shared.severity if shared.users or others.outside else Severity.INFO,
    )


def _evidence(host: Host, container: Container) -> list[Evidence]:
    evidence = []
    status = container.status
    if isinstance(status, Known):
        uids = "\t".join(map(str, status.value.uids))
        evidence.append(Evidence(status.source, f"Uid:\t{uids}", "a user that nobody else runs as"))
    for name in _SETTINGS:
        setting = host.sysctl(name)
        if isinstance(setting, Known):
            evidence.append(Evidence(setting.source, setting.value))
    return evidence
