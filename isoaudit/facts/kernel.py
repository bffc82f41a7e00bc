"""Kernel releases. They are not PEP 440 versions: 4.19.0-25+deb10u1 is no post-release 25."""

from __future__ import annotations

import re
from typing import NamedTuple

_RELEASE = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?(.*)", re.DOTALL)


class KernelRelease(NamedTuple):
    """Three integers that compare, and the vendor's rest, which does not tell what was back-ported."""

    major: int
    minor: int
    patch: int
    vendor: str

    @property
    def series(self) -> tuple[int, int]:
        """What upstream maintains as one branch: (6, 1)."""
        return self.major, self.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{self.vendor}"


def parse_release(release: str) -> KernelRelease:
    """Parse `uname -r`.

    Raises:
        ValueError: it does not begin with two numbers.
    """
    match = _RELEASE.fullmatch(release.strip())
    if not match:
        raise ValueError(f"not a kernel release: {release[:80]!r}")
    major, minor, patch, vendor = match.groups()
    return KernelRelease(int(major), int(minor), int(patch or 0), vendor)
