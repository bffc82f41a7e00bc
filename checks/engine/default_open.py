"""A default of the Docker daemon leaves a wall out of every container.

## What it detects
By the daemon's command line and its daemon.json:

- `engine-userns-off`: no `userns-remap`, and the daemon is not rootless: root inside is root outside
- `engine-no-new-privileges-off`: no `no-new-privileges`, so that set-user-ID files work in every container that
  does not forbid it itself
- `engine-icc-on`: no `icc: false`, so that containers on the default bridge reach each other on all ports

The first is `observed` where a container shows it. What a container was given instead is judged on it:
`namespace-user-shared`, `identity-no-new-privileges-unset`, `network-bridge-open`.

## Why it matters
Nobody sets these for each container: the daemon's default is what most of them run with.

## Remediation
Set the default in /etc/docker/daemon.json, and restart the daemon.

- `"userns-remap": "default"`; images and volumes of before belong to other ids then
- `"no-new-privileges": true`
- `"icc": false`, or user-defined networks, and `--bridge=none` where no container needs the default one

## When it is fine
Hosts whose containers set it themselves, each one; for `icc`, where no two containers must be kept apart.

## References
- dockerd(8), "--userns-remap", "--no-new-privileges", "--icc"
- CIS Docker Benchmark 1.6.0, 2.2, 2.9 and 2.14
"""

from typing import NamedTuple

from isoaudit import (
    Basis,
    Evidence,
    Host,
    Known,
    Outcome,
    Peers,
    Variant,
    fail,
    family,
    not_applicable,
    passed,
    require,
)
from isoaudit.facts.engines import Engine
from isoaudit.facts.idmap import IDENTITY
from isoaudit.facts.processes import listed
from isoaudit.model import FactMissing

_SHOWN = 4


class _Default(NamedTuple):
    option: str
    gap: str
    wall: str
    expected: str


_USERNS = "userns-remap"
_ICC = "icc"
_VARIANTS = (
    Variant(
        "userns_off",
        "medium",
        "The Docker daemon does not remap user ids",
        _Default(
            _USERNS, "gives containers the host's user ids", "user ids are remapped", "a user to remap to"
        ),
    ),
    Variant(
        "no_new_privileges_off",
        "low",
        "The Docker daemon does not set no_new_privs",
        _Default("no-new-privileges", "does not set no_new_privs", "no_new_privs is set", "true"),
    ),
    Variant(
        "icc_on",
        "low",
        "Containers on the default bridge reach each other",
        _Default(
            _ICC,
            "lets containers on its default bridge reach each other",
            "containers on the default bridge are kept apart",
            "false",
        ),
    ),
)


@family(_VARIANTS)
def default_open(host: Host, peers: Peers, *, variant: Variant) -> Outcome:
    default: _Default = variant.value
    daemons = [engine for engine in require(host.engines) if engine.name == "docker"]
    if not daemons:
        return not_applicable("no Docker daemon runs")
    missing = None
    weak = []
    for engine in daemons:
        try:
            if _weak(engine, default.option):
                weak.append(engine)
        except FactMissing as error:
            missing = missing or error
    if weak:
        evidence = [
            Evidence(_source(engine, default.option), _seen(engine, default.option), default.expected)
            for engine in weak
        ]
        basis = Basis.INFERRED
        shown = _with_host_ids(peers) if default.option == _USERNS else None
        if shown:
            evidence.append(shown)
            basis = Basis.OBSERVED
        pids = listed([str(engine.pid) for engine in weak[:_SHOWN]], len(weak))
        return fail(f"the Docker daemon ({pids}) {default.gap}", evidence[: _SHOWN + 1], basis=basis)
    if missing:
        raise missing
    return passed(f"by the Docker daemon's default {default.wall}", basis=Basis.INFERRED)


def _weak(engine: Engine, option: str) -> bool:
    if option == _USERNS:
        return not engine.rootless and require(engine.option(option)) in ((), ("",))
    if option == _ICC:
        return require(engine.option("bridge")) != ("none",) and require(
            engine.switched_on(option, default=True)
        )
    return not require(engine.switched_on(option))


def _source(engine: Engine, option: str) -> str:
    return engine.option(option).source


def _seen(engine: Engine, option: str) -> str:
    told = require(engine.option(option))
    return f"{option} {' '.join(told)}" if told else f"no {option}"


def _with_host_ids(peers: Peers) -> Evidence | None:
    """A container of Docker's whose ids are the host's."""
    for peer in peers.all:
        uid_map = peer.uid_map
        if peer.identity.runtime == "docker" and isinstance(uid_map, Known) and uid_map.value == IDENTITY:
            return Evidence(uid_map.source, "0 0 4294967295", "ids of its own")
    return None
