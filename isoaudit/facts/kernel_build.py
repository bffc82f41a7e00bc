"""How a kernel was built and what it has loaded: its configuration, and /proc/modules."""

from __future__ import annotations

import re
from typing import NamedTuple

from isoaudit.facts.text import text

_OPTION = re.compile(rb"^CONFIG_([A-Za-z0-9_]+)=([ym])$", re.MULTILINE)


class KernelBuild(NamedTuple):
    """The options that are set, of those that checks ask for."""

    built_in: frozenset[str]  # without CONFIG_
    modular: frozenset[str]

    def option(self, name: str) -> str:
        """What is said of an option: "y", "m", or "" where it is not set."""
        if name in self.built_in:
            return "y"
        return "m" if name in self.modular else ""


def parse_config(raw: bytes, wanted: frozenset[str]) -> KernelBuild:
    """Parse a kernel's configuration (/proc/config.gz unpacked, /boot/config-*).

    Raises:
        ValueError: it sets nothing at all.
    """
    found: dict[str, set[str]] = {"y": set(), "m": set()}
    some = False
    for name, value in _OPTION.findall(raw):
        some = True
        option = text(name)
        if option in wanted:
            found[text(value)].add(option)
    if not some:
        raise ValueError("no option is set in it")
    return KernelBuild(frozenset(found["y"]), frozenset(found["m"]))


def parse_modules(raw: bytes) -> frozenset[str]:
    """The names of the modules that are loaded, with underscores as the kernel spells them."""
    return frozenset(text(entry.split(None, 1)[0]) for entry in raw.splitlines() if entry.strip())
