"""An engine takes orders over TCP without asking who gives them.

## What it detects
A daemon holds a listening TCP socket for its API (`/proc/PID/fd`, `/proc/PID/net/tcp`), and neither its command
line nor its daemon.json demands client certificates (`tlsverify`; of buildkitd, `tlscacert`). It is `critical`
on an address beyond the loopback interface, and `high` on loopback, where every user of the host and every
container in the host's network namespace connects. LXD and Incus demand certificates always. What
containerd and CRI-O listen for stands in files that are not read: unless on loopback, it is `unknown`.

## Why it matters
Whoever reaches the port starts a privileged container with the host's root directory in it. Open engines are
found within minutes and mine for somebody else.

## Remediation
Listen on the unix socket alone, or demand client certificates.

- docker: no `-H tcp://…` and no `tcp://` in `hosts`; from afar `docker context create --docker
  host=ssh://…`; or `--tlsverify --tlscacert --tlscert --tlskey`
- podman: `podman system service unix://…`; buildkitd: `--tlscacert` with `--tlscert` and `--tlskey`

## When it is fine
Never without client certificates.

## References
- dockerd(8), "--host", "--tlsverify"; Docker Docs, "Protect the Docker daemon socket"
- CIS Docker Benchmark 1.6.0, 2.7
"""

from isoaudit import Basis, Evidence, Host, Outcome, check, fail, not_applicable, passed, require, unknown
from isoaudit.facts.engines import Engine, api_listeners
from isoaudit.facts.network import Listener, is_loopback
from isoaudit.facts.processes import listed
from isoaudit.model import FactMissing

_SHOWN = 4
_OPTION = {"docker": "tlsverify", "buildkit": "tlscacert"}
_ALWAYS_TLS = frozenset({"lxd", "incus"})


@check(severity="critical")
def tcp_open(host: Host) -> Outcome:
    engines = require(host.engines)
    if not engines:
        return not_applicable("no daemon of an engine runs")
    found: list[tuple[Engine, Listener]] = []
    unclear: list[tuple[Engine, Listener]] = []
    missing = None
    for engine in engines:
        try:
            if engine.name in ("containerd", "cri-o"):
                unclear += [(engine, one) for one in require(engine.listeners) if not is_loopback(one.address)]
            elif engine.name not in _ALWAYS_TLS:
                listeners = api_listeners(engine)
                if listeners and not _asks(engine):
                    found += [(engine, one) for one in listeners]
        except FactMissing as error:
            missing = missing or error
    if found:
        found.sort(key=lambda pair: is_loopback(pair[1].address))
        shown = [_shown(*pair) for pair in found[:_SHOWN]]
        wide = not is_loopback(found[0][1].address)
        return fail(
            f"engines take orders over TCP without client certificates: {listed(shown, len(found))}",
            [
                Evidence(e.listeners.source, f"{one.address}:{one.port} LISTEN", "no listener")
                for e, one in found
            ],
            severity=None if wide else "high",
            basis=Basis.INFERRED,
            reproduce="ss -tlnp",
        )
    if missing:
        raise missing
    if unclear:
        shown = [_shown(*pair) for pair in unclear[:_SHOWN]]
        return unknown(
            f"{listed(shown, len(unclear))}: its configuration tells whether that is its API, and who may ask",
            unclear[0][0].listeners.source,
        )
    return passed("no engine takes orders over TCP without client certificates")


def _asks(engine: Engine) -> bool:
    """Whether it demands certificates of its clients."""
    option = _OPTION.get(engine.name)
    if option is None:
        return False  # podman's service has no such thing
    if option == "tlsverify":
        return require(engine.switched_on(option))
    return bool(require(engine.option(option)))


def _shown(engine: Engine, listener: Listener) -> str:
    return f"{engine.name} ({engine.pid}) on {listener.address} port {listener.port}"
