"""Image cannot use the host's cgroup version.

## What it detects
The image's systemd is too new for a host with cgroup v1 (258 dropped it, 256 and 257 need an override) or too
old for one with v2 only (before 226). It fails where systemd is the container's first process.

## Why it matters
The cgroup version is the host's, like the kernel: no image can bring its own. systemd then refuses to start,
or starts without cgroups, so that services inside are neither tracked nor limited.

## Remediation
Bring host and image together: boot the host with cgroup v2, or run an image whose systemd knows the host's.

- host: `systemd.unified_cgroup_hierarchy=1` on the kernel's command line gives v2 only
- systemd 256 and 257: `SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1` in the container's environment

## When it is fine
Where systemd is only installed and never runs as a service manager.

## References
- systemd NEWS 256, 257, 258: cgroup v1
- cgroups(7)
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.userland import first_is_systemd

_V2_SINCE = 226
_V1_BY_OVERRIDE = 256
_V1_UNTIL = 258


def _conflict(version: int, layout: str) -> str:
    if layout in ("v1", "hybrid"):
        if version >= _V1_UNTIL:
            return f"systemd {version} knows no cgroup v1, and the host's layout is {layout}"
        if version >= _V1_BY_OVERRIDE:
            return f"systemd {version} refuses cgroup v1 without an override, and the host's layout is {layout}"
    if layout == "v2" and version < _V2_SINCE:
        return f"systemd {version} knows no cgroup v2, and the host has nothing else"
    return ""


@check(severity="medium")
def image_needs_cgroup_version(host: Host, container: Container) -> Outcome:
    userland = require(container.userland)
    version = userland.systemd_major
    if version is None:
        return not_applicable("its image has no systemd")
    layout = require(host.cgroup_layout)
    if layout == "none":
        return not_applicable("the host has no cgroups mounted")
    evidence = [
        Evidence(f"{container.userland.source} (systemd)", userland.systemd_version, f"one for {layout}")
    ]
    conflict = _conflict(version, layout)
    if not conflict:
        return passed(f"its systemd {version} works with the host's cgroup layout, {layout}", evidence)
    if first_is_systemd(require(container.status).name):
        return fail(f"its first process is systemd: {conflict}", evidence, basis=Basis.INFERRED)
    return passed(f"{conflict}, but it is not its first process", evidence, basis=Basis.INFERRED)
