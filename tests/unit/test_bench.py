from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    tables = subprocess.run([sys.executable, BENCH / "tables.py"], check=True, capture_output=True).stdout
    (folder / "tables.h").write_bytes(tables)
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    for name in ("reader", "launch"):
        command = [compiler, f"-I{folder}", "-o", str(folder / name), str(BENCH / f"{name}.c")]
        subprocess.run(command, check=True)
    return folder


def test_the_yardstick_reads_something(built: Path) -> None:
    told = json.loads(subprocess.run([built / "reader"], check=True, capture_output=True).stdout)
    assert told["processes"] > 0
    assert told["bytes"] > 0
    assert set(told["calls"]) == {"open", "read", "readlink", "stat", "listdir"}


def test_the_launcher_wants_a_number(built: Path) -> None:
    done = subprocess.run([built / "launch"], check=False, capture_output=True)
    assert done.returncode == 2
