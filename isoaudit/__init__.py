"""isoaudit finds the gaps in container isolation and proves them.

What stands here is the API for checks, and nothing else. Names are imported when they are first asked for,
so that `isoaudit --version` pays for none of them.
"""

from __future__ import annotations

from isoaudit._version import __version__

# Type checkers take a name like this for true. Importing it from typing would double `isoaudit --version`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.facts.peers import Peers
    from isoaudit.model import (
        Basis,
        Evidence,
        Known,
        Outcome,
        Reading,
        Severity,
        Unknown,
        fail,
        not_applicable,
        passed,
        require,
        unknown,
    )
    from isoaudit.registry import Variant, check, family

__all__ = [
    "Basis",
    "Container",
    "Evidence",
    "Host",
    "Known",
    "Outcome",
    "Peers",
    "Reading",
    "Severity",
    "Unknown",
    "Variant",
    "__version__",
    "check",
    "fail",
    "family",
    "not_applicable",
    "passed",
    "require",
    "unknown",
]

_HOMES = {
    "Container": "isoaudit.facts.container",
    "Host": "isoaudit.facts.host",
    "Peers": "isoaudit.facts.peers",
    "Variant": "isoaudit.registry",
    "check": "isoaudit.registry",
    "family": "isoaudit.registry",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'isoaudit' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES.get(name, "isoaudit.model")), name)
    globals()[name] = value
    return value
