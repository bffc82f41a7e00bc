"""Processes inside can create user namespaces.

## What it detects
Nothing keeps a process of the container from clone(2) or unshare(2) with CLONE_NEWUSER. The probe
`user-namespace-create` tries it in a twin. Without it: `user.max_user_namespaces` is 0, which binds everyone,
root too; or `kernel.unprivileged_userns_clone` (Debian) is 0, which binds whoever has no CAP_SYS_ADMIN over
the host; or a seccomp filter, whose content decides, is on every process.

## Why it matters
In a new user namespace any user has every capability over it, and so reaches kernel code that is otherwise
for root alone: nf_tables, mount, overlayfs, traffic control. That was the first step of most local privilege
escalations of the last ten years.

## Remediation
Run the container under the engine's default seccomp profile, which denies CLONE_NEWUSER.

- docker, podman: leave out `--security-opt seccomp=unconfined`
- compose: remove `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`
- systemd: `RestrictNamespaces=~user`
- the whole host, where nobody needs them: `sysctl user.max_user_namespaces=0`

## When it is fine
Browsers, rootless engines and build tools that sandbox with user namespaces themselves.

## References
- user_namespaces(7), namespaces(7) "The /proc/sys/user directory"
- CVE-2021-31440, CVE-2022-0185, CVE-2022-25636, CVE-2023-32233, CVE-2024-1086
"""

from isoaudit import (
    Basis,
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    Reading,
    Unknown,
    check,
    fail,
    passed,
    require,
    unknown,
)
from isoaudit.facts.confinement import matching
from isoaudit.facts.processes import Reach, line_evidence, named, nearest
from isoaudit.facts.status import SECCOMP_DISABLED, SECCOMP_FILTER
from isoaudit.kernel.capability import bit


@check(severity="medium")
def user_creatable(host: Host, container: Container) -> Outcome:
    probe = container.probe("user-namespace-create")
    if isinstance(probe, Known):
        evidence = [Evidence(probe.source, f"{probe.value.call} = {probe.value.answer}", "EPERM or ENOSPC")]
        if probe.value.succeeded:
            return fail("its processes can create user namespaces", evidence, basis=Basis.PROVEN)
        return passed(
            f"its processes cannot create user namespaces: {probe.value.answer}", evidence, basis=Basis.PROVEN
        )
    most = host.sysctl("user.max_user_namespaces")
    if isinstance(most, Known) and most.value == "0":
        return passed("nobody on this host can create user namespaces", [Evidence(most.source, "0", "0")])
    clone = host.sysctl("kernel.unprivileged_userns_clone")
    if isinstance(clone, Known) and clone.value == "0":
        # Debian's patch asks capable(CAP_SYS_ADMIN), which only the initial user namespace can give.
        holders = nearest(container, bit("CAP_SYS_ADMIN"))
        if holders is None or holders.reach > Reach.FILE:
            return passed(
                "no process of it may create user namespaces without CAP_SYS_ADMIN",
                [Evidence(clone.source, "0", "0")],
            )
    require(most)
    if not _absent(clone):
        require(clone)
    return _by_seccomp(host, container, most, probe)


def _by_seccomp(host: Host, container: Container, most: Reading[str], probe: Unknown) -> Outcome:
    free = matching(container, lambda status: require(status.seccomp) == SECCOMP_DISABLED)
    if not free:
        if matching(container, lambda status: require(status.seccomp) == SECCOMP_FILTER):
            return unknown(
                f"its seccomp filter decides, and its content was not read; the probe: {probe.reason}",
                container.status.source,
            )
        return passed("seccomp's strict mode leaves its processes no such call")
    restrict = host.sysctl("kernel.apparmor_restrict_unprivileged_userns")
    if isinstance(restrict, Known) and restrict.value != "0":
        return unknown(
            f"AppArmor restricts user namespaces by profile; the probe: {probe.reason}",
            restrict.source,
        )
    return fail(
        f"no seccomp filter and no setting keeps it from creating user namespaces: {named(free)}",
        [
            line_evidence(free[0], "Seccomp:\t0", "Seccomp:\t2"),
            Evidence(most.source, require(most), "0 where nobody needs them"),
        ],
    )


def _absent(reading: Reading[str]) -> bool:
    """Whether the kernel does not have the setting, so that it binds nobody."""
    return not isinstance(reading, Known) and reading.reason.startswith("ENOENT")
