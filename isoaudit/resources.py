"""Where the files that travel with the package lie."""

from __future__ import annotations

import os

from isoaudit.errors import IsoauditError

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_BESIDE = {"checks": "checks", "templates": os.path.join("reports", "templates")}


def bundled(kind: str) -> str:
    """The folder of "checks" or "templates": inside an installed package, else beside it in a checkout.

    The working directory is never looked at: we run as root, and it may be anybody's.

    Raises:
        IsoauditError: neither is there; the installation is broken.
    """
    inside = os.path.join(_PACKAGE, "_bundled", kind)
    if os.path.isdir(inside):
        return inside
    beside = os.path.join(os.path.dirname(_PACKAGE), _BESIDE[kind])
    if os.path.isdir(beside):
        return beside
    raise IsoauditError(f"the installation has no {kind}: reinstall isoaudit")


def data(name: str) -> str:
    """The path of a file of knowledge that ships inside the package."""
    return os.path.join(_PACKAGE, "data", name)
