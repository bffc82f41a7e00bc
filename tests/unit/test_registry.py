from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from isoaudit import registry
from isoaudit.errors import UsageError
from isoaudit.model import Outcome, Severity, Verdict, passed
from isoaudit.registry import Catalogue, CheckError, Page, Variant, family, load, require_trusted
from isoaudit.resources import bundled

PAGE = '''"""It has a gap.

## What it detects

That.

## Remediation

Close it
at once.

Or later.
"""
from isoaudit import check, family, passed, Variant

'''
CHECK = PAGE + '@check(severity="high")\ndef a_gap(host, container):\n    return passed("fine")\n'
FAMILY = (
    PAGE
    + '@family([Variant("one_gap", "low", "One"), Variant("other_gap", "high", "Other", 7)])\n'
    + "def gaps(container, *, variant):\n    return passed(f'{variant.gap} {variant.value}')\n"
)


def put(folder: Path, path: str, content: str) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    return target


def broken(folder: Path, path: str, content: str) -> str:
    put(folder, path, content)
    with pytest.raises(CheckError) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value), "the message says which file"
    return str(caught.value)


def test_an_id_is_folder_and_stem(tmp_path: Path) -> None:
    path = put(tmp_path, "name_space/a_gap.py", CHECK)
    (check,) = load(str(tmp_path)).checks
    assert (check.id, check.area, check.subject) == ("name-space-a-gap", "name-space", "container")
    assert (check.severity, check.parameters, check.path) == (Severity.HIGH, ("host", "container"), str(path))
    assert check.page.title == "It has a gap"
    assert check.page.remediation == "Close it at once."
    assert list(check.page.sections) == ["What it detects", "Remediation"]


def test_a_check_without_a_container_judges_the_host(tmp_path: Path) -> None:
    put(tmp_path, "area/a_gap.py", CHECK.replace("host, container", "host, peers"))
    assert load(str(tmp_path)).checks[0].subject == "host"


def test_a_family_has_an_id_and_title_each_and_one_page(tmp_path: Path) -> None:
    put(tmp_path, "area/gaps.py", FAMILY)
    one, other = load(str(tmp_path)).checks
    assert (one.id, one.severity, one.page.title) == ("area-one-gap", Severity.LOW, "One")
    assert (other.id, other.severity, other.page.title) == ("area-other-gap", Severity.HIGH, "Other")
    assert one.page.text == other.page.text
    assert one.judge(None).message == "one_gap None"
    assert other.judge(None) == Outcome(Verdict.PASS, "other_gap 7")


def test_family_returns_the_function_itself() -> None:
    def gaps(container: object, *, variant: Variant) -> Outcome:
        return passed(variant.gap)

    try:
        assert family([Variant("x", "low", "X")])(gaps) is gaps
    finally:
        del globals()[registry._DECLARED]


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("area/other.py", CHECK, "a lone check is named as its file"),
        ("area/a_gap.py", CHECK.split('"""\n', 1)[1], "no docstring"),
        ("area/a_gap.py", PAGE, "declares no check"),
        ("area/a_gap.py", "", "declares no check"),
        ("area/a_gap.py", "def (", "SyntaxError"),
        ("area/a_gap.py", "raise KeyError('x')", "KeyError"),
        ("area/a_gap.py", "\0", "Error"),
        ("area/a_gap.py", CHECK.replace("high", "awful"), "ValueError"),
        ("area/a_gap.py", CHECK.replace("host, container", ""), "may take"),
        ("area/a_gap.py", CHECK.replace("host, container", "host, scan"), "may take"),
        ("area/A-gap.py", CHECK, "snake_case"),
        ("Area/a_gap.py", CHECK, "snake_case"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, path: str, content: str, says: str) -> None:
    assert says in broken(tmp_path, path, content)


def test_a_module_that_failed_is_forgotten(tmp_path: Path) -> None:
    before = set(sys.modules)
    broken(tmp_path, "area/a_gap.py", "raise KeyError('x')")
    assert set(sys.modules) == before


def test_one_id_twice(tmp_path: Path) -> None:
    put(tmp_path, "a/b_a_gap.py", CHECK.replace("def a_gap", "def b_a_gap"))
    message = broken(tmp_path, "a_b/a_gap.py", CHECK)
    assert "a-b-a-gap is already declared in" in message


def test_what_is_no_check_is_not_loaded(tmp_path: Path) -> None:
    for path in ("README.md", "top.py", "area/_shared.py", "area/notes.txt", ".git/a.py", "_old/a.py"):
        put(tmp_path, path, "def (")
    assert load(str(tmp_path)).checks == ()


def test_the_digest_follows_contents_and_names(tmp_path: Path) -> None:
    def digest(name: str, path: str, content: str) -> str:
        put(tmp_path / name, path, content)
        return load(str(tmp_path / name)).digest

    first = digest("1", "area/a_gap.py", CHECK)
    assert digest("2", "area/a_gap.py", CHECK) == first
    assert digest("3", "area/a_gap.py", CHECK + "#\n") != first
    assert digest("4", "other/a_gap.py", CHECK) != first


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("checks")
    put(folder, "cgroup/a_gap.py", CHECK)
    put(folder, "cgroup_more/a_gap.py", CHECK)
    put(folder, "time/gaps.py", FAMILY)
    return load(str(folder))


@pytest.mark.parametrize(
    ("select", "ignore", "ids"),
    [
        ((), (), ["cgroup-a-gap", "cgroup-more-a-gap", "time-one-gap", "time-other-gap"]),
        (("time",), (), ["time-one-gap", "time-other-gap"]),
        (("cgroup-a-gap",), (), ["cgroup-a-gap"]),
        (("cgroup-more",), (), ["cgroup-more-a-gap"]),
        ((), ("cgroup", "time-one-gap"), ["time-other-gap"]),
        (("time",), ("time",), []),
    ],
)
def test_selected(
    catalogue: Catalogue, select: tuple[str, ...], ignore: tuple[str, ...], ids: list[str]
) -> None:
    chosen = catalogue.selected(select, ignore)
    assert [check.id for check in chosen.checks] == ids
    assert chosen.digest == catalogue.digest


@pytest.mark.parametrize("ident", ["tim", "cgroup-a-g", "", "-", "time-one-gap-x", "*"])
def test_what_names_no_check_is_bad_input(catalogue: Catalogue, ident: str) -> None:
    for select, ignore in (((ident,), ()), ((), (ident,))):
        with pytest.raises(UsageError, match="isoaudit checks"):
            catalogue.selected(select, ignore)


def test_get(catalogue: Catalogue) -> None:
    found = catalogue.get("cgroup-a-gap")
    assert found is not None
    assert found.id == "cgroup-a-gap"
    assert catalogue.get("cgroup") is None


def test_merged(catalogue: Catalogue, tmp_path: Path) -> None:
    put(tmp_path, "alone/a_gap.py", CHECK)
    both = catalogue.merged(load(str(tmp_path)))
    assert both.checks[0].id == "alone-a-gap"
    assert len(both.checks) == 5
    assert both.digest != catalogue.digest
    with pytest.raises(CheckError, match="already in the catalogue"):
        both.merged(catalogue)


def test_a_page_of_anything() -> None:
    page = Page("Title.")
    assert (page.title, page.sections, page.remediation) == ("Title", {}, "")
    assert Page("").title == ""


# --- whose code we run -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "checks/area/a_gap.py", CHECK)
    for path in (tmp_path / "checks", tmp_path / "checks/area", tmp_path / "checks/area/a_gap.py"):
        path.chmod(0o755)
    return tmp_path / "checks"


def distrusted(folder: Path) -> str:
    with pytest.raises(UsageError, match=r"^--checks-dir: ") as caught:
        require_trusted(str(folder))
    return str(caught.value)


def test_our_own_folder_is_trusted(folder: Path) -> None:
    require_trusted(str(folder))


@pytest.mark.parametrize("path", ["", "area", "area/a_gap.py"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_a_file_that_others_can_write(folder: Path, path: str, mode: int) -> None:
    (folder / path).chmod(0o755 | mode)
    assert "can be written by others" in distrusted(folder)


@pytest.mark.parametrize("path", ["", "area", "area/a_gap.py"])
def test_a_file_of_somebody_else(folder: Path, path: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(folder / path, 4242, 4242)
    assert "root's or yours" in distrusted(folder)


def test_root_does_not_trust_a_folder_of_the_callers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if folder.stat().st_uid == 0:
        require_trusted(str(folder))  # root's folder is fine for everybody
    else:
        distrusted(folder)


def test_a_folder_above_that_others_can_write(folder: Path) -> None:
    folder.parent.chmod(0o777)
    assert "can be written by others" in distrusted(folder)
    folder.parent.chmod(0o1777)  # as /tmp: nobody can rename what is ours
    require_trusted(str(folder))


def test_a_folder_above_of_somebody_else(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(folder.parent, 4242, 4242)
    assert "could swap" in distrusted(folder)


def test_links(folder: Path) -> None:
    (folder / "area/link.py").symlink_to(folder / "area/a_gap.py")
    assert "not a link" in distrusted(folder)
    (folder / "area/link.py").unlink()
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert "not a link" in distrusted(link)
    # A link of ours above is followed, and what it leads to is looked at as well.
    above = folder.parent / "above"
    above.symlink_to(folder.parent)
    require_trusted(str(above / "checks"))
    folder.parent.chmod(0o777)
    assert "can be written by others" in distrusted(above / "checks")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in distrusted(tmp_path / "none")


def test_the_catalogue_loads() -> None:
    catalogue = load(bundled("checks"))
    assert catalogue.checks
    assert [check.id for check in catalogue.checks] == sorted(check.id for check in catalogue.checks)
