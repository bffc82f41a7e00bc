from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.facts import HOST_INODES, denied, known
from support.hosts import Tree, refuse

from isoaudit.collect.engines import EngineReading, read_engines
from isoaudit.facts.engines import EngineFile
from isoaudit.facts.host import EngineSocket
from isoaudit.model import Known, Unknown

HOST_PID = known(HOST_INODES["pid"])
DAEMON_JSON = '{"icc": false, "hosts": ["fd://"]}'
TABLE_HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
)


def table(inode: int, port: int = 2375) -> str:
    zeros = "00000000:00000000 00:00000000 00000000"
    return f"{TABLE_HEAD}   0: 00000000:{port:04X} 00000000:0000 0A {zeros}     0        0 {inode} 1 0 100 0 0 10 0\n"


def host_file(tree: Tree, path: str, content: str = "") -> Path:
    file = Path(tree.paths.root + path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A host with a daemon of Docker's."""
    tree = Tree(tmp_path)
    tree.add(700, "dockerd", arguments=("/usr/bin/dockerd", "-H", "fd://", "--tlsverify"))
    os.symlink("/usr/bin/dockerd (deleted)", tree.proc / "700/exe")
    (tree.proc / "700/fd").mkdir()
    host_file(tree, "/etc/group", "root:x:0:\ndocker:x:999:ann,bob\n")
    host_file(tree, "/etc/passwd", "root:x:0:0::/:/bin/sh\ncarl:x:7:999::/:/bin/sh\n")
    return tree


def found(tree: Tree, *sockets: EngineSocket) -> EngineReading:
    return read_engines(tree.paths, HOST_PID, known(sockets, "/proc/1/net/unix"))


def files(reading: EngineReading) -> list[EngineFile]:
    assert isinstance(reading.files, Known)
    return list(reading.files.value)


def test_a_daemon(tree: Tree) -> None:
    host_file(tree, "/etc/docker/daemon.json", DAEMON_JSON)
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    (engine,) = reading.engines.value
    assert (engine.name, engine.pid) == ("docker", 700)
    assert engine.uid == Known(0, f"{tree.paths.proc}/700/status")
    assert engine.options == {"host": ("fd://",), "tlsverify": ("true",)}
    assert engine.config == Known({"host": ("fd://",), "icc": ("false",)}, "/etc/docker/daemon.json")
    assert engine.listeners == Known((), f"{tree.paths.proc}/700/fd")
    assert not engine.rootless


@pytest.mark.parametrize(
    ("comm", "arguments"),
    [
        ("sleep", ("dockerd",)),
        ("podman", ("podman", "run", "x")),
        ("dockerd", ("docker-untar", "/")),
        ("lxd", ("/usr/bin/lxd", "forkproxy")),
    ],
)
def test_what_is_no_daemon(tmp_path: Path, comm: str, arguments: tuple[str, ...]) -> None:
    tree = Tree(tmp_path)
    tree.add(700, comm, arguments=arguments)
    assert found(tree) == (Known((), tree.paths.proc), Known((), "/"))


def test_a_daemon_inside_a_container_is_not_the_hosts(tree: Tree) -> None:
    tree.add(800, "containerd", own=tree.inodes("pid", "mnt"), arguments=("containerd",))
    tree.add(801, "containerd", arguments=("containerd",))
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    assert [engine.pid for engine in reading.engines.value] in ([700, 801], [801, 700])


def test_a_users_files_are_not_opened(tree: Tree) -> None:
    tree.add(900, "dockerd", uid=1000, arguments=("dockerd", "--config-file=/home/u/fifo"))
    os.mkfifo(host_file(tree, "/home/u/x").parent / "fifo")
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    config = next(engine.config for engine in reading.engines.value if engine.pid == 900)
    assert isinstance(config, Unknown)
    assert "ordinary user" in config.reason


@pytest.mark.parametrize("content", ["[1]", "{", "x" * (1 << 20) + "xx"])
def test_a_daemon_json_that_cannot_be_understood(tree: Tree, content: str) -> None:
    host_file(tree, "/etc/docker/daemon.json", content)
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    assert isinstance(reading.engines.value[0].config, Unknown)


def test_a_daemon_json_that_is_no_file_is_not_opened(tree: Tree) -> None:
    folder = host_file(tree, "/etc/docker/x").parent
    os.mkfifo(folder / "daemon.json")
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    assert reading.engines.value[0].config == Unknown("/etc/docker/daemon.json", "it is no regular file")


@pytest.fixture
def listening(tree: Tree) -> Iterator[int]:
    """The daemon holds a TCP socket, this process's; its inode."""
    with closing(socket.socket()) as held:
        inode = os.fstat(held.fileno()).st_ino
        os.symlink(f"socket:[{inode}]", tree.proc / "700/fd/5")
        os.symlink("socket:[1]", tree.proc / "700/fd/6")
        os.symlink("/dev/null", tree.proc / "700/fd/0")
        (tree.proc / "700/net").mkdir()
        yield inode


def test_what_it_listens_on(tree: Tree, listening: int) -> None:
    (tree.proc / "700/net/tcp").write_text(table(listening) + table(77, 80).removeprefix(TABLE_HEAD))
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    listeners = reading.engines.value[0].listeners
    assert isinstance(listeners, Known)
    assert [(one.address, one.port, one.inode) for one in listeners.value] == [("0.0.0.0", 2375, listening)]  # noqa: S104


@pytest.mark.parametrize("name", ["700/net/tcp", "700/fd"])
def test_listeners_that_cannot_be_read(
    tree: Tree, listening: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.proc / "700/net/tcp").write_text(table(listening))
    hidden = f"{tree.paths.proc}/{name}"
    if name.endswith("fd"):
        really = os.listdir

        def listdir(path: str) -> list[str]:
            if path == hidden:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return really(path)

        monkeypatch.setattr(os, "listdir", listdir)
    refuse(monkeypatch, lambda path: errno.EACCES if path == hidden else 0)
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    assert isinstance(reading.engines.value[0].listeners, Unknown)


def test_files_with_their_owners(tree: Tree) -> None:
    host_file(tree, "/usr/lib/systemd/system/docker.service").chmod(0o640)
    host_file(tree, "/usr/lib/systemd/system/docker.service.d/x.conf")
    host_file(tree, "/etc/docker/certs.d/example/ca.crt")
    host_file(tree, "/etc/docker/certs.d/example/client.key").chmod(0o400)
    os.symlink("docker.service", Path(tree.paths.root, "usr/lib/systemd/system/docker.socket"))
    by_name = {os.path.basename(file.path): file for file in files(found(tree))}
    assert {name: file.kind for name, file in by_name.items()} == {
        "docker.service": "unit",
        "x.conf": "unit",
        "docker": "configuration",
        "ca.crt": "certificate",
        "client.key": "key",
    }
    unit = by_name["docker.service"]
    assert isinstance(unit.owner, Known)
    assert unit.owner.value == (0o640, os.getuid(), os.getgid())
    assert len(unit.above) == unit.path.count("/")


def test_sockets_and_the_members_of_their_group(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(tree.paths.root, "run/docker.sock")
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind("docker.sock")
        if os.getuid() == 0:
            os.chown(path, 0, 999)
        heard = [EngineSocket("/run/docker.sock", "docker", "0:24", "/docker.sock")]
        heard.append(EngineSocket("/run/none.sock", "docker", "0:24", "/none.sock"))
        heard.append(EngineSocket("/etc/passwd", "docker", "0:24", "/no/socket"))
        (file,) = (one for one in files(found(tree, *heard)) if one.kind == "socket")
    assert file.path == str(path)
    if os.getuid() == 0:
        assert (file.group, file.members) == ("docker", ("ann", "bob", "carl"))


def test_what_is_refused_is_said(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    host_file(tree, "/etc/docker/x")
    really = os.lstat

    def lstat(path: str, **options: int) -> os.stat_result:
        if path == f"{tree.paths.root}/etc/docker":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(path, **options)

    monkeypatch.setattr("isoaudit.collect.enginefiles.os.lstat", lstat)
    (file,) = (one for one in files(found(tree)) if one.path.endswith("/etc/docker"))
    assert isinstance(file.owner, Unknown)


def test_no_proc(tree: Tree) -> None:
    reading = read_engines(tree.paths._replace(proc="/nowhere"), HOST_PID, denied())
    assert isinstance(reading.engines, Unknown)
    assert isinstance(reading.files, Unknown)


def test_hidden_namespaces_leave_no_daemon_out(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, lambda path: errno.EACCES if "/ns/" in path or path.endswith("/exe") else 0)
    reading = found(tree)
    assert isinstance(reading.engines, Known)
    (engine,) = reading.engines.value
    assert isinstance(engine.user_namespace, Unknown)
