from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isoaudit.collect import files, rootfs
from isoaudit.collect.files import read_privileged, read_secrets
from isoaudit.collect.rootfs import HostilePathError, RootDirectory
from isoaudit.facts.files import SET_GID, SET_UID, PrivilegedFile, Secret
from isoaudit.facts.mounts import Mount, parse_mountinfo

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: file capabilities, mounts")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    files._names.clear()
    files._programs.clear()


def table(path: Path, options: str = "rw", *extra: bytes) -> tuple[Mount, ...]:
    fd = os.open(path, os.O_PATH)
    ident = rootfs._mount_id(fd)
    os.close(fd)
    device = os.stat(path).st_dev
    line = f"{ident} 1 {os.major(device)}:{os.minor(device)} / / {options} - ext4 x rw\n".encode()
    return parse_mountinfo(line + b"".join(one + b"\n" for one in extra))


def opened(path: Path, options: str = "rw") -> RootDirectory:
    return RootDirectory(str(path), table(path, options))


def program(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    path.chmod(mode)
    return path


def test_credentials_by_name(tmp_path: Path) -> None:
    for name in (
        "root/.ssh/id_ed25519",
        "root/.ssh/id_ed25519.pub",
        "root/.ssh/known_hosts",
        "root/.netrc",
        "home/u/.aws/credentials",
        "home/u/.aws/config",
        "home/v/.docker/config.json",
        "srv/.netrc",
    ):
        program(tmp_path / name, 0o600)
    assert read_secrets(opened(tmp_path)) == (
        Secret("/root/.netrc", "password"),
        Secret("/root/.ssh/id_ed25519", "ssh"),
        Secret("/home/u/.aws/credentials", "cloud"),
        Secret("/home/v/.docker/config.json", "registry"),
    )


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/.ssh").mkdir(parents=True)
    program(tmp_path / "elsewhere/.ssh/id_rsa", 0o600)
    (tmp_path / "root").symlink_to("elsewhere")
    (tmp_path / "home").symlink_to("/")
    assert read_secrets(opened(tmp_path)) == ()


def test_what_is_found_counts_although_the_rest_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_NAMES", 2)
    program(tmp_path / "root/.netrc", 0o600)
    for number in range(3):
        (tmp_path / f"home/{number}").mkdir(parents=True)
    with pytest.raises(HostilePathError, match="/home has more than 2 entries"):
        read_secrets(opened(tmp_path))
    shutil.rmtree(tmp_path / "home/2")
    assert read_secrets(opened(tmp_path)) == (Secret("/root/.netrc", "password"),)


def test_programs_that_raise_privileges(tmp_path: Path) -> None:
    program(tmp_path / "usr/bin/su", 0o4755)
    program(tmp_path / "usr/bin/wall", 0o2755)
    program(tmp_path / "usr/bin/locks", 0o2644)
    program(tmp_path / "usr/bin/data", 0o4644)
    program(tmp_path / "usr/bin/ls", 0o755)
    program(tmp_path / "usr/lib/openssh/ssh-keysign", 0o4755)
    (tmp_path / "bin").symlink_to("usr/bin")
    uid, gid = os.getuid(), os.stat(tmp_path / "usr/bin/wall").st_gid
    assert read_privileged(opened(tmp_path)) == (
        PrivilegedFile("/usr/bin/su", SET_UID, uid),
        PrivilegedFile("/usr/bin/wall", SET_GID, gid),
    )
    (tmp_path / "usr/bin/su").unlink()
    (tmp_path / "usr/bin/wall").unlink()
    helper = PrivilegedFile("/usr/lib/openssh/ssh-keysign", SET_UID, uid)
    assert read_privileged(opened(tmp_path)) == (helper,)


def test_a_mount_with_nosuid_is_left_out(tmp_path: Path) -> None:
    program(tmp_path / "usr/bin/su", 0o4755)
    assert read_privileged(opened(tmp_path, "rw,nosuid")) == ()


@needs_root
def test_file_capabilities(tmp_path: Path) -> None:
    ping = program(tmp_path / "usr/bin/ping", 0o755)
    try:
        os.setxattr(ping, "security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    except OSError as error:
        pytest.skip(f"the test folder's filesystem has no file capabilities: {error}")
    assert read_privileged(opened(tmp_path)) == (PrivilegedFile("/usr/bin/ping", "CAP_NET_RAW", 0),)


def test_a_folder_is_listed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "usr/bin/su", 0o4755)
    first = read_privileged(opened(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: pytest.fail("listed again"))
        assert read_privileged(opened(tmp_path)) == first
    program(tmp_path / "usr/bin/sudo", 0o4755)
    assert len(read_privileged(opened(tmp_path))) == 2


@needs_root
def test_secrets_that_an_engine_mounted(tmp_path: Path) -> None:
    given = tmp_path / "root-fs/run/secrets"
    given.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", given], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mount(8) is refused here")
    try:
        (given / "token").write_text("x")
        (given / "rhsm").mkdir()
        fd = os.open(given, os.O_PATH)
        ident = rootfs._mount_id(fd)
        os.close(fd)
        device = os.stat(given).st_dev
        line = f"{ident} 2 {os.major(device)}:{os.minor(device)} / /run/secrets rw - tmpfs x rw".encode()
        root = RootDirectory(str(tmp_path / "root-fs"), table(tmp_path / "root-fs", "rw", line))
        assert read_secrets(root) == (Secret("/run/secrets/token", "secret"),)
        root.close()
    finally:
        subprocess.run(["umount", given], check=True)
