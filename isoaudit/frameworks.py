"""Which controls of which framework a check is evidence for: versioned data, not code."""

from __future__ import annotations

import json

from isoaudit.resources import data

Frameworks = dict[str, dict[str, list[str]]]


def load() -> Frameworks:
    """By check id, then by framework and version, the controls."""
    with open(data("frameworks.json"), encoding="utf-8") as file:
        document = json.load(file)
    by_check: Frameworks = {}
    for framework, content in document["frameworks"].items():
        for check, controls in content["checks"].items():
            by_check.setdefault(check, {})[framework] = controls
    return by_check
