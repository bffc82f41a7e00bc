"""The walls of a container at a glance: one word each, for the matrix in every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoaudit.facts import limits
from isoaudit.facts.exposure import policy
from isoaudit.facts.hostpaths import view
from isoaudit.facts.idmap import IDENTITY
from isoaudit.facts.namespaces import TYPES, missing_type, same
from isoaudit.kernel.capability import OCI_DEFAULT
from isoaudit.model import Known

if TYPE_CHECKING:
    from isoaudit.facts.container import Container
    from isoaudit.facts.host import Host
    from isoaudit.model import Reading

_UNKNOWN = "unknown"
_NAMESPACE = {True: "shared", False: "isolated", None: _UNKNOWN}


def walls(host: Host, container: Container) -> dict[str, str]:
    """Every wall by name: isolated, shared, limited, unlimited and so on; "unknown" where it was not seen."""
    found = {
        f"namespace-{kind}": _namespace(host.namespaces.of(kind), container.namespaces.of(kind))
        for kind in TYPES
    }
    cgroup = container.cgroup
    if isinstance(cgroup, Known):
        found["limit-memory"] = _limit(limits.memory_bytes(cgroup.value))
        found["limit-cpu"] = _limit(limits.cpu_count(cgroup.value))
        found["limit-pids"] = _limit(limits.pids_count(cgroup.value))
    else:
        found.update(dict.fromkeys(("limit-memory", "limit-cpu", "limit-pids"), _UNKNOWN))
    found["devices"] = _devices(container)
    found["capabilities"] = _capabilities(container)
    found["seccomp"] = _seccomp(container)
    found["no-new-privileges"] = _no_new_privileges(container)
    found["lsm"] = _lsm(container)
    found["mounts"] = _mounts(host, container)
    found["network"] = _network(host, container)
    return found


def _namespace(ours: Reading[int], theirs: Reading[int]) -> str:
    # What the kernel does not divide, all share.
    return "shared" if missing_type(theirs) else _NAMESPACE[same(ours, theirs)]


def _limit(reading: Reading[limits.Limit]) -> str:
    if isinstance(reading, Known):
        return "unlimited" if reading.value.amount is None else "limited"
    return _UNKNOWN


def _devices(container: Container) -> str:
    rules = policy(container)
    if isinstance(rules, Known):
        return "unlimited" if rules.value.unrestricted else "limited"
    return _UNKNOWN


def _capabilities(container: Container) -> str:
    if not isinstance(container.status, Known):
        return _UNKNOWN
    held = container.status.value.capabilities
    if isinstance(container.uid_map, Known) and container.uid_map.value != IDENTITY:
        return "isolated"  # they hold over its own user namespace only
    if held == 0:
        return "none"
    return "beyond-default" if held & ~OCI_DEFAULT else "default"


def _seccomp(container: Container) -> str:
    status = container.status
    if isinstance(status, Known) and isinstance(status.value.seccomp, Known):
        return "filtered" if status.value.seccomp.value else "unlimited"
    return _UNKNOWN


def _no_new_privileges(container: Container) -> str:
    status = container.status
    if isinstance(status, Known) and isinstance(status.value.no_new_privs, Known):
        return "set" if status.value.no_new_privs.value else "unset"
    return _UNKNOWN


def _network(host: Host, container: Container) -> str:
    """Whether anything leads out of its network namespace: "connected", or "isolated" with nothing."""
    if same(host.namespaces.net, container.namespaces.net) or missing_type(container.namespaces.net):
        return "shared"
    if not isinstance(container.network, Known):
        return _UNKNOWN
    return "connected" if container.network.value.interfaces else "isolated"


def _mounts(host: Host, container: Container) -> str:
    """Whether it has something of the host's tree mounted beyond the files that its engine gives to each."""
    if not isinstance(host.mounts, Known) or not isinstance(container.mounts, Known):
        return _UNKNOWN
    seen = view(host, container)
    shared = [*seen.root_parts, *(part.mount for part in seen.parts)]
    if not shared:
        return "isolated"
    return "read-only" if all(mount.read_only for mount in shared) else "shared"


def _lsm(container: Container) -> str:
    if not isinstance(container.lsm_label, Known):
        return _UNKNOWN
    label = container.lsm_label.value
    if not label:
        return "none"
    return "unconfined" if label.startswith("unconfined") or ":unconfined_t:" in label else "confined"
