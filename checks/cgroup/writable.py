"""Can write to cgroup files.

## What it detects
A cgroup hierarchy is mounted writable inside the container, or the probe `mount` shows that it can mount
one. How bad that is depends on what is mounted (the whole hierarchy or its own part), on the version, and
on the user namespace.

## Why it matters
A process inside that may write there lifts the limits of its own container, moves itself to where there are
none, and where the host's whole hierarchy is seen changes and freezes other containers.

In a user namespace of its own a writable cgroup is meant: the files that limit it stay root's, and what it
creates below stays within them. The same holds on v2 mounted with `nsdelegate` for a container in a cgroup
namespace of its own: the kernel refuses writes to the limits of the namespace's root.

## Remediation
Mount cgroups read-only, in a cgroup namespace of the container's own.

- docker, podman: leave out `--privileged` and `-v /sys/fs/cgroup:/sys/fs/cgroup`; `--cgroupns private`
- compose: `cgroup: private`; remove `privileged: true`
- Kubernetes: `securityContext.privileged: false`; no hostPath of `/sys/fs/cgroup`
- systemd inside: podman's `--systemd=true` on cgroup v2, or a user namespace (`--userns auto`)

## When it is fine
A container that runs systemd or containers of its own: on cgroup v2, in a user namespace of its own.

## References
- cgroup-v2.rst, "Delegation"; cgroup_namespaces(7); cgroups(7), "Cgroups delegation"
"""

from isoaudit import Basis, Container, Evidence, Host, Known, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.confinement import holds_over_host, own_user_namespace, presumed
from isoaudit.facts.mounts import Mount, mount_of
from isoaudit.facts.namespaces import same
from isoaudit.kernel.capability import bit

_RANK = ("high", "medium", "low", "info")


@check(severity="high")
def writable(host: Host, container: Container) -> Outcome:
    mounts = require(container.mounts)
    found = [
        mount
        for mount in mounts
        if mount.fstype in ("cgroup", "cgroup2")
        and not mount.read_only
        and mount_of(mounts, mount.target) is mount
    ]
    if found:
        over_host = presumed(lambda one: not own_user_namespace(one), container)
        own_cgroup = same(host.namespaces.cgroup, container.namespaces.cgroup) is False
        severity = min(
            (_severity(m, over_host=over_host, own_cgroup=own_cgroup) for m in found), key=_RANK.index
        )
        what = "the host's whole cgroup hierarchy" if any(m.root == "/" for m in found) else "its cgroup"
        meant = ", as is meant in a user namespace of its own" if severity == "info" else ""
        evidence = [
            Evidence(container.mounts.source, f"{m.fstype} {m.root} {m.target} rw", "ro") for m in found
        ]
        return fail(f"{what} is mounted writable in it{meant}", evidence, severity=severity)
    if not holds_over_host(container, bit("CAP_SYS_ADMIN")):
        return passed("no cgroup is mounted writable in it, and it cannot mount one over the host")
    probe = container.probe("mount")
    if isinstance(probe, Known):
        evidence = [Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM")]
        if probe.value.succeeded:
            return fail("it can mount the cgroup hierarchies writable", evidence, basis=Basis.PROVEN)
        return passed("no cgroup is mounted writable in it, nor can it mount one", evidence, basis=Basis.PROVEN)
    return unknown(
        f"it holds CAP_SYS_ADMIN; whether it can mount a cgroup is not seen: {probe.reason}", probe.source
    )


def _severity(mount: Mount, *, over_host: bool, own_cgroup: bool) -> str:
    v2 = mount.fstype == "cgroup2"
    if not over_host:
        # v1 was never made for delegation: nothing there tells its own limits from those below.
        return "info" if v2 else "medium"
    if mount.root != "/":
        # nsdelegate guards the limits of a namespace's root; a hierarchy without a controller has none.
        guarded = v2 and own_cgroup and "nsdelegate" in mount.super_options
        named = not v2 and any(option.startswith("name=") for option in mount.super_options)
        if guarded or named:
            return "low"
    return "high"
