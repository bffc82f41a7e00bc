"""Can write to cgroup files.

## What it detects
A cgroup hierarchy is mounted writable inside the container (the probe `cgroup-write` opened a file of one for
writing, and wrote nothing), or it can mount one: the probe `mount` did, or
it has CAP_SYS_ADMIN over the host and a seccomp filter that lets mount(2) through. How bad that is depends on
what is mounted (the whole hierarchy or its own part), on the version, on the user namespace.

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
from isoaudit.facts.cgroup import Owners
from isoaudit.facts.confinement import holds_over_host, matching, own_user_namespace, presumed
from isoaudit.facts.masks import profile
from isoaudit.facts.mounts import Mount, mount_of
from isoaudit.facts.namespaces import same
from isoaudit.facts.opening import MOUNT, REMOUNT, hint, undoing
from isoaudit.facts.tried import Opened, confirmed
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
        own_cgroup = same(host.namespaces.cgroup, container.namespaces.cgroup) is False
        severity = min((_severity(mount, container, own_cgroup=own_cgroup) for mount in found), key=_RANK.index)
        whole = severity != "info" and any(mount.root == "/" for mount in found)
        what = "the host's whole cgroup hierarchy" if whole else "its cgroup"
        meant = ", as is meant in a user namespace of its own" if severity == "info" else ""
        evidence = [
            Evidence(container.mounts.source, f"{m.fstype} {m.root} {m.target} rw", "ro") for m in found
        ]
        return confirmed(
            container,
            Opened("cgroup-write"),
            fail(f"{what} is mounted writable in it{meant}", evidence, severity=severity),
            gap="it can write to a cgroup",
        )
    if not holds_over_host(container, bit("CAP_SYS_ADMIN")):
        return passed("no cgroup is mounted writable in it, and it cannot mount one over the host")
    way = undoing(container, (*MOUNT, *REMOUNT))
    if way is not None:
        return fail("it can mount the cgroup hierarchies writable", way.evidence, basis=way.basis)
    probe = container.probe("mount")
    if isinstance(probe, Known):
        evidence = [Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM")]
        return passed("no cgroup is mounted writable in it, nor can it mount one", evidence, basis=Basis.PROVEN)
    if hint(container, (*MOUNT, *REMOUNT)):
        return unknown(
            f"it can mount a cgroup, unless its profile {profile(container)} forbids it: {probe.reason}",
            container.lsm_label.source,
        )
    return passed("no cgroup is mounted writable in it, and its seccomp filter refuses the calls to mount one")


def _severity(mount: Mount, container: Container, *, own_cgroup: bool) -> str:
    v2 = mount.fstype == "cgroup2"
    # nsdelegate guards the limits of a namespace's root; a hierarchy without a controller has none.
    guarded = v2 and own_cgroup and "nsdelegate" in mount.super_options and mount.root != "/"
    named = not v2 and any(option.startswith("name=") for option in mount.super_options)
    meant = v2 and not presumed(lambda one: not own_user_namespace(one), container)
    owners = _owners(mount, container)
    if owners is None:
        if meant:
            return "info"
        # v1 was never made for delegation: nothing there tells its own limits from those below.
        if not presumed(lambda one: not own_user_namespace(one), container):
            return "medium"
        return "low" if guarded or (named and mount.root != "/") else "high"
    if mount.root == "/" and presumed(lambda one: _writes(one, 0), container):
        return "high"
    if presumed(lambda one: _writes(one, owners.limits), container) and not guarded:
        return "high"
    # Whoever owns no more than the directory makes cgroups below it, within its limits.
    return "info" if meant and presumed(lambda one: _writes(one, owners.directory), container) else "low"


def _owners(mount: Mount, container: Container) -> Owners | None:
    """Whose the cgroup is in the hierarchy that is mounted; None where that was not seen."""
    owners = container.cgroup.value.owners if isinstance(container.cgroup, Known) else {}
    keys = ("",) if mount.fstype == "cgroup2" else mount.super_options
    return next((owners[key] for key in keys if key in owners), None)


def _writes(container: Container, uid: int) -> bool:
    """Whether a process inside may write what belongs to a user of the host."""
    if own_user_namespace(container):
        # Root there may act as, and override the permissions of, whoever is mapped, and nobody else.
        return any(outside <= uid < outside + length for _, outside, length in require(container.uid_map))
    owns = matching(container, lambda status: uid in status.uids)
    return bool(owns or holds_over_host(container, bit("CAP_DAC_OVERRIDE")))
