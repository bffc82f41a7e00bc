"""The probes: what each tries, what it proves, what it touches, and where the kernel decides it."""

from __future__ import annotations

from isoaudit.probes.declaration import HAZARDS, LIMIT, PERMISSION, VIEW, Probe
from isoaudit.probes.declared import (
    calls,
    clocks,
    devices,
    files,
    limits,
    machine,
    namespaces,
    network,
    processes,
)

__all__ = ["BY_NAME", "HAZARDS", "LIMIT", "PERMISSION", "PROBES", "VIEW", "Probe"]

PROBES: tuple[Probe, ...] = (
    *clocks.PROBES,
    *namespaces.PROBES,
    *machine.PROBES,
    *network.PROBES,
    *processes.PROBES,
    *devices.PROBES,
    *files.PROBES,
    *calls.PROBES,
    *limits.PROBES,
)
BY_NAME: dict[str, Probe] = {probe.name: probe for probe in PROBES}
