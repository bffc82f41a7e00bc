"""Can set the release agent of cgroup v1.

## What it detects
A process inside holds CAP_SYS_ADMIN in the initial user namespace and can get at the root of a v1
hierarchy: one is mounted inside with its real root, or it shares the host's cgroup namespace and can mount one
itself. A mount takes the probe `mount`, which did one, or a seccomp filter that lets mount(2), or fsopen(2) and
what belongs to it, through. Where that could not be read, or an LSM's profile may forbid it, it is not known.

## Why it matters
When the last process leaves a v1 cgroup with `notify_on_release`, the kernel starts the program named in
the `release_agent` of that hierarchy's root: as root of the host, outside every namespace. One write is an
escape.

## Remediation
Take CAP_SYS_ADMIN away from the container.

- docker, podman: leave out `--privileged` and `--cap-add SYS_ADMIN`; `--cgroupns private`
- compose: remove `privileged: true` and `SYS_ADMIN` from `cap_add`; `cgroup: private`
- Kubernetes: `securityContext.privileged: false`, and no `SYS_ADMIN` in `capabilities.add`
- host: boot with `cgroup_no_v1=all` (and `cgroup_no_v1=named`) and use cgroup v2, which has no release agent

## When it is fine
Never for a workload.

## References
- cgroups(7), "Cgroups v1 release notification"
- CVE-2022-0492: before Linux 5.17 the write did not even need CAP_SYS_ADMIN
"""

from isoaudit import Basis, Container, Evidence, Host, Known, Outcome, check, fail, passed, require, unknown
from isoaudit.facts.confinement import holds_over_host
from isoaudit.facts.masks import profile
from isoaudit.facts.mounts import mount_of
from isoaudit.facts.opening import MOUNT, REMOUNT, hint, undoing
from isoaudit.facts.tried import Opened, confirmed
from isoaudit.kernel.capability import bit


@check(severity="critical")
def release_agent_writable(host: Host, container: Container) -> Outcome:
    holders = holds_over_host(container, bit("CAP_SYS_ADMIN"))
    if not holders:
        return passed("nothing inside holds CAP_SYS_ADMIN over the host")
    mounts = require(container.mounts)
    roots = [
        mount
        for mount in mounts
        if mount.fstype == "cgroup" and mount.root == "/" and mount_of(mounts, mount.target) is mount
    ]
    evidence = [
        Evidence(holders[0].status.source, "CAP_SYS_ADMIN", "not held"),
        *(
            Evidence(
                container.mounts.source, f"cgroup / {m.target} {'ro' if m.read_only else 'rw'}", "not mounted"
            )
            for m in roots
        ),
    ]
    for mount in roots:
        if not mount.read_only:
            message = f"it can have the host run a program as root by one write to {mount.target}/release_agent"
            return confirmed(
                container,
                Opened("release-agent-write"),
                fail(message, evidence),
                gap="it can have the host run a program as root by one write to a release_agent",
            )
    if not roots and require(host.namespaces.cgroup) != require(container.namespaces.cgroup):
        return passed("its cgroup namespace is its own: no v1 hierarchy shows its root there", evidence)
    message = (
        "it can mount a v1 hierarchy and have the host run a program as root by one write to its release_agent"
    )
    way = undoing(container, REMOUNT if roots else MOUNT)
    if way is not None:
        return fail(message, [*evidence, *way.evidence], basis=way.basis)
    probe = container.probe("mount")
    if isinstance(probe, Known):
        evidence.append(Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM"))
        return passed("it cannot mount a v1 hierarchy to write there", evidence, basis=Basis.PROVEN)
    if hint(container, REMOUNT if roots else MOUNT):
        return unknown(
            f"it can mount a v1 hierarchy, unless its profile {profile(container)} forbids it: {probe.reason}",
            container.lsm_label.source,
        )
    return passed("its seccomp filter refuses the calls to mount a v1 hierarchy", evidence)
