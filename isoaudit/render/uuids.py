"""UUIDs that name the same thing in every report."""

from __future__ import annotations

import json
import uuid

_NAMESPACE = uuid.UUID("6f1f2d5e-8a52-4c39-9d1b-0a7c5be0c2f4")


def ident(*parts: str) -> str:
    """The UUID (version 5) of what these parts name."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts)))
