"""All facts of one scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from isoaudit.facts.container import Container, Identity
    from isoaudit.facts.host import Host
    from isoaudit.facts.peers import Peer


class ScanFacts(NamedTuple):
    """How a snapshot came about."""

    id: str  # random, so that two reports are never taken for one
    started: str  # RFC 3339
    seconds: float
    mode: str  # "host" or "container"
    command: tuple[str, ...]
    euid: int
    probes: str  # the hazard class that was allowed
    processes: int  # on the host
    hidden: int  # of those, how many could not be looked into
    sandboxes: int  # services with private mounts that were left out


class Snapshot(NamedTuple):
    """Everything that was read in one scan."""

    scan: ScanFacts
    host: Host
    containers: tuple[Container, ...]
    vanished: tuple[Identity, ...]  # containers that ended while they were being read
    # What the host had besides, as containers are compared with it too: nobody else's facts are in here.
    others: tuple[Peer, ...] = ()
