"""A crash inside a container runs a program as root on the host.

## What it detects
`kernel.core_pattern` begins with `|`: the kernel pipes the memory of every process that crashes, in any
container, to a program that it starts as root in the host's own namespaces.

## Why it matters
The helper runs outside of the limits of the container that crashed, and parses what a container made: names,
paths, memory. Crashes in a loop take the host's processor and disk, and flaws of such helpers have given root.

## Remediation
Write core files where the process is, or forbid them to containers.

- host: `sysctl -w kernel.core_pattern=core`, or a helper that handles crashes of containers inside them, with
  `kernel.core_pipe_limit` above 0
- docker, podman: `--ulimit core=0`, which stops plain core files; a helper is started all the same
- systemd-coredump: `ProcessSizeMax=` and `Storage=none` in coredump.conf bound what it does

## When it is fine
Hosts that need crash reports and keep the helper up to date; most distributions come with one.

## References
- core(5), "Piping core dumps to a program"
- CVE-2015-1318, CVE-2019-11481 (apport), CVE-2022-4415, CVE-2025-4598 (systemd-coredump)
"""

from isoaudit import Evidence, Host, Known, Outcome, check, fail, passed, require


@check(severity="medium")
def core_pattern_piped(host: Host) -> Outcome:
    if host.sysctl_absent("kernel.core_pattern"):
        return passed("this kernel is built without core dumps")
    setting = host.sysctl("kernel.core_pattern")
    pattern = require(setting)
    evidence = [Evidence(setting.source, pattern, "a pattern that does not begin with |")]
    if pattern.startswith("@"):  # since Linux 6.16: a service of the host's takes them from a socket
        return passed("core dumps go to a socket, and the kernel runs nothing", evidence)
    if not pattern.startswith("|"):
        return passed("core dumps are written by the process that crashes", evidence)
    limit = host.sysctl("kernel.core_pipe_limit")
    many = ""
    if isinstance(limit, Known):
        evidence.append(Evidence(limit.source, limit.value, "how many may run at once"))
        many = ", as many at once as there are crashes" if limit.value == "0" else ""
    helper = pattern[1:].split(" ", 1)[0]
    return fail(f"a crash inside any container runs {helper} as root on the host{many}", evidence)
