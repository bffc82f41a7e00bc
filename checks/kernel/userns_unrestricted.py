"""Every user may create user namespaces.

## What it detects
None of the settings that restrict user namespaces to root does so: `user.max_user_namespaces` is not 0,
`kernel.unprivileged_userns_clone` (Debian) is not 0, and
`kernel.apparmor_restrict_unprivileged_userns` (Ubuntu) is not 1.

## Why it matters
In a user namespace of its own any process holds all capabilities and so reaches kernel code that only root
was meant to reach: nf_tables, traffic control, mounts. Many local root exploits of recent years start there.

## Remediation
Let only those programs create user namespaces that need to.

- Ubuntu 23.10 and newer: `sysctl -w kernel.apparmor_restrict_unprivileged_userns=1`, and profiles with
  `userns,` for those programs
- Debian: `sysctl -w kernel.unprivileged_userns_clone=0`
- any: `sysctl -w user.max_user_namespaces=0`, which forbids them to root as well
- in containers, the engine's default seccomp profile forbids them: keep it

Settings that restrict them stop rootless engines and userns-remap too, whose walls are made of them: where such
an engine runs, the finding names it, and restricting by AppArmor profile is what both can live with.

## When it is fine
Hosts with rootless containers, browsers or Flatpak, which need them for walls of their own.

## References
- user_namespaces(7), namespaces(7)
- CVE-2022-0185, CVE-2023-32233, CVE-2024-1086
"""

from isoaudit import Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.processes import listed

_SHOWN = 3
# By setting: the value that restricts.
_RESTRICT = {
    "user.max_user_namespaces": "0",
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
}


@check(severity="medium")
def userns_unrestricted(host: Host) -> Outcome:
    there = host.has("/proc/self/ns/user")
    if isinstance(there, Known) and not there.value:
        return passed("this kernel is built without user namespaces", [Evidence(there.source, "not there")])
    engines = _needing(host)
    evidence = []
    for name, value in _RESTRICT.items():
        reading = host.sysctl(name)
        if isinstance(reading, Known):
            if reading.value == value:
                text = f"{name} restricts user namespaces"
                needed = f", which {engines} needs to start containers" if engines else ""
                return passed(f"{text}{needed}", [Evidence(reading.source, value, value)])
            evidence.append(Evidence(reading.source, reading.value, value))
    for name in _RESTRICT:
        if not host.sysctl_absent(name):
            require(host.sysctl(name))
    if not evidence:
        require(there)
        evidence.append(
            Evidence(there.source, "there, and no setting that restricts it", "a setting that does")
        )
    text = "any process of the host may create user namespaces"
    if not engines:
        return fail(text, evidence)
    return fail(
        f"{text}, which {engines} needs",
        evidence,
        remediation="Restrict them by AppArmor (kernel.apparmor_restrict_unprivileged_userns=1) with a profile "
        f"that has `userns,` for {engines}, which the other settings would stop; or leave them as they are.",
    )


def _needing(host: Host) -> str:
    """The engines that run without root or remap ids, and so need user namespaces; as far as is known."""
    names = []
    for engine in host.engines.value if isinstance(host.engines, Known) else ():
        uid, remap = engine.uid, engine.option("userns-remap")
        rootless = isinstance(uid, Known) and uid.value != 0
        if rootless or (isinstance(remap, Known) and remap.value not in ((), ("",))):
            names.append(f"{'rootless ' if rootless else ''}{engine.name} ({engine.pid})")
    return listed(names[:_SHOWN], len(names))
