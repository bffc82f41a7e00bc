"""Reading the host's side of every comparison."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isoaudit.collect.cgroups import CgroupReader, hierarchies
from isoaudit.collect.discovery import host_namespaces
from isoaudit.collect.network import NetworkReader
from isoaudit.collect.quotas import read_quotas
from isoaudit.collect.tree import read, read_file, read_line, refused
from isoaudit.facts.cgroup import parse_controllers, parse_cpu_list, parse_memberships
from isoaudit.facts.clock import ClockStatus
from isoaudit.facts.cpu import parse_x86_level
from isoaudit.facts.devices import parse_proc_devices
from isoaudit.facts.host import EngineSocket, Host
from isoaudit.facts.kernel import parse_release
from isoaudit.facts.lsm import parse_profiles
from isoaudit.facts.mounts import mount_of, parse_mountinfo, path_on
from isoaudit.facts.text import line, text
from isoaudit.facts.userland import parse_os_release
from isoaudit.kernel import syscalls
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.cgroup import Hierarchy
    from isoaudit.facts.mounts import Mount
    from isoaudit.model import Reading

T = TypeVar("T")

# Every setting that a check asks for. Reading any of them changes nothing.
SYSCTLS: tuple[str, ...] = (
    "dev.tty.ldisc_autoload",
    "dev.tty.legacy_tiocsti",
    "fs.binfmt_misc.status",
    "fs.epoll.max_user_watches",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.pipe-user-pages-soft",
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.acct",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.core_pattern",
    "kernel.core_pipe_limit",
    "kernel.dmesg_restrict",
    "kernel.io_uring_disabled",
    "kernel.io_uring_group",
    "kernel.kexec_load_disabled",
    "kernel.keys.maxkeys",
    "kernel.kptr_restrict",
    "kernel.modprobe",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.pid_max",
    "kernel.randomize_va_space",
    "kernel.sched_rt_runtime_us",
    "kernel.sysrq",
    "kernel.threads-max",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "user.max_user_namespaces",
    "vm.overcommit_memory",
    "vm.unprivileged_userfaultfd",
)

# Files of the kernel's that checks ask for besides those that engines mask. They are looked for, never opened.
_KERNEL_FILES: tuple[str, ...] = (
    "/proc/pressure/memory",
    "/proc/key-users",
    "/proc/self/ns/user",
    "/proc/swaps",
    "/proc/sys/fs/binfmt_misc",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/modprobe",
    "/sys/class/misc/vsock",
    "/sys/kernel/uevent_helper",
)

# By the socket's file name: whoever can connect to one of these can run anything as root.
_ENGINE_SOCKETS: dict[str, str] = {
    "docker.sock": "docker",
    "containerd.sock": "containerd",
    "podman.sock": "podman",
    "crio.sock": "cri-o",
    "dockershim.sock": "docker",
    "cri-dockerd.sock": "docker",
    "buildkitd.sock": "buildkit",
    "unix.socket": "lxd",
    "balena-engine.sock": "balena",
    "k3s.sock": "containerd",
}


class HostReading(NamedTuple):
    """The host, and what the reading of its containers builds on."""

    host: Host
    cgroups: CgroupReader
    networks: NetworkReader


def read_host(paths: Paths) -> HostReading:
    """Read the host."""
    namespaces, reference = host_namespaces(paths)
    mounts = read(f"{paths.proc}/{reference}/mountinfo", parse_mountinfo)
    table = mounts.value if isinstance(mounts, Known) else ()
    found = hierarchies(table, paths)
    sizes = _hugepage_sizes(paths)
    meminfo = read(f"{paths.proc}/meminfo", _meminfo)
    sysctls, absent = _sysctls(paths, table)
    networks = NetworkReader(paths, reference, namespaces.net)
    host = Host(
        hostname=read_line(f"{paths.proc}/sys/kernel/hostname"),
        kernel=read(f"{paths.proc}/sys/kernel/osrelease", lambda raw: parse_release(line(raw))),
        kernel_build=read_line(f"{paths.proc}/version"),
        machine=os.uname().machine,
        boot_id=read_line(f"{paths.proc}/sys/kernel/random/boot_id"),
        namespaces=namespaces,
        mounts=mounts,
        cgroup_layout=_layout(mounts, found),
        hierarchies=Known(found, mounts.source) if isinstance(mounts, Known) else mounts,
        controllers=read(f"{paths.proc}/cgroups", parse_controllers),
        memory_bytes=_field(meminfo, "MemTotal"),
        swap_bytes=_field(meminfo, "SwapTotal"),
        cpus=read(f"{paths.sys}/devices/system/cpu/online", lambda raw: parse_cpu_list(line(raw))),
        memory_nodes=_memory_nodes(paths),
        hugepage_sizes=sizes,
        x86_level=read(f"{paths.proc}/cpuinfo", parse_x86_level),
        lsms=_security(paths, "lsm", lambda raw: tuple(filter(None, line(raw).split(",")))),
        lockdown=_security(paths, "lockdown", _selected),
        sysctls=sysctls,
        absent_sysctls=absent,
        kernel_files=_kernel_files(paths),
        clock=_clock(paths),
        device_names=read(f"{paths.proc}/devices", parse_proc_devices),
        engine_sockets=_engine_sockets(paths, reference, table),
        selinux_enforcing=read(f"{paths.sys}/fs/selinux/enforce", lambda raw: line(raw) == "1"),
        apparmor_profiles=_security(paths, "apparmor/profiles", parse_profiles),
        distribution=_distribution(paths),
        command_line=read_line(f"{paths.proc}/cmdline"),
        network=networks.host(),
        quotas=Known(read_quotas(paths, namespaces, reference), f"{paths.proc}/sys"),
    )
    memberships = read(f"{paths.proc}/1/cgroup", parse_memberships)
    reader = CgroupReader(
        paths,
        found,
        sizes.value if isinstance(sizes, Known) else (),
        memberships.value if isinstance(memberships, Known) else (),
    )
    return HostReading(_with_versions(paths, _with_engines(paths, host)), reader, networks)


def _meminfo(raw: bytes) -> dict[str, int]:
    """Bytes per field of /proc/meminfo."""
    amounts = {}
    for entry in text(raw).splitlines():
        name, _, rest = entry.partition(":")
        number = rest.split()
        if len(number) == 2 and number[1] == "kB":
            amounts[name] = int(number[0]) * 1024
    return amounts


def _field(meminfo: Reading[dict[str, int]], name: str) -> Reading[int]:
    if isinstance(meminfo, Unknown):
        return meminfo
    if name not in meminfo.value:
        return Unknown(meminfo.source, f"no {name} line")
    return Known(meminfo.value[name], meminfo.source)


def _layout(mounts: Reading[tuple[Mount, ...]], found: Iterable[Hierarchy]) -> Reading[str]:
    if isinstance(mounts, Unknown):
        return mounts
    versions = {hierarchy.version for hierarchy in found}
    names = {frozenset(): "none", frozenset({1}): "v1", frozenset({2}): "v2", frozenset({1, 2}): "hybrid"}
    return Known(names[frozenset(versions)], mounts.source)


def _memory_nodes(paths: Paths) -> Reading[frozenset[int]]:
    path = f"{paths.sys}/devices/system/node/online"
    if not os.path.exists(path):
        return Known(frozenset({0}), path)  # a kernel without NUMA has its one node
    return read(path, lambda raw: parse_cpu_list(line(raw)))


def _hugepage_sizes(paths: Paths) -> Reading[tuple[str, ...]]:
    """Sizes whose pool holds pages, spelled as hugetlb's files spell them."""
    folder = f"{paths.sys}/kernel/mm/hugepages"
    sizes = []
    try:
        for name in sorted(os.listdir(folder)):
            kilobytes = int(name.removeprefix("hugepages-").removesuffix("kB"))
            if int(read_file(f"{folder}/{name}/nr_hugepages")) > 0:
                sizes.append(_size_name(kilobytes))
    except FileNotFoundError:
        return Known((), folder)  # a kernel without huge pages has no pool
    except OSError as error:
        return refused(error, folder)
    except ValueError as error:
        return Unknown(folder, f"not understood: {error}")
    return Known(tuple(sizes), folder)


def _size_name(kilobytes: int) -> str:
    """The kernel's mem_fmt (mm/hugetlb_cgroup.c): 2048 kB is "2MB"."""
    if kilobytes >= 1 << 20:
        return f"{kilobytes >> 20}GB"
    return f"{kilobytes >> 10}MB" if kilobytes >= 1 << 10 else f"{kilobytes}KB"


def _security(paths: Paths, name: str, parse: Callable[[bytes], T]) -> Reading[T]:
    """A file of securityfs, which not every host has mounted."""
    folder = f"{paths.sys}/kernel/security"
    reading = read(f"{folder}/{name}", parse)
    if isinstance(reading, Unknown) and not os.path.exists(f"{folder}/lsm"):
        return Unknown(reading.source, f"securityfs is not mounted: mount -t securityfs none {folder}")
    return reading


def _selected(raw: bytes) -> str:
    """The bracketed word of a line such as `[none] integrity confidentiality`.

    Raises:
        ValueError: no word is.
    """
    words = line(raw).split()
    if not words:
        return "none"
    for word in words:
        if word.startswith("[") and word.endswith("]"):
            return word[1:-1]
    raise ValueError("no word in brackets")


def _sysctls(paths: Paths, mounts: tuple[Mount, ...]) -> tuple[dict[str, Reading[str]], frozenset[str]]:
    """The settings, and which of them the kernel does not have."""
    readings: dict[str, Reading[str]] = {}
    absent = set()
    # Without the folder, a missing file says nothing of the kernel: there is no procfs, or /proc/sys is hidden.
    whole = os.path.isdir(f"{paths.proc}/sys/kernel")
    for name in SYSCTLS:
        path = f"{paths.proc}/sys/{name.replace('.', '/')}"
        mount = mount_of(mounts, f"/proc/sys/{name.replace('.', '/')}")
        if mount is not None and mount.fstype == "autofs":
            # systemd mounts binfmt_misc for whoever looks there, which loads a module.
            readings[name] = Unknown(path, f"{mount.target} is not mounted, and reading it would mount it")
            continue
        try:
            readings[name] = Known(line(read_file(path)), path)
        except FileNotFoundError as error:
            if whole:
                absent.add(name)
                readings[name] = Unknown(path, "ENOENT: this kernel does not have the setting")
            else:
                readings[name] = refused(error, path)
        except OSError as error:
            readings[name] = refused(error, path)
    return readings, frozenset(absent)


def _kernel_files(paths: Paths) -> dict[str, Reading[bool]]:
    from isoaudit.facts import leaks  # its data is not needed to begin
    from isoaudit.facts.masks import masked_paths, read_only_paths

    listed = (*masked_paths(), *read_only_paths())
    names = {*_KERNEL_FILES, *leaks.paths(), *(entry.path for entry in listed)}
    return {name: _there(name, paths) for name in sorted(names)}


def _there(name: str, paths: Paths) -> Reading[bool]:
    tree = paths.proc if name.startswith("/proc/") else paths.sys
    path = f"{tree}/{name.split('/', 2)[2]}"
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        # As for settings: of a tree that is not there nothing can be missing.
        return Known(False, path) if os.path.isdir(tree) else Unknown(path, f"ENOENT: there is no {tree}")
    except OSError as error:
        return refused(error, path)
    return Known(True, path)


def _clock(paths: Paths) -> Reading[ClockStatus]:
    if not paths.live:
        return Unknown("adjtimex(2)", "the tree is not the running kernel's")
    try:
        answer = syscalls.read_adjtimex()
    except OSError as error:
        return refused(error, "adjtimex(2)")
    return Known(
        ClockStatus(answer.state, answer.status, answer.max_error, answer.estimated_error), "adjtimex(2)"
    )


def _engine_sockets(
    paths: Paths, reference: int, mounts: tuple[Mount, ...]
) -> Reading[tuple[EngineSocket, ...]]:
    """Sockets of engines that somebody listens on (/proc/net/unix, in the host's network namespace)."""
    source = f"{paths.proc}/{reference}/net/unix"
    try:
        raw = read_file(source)
    except OSError as error:
        return refused(error, source)
    sockets: dict[str, EngineSocket] = {}
    for entry in raw.split(b"\n"):
        fields = entry.split(None, 7)
        if len(fields) == 8 and fields[7].startswith(b"/"):
            path = text(fields[7])
            engine = _ENGINE_SOCKETS.get(path.rpartition("/")[2])
            # 00010000 is __SO_ACCEPTCON: it listens. A path may hold a newline and forge a whole entry, which
            # can only add a socket, and counts only for a container that has that path mounted.
            if engine and fields[3] == b"00010000" and path not in sockets:
                resolved = os.path.realpath(path) if paths.live else path
                mount = mount_of(mounts, resolved)
                if mount is not None:
                    sockets[path] = EngineSocket(path, engine, mount.device, path_on(mount, resolved))
    return Known(tuple(sockets.values()), source)


def _with_engines(paths: Paths, host: Host) -> Host:
    from isoaudit.collect.engines import read_engines  # most of it is not needed to begin

    found = read_engines(paths, host.namespaces.pid, host.engine_sockets)
    return host._replace(engines=found.engines, engine_files=found.files)


def _with_versions(paths: Paths, host: Host) -> Host:
    from isoaudit.collect.kernel_build import with_kernel_build  # its data is not needed to begin
    from isoaudit.collect.versions import read_versions

    return with_kernel_build(paths, host)._replace(runtimes=read_versions(paths, host.engines))


def _distribution(paths: Paths) -> Reading[str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        reading = read(paths.host(path), lambda raw: parse_os_release(raw).get("PRETTY_NAME", ""))
        if isinstance(reading, Known):
            return reading
    return reading
