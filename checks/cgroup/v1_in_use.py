"""cgroup v1 in use.

## What it detects
At least one v1 hierarchy is mounted: the host's layout is `v1` or `hybrid`.

## Why it matters
v1 is deprecated: systemd 258 no longer supports it, container engines are leaving it, and kernels can be
built without. It has a release agent that runs as root on the host, no safe delegation to unprivileged
users, charges nobody for writing back the page cache, and lets a process be in a different cgroup for every
resource.

## Remediation
Boot the host with the unified hierarchy.

- kernel's command line: `systemd.unified_cgroup_hierarchy=1`, and `cgroup_no_v1=all`
- Fedora 31, Debian 11, Ubuntu 21.10, RHEL 9 and later do so by default

## When it is fine
Where images need it: systemd before 233, Java before 8u372 or 15, and others that read v1 files.

## References
- cgroup-v2.rst, "Issues with v1 and Rationales for v2"
- systemd NEWS, versions 256 and 258
"""

from isoaudit import Evidence, Host, Outcome, check, fail, not_applicable, passed, require


@check(severity="low")
def v1_in_use(host: Host) -> Outcome:
    layout = require(host.cgroup_layout)
    if layout == "none":
        return not_applicable("no cgroup hierarchy is mounted")
    v1 = [hierarchy for hierarchy in require(host.hierarchies) if hierarchy.version == 1]
    if not v1:
        return passed("only cgroup v2 is mounted", [Evidence(host.cgroup_layout.source, layout)])
    evidence = [
        Evidence(
            host.hierarchies.source,
            f"cgroup {h.mount_point} {','.join(h.controllers) or f'name={h.name}'}",
            "cgroup2 only",
        )
        for h in v1
    ]
    return fail(f"cgroup v1 is in use ({layout})", evidence)
