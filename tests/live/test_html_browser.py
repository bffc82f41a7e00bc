"""The HTML report in a real browser: hostile names run nothing and fetch nothing, and the filter filters."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from support.live import missing
from support.reports import hostile, sample

from isoaudit.render.html import render
from isoaudit.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",  # we are root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> str:
    if BROWSER is None:
        missing("no chromium is installed")
    assert BROWSER is not None
    return BROWSER


@pytest.fixture
def bait() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody should ask, and the paths that were asked for all the same."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what was asked."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def attack(address: str) -> str:
    """Markup that would run and fetch wherever it is not text."""
    return (
        f"</script></style></title><script>document.documentElement.dataset.owned='1';fetch('{address}/script')"
        f"</script><img src='{address}/img' onerror=\"document.documentElement.dataset.owned='2'\">"
        f"<link rel=stylesheet href='{address}/css'><iframe src='{address}/frame'></iframe>"
        f"<meta http-equiv=refresh content='0;url={address}/refresh'>\" autofocus onfocus=alert(1) x=\"'"
    )


def dump(browser: str, page: Path, profile: Path, *flags: str) -> str:
    """The page's document after its scripts have run."""
    done = subprocess.run(
        [
            browser,
            *FLAGS,
            f"--user-data-dir={profile}",
            "--virtual-time-budget=3000",
            *flags,
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout.decode()


def write(path: Path, report: dict[str, object]) -> Path:
    path.write_text("".join(render(Report.from_dict(report), None)), encoding="utf-8")
    return path


def test_the_bait_is_taken_where_markup_is_markup(
    browser: str, bait: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = bait
    page = tmp_path / "naive.html"
    page.write_text(f"<!doctype html><title>x</title><p>{attack(address).replace('http-equiv=refresh', '')}")
    assert 'data-owned="' in dump(browser, page, tmp_path / "profile")
    assert "/img" in asked


def test_hostile_report_runs_and_requests_nothing(
    browser: str, bait: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = bait
    dom = dump(browser, write(tmp_path / "report.html", hostile(attack(address))), tmp_path / "profile")
    assert "data-owned" not in dom, "a script would have left its mark on the document"
    assert len(re.findall(r"<script\b", dom)) == 1
    assert not re.findall(r"<(?:img|link|iframe|svg|object|embed|base)\b", dom)
    assert not re.findall(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', dom)), "no handler is an attribute"
    assert "<h1>Container isolation report</h1>" in dom
    assert dom.count("<h1") == 1
    assert not asked


def test_script_runs_under_the_policy_and_only_adds(browser: str, tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", sample())
    form = re.compile(r'<form id="filter"[^>]*>')
    (without,) = form.findall(page.read_text(encoding="utf-8"))
    (with_script,) = form.findall(dump(browser, page, tmp_path / "profile"))
    assert "hidden" in without, "what only script can do is not offered without it"
    assert "hidden" not in with_script, "the policy lets our own script run"


def test_filter_hides_what_was_not_asked_for(browser: str, tmp_path: Path) -> None:
    page = write(tmp_path / "report.html", sample())
    text = page.read_text(encoding="utf-8")
    # A second script that acts as the reader would; the policy of a copy lets it run.
    text = re.sub(r"<meta http-equiv[^>]*>", "", text)
    act = (
        "<script>const f = document.getElementById('filter'); f.elements.c.value = '2';"
        "for (const box of f.querySelectorAll('[name=o]')) box.checked = box.value === 'fail';"
        "f.elements.q.value = 'memory'; f.dispatchEvent(new Event('input'));</script></body>"
    )
    page.write_text(text.replace("</body>", act), encoding="utf-8")
    dom = dump(browser, page, tmp_path / "profile")
    kept = [
        re.search(r'data-box=""[^>]*|id="[^"]*"', found).group()  # type: ignore[union-attr]
        for found in re.findall(r"<article[^>]*>", dom)
        if "hidden" not in found
    ]
    assert kept == ['id="gap-cgroup-memory-unlimited"']
    assert re.search(r"Filtered: \d+ of \d+ entries are shown", dom)


def test_print_shows_what_is_folded(browser: str, tmp_path: Path) -> None:
    """Without script too: a PDF of the report is as long whether its parts are folded or not."""
    page = write(tmp_path / "folded.html", sample())
    text = re.sub(r"<script>.*</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    sizes = []
    for name, content in (("folded", text), ("open", text.replace("<details", "<details open"))):
        page.write_text(content, encoding="utf-8")
        target = tmp_path / f"{name}.pdf"
        subprocess.run(
            [
                browser,
                *FLAGS,
                f"--user-data-dir={tmp_path / 'profile'}",
                "--no-pdf-header-footer",
                f"--print-to-pdf={target}",
                page.as_uri(),
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
        sizes.append(len(re.findall(rb"/Type /Page\b", target.read_bytes())))
    assert sizes[0] == sizes[1] > 3
