"""Processes inside can create user namespaces.

## What it detects
Nothing keeps a process of the container from clone(2) or unshare(2) with CLONE_NEWUSER. The probe
`user-namespace-create` tries it in a twin. Without it: `user.max_user_namespaces` is 0, which binds everyone,
root too; or `kernel.unprivileged_userns_clone` (Debian) is 0, which binds whoever has no CAP_SYS_ADMIN over
the host; or every process has a seccomp filter that refuses clone(2) and unshare(2) with that flag, and
clone3(2), whose flags no filter sees, by the 64-bit and by the 32-bit entry. Where a filter could not be read,
it is not known.

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
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.processes import Reach, named, nearest
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit

_CLONE_NEWUSER = 0x10000000
_WAYS = ways(Call("unshare", ((0, _CLONE_NEWUSER),)), Call("clone", ((0, _CLONE_NEWUSER),)), "clone3")

_TRIED = Attempt(
    ("user-namespace-create",),
    (Call("unshare", ((0, _CLONE_NEWUSER),)), Call("clone", ((0, _CLONE_NEWUSER),)), Call("clone3")),
)


@check(severity="medium")
def user_creatable(host: Host, container: Container) -> Outcome:
    return settled(
        container,
        _TRIED,
        lambda some: _by_state(host, some),
        gap="its processes can create user namespaces",
        wall="its processes cannot create user namespaces",
    )


def _by_state(host: Host, container: Container) -> Outcome:
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
    return _by_seccomp(host, container, most)


def _by_seccomp(host: Host, container: Container, most: Reading[str]) -> Outcome:
    probe = container.probe("user-namespace-create")
    why = f"; the probe: {probe.reason}" if isinstance(probe, Unknown) else ""
    answers = letting(container, container.tasks, _WAYS)
    if not answers.processes:
        if answers.missing:
            return unknown(f"seccomp decides: {answers.missing.reason}{why}", answers.missing.source)
        return passed("its seccomp filter refuses new user namespaces", answers.evidence, basis=answers.basis)
    restrict = host.sysctl("kernel.apparmor_restrict_unprivileged_userns")
    if isinstance(restrict, Known) and restrict.value != "0":
        return unknown(
            f"AppArmor restricts user namespaces by profile{why}",
            restrict.source,
        )
    return fail(
        f"neither seccomp nor a setting keeps it from creating user namespaces: {named(answers.processes)}",
        [*answers.evidence, Evidence(most.source, require(most), "0 where nobody needs them")],
        basis=answers.basis,
    )


def _absent(reading: Reading[str]) -> bool:
    """Whether the kernel does not have the setting, so that it binds nobody."""
    return not isinstance(reading, Known) and reading.reason.startswith("ENOENT")
