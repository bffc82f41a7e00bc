from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.facts import HOST_INODES
from support.hosts import OVERLAY_ROOT, Tree, discovered

from isoaudit.collect.discovery import Candidate
from isoaudit.collect.network import NOT_LIVE, NetworkReader
from isoaudit.collect.process import ProcessDirectory
from isoaudit.collect.published import cloud, proxies, translated
from isoaudit.collect.sockets import listeners, sockets_of
from isoaudit.collect.stack import within
from isoaudit.facts.network import Chain, Condition, Network, Rule
from isoaudit.model import Known, Reading, Unknown

HEAD = "head\nhead\n"
TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:0050 00000000:0000 0A 0:0 00:0 0 0 0 777 1 0 100 0 0 10 0\n"
    "   1: 00000000:0051 00000000:0000 0A 0:0 00:0 0 0 0 778 1 0 100 0 0 10 0\n"
)
UNIX = (
    "Num RefCount Protocol Flags Type St Inode Path\n"
    "0: 2 0 00010000 0001 01 900 @theirs\n"
    "0: 2 0 00010000 0001 01 901 @own\n"
)
FILES = {
    "dev": f"{HEAD}    lo: 0\n  eth0: 0\n",
    "fib_trie": "     |-- 10.0.0.2\n        /32 host LOCAL\n",
    "route": "Iface\neth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n",
    "tcp": TCP,
    "udp": "head\n",
    "unix": UNIX,
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def network(tree: Tree, pid: int, **files: str) -> None:
    folder = tree.proc / str(pid) / "net"
    folder.mkdir()
    for name, content in {**FILES, **files}.items():
        (folder / name).write_text(content)


def sockets(tree: Tree, pid: int, *inodes: int) -> None:
    (tree.proc / str(pid) / "fd").mkdir()
    (tree.proc / str(pid) / "comm").write_text("app\n")
    for number, inode in enumerate(inodes):
        os.symlink(f"socket:[{inode}]", tree.proc / str(pid) / "fd" / str(number))
    os.symlink("/dev/null", tree.proc / str(pid) / "fd" / "99")


def read(tree: Tree, reader: NetworkReader, pid: int) -> Reading[Network]:
    (candidate,) = (one for one in discovered(tree.paths).candidates if one.leader == pid)
    return read_candidate(tree, reader, candidate)


def read_candidate(tree: Tree, reader: NetworkReader, candidate: Candidate) -> Reading[Network]:
    with ProcessDirectory(str(tree.proc), candidate.leader) as leader:
        return reader.read(leader, candidate)


@pytest.fixture
def reader(tree: Tree) -> NetworkReader:
    return NetworkReader(tree.paths, 1, Known(HOST_INODES["net"], "/proc/1/ns/net"))


def test_a_namespace_is_read_once(tree: Tree, reader: NetworkReader) -> None:
    own = tree.inodes("mnt", "pid", "net")
    joined = tree.inodes("mnt", "pid", net=own["net"])
    tree.add(100, own=own, mounts=OVERLAY_ROOT, ns_pids=(1,), cgroup=("/docker/" + "a" * 64,))
    tree.add(200, own=joined, mounts=OVERLAY_ROOT, ns_pids=(1,), cgroup=("/docker/" + "b" * 64,))
    network(tree, 100)
    first = read(tree, reader, 100)
    assert isinstance(first, Known)
    assert first.value.interfaces == ("eth0",)
    assert first.value.addresses == ("10.0.0.2",)
    assert [route.via for route in first.value.routes] == ["10.0.0.1"]
    assert read(tree, reader, 200) is first, "the second container's own files are not even there"


def test_a_tree_has_no_netlink(tree: Tree, reader: NetworkReader) -> None:
    tree.add(100, own=tree.inodes("mnt", "pid", "net"), mounts=OVERLAY_ROOT, ns_pids=(1,))
    network(tree, 100)
    found = read(tree, reader, 100)
    assert isinstance(found, Known)
    assert isinstance(found.value.ends, Unknown)
    assert found.value.ends.reason == NOT_LIVE
    host = reader.host()
    assert isinstance(host, Unknown)
    assert host.reason == NOT_LIVE


def test_loopback_only(tree: Tree, reader: NetworkReader) -> None:
    tree.add(100, own=tree.inodes("mnt", "pid", "net"), mounts=OVERLAY_ROOT, ns_pids=(1,))
    network(tree, 100, dev=f"{HEAD}    lo: 0\n tunl0: 0\n")
    found = read(tree, reader, 100)
    assert isinstance(found, Known)
    assert (found.value.interfaces, found.value.addresses, found.value.routes) == ((), (), ())
    assert found.value.ends == Known((), f"{tree.proc}/100/net/dev")


def test_sockets_of_the_host_are_told_apart(tree: Tree, reader: NetworkReader) -> None:
    tree.add(100, own=tree.inodes("mnt", "pid"), mounts=OVERLAY_ROOT, ns_pids=(1,))
    network(tree, 1)
    network(tree, 100)
    sockets(tree, 100, 777, 901)
    found = read(tree, reader, 100)
    assert isinstance(found, Known)
    own, abstract = found.value.listeners, found.value.abstract
    assert isinstance(own, Known)
    assert [(one.port, one.pid, one.command) for one in own.value] == [(80, 100, "app")]
    assert isinstance(abstract, Known)
    assert abstract.value == ("@theirs",)


def test_missing_files_are_unknown(tree: Tree, reader: NetworkReader) -> None:
    tree.add(100, own=tree.inodes("mnt", "pid", "net"), mounts=OVERLAY_ROOT, ns_pids=(1,))
    assert isinstance(read(tree, reader, 100), Unknown)


def test_nonsense_is_unknown(tree: Tree, reader: NetworkReader) -> None:
    tree.add(100, own=tree.inodes("mnt", "pid", "net"), mounts=OVERLAY_ROOT, ns_pids=(1,))
    network(tree, 100, route="head\neth0 zz\n")
    found = read(tree, reader, 100)
    assert isinstance(found, Unknown)
    assert "not understood" in found.reason


def test_listeners(tree: Tree) -> None:
    network(tree, 1)
    found = listeners(f"{tree.proc}/1")
    assert isinstance(found, Known)
    assert [one.inode for one in found.value] == [777, 778]
    assert isinstance(listeners(f"{tree.proc}/2"), Unknown)


def test_sockets_of_a_process_that_ended(tree: Tree) -> None:
    assert sockets_of(str(tree.proc), [12345]) == ({}, None)


def test_proxies(tree: Tree) -> None:
    words = (
        "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8081 -container-ip 172.17.0.2 -container-port 80"
    )
    tree.add(50, "docker-proxy", arguments=words.split())
    (tree.proc / "50" / "comm").write_text("docker-proxy\n")
    (found,) = proxies(tree.paths)
    assert (found.pid, found.namespace) == (50, HOST_INODES["net"])
    assert found.published[:4] == ("tcp", "0.0.0.0", "8081", "172.17.0.2")  # noqa: S104
    assert found.published.evidence == words


def test_translated() -> None:
    port, own = Condition("port", ("80",)), Condition("destination", ("192.0.2.1/32",))
    rules = (
        Rule((port, own), "dnat", "10.0.0.2"),
        Rule((port, Condition("iif", ("docker0",), negated=True)), "dnat", "fd00::2"),
        Rule((), "dnat", "10.0.0.3"),  # a service's endpoint
        Rule((port,), "accept"),
    )
    found = list(translated([Chain("ip nat", "DOCKER", "", 0, "", rules)]))
    assert [(one.address, one.port, one.container_address) for one in found] == [
        ("192.0.2.1", "80", "10.0.0.2"),
        ("::", "80", "fd00::2"),
    ]


@pytest.mark.parametrize(
    ("files", "provider"),
    [
        ({"sys_vendor": "Amazon EC2"}, "AWS"),
        ({"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, ""),
        ({"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}, "Azure"),
        ({"sys_vendor": "QEMU", "product_name": "OpenStack Compute"}, "OpenStack"),
        ({}, ""),
    ],
)
def test_cloud(tree: Tree, files: dict[str, str], provider: str) -> None:
    folder = Path(tree.paths.sys) / "class/dmi/id"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    assert cloud(tree.paths) == Known(provider, str(folder))


def test_a_child_that_may_not_enter_says_so() -> None:
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)  # not a network namespace: EINVAL even for root
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            within(fd, lambda: 1)
    finally:
        os.close(fd)


def test_no_child_for_our_own() -> None:
    assert within(None, os.getpid) == os.getpid()


# The kernel's answer to `within` for real is in tests/live/test_network.py.
