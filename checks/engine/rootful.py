"""An engine runs as the host's root.

## What it detects
The daemon of an engine has uid 0 in the initial user namespace (`/proc/PID/status`, `/proc/PID/ns/user`).

## Why it matters
A flaw of the daemon, or of what it starts for a container before that is confined, gives the host's root: so
did CVE-2019-5736, CVE-2024-21626 and CVE-2025-31133. Of a daemon without root it gives one user's account.

## Remediation
Run the engine without root.

- docker: `dockerd-rootless-setuptool.sh install`
- podman: without sudo, and `systemctl --user enable podman.socket`
- containerd: `containerd-rootless-setuptool.sh install` (nerdctl)
- kubelet: the feature gate KubeletInUserNamespace

## When it is fine
Where containers need what only root can give: devices, many networks, ports below 1024, limits on cgroup v1.

## References
- Docker Docs, "Rootless mode"; user_namespaces(7)
- CIS Docker Benchmark 1.6.0, 2.1
"""

from isoaudit import Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.processes import listed
from isoaudit.model import FactMissing

_SHOWN = 4


@check(severity="low")
def rootful(host: Host) -> Outcome:
    engines = require(host.engines)
    if not engines:
        return not_applicable("no daemon of an engine runs")
    missing = None
    roots = []
    for engine in engines:
        try:
            if not engine.rootless:
                roots.append(engine)
        except FactMissing as error:
            missing = missing or error
    if roots:
        shown = [f"{engine.name} ({engine.pid})" for engine in roots[:_SHOWN]]
        return fail(
            f"engines run as the host's root: {listed(shown, len(roots))}",
            [Evidence(engine.uid.source, "Uid:\t0", "another uid") for engine in roots[:_SHOWN]],
        )
    if missing:
        raise missing
    return passed(
        f"no engine runs as the host's root: {listed([e.name for e in engines[:_SHOWN]], len(engines))}"
    )
