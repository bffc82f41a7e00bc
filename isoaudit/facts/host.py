"""Everything that was read about the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.model import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.facts.cgroup import Hierarchy
    from isoaudit.facts.clock import ClockStatus
    from isoaudit.facts.engines import Engine, EngineFile
    from isoaudit.facts.kernel import KernelRelease
    from isoaudit.facts.kernel_build import KernelBuild
    from isoaudit.facts.mounts import Mount
    from isoaudit.facts.namespaces import Namespaces
    from isoaudit.facts.network import HostNetwork
    from isoaudit.facts.quotas import Quotas
    from isoaudit.facts.software import Installed
    from isoaudit.model import Reading


_NOT_READ = "it was not read"


class EngineSocket(NamedTuple):
    """A socket on which an engine or a CRI runtime listens: whoever can connect to it owns the host."""

    path: str  # on the host
    engine: str  # "docker", "containerd", "podman", "cri-o", "lxd", …
    device: str  # of the filesystem it lies on, as in mountinfo
    path_on_device: str  # within that filesystem


class Host(NamedTuple):
    """The host's side of every comparison."""

    hostname: Reading[str]
    kernel: Reading[KernelRelease]
    kernel_build: Reading[str]  # /proc/version, whole
    machine: str  # uname -m
    boot_id: Reading[str]
    namespaces: Namespaces
    mounts: Reading[tuple[Mount, ...]]
    cgroup_layout: Reading[str]  # "v1", "hybrid", "v2" or "none"
    hierarchies: Reading[tuple[Hierarchy, ...]]
    controllers: Reading[Mapping[str, bool]]  # /proc/cgroups: those in the kernel, and whether enabled
    memory_bytes: Reading[int]
    swap_bytes: Reading[int]
    cpus: Reading[frozenset[int]]  # online
    memory_nodes: Reading[frozenset[int]]  # online NUMA nodes
    hugepage_sizes: Reading[tuple[str, ...]]  # "2MB", "1GB": sizes whose pool has pages
    x86_level: Reading[int]  # 1 to 4: what the CPU offers of the x86-64 psABI levels
    lsms: Reading[tuple[str, ...]]  # /sys/kernel/security/lsm
    lockdown: Reading[str]  # "none", "integrity", "confidentiality"
    sysctls: Mapping[str, Reading[str]]  # by dotted name
    absent_sysctls: frozenset[str]  # of those, which this kernel does not have: older, or built without
    kernel_files: Mapping[str, Reading[bool]]  # files of /proc and /sys, and whether this kernel has them
    clock: Reading[ClockStatus]
    device_names: Reading[tuple[tuple[str, int, str], ...]]  # /proc/devices
    engine_sockets: Reading[tuple[EngineSocket, ...]]
    distribution: Reading[str]  # PRETTY_NAME of the host's os-release
    network: Reading[HostNetwork] = Unknown("rtnetlink(7)", _NOT_READ)
    engines: Reading[tuple[Engine, ...]] = Unknown("/proc", _NOT_READ)
    quotas: Reading[Quotas] = Unknown("/proc/sys", _NOT_READ)
    selinux_enforcing: Reading[bool] = Unknown("/sys/fs/selinux/enforce", _NOT_READ)
    apparmor_profiles: Reading[Mapping[str, str]] = Unknown("/sys/kernel/security/apparmor/profiles", _NOT_READ)
    engine_files: Reading[tuple[EngineFile, ...]] = Unknown("/", _NOT_READ)

    command_line: Reading[str] = Unknown("/proc/cmdline", _NOT_READ)  # what the kernel was booted with
    date: Reading[str] = Unknown("clock_gettime(2)", _NOT_READ)  # the day on which it was read, in UTC
    os_release: Reading[Mapping[str, str]] = Unknown("/etc/os-release", _NOT_READ)  # ID, ID_LIKE and VERSION_ID
    kernel_signature: Reading[str] = Unknown("/proc/version_signature", _NOT_READ)  # Ubuntu's; "" on others
    kernel_build_options: Reading[KernelBuild] = Unknown("/proc/config.gz", _NOT_READ)
    modules: Reading[frozenset[str]] = Unknown("/proc/modules", _NOT_READ)  # loaded
    cpu_vulnerabilities: Reading[Mapping[str, str]] = Unknown(
        "/sys/devices/system/cpu/vulnerabilities", _NOT_READ
    )
    smt: Reading[str] = Unknown(
        "/sys/devices/system/cpu/smt/control", _NOT_READ
    )  # "on", "off", "notsupported" …
    runtimes: Reading[tuple[Installed, ...]] = Unknown("/usr", _NOT_READ)  # with their versions

    def sysctl(self, name: str) -> Reading[str]:
        """A kernel setting by its dotted name, such as `kernel.core_pattern`."""
        return self.sysctls.get(name) or Unknown(
            f"/proc/sys/{name.replace('.', '/')}", "isoaudit does not collect it"
        )

    def sysctl_absent(self, name: str) -> bool:
        """Whether this kernel is known not to have a setting; what that means is for each check to say."""
        return name in self.absent_sysctls

    def has(self, path: str) -> Reading[bool]:
        """Whether this kernel has a file, such as `/proc/kcore`: engines do not mask what is not there."""
        return self.kernel_files.get(path) or Unknown(path, "isoaudit does not look for it")
