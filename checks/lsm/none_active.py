"""No security module confines containers.

## What it detects
Neither AppArmor, SELinux, Smack nor TOMOYO is in `/sys/kernel/security/lsm`, or SELinux alone is and is
permissive (`/sys/fs/selinux/enforce` is 0). Landlock, Yama, lockdown, BPF,
integrity and capability do not count: they do not confine a container by a policy of the host's.

## Why it matters
Whoever gets past namespaces and capabilities meets no further wall, and no container of this host can have
one.

## Remediation
Boot the host with a security module that the engine supports.

- Debian, Ubuntu, SUSE: `apt install apparmor`; kernel command line `lsm=landlock,lockdown,yama,apparmor,bpf`
- Fedora, RHEL: `selinux=1 enforcing=1`, the package `container-selinux`, `"selinux-enabled": true` for docker
- a kernel of one's own: `CONFIG_SECURITY_APPARMOR=y` or `CONFIG_SECURITY_SELINUX=y`

## When it is fine
Machines whose only walls are meant to be virtual ones.

## References
- Documentation/admin-guide/LSM/index.rst
- CIS Docker Benchmark 1.6.0, 5.2 and 5.3
"""

from isoaudit import Evidence, Host, Known, Outcome, check, fail, passed, require
from isoaudit.facts.lsm import MAJOR


@check(severity="medium")
def none_active(host: Host) -> Outcome:
    active = require(host.lsms)
    evidence = [Evidence(host.lsms.source, ",".join(active), f"one of {', '.join(sorted(MAJOR))}")]
    major = [module for module in active if module in MAJOR]
    if major == ["selinux"] and isinstance(host.selinux_enforcing, Known) and not host.selinux_enforcing.value:
        evidence = [Evidence(host.selinux_enforcing.source, "0", "1")]
        return fail(
            "SELinux is permissive and forbids nothing, and no other security module confines containers",
            evidence,
            remediation="Let SELinux enforce: setenforce 1, and SELINUX=enforcing in /etc/selinux/config.",
        )
    if major:
        return passed(f"{', '.join(major)} is active", evidence)
    return fail("no security module of it confines containers", evidence)
