"""Networks of real containers. Daemons with bridges have a network namespace of their own, not the host's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.live import Docker, isoaudit, missing, need

WIDE = "network-published-widely"
OPEN = "network-bridge-open"
BANDWIDTH = "network-bandwidth-unlimited"
ABSTRACT = "network-abstract-socket-reachable"
METADATA = "network-metadata-reachable"


def sh(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


class Bridged(NamedTuple):
    """A daemon with a bridge and firewall rules in a network namespace of its own."""

    docker: Docker
    namespace: str
    iptables: str
    open: bool  # containers on its bridge reach each other

    def outer_end(self, name: str) -> str:
        """The interface that a container's eth0 ends in."""
        pid = self.docker("inspect", "-f", "{{.State.Pid}}", name)
        inside = json.loads(sh("nsenter", "-t", pid, "-n", "ip", "-j", "link", "show", "eth0"))
        links = json.loads(sh("ip", "-n", self.namespace, "-j", "link"))
        return str(next(one["ifname"] for one in links if one["ifindex"] == inside[0]["link_index"]))

    def address(self, name: str) -> str:
        return self.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)

    def findings(self, name: str) -> dict[str, dict[str, Any]]:
        return isoaudit("container", name, "--probes", "none", "-f", "json").findings(name)


@pytest.fixture(scope="module", params=["nft", "legacy"])
def bridged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, busybox_root: Path
) -> Iterator[Bridged]:
    kind: str = request.param
    need("dockerd", "docker", "runc", "ip", "tc", f"iptables-{kind}")
    folder = tmp_path_factory.mktemp(f"bridged-{kind}")
    path = folder / "bin"
    path.mkdir()
    for family in ("iptables", "ip6tables"):
        for action in ("", "-save", "-restore"):
            (path / f"{family}{action}").symlink_to(f"/usr/sbin/{family}-{kind}{action}")
    namespace = f"isoaudit-{kind}-{os.getpid()}"
    added = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True, check=False)
    if added.returncode:
        missing(f"no network namespace can be made here: {added.stderr}")
    sh("ip", "-n", namespace, "link", "set", "lo", "up")
    options = ["--bridge=", "--bip=172.31.7.1/24", "--iptables=true"]
    if kind == "legacy":
        options.append("--icc=false")
    engine = Docker(folder, *options, namespace=namespace, path=str(path))
    try:
        if not engine.wait():
            missing(f"dockerd has no bridge here: {(folder / 'log').read_text()[-300:]}")
        archive = folder / "bb.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox_root, arcname=".")
        engine("import", "-c", 'CMD ["sleep","100000"]', "-c", "ENV PATH=/bin", str(archive), "bb")
        yield Bridged(engine, namespace, str(path / "iptables"), kind == "nft")
    finally:
        subprocess.run(
            f"docker --host={engine.socket} ps -aq | xargs -r docker --host={engine.socket} rm -f",
            shell=True,
            capture_output=True,
            check=False,
        )
        engine.stop()
        subprocess.run(["ip", "netns", "del", namespace], check=False)


def test_ports(bridged: Bridged) -> None:
    ports = {"n-wide": ("-p", "8081:80"), "n-narrow": ("-p", "127.0.0.1:8082:81"), "n-closed": ()}
    try:
        for name, flags in ports.items():
            bridged.docker("run", "-d", "--name", name, *flags, "bb")
        found = {name: bridged.findings(name)[WIDE] for name in ports}
    finally:
        bridged.docker("rm", "-f", *ports)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "n-wide": "fail",
        "n-narrow": "pass",
        "n-closed": "pass",
    }
    assert "tcp 0.0.0.0:8081" in found["n-wide"]["message"]
    assert any("DNAT" in one["observed"] for one in found["n-wide"]["evidence"]), "the rule is seen"
    assert any("docker-proxy" in one["observed"] for one in found["n-wide"]["evidence"]), "so is the process"
    assert "127.0.0.1:8082" in found["n-narrow"]["message"]


def test_neighbours(bridged: Bridged) -> None:
    """What the check says of a bridge is what a connection says."""
    docker = bridged.docker
    try:
        docker("run", "-d", "--name", "n-server", "bb", "busybox", "nc", "-ll", "-p", "80", "-e", "true")
        docker("run", "-d", "--name", "n-client", "bb")
        command = ["busybox", "nc", "-w", "1", bridged.address("n-server"), "80"]
        connected = subprocess.run(
            ["docker", f"--host={docker.socket}", "exec", "n-client", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        found = bridged.findings("n-client")[OPEN]
        for name in ("n-server", "n-client"):
            port = ("link", "set", "dev", bridged.outer_end(name), "isolated", "on")
            sh("bridge", "-n", bridged.namespace, *port)
        isolated = bridged.findings("n-client")[OPEN]
    finally:
        docker("rm", "-f", "n-server", "n-client")
    assert (connected.returncode == 0) is bridged.open
    assert found["outcome"] == ("fail" if bridged.open else "pass"), found["message"]
    assert isolated["outcome"] == "pass"
    assert "no other port" in isolated["message"]


def test_bandwidth(bridged: Bridged) -> None:
    docker, limit = bridged.docker, ("root", "tbf", "rate", "5mbit", "burst", "32kbit", "latency", "400ms")
    names = ("n-limited", "n-half", "n-free")
    try:
        for name in names:
            docker("run", "-d", "--cap-drop", "NET_ADMIN", "--name", name, "bb")
        for name in names[:2]:
            sh("tc", "-n", bridged.namespace, "qdisc", "add", "dev", bridged.outer_end(name), *limit)
        pid = docker("inspect", "-f", "{{.State.Pid}}", "n-limited")
        sh("nsenter", "-t", pid, "-n", "tc", "qdisc", "add", "dev", "eth0", *limit)
        found = {name: bridged.findings(name)[BANDWIDTH] for name in names}
    finally:
        docker("rm", "-f", *names)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "n-limited": "pass",
        "n-half": "fail",
        "n-free": "fail",
    }
    assert "tbf 610 KiB/s" in found["n-limited"]["message"]
    assert "only what it receives" in found["n-half"]["message"]


def test_metadata(bridged: Bridged, tmp_path: Path) -> None:
    """Of this machine's own firmware nothing is asked: a snapshot is judged as if a cloud's."""
    namespace, snapshot = bridged.namespace, tmp_path / "snapshot.json"

    def judged() -> str:
        run = isoaudit("collect", "--probes", "none", "-o", str(snapshot))
        assert run.code == 0, run.err
        document = json.loads(snapshot.read_text())
        cloud = document["host"]["network"]["value"]["cloud"]
        cloud.clear()
        cloud.update({"value": "AWS", "source": "test"})
        snapshot.write_text(json.dumps(document))
        verdict: str = isoaudit("judge", str(snapshot), "-f", "json").findings("n-cloud")[METADATA]["outcome"]
        return verdict

    bridged.docker("run", "-d", "--name", "n-cloud", "bb")
    try:
        alone = judged()
        sh("ip", "-n", namespace, "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        sh("ip", "-n", namespace, "link", "set", "up0", "up")
        sh("ip", "-n", namespace, "link", "set", "up1", "up")
        sh("ip", "-n", namespace, "address", "add", "198.51.100.2/24", "dev", "up0")
        sh("ip", "-n", namespace, "route", "add", "default", "via", "198.51.100.1")
        routed = judged()
        block = ("DOCKER-USER", "-d", "169.254.169.254/32", "-j", "DROP")
        sh("nsenter", f"--net=/run/netns/{namespace}", bridged.iptables, "-I", *block)
        blocked = judged()
        sh("nsenter", f"--net=/run/netns/{namespace}", bridged.iptables, "-D", *block)
    finally:
        bridged.docker("rm", "-f", "n-cloud")
        subprocess.run(["ip", "-n", namespace, "link", "del", "up0"], check=False)
    assert (alone, routed, blocked) == ("pass", "fail", "pass")


def test_no_network_and_a_peer_in_it(docker: Docker) -> None:
    docker("run", "-d", "--name", "n-none", "--network", "none", "bb")
    docker("run", "-d", "--name", "n-joined", "--network", "container:n-none", "bb")
    try:
        run = isoaudit("scan", "--host", "--probes", "none", "-f", "json")
    finally:
        docker("rm", "-f", "n-joined", "n-none")
    for name in ("n-none", "n-joined"):
        found = run.findings(name)
        assert found["namespace-net-shared"]["outcome"] == "pass"
        assert {found[check]["outcome"] for check in (WIDE, OPEN, BANDWIDTH)} == {"not-applicable"}
        assert found[ABSTRACT]["outcome"] == "pass"


def test_the_host_s_network_and_a_peer_on_it(docker: Docker) -> None:
    own = f"@!isoaudit-{os.getpid()}"
    serve = ("busybox", "nc", "-ll", "-p", "18099", "-e", "true")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{own[1:]}")
        listener.listen()
        docker("run", "-d", "--name", "n-host", "--network", "host", "bb", *serve)
        docker("run", "-d", "--name", "n-peer", "--network", "container:n-host", "bb")
        try:
            run = isoaudit("scan", "--host", "--probes", "none", "-f", "json")
        finally:
            docker("rm", "-f", "n-peer", "n-host")
    server, peer = run.findings("n-host"), run.findings("n-peer")
    for found in (server, peer):
        assert found["namespace-net-shared"]["outcome"] == "fail"
        assert found[ABSTRACT]["outcome"] == "fail"
        assert own in found[ABSTRACT]["message"]
    assert server[WIDE]["outcome"] == "fail"
    assert ":18099 by " in server[WIDE]["message"]
    assert peer[WIDE]["outcome"] == "pass", "the socket is its neighbour's"
