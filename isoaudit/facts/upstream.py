"""Which upstream release a running kernel can be compared with, and how far that comparison goes.

`uname -r` is not the upstream version: Debian's 6.1.0-56-amd64 is 6.1.192, which its build line says; Ubuntu
says it in /proc/version_signature; Red Hat, SUSE and others stay on one number for years and add single fixes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.kernel import KernelRelease, parse_release
from isoaudit.facts.latest import latest
from isoaudit.model import Evidence, Known, require

if TYPE_CHECKING:
    from isoaudit.facts.host import Host

UPSTREAM, STABLE, DEBIAN, UBUNTU, FROZEN, CANDIDATE = (
    "upstream",
    "stable",
    "debian",
    "ubuntu",
    "frozen",
    "candidate",
)

_DEBIAN_BUILD = re.compile(r"\bDebian ([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})[-+~]")
_UBUNTU_SIGNATURE = re.compile(r"Ubuntu \S+ ([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})")
# Vendors that keep a number and pick fixes: Red Hat's and its relatives', Oracle's UEK, openEuler, SUSE, Ubuntu
# with its flavours, and Proxmox, which builds from Ubuntu's.
_FROZEN = re.compile(
    r"\.(?:el|oe|an|tl)[0-9]|-default\b|-pve\b|-android[0-9]"
    r"|-(?:generic|lowlatency|aws|azure|gcp|gke|oracle|kvm)\b"
)
_CANDIDATE = re.compile(r"-rc[0-9]")


class Upstream(NamedTuple):
    """The release to compare with."""

    release: KernelRelease  # upstream's numbers
    running: str  # as `uname -r` says
    grade: str  # how it is known
    evidence: Evidence

    @property
    def trusted(self) -> bool:
        """Whether a range that its number lies in says more than that somebody should look."""
        return self.grade in (UPSTREAM, STABLE, DEBIAN)

    @property
    def name(self) -> str:
        """The running kernel, and the upstream release where that is another number."""
        numbers = f"{self.release.major}.{self.release.minor}.{self.release.patch}"
        return self.running if self.running.startswith(numbers) else f"{self.running} ({numbers})"

    @property
    def doubt(self) -> str:
        """What a comparison by number cannot tell, as the end of a sentence."""
        return _DOUBTS[self.grade]


_DOUBTS = {
    UPSTREAM: "numbered as upstream's stable releases are; what its builder changed is not known",
    STABLE: "numbered as upstream's stable releases are, with a builder's own suffix: fixes that were added "
    "to it are not known",
    DEBIAN: "Debian takes over whole stable releases and may add fixes: its security tracker decides",
    UBUNTU: "Ubuntu adds fixes to the stable release that it is built from: its security notices decide",
    FROZEN: "its vendor adds fixes and keeps the number, so that the number proves nothing: the vendor's "
    "advisories decide",
    CANDIDATE: "a release candidate, which may be older or newer than a fix that its final release has",
}


@latest
def upstream(host: Host) -> Upstream:
    """What the host's kernel can be compared with.

    Raises:
        FactMissing: the kernel's release could not be read.
    """
    running = require(host.kernel)
    # Where the release has no third number, "6.1.0" is not what the kernel says.
    name = str(running)
    for reading, pattern, grade in (
        (host.kernel_build, _DEBIAN_BUILD, DEBIAN),
        (host.kernel_signature, _UBUNTU_SIGNATURE, UBUNTU),
    ):
        match = pattern.search(reading.value) if isinstance(reading, Known) else None
        if match:
            release = parse_release(match[1])
            if release.series == running.series:
                return Upstream(release, name, grade, Evidence(reading.source, match[0].rstrip("-+~")))
    return Upstream(running, name, _grade(running), Evidence(host.kernel.source, name))


def _grade(release: KernelRelease) -> str:
    if _CANDIDATE.match(release.vendor):
        return CANDIDATE
    if not release.vendor:
        return UPSTREAM
    if release.patch == 0 or _FROZEN.search(release.vendor):
        return FROZEN
    return STABLE
