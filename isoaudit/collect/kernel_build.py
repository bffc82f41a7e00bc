"""Reading how the host's kernel is built, what it has loaded, and what it says of its CPU's flaws."""

from __future__ import annotations

import os
import stat
import time
import zlib
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read, read_file, read_regular, refused
from isoaudit.facts.kernel_build import parse_config, parse_modules
from isoaudit.facts.text import line
from isoaudit.facts.userland import parse_os_release
from isoaudit.facts.vulnerabilities import options
from isoaudit.model import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.host import Host
    from isoaudit.facts.kernel import KernelRelease
    from isoaudit.facts.kernel_build import KernelBuild
    from isoaudit.model import Reading

_CONFIG_BYTES = 4 << 20
_GZIP = 31  # zlib's: the largest window, with gzip's header
_NAMES = ("ID", "ID_LIKE", "VERSION_ID")


def with_kernel_build(paths: Paths, host: Host) -> Host:
    """The host with what is read of its kernel's build, its distribution and its CPU's flaws."""
    return host._replace(
        date=_date(paths),
        os_release=_os_release(paths),
        kernel_signature=_signature(paths),
        kernel_build_options=_config(paths, host.kernel),
        modules=_modules(paths),
        cpu_vulnerabilities=_cpu(paths),
        smt=_smt(paths),
    )


def _date(paths: Paths) -> Reading[str]:
    if not paths.live:
        return Unknown("clock_gettime(2)", "the tree is a copy, of a day that it does not tell")
    return Known(time.strftime("%Y-%m-%d", time.gmtime()), "clock_gettime(2)")


def _os_release(paths: Paths) -> Reading[Mapping[str, str]]:
    def parse(raw: bytes) -> Mapping[str, str]:
        fields = parse_os_release(raw)
        return {name: fields[name] for name in _NAMES if name in fields}

    for path in ("/etc/os-release", "/usr/lib/os-release"):
        reading = read(paths.host(path), parse)
        if isinstance(reading, Known):
            break
    return reading


def _signature(paths: Paths) -> Reading[str]:
    path = f"{paths.proc}/version_signature"
    try:
        return Known(line(read_file(path)), path)
    except FileNotFoundError:
        return Known("", path)
    except OSError as error:
        return refused(error, path)


def _config(paths: Paths, release: Reading[KernelRelease]) -> Reading[KernelBuild]:
    """From the kernel itself, else from what its package left."""
    packed = f"{paths.proc}/config.gz"
    candidates = [packed]
    if isinstance(release, Known):
        name = str(release.value)
        candidates += [
            paths.host(path)
            for path in (
                f"/boot/config-{name}",
                f"/lib/modules/{name}/config",
                f"/usr/lib/modules/{name}/config",
            )
        ]
    for path in candidates:
        try:
            raw = read_regular(path, _CONFIG_BYTES)
            if path == packed:
                raw = zlib.decompressobj(_GZIP).decompress(raw, _CONFIG_BYTES)
            return Known(parse_config(raw, options()), path)
        except FileNotFoundError:
            continue
        except OSError as error:
            return refused(error, path)
        except (ValueError, zlib.error) as error:
            return Unknown(path, f"not understood: {error}")
    return Unknown(packed, "this kernel does not tell how it was built, and /boot has no config of it")


def _modules(paths: Paths) -> Reading[frozenset[str]]:
    path = f"{paths.proc}/modules"
    try:
        return Known(parse_modules(read_file(path)), path)
    except FileNotFoundError:
        whole = os.path.isdir(f"{paths.proc}/sys/kernel")
        return Known(frozenset(), path) if whole else Unknown(path, f"ENOENT: there is no {paths.proc}")
    except OSError as error:
        return refused(error, path)


def _cpu(paths: Paths) -> Reading[Mapping[str, str]]:
    folder = f"{paths.sys}/devices/system/cpu/vulnerabilities"
    found = {}
    try:
        for name in sorted(os.listdir(folder)):
            path = f"{folder}/{name}"
            if stat.S_ISREG(os.stat(path).st_mode):
                found[name] = line(read_file(path))
    except FileNotFoundError:
        return Unknown(folder, "ENOENT: this kernel does not report its CPU's flaws: it is older than 4.15")
    except OSError as error:
        return refused(error, folder)
    return Known(found, folder)


def _smt(paths: Paths) -> Reading[str]:
    path = f"{paths.sys}/devices/system/cpu/smt/control"
    return read(path, line)
