"""What each check must say of facts: at least one failing, one passing and one unknown case a check."""

from __future__ import annotations

from typing import NamedTuple

from isoaudit.facts.container import Container
from isoaudit.facts.host import Host
from isoaudit.facts.peers import Peers
from isoaudit.model import Basis, Severity, Verdict
from support.facts import make_container, make_host


class Case(NamedTuple):
    """Facts, and what one check must make of them; `says` are parts of its message."""

    check: str
    outcome: Verdict
    name: str  # what is special about the facts
    host: Host = make_host()
    container: Container = make_container()
    peers: Peers | None = None  # None: the container has no neighbour
    severity: Severity | None = None  # None: not asserted
    basis: Basis | None = None
    inherent: bool = False
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.check}:{self.outcome.value}:{self.name}".replace(" ", "-")
