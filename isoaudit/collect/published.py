"""Who hands ports of a network stack on to containers, and whose virtual machine the host is."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.collect.tree import read_file, refused
from isoaudit.facts.namespaces import parse_link
from isoaudit.facts.network import Published
from isoaudit.facts.text import text
from isoaudit.model import Known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoaudit.collect.paths import Paths
    from isoaudit.facts.network import Chain
    from isoaudit.model import Reading

_COMMAND = 4096  # bytes of a command line


class Proxy(NamedTuple):
    """A docker-proxy: it listens on the host and hands on to a container."""

    pid: int
    namespace: int
    published: Published


def translated(chains: Iterable[Chain]) -> Iterable[Published]:
    """Ports that rules hand to another address."""
    for chain in chains:
        for rule in chain.rules:
            if rule.verdict != "dnat" or not rule.target:
                continue
            said = {one.what: one for one in rule.conditions if not one.negated}
            port = said.get("port")
            if port is None:  # a service's endpoint, which other rules lead to
                continue
            protocol, destination = said.get("protocol"), said.get("destination")
            where = f"{destination.values[0]} " if destination else ""
            every = "::" if ":" in rule.target else "0.0.0.0"  # noqa: S104  what a rule without an address means
            yield Published(
                protocol.values[0] if protocol else "",
                destination.values[0].partition("/")[0] if destination else every,
                port.values[0],
                rule.target,
                f"{chain.table} {chain.name}",
                f"{where}dport {port.values[0]} DNAT {rule.target}",
            )


def proxies(paths: Paths) -> Iterable[Proxy]:
    """The docker-proxy processes of all engines."""
    for entry in os.listdir(paths.proc):
        if not entry.isdigit():
            continue
        base = f"{paths.proc}/{entry}"
        try:
            if not read_file(f"{base}/comm").startswith((b"docker-proxy", b"rootlesskit-doc")):
                continue
            words = text(read_file(f"{base}/cmdline")[:_COMMAND]).split("\0")
            inode = parse_link(os.readlink(f"{base}/ns/net"))
        except (OSError, ValueError):
            continue
        told = dict(itertools.pairwise(words))
        if "-container-ip" in told:
            published = Published(
                told.get("-proto", ""),
                told.get("-host-ip", ""),
                told.get("-host-port", ""),
                told["-container-ip"],
                f"{base}/cmdline",
                " ".join(words).strip(),
            )
            yield Proxy(int(entry), inode, published)


# What firmware (DMI) of a cloud's virtual machines says, and whose it is.
_CLOUDS: tuple[tuple[str, str], ...] = (
    ("Amazon EC2", "AWS"),
    ("Google", "Google Cloud"),
    ("7783-7084-3265-9085-8269-3286-77", "Azure"),  # Hyper-V elsewhere has the vendor, not this tag
    ("Alibaba Cloud", "Alibaba Cloud"),
    ("Tencent Cloud", "Tencent Cloud"),
    ("DigitalOcean", "DigitalOcean"),
    ("Hetzner", "Hetzner"),
    ("Scaleway", "Scaleway"),
    ("Vultr", "Vultr"),
    ("Akamai", "Akamai"),
    ("Linode", "Akamai"),
    ("UpCloud", "UpCloud"),
    ("Exoscale", "Exoscale"),
    ("Huawei Cloud", "Huawei Cloud"),
    ("OpenStack", "OpenStack"),
    ("OracleCloud", "Oracle Cloud"),
)


def cloud(paths: Paths) -> Reading[str]:
    """Whose virtual machine the host is, by its firmware; "" where that names no cloud."""
    folder = f"{paths.sys}/class/dmi/id"
    said = []
    for name in ("sys_vendor", "product_name", "chassis_asset_tag"):
        try:
            said.append(text(read_file(f"{folder}/{name}").strip()))
        except FileNotFoundError:
            continue
        except OSError as error:
            return refused(error, f"{folder}/{name}")
    words = "\n".join(said)
    return Known(next((name for mark, name in _CLOUDS if mark in words), ""), folder)
