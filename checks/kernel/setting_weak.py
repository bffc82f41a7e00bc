"""A kernel setting leaves more open than it needs to.

## What it detects
- `kernel-modules-loadable`: `kernel.modules_disabled` is 0
- `kernel-bpf-unprivileged`: `kernel.unprivileged_bpf_disabled` is 0
- `kernel-ptrace-permissive`: `kernel.yama.ptrace_scope` is 0, or the kernel has no Yama
- `kernel-kptr-exposed`: `kernel.kptr_restrict` is 0
- `kernel-dmesg-unrestricted`: `kernel.dmesg_restrict` is 0
- `kernel-aslr-weak`: `kernel.randomize_va_space` is below 2
- `kernel-perf-unprivileged`: `kernel.perf_event_paranoid` is below 2
- `kernel-tiocsti-allowed`: `dev.tty.legacy_tiocsti` is 1, or the kernel is older than the setting
- `kernel-line-disciplines-loadable`: `dev.tty.ldisc_autoload` is 1, or the kernel is older than the setting

Stricter values than the one that is asked for are fine, those of vendors' kernels too. A setting that the
kernel does not have is fine where it then lacks what the setting is about.

## Why it matters
All containers attack one kernel. These settings decide how much of it an unprivileged process reaches (BPF,
perf), how soon an exploit knows where things lie (kernel pointers, the log, address space randomisation), what
it can do to its neighbours of the same user (ptrace), and whether root may load code into it (modules). Through
a terminal that `nsenter`, `lxc-attach` or `unshare` hand on, a process inside types commands that run outside.

## Remediation
Set it to the expected value in a file of /etc/sysctl.d.

- `kernel.modules_disabled=1`, last of all, when everything is loaded: it cannot be taken back until reboot
- `kernel.unprivileged_bpf_disabled=2` (1 cannot be taken back until reboot)
- `kernel.yama.ptrace_scope=1`
- `kernel.kptr_restrict=1`
- `kernel.dmesg_restrict=1`
- `kernel.randomize_va_space=2`
- `kernel.perf_event_paranoid=2`, or 3 where the kernel knows it
- `dev.tty.legacy_tiocsti=0`, `dev.tty.ldisc_autoload=0`

## When it is fine
Development machines, where debuggers and profilers are run by everybody.

## References
- Documentation/admin-guide/sysctl/kernel.rst
- Documentation/admin-guide/LSM/Yama.rst
- perf_event_open(2), bpf(2), TIOCSTI(2const)
- CVE-2017-2636 (n_hdlc, autoloaded), CVE-2023-1523 (snap's terminals)
"""

from typing import NamedTuple

from isoaudit import Evidence, Host, Outcome, Severity, Variant, fail, family, passed, require


class _Setting(NamedTuple):
    """A setting whose larger values are the stricter ones, or whose smaller ones are."""

    name: str
    bound: int  # the loosest value that is fine
    gap: str  # what is open beyond that
    wall: str  # what holds from it on
    absent: str  # why it is fine that the kernel has no such setting; "" where it is not, or does not happen
    lacking: str = ""  # what is open where the kernel has no such setting
    lowest: Severity | None = None  # of a value of 0 or less, where that is worse than the usual case
    falling: bool = False  # the smaller values are the stricter ones
    newer: str = ""  # what to do where the kernel has no such setting

    @property
    def expected(self) -> str:
        return f"{self.bound} or less" if self.falling else f"{self.bound} or more"

    def met(self, value: int) -> bool:
        return value <= self.bound if self.falling else value >= self.bound


_VARIANTS = (
    Variant(
        "modules_loadable",
        "low",
        "Kernel modules can be loaded",
        _Setting(
            "kernel.modules_disabled",
            1,
            "root may load code into the kernel",
            "no module can be loaded until reboot",
            "this kernel is built without modules",
        ),
    ),
    Variant(
        "bpf_unprivileged",
        "medium",
        "Everybody may load BPF programs",
        _Setting(
            "kernel.unprivileged_bpf_disabled",
            1,
            "any process may load BPF programs into the kernel",
            "BPF takes a capability",
            "this kernel has no BPF for unprivileged processes",
        ),
    ),
    Variant(
        "ptrace_permissive",
        "low",
        "Processes may trace their equals",
        _Setting(
            "kernel.yama.ptrace_scope",
            1,
            "any process may trace all others of its user",
            "processes may trace their descendants at most, without a capability",
            "",
            "this kernel has no Yama: any process may trace all others of its user",
            newer="Run a kernel with Yama among its security modules, and set it to 1.",
        ),
    ),
    Variant(
        "kptr_exposed",
        "low",
        "Kernel addresses are shown",
        _Setting(
            "kernel.kptr_restrict",
            1,
            "files of /proc and /sys show kernel addresses",
            "kernel addresses are hidden from the unprivileged",
            "",
        ),
    ),
    Variant(
        "dmesg_unrestricted",
        "low",
        "Everybody may read the kernel log",
        _Setting(
            "kernel.dmesg_restrict",
            1,
            "any process may read the kernel log",
            "reading the kernel log takes CAP_SYSLOG",
            "this kernel is built without a log",
        ),
    ),
    Variant(
        "aslr_weak",
        "low",
        "Address space randomisation is not full",
        _Setting(
            "kernel.randomize_va_space",
            2,
            "not all of a process's memory lies at random addresses",
            "address space randomisation is full",
            "",
            lowest=Severity.MEDIUM,
        ),
    ),
    Variant(
        "perf_unprivileged",
        "low",
        "Everybody may profile the kernel",
        _Setting(
            "kernel.perf_event_paranoid",
            2,
            "any process may profile the kernel and the CPUs",
            "profiling the kernel takes a capability",
            "this kernel is built without performance events",
            lowest=Severity.MEDIUM,
        ),
    ),
    Variant(
        "tiocsti_allowed",
        "low",
        "Processes may type into their terminal",
        _Setting(
            "dev.tty.legacy_tiocsti",
            0,
            "a process may type commands into the terminal that it was started from, outside of its container",
            "typing into a terminal takes CAP_SYS_ADMIN",
            "",
            "this kernel lets every process type into the terminal that it was started from",
            falling=True,
            newer="Give containers their own terminals; run Linux 6.2 or newer, with dev.tty.legacy_tiocsti=0.",
        ),
    ),
    Variant(
        "line_disciplines_loadable",
        "low",
        "Everybody may load line disciplines",
        _Setting(
            "dev.tty.ldisc_autoload",
            0,
            "any process with a terminal may have modules of line disciplines loaded",
            "loading a line discipline takes CAP_SYS_MODULE",
            "",
            "this kernel loads line disciplines for every process with a terminal",
            falling=True,
            newer="Block the modules in /etc/modprobe.d; run Linux 5.1 or newer with dev.tty.ldisc_autoload=0.",
        ),
    ),
)


@family(_VARIANTS)
def setting_weak(host: Host, *, variant: Variant) -> Outcome:
    setting: _Setting = variant.value
    reading = host.sysctl(setting.name)
    if host.sysctl_absent(setting.name):
        if setting.lacking:
            return fail(
                setting.lacking,
                [Evidence(reading.source, "not there", setting.expected)],
                remediation=setting.newer,
            )
        if setting.absent:
            return passed(setting.absent, [Evidence(reading.source, "not there")])
    value = int(require(reading))
    evidence = [Evidence(reading.source, str(value), setting.expected)]
    if setting.met(value):
        return passed(setting.wall, evidence)
    return fail(
        setting.gap,
        evidence,
        severity=setting.lowest if value <= 0 and not setting.falling else None,
        remediation=f"Set {setting.name} to {setting.expected} in a file of /etc/sysctl.d.",
    )
