from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each costs more than a container's whole audit, or pulls in what does; see docs on the budgets of `make bench`.
FORBIDDEN = frozenset(
    {
        "asyncio",
        "cProfile",
        "concurrent",
        "decimal",
        "doctest",
        "email",
        "http",
        "importlib.metadata",
        "importlib.resources",
        "isoaudit.kernel.clone",
        "isoaudit.probes",
        "isoaudit.render.html",
        "jinja2",
        "logging",
        "markupsafe",
        "multiprocessing",
        "packaging",
        "pydantic",
        "pydoc",
        "rich",
        "socket",
        "sqlite3",
        "ssl",
        "tomllib",
        "unittest",
        "urllib.request",
        "xml",
    }
)


def imported(*arguments: str, cwd: Path, status: int = 0) -> frozenset[str]:
    """What Python imports for a command beyond what it imports for nothing at all."""

    def names(*command: str, expected: int) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *command],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stderr
        rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
        return {row[2].strip() for row in rows}

    return frozenset(names("-m", "isoaudit", *arguments, expected=status) - names("-c", "pass", expected=0))


def below(name: str, parents: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in parents for length in range(1, len(parts) + 1))


@pytest.fixture(scope="module")
def before_the_scan(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Imports of a scan up to its first look at /proc, where this one finds nothing and gives up."""
    empty = tmp_path_factory.mktemp("proc")
    command = ("scan", "--host", "--probes", "none", "-f", "json", "--proc", str(empty))
    return imported(*command, cwd=empty, status=2)


def test_scan_imports_nothing_heavy_before_it_reads(before_the_scan: frozenset[str]) -> None:
    assert {name for name in before_the_scan if below(name, FORBIDDEN)} == set()


def test_what_is_measured_is_the_scan(before_the_scan: frozenset[str]) -> None:
    assert {"typer", "isoaudit.scan", "isoaudit.collect.discovery"} <= before_the_scan


def test_version_imports_no_framework(tmp_path: Path) -> None:
    modules = imported("--version", cwd=tmp_path)
    assert "isoaudit._version" in modules
    assert {name for name in modules if below(name, FORBIDDEN | {"typer", "isoaudit.collect"})} == set()
