"""Bad input: one clear line, the documented exit code, no traceback, no half-written file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isoaudit import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fifty runs of the tool would each compile the whole catalogue, wherever bytecode is not to be written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "isoaudit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def assert_one_line(error: str) -> None:
    assert "Traceback" not in error
    assert error.startswith("isoaudit: ")
    assert error.count("\n") == 1, error


def test_version() -> None:
    assert run("--version") == (0, f"isoaudit {__version__}\n", "")


def test_no_command_shows_the_help() -> None:
    _, out, err = run()
    assert "scan" in out + err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("scan",), "scan what?"),
        (("scan", "--host", "-f", "pdf"), "there is no 'pdf'"),
        (("scan", "--host", "-f", "json,html"), "need --output"),
        (("scan", "--host", "--fail-on", "terrible"), "no severity"),
        (("scan", "--host", "--probes", "all"), "there is no 'all'"),
        (("scan", "--host", "--select", "no-such"), "no check is called 'no-such'"),
        (("scan", "--host", "--ignore", "no-such"), "no check is called 'no-such'"),
        (("scan", "--host", "--policy", "/nonexistent"), "cannot read the policy"),
        (("scan", "--host", "--proc", "/nonexistent"), "cannot read /nonexistent"),
        (("scan", "--host", "--proc", "/"), "shows no process"),
        (("scan", "--host", "--checks-dir", "/nonexistent"), "/nonexistent"),
        (("scan", "--host", "-f", "json", "-o", "/nonexistent/x.json"), "cannot write"),
        (("scan", "--host", "-f", "json,html", "-o", "/nonexistent"), "existing folder"),
        (("explain", "cgroup-memory-unlimitd"), "did you mean cgroup-memory-unlimited"),
        (("judge", "/nonexistent"), "cannot read /nonexistent"),
        (("render", "/nonexistent"), "cannot read /nonexistent"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert_one_line(err)
    assert says in err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": "isoaudit/snapshot/9"}',
        '{"schema": "isoaudit/snapshot/1"}',
        "[" * 100000,
    ],
)
def test_a_broken_snapshot(text: str) -> None:
    code, out, err = run("judge", "-", stdin=text)
    assert (code, out) == (2, "")
    assert_one_line(err)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": "isoaudit/report/1"}', '{"schema": "isoaudit/report/1", "findings": 3}'],
)
def test_a_broken_report(text: str) -> None:
    code, out, err = run("render", "-", stdin=text)
    assert (code, out) == (2, "")
    assert_one_line(err)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml", "not TOML"),
        ("[gat]\n", "unknown table [gat]"),
        ("[gate]\nfail_on = 'high'\n", "knows no 'fail_on'"),
        ("[gate]\nfail-on = 'worst'\n", "no severity"),
        ("[gate]\nrequire-complete = 'yes'\n", "true or false"),
        ("[checks]\nignore = 'x'\n", "list of strings"),
        ("[severity]\nno-such-check = 'low'\n", "no check"),
        ("gate = 3\n", "must be a table"),
    ],
)
def test_a_broken_policy(text: str, says: str, tmp_path: Path) -> None:
    policy = tmp_path / "isoaudit.toml"
    policy.write_text(text)
    code, out, err = run("scan", "--host", "--policy", str(policy))
    assert (code, out) == (2, "")
    assert_one_line(err)
    assert says in err


def test_an_unreadable_output_leaves_nothing(tmp_path: Path) -> None:
    code, _, err = run("scan", "--host", "--proc", "/nonexistent", "-f", "json", "-o", str(tmp_path / "r.json"))
    assert code == 2
    assert_one_line(err)
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    before = os.stat("/dev/null").st_rdev
    assert run("checks", "--json")[0] == 0
    snapshot = ("collect", "--probes", "none", "-q", "-o")
    assert run(*snapshot, "/dev/null")[0] == 0
    assert os.stat("/dev/null").st_rdev == before
    code, out, _ = run(*snapshot, "/dev/stdout")
    assert code == 0
    assert json.loads(out)["schema"] == "isoaudit/snapshot/1"
    code, _, err = run(*snapshot, "/dev/full")
    assert code == 2
    assert_one_line(err)
    assert "No space left" in err
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # To a file: a snapshot of many containers is more than another pipe would hold.
    with open(tmp_path / "read", "wb") as file, subprocess.Popen(["cat", str(pipe)], stdout=file) as reader:
        assert run(*snapshot, str(pipe))[0] == 0
        reader.wait(timeout=10)
    assert b"isoaudit/snapshot/1" in (tmp_path / "read").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe", "read"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    assert run("collect", "--probes", "none", "-q", "-o", str(link))[0] == 0
    assert target.read_text() == "precious"
    assert not link.is_symlink()


def test_hostile_text_in_an_error_is_inert() -> None:
    code, _, err = run("explain", "\x1b[31mred\u202e")
    assert code == 2
    assert "\x1b" not in err
    assert "\u202e" not in err


def test_explain_shows_the_page() -> None:
    code, out, _ = run("explain", "cgroup-memory-unlimited")
    assert code == 0
    assert "Remediation" in out
    assert "cis-docker-1.6.0: 5.11" in out


def test_checks_as_json() -> None:
    code, out, _ = run("checks", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["id"] for row in rows} >= {"cgroup-memory-unlimited", "namespace-pid-shared"}


def test_a_reader_that_stops_early() -> None:
    done = subprocess.run(
        f"{sys.executable} -m isoaudit checks | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert "Traceback" not in done.stderr
