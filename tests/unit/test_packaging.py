"""The wheel carries the catalogue and the templates, which lie outside the package."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def files(folder: str) -> dict[str, bytes]:
    """What git would keep of a folder."""
    return {
        str(path.relative_to(ROOT / folder)): path.read_bytes()
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def packed(wheel: zipfile.ZipFile, folder: str) -> dict[str, bytes]:
    return {
        name.removeprefix(f"{folder}/"): wheel.read(name)
        for name in sorted(wheel.namelist())
        if name.startswith(f"{folder}/")
    }


@pytest.mark.parametrize(
    ("source", "target"),
    [("checks", "isoaudit/_bundled/checks"), ("reports/templates", "isoaudit/_bundled/templates")],
)
def test_bundled(wheel: zipfile.ZipFile, source: str, target: str) -> None:
    ours = files(source)
    assert ours
    assert packed(wheel, target) == ours


def test_the_package_is_whole_and_alone(wheel: zipfile.ZipFile) -> None:
    assert {
        name: content for name, content in packed(wheel, "isoaudit").items() if not name.startswith("_bundled/")
    } == files("isoaudit")
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"isoaudit"}
    assert "isoaudit/py.typed" in wheel.namelist()


def test_it_runs_from_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from isoaudit.registry import load\nfrom isoaudit.resources import bundled\n"
        "folder = bundled('checks')\nprint(folder, len(load(folder).checks))"
    )
    hostile = tmp_path / "elsewhere"
    (hostile / "checks").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=hostile
    )
    folder, count = done.stdout.split()
    assert folder == os.path.join(str(tmp_path), "isoaudit/_bundled/checks")
    assert int(count) > 0
