from __future__ import annotations

import os
import subprocess
import sys

import pytest

import isoaudit

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(isoaudit.__file__)))


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {ROOT!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_all_is_sorted_and_can_be_imported() -> None:
    assert isoaudit.__all__ == sorted(isoaudit.__all__)
    for name in isoaudit.__all__:
        assert getattr(isoaudit, name) is not None


def test_star_gives_the_api_and_nothing_else() -> None:
    printed = run(
        "before = set(globals()) | {'before'}; from isoaudit import *; print(*sorted(set(globals()) - before))"
    )
    assert printed.split() == list(isoaudit.__all__)


def test_importing_it_loads_nothing() -> None:
    printed = run(
        "import isoaudit; print(*sorted(name for name in sys.modules if name.startswith('isoaudit')))"
    )
    assert printed.split() == ["isoaudit", "isoaudit._version"]


def test_a_check_loads_only_what_it_asks_for() -> None:
    printed = run("from isoaudit import Container, check, fail; print(*sys.modules)").split()
    assert "isoaudit.registry" in printed
    assert not {"isoaudit.audit", "isoaudit.collect", "isoaudit.cli", "typer", "rich", "jinja2"} & set(printed)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Judge'"):
        isoaudit.Judge  # noqa: B018
