from __future__ import annotations

import os
from pathlib import Path

import pytest

from isoaudit import resources
from isoaudit.errors import EXIT_FAILED, IsoauditError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lib/isoaudit"
    folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", str(folder))
    return folder


@pytest.mark.parametrize(("kind", "beside"), [("checks", "checks"), ("templates", "reports/templates")])
def test_inside_before_beside(package: Path, kind: str, beside: str) -> None:
    (package.parent / beside).mkdir(parents=True)
    assert resources.bundled(kind) == str(package.parent / beside)
    (package / "_bundled" / kind).mkdir(parents=True)
    assert resources.bundled(kind) == str(package / "_bundled" / kind)


def test_the_working_directory_is_never_looked_at(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile/checks").mkdir(parents=True)
    (tmp_path / "hostile/_bundled/checks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "hostile")
    with pytest.raises(IsoauditError, match="reinstall isoaudit") as caught:
        resources.bundled("checks")
    assert caught.value.exit_code == EXIT_FAILED


def test_a_file_is_no_folder(package: Path) -> None:
    (package.parent / "checks").write_text("")
    with pytest.raises(IsoauditError):
        resources.bundled("checks")


@pytest.mark.parametrize("kind", ["checks", "templates"])
def test_this_checkout(kind: str) -> None:
    assert os.path.isabs(resources.bundled(kind))


def test_data() -> None:
    assert resources.data("x.json").endswith("/isoaudit/data/x.json")
