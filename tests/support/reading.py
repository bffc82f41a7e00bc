"""Reading running containers as a scan does, without judging them."""

from __future__ import annotations

from isoaudit.collect.containers import ContainerReader, identify
from isoaudit.collect.discovery import discover
from isoaudit.collect.filters import FilterReader
from isoaudit.collect.host import HostReading, read_host
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths
from isoaudit.facts.container import Container
from isoaudit.facts.lsm import label_file

PATHS = Paths()


def read(*pids: int) -> tuple[HostReading, dict[int, Container]]:
    """The host, and the containers that some processes are in."""
    reading = read_host(PATHS)
    found = discover(PATHS, reading.host.namespaces, reading.host.mounts)
    containers = {}
    with FilterReader(PATHS, reading.host.machine, ptrace=True) as filters:
        reader = ContainerReader(
            PATHS, reading.cgroups, reading.host.machine, label_file(reading.host.lsms), filters=filters
        )
        for named in identify(found.candidates, Names(PATHS)):
            for pid in {process.pid for process in named.candidate.processes} & set(pids):
                containers[pid] = reader.read(named)
    assert containers.keys() == set(pids)
    return reading, containers
