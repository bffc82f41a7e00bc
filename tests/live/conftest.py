"""Real runtimes for the live ring: each fixture starts its own, and takes it away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.live import Docker, Process, Start, missing, need
from support.runtimes import IMAGE, CannotRunError, image_archive, wrapped
from support.stage import Runtime


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        missing("live tests need root")


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem of nothing but a static busybox."""
    need("busybox")
    root = tmp_path_factory.mktemp("busybox")
    for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "run"):
        (root / folder).mkdir()
    shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
    for applet in ("sh", "sleep", "cat", "ls", "id", "date", "true", "mknod", "stat"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


@pytest.fixture(scope="session")
def image(busybox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image of it."""
    return image_archive(
        busybox_root, tmp_path_factory.mktemp("image") / "bb.tar", IMAGE, "localhost/pause:latest"
    )


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not; short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="isos-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory, busybox_root: Path) -> Iterator[Docker]:
    """A running daemon with the image `bb`."""
    need("dockerd", "docker", "runc")
    folder = tmp_path_factory.mktemp("docker")
    engine = Docker(folder, f"--add-runtime=crun-here={wrapped(folder, 'crun')}")
    try:
        if not engine.wait():
            missing(f"dockerd does not start here: {(folder / 'log').read_text()[-300:]}")
        archive = folder / "bb.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox_root, arcname=".")
        engine("import", "-c", 'CMD ["sleep","100000"]', "-c", "ENV PATH=/bin", str(archive), "bb")
        yield engine
    finally:
        # Whatever a test left running must not outlive its daemon.
        subprocess.run(
            f"docker --host={engine.socket} ps -aq | xargs -r docker --host={engine.socket} rm -f",
            shell=True,
            capture_output=True,
            check=False,
        )
        engine.stop()


@pytest.fixture
def container(docker: Docker) -> Iterator[Start]:
    """Starts docker containers for one test: `container("name", "--flag", …)`."""
    started: list[str] = []

    def start(name: str, *flags: str, command: tuple[str, ...] = ()) -> str:
        started.append(name)
        docker("run", "-d", "--network", "none", "--name", name, *flags, "bb", *command)
        return name

    yield start
    if started:
        docker("rm", "-f", *started)


R = TypeVar("R", bound=Runtime)


@pytest.fixture
def runtime() -> Iterator[Callable[[Callable[[], R]], R]]:
    """Makes a runtime that is stopped after one test; where it cannot run, the test is skipped."""
    made: list[Runtime] = []

    def make(maker: Callable[[], R]) -> R:
        try:
            one = maker()
        except CannotRunError as error:
            missing(str(error))
            raise
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Process]]:
    """Starts processes for one test."""
    started: list[Process] = []

    def start(*arguments: str, **options: Any) -> Process:
        started.append(Process(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        process.stop()
