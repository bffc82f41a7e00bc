"""What all formats have in common: hostile text is inert, memory is bounded, nothing is loaded unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.reports import HOSTILE, document, finding, hostile, large, sample

from isoaudit.errors import UsageError
from isoaudit.render import ENDINGS, FORMATS, WITH_PAGES, render
from isoaudit.render.shared import dump, waiver_words
from isoaudit.render.shared import kind as kind_of
from isoaudit.render.uuids import ident
from isoaudit.report import Report

ROOT = Path(__file__).resolve().parents[3]
MACHINES = ("sarif", "junit", "markdown", "csv", "prometheus", "ocsf", "oscal")
STRUCTURE = {"csv": "\r\n"}  # what a format's own syntax has of the characters that act


def draw(kind: str, report: dict[str, Any]) -> str:
    return "".join(render(kind, Report.from_dict(report), None))


def acting(text: str) -> set[str]:
    return {
        character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    }


def test_the_hostile_texts_would_act() -> None:
    everything = "".join(HOSTILE)
    assert {"\x1b", "\u202e", "\n", "\u200b", "\ud800", "\x07"} <= acting(everything)
    assert acting(json.dumps(hostile(), ensure_ascii=False)) >= {"\u202e", "\u200b", "\ud800"}


@pytest.mark.parametrize("kind", MACHINES)
def test_nothing_that_acts_or_hides_is_left(kind: str) -> None:
    text = draw(kind, hostile("\x85\u2028\ufffe\x00"))
    assert acting(text) <= {"\n", *STRUCTURE.get(kind, "")}
    text.encode()  # lone surrogates would raise


@pytest.mark.parametrize("kind", ["sarif", "ocsf", "oscal"])
def test_nothing_that_acts_comes_back_when_json_is_read(kind: str) -> None:
    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for name, one in value.items():
                yield name
                yield from texts(one)
        elif isinstance(value, list):
            for one in value:
                yield from texts(one)

    report = hostile()
    assert acting("".join(texts(report))), "a positive control"
    drawn = draw(kind, report)
    documents = map(json.loads, drawn.splitlines()) if kind == "ocsf" else [json.loads(drawn)]
    for one in documents:
        assert acting("".join(texts(one))) == set()


@pytest.mark.parametrize("kind", MACHINES)
@pytest.mark.parametrize("empty", [True, False])
def test_a_report_without_anything_and_a_host_without_a_name(kind: str, *, empty: bool) -> None:
    report = document([], []) if empty else sample()
    for name in ("hostname", "kernel", "distribution"):
        report["host"][name] = None
    assert draw(kind, report)[-1:] in ("\n", "")


@pytest.mark.parametrize("kind", ["sarif", "junit", "prometheus", "ocsf", "oscal"])
def test_a_broken_time_is_bad_input(kind: str) -> None:
    report = sample()
    report["scan"]["started"] = "yesterday"
    with pytest.raises(UsageError, match=r"scan\.started is no time"):
        draw(kind, report)


@pytest.mark.parametrize("kind", MACHINES)
def test_a_thousand_containers_are_never_all_in_memory(kind: str) -> None:
    report = Report.from_dict(large(120, 25))
    size, peak = 0, 0
    tracemalloc.start()
    try:
        for part in render(kind, report, None):
            size += len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # As objects, the 3,000 findings alone are 6 MB.
    assert peak < 1_500_000, f"{peak:,} bytes for {size:,}"


def test_formats_have_a_name_of_their_own_each() -> None:
    assert set(MACHINES) | {"text", "json", "html"} == set(FORMATS)
    assert len(set(ENDINGS.values())) == len(ENDINGS)
    assert set(FORMATS) >= WITH_PAGES
    with pytest.raises(ValueError, match="pdf"):
        render("pdf", Report.from_dict(sample()), None)


def test_no_format_is_loaded_unasked() -> None:
    code = (
        "import sys, isoaudit.cli.output\n"
        "loaded = {name for name in sys.modules if name.startswith('isoaudit.render.')}\n"
        "assert loaded == set(), loaded\n"
        "assert not {'csv', 'uuid', 'xml', 'html', 'urllib.parse'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_render_makes_every_format_of_a_saved_report(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(sample()))
    command = [
        sys.executable,
        "-m",
        "isoaudit",
        "render",
        str(saved),
        "-f",
        ",".join(MACHINES),
        "-o",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for kind in MACHINES:
        made = (tmp_path / f"isoaudit-report.{ENDINGS[kind]}").read_bytes().decode()
        assert made.replace("\r", "").strip(), kind
        assert "monitoring/agent" in made
    sarif = json.loads((tmp_path / "isoaudit-report.sarif").read_text())
    rules = {rule["id"]: rule for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    assert "memory" in rules["cgroup-memory-unlimited"]["help"]["markdown"], "the catalogue's page"


def test_render_leaves_no_half_of_a_broken_report(tmp_path: Path) -> None:
    report = sample()
    report["scan"]["started"] = "yesterday"
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(report))
    command = [
        sys.executable,
        "-m",
        "isoaudit",
        "render",
        str(saved),
        "-f",
        "sarif",
        "-o",
        str(tmp_path / "x.sarif"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "isoaudit: broken report: scan.started is no time: 'yesterday'\n"
    assert os.listdir(tmp_path) == ["saved.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "gap"),
        ({"inherent": True}, "inherent"),
        ({"waiver": {"reason": "x"}}, "waived"),
        ({"waiver": {"reason": "x"}, "outcome": "unknown"}, "waived"),
        ({"waiver": {"reason": "x"}, "outcome": "pass"}, "pass"),
        ({"outcome": "error"}, "error"),
    ],
)
def test_what_a_finding_is(changes: dict[str, Any], said: str) -> None:
    assert kind_of({**finding("a-b"), **changes}) == said


def test_a_waiver_in_words() -> None:
    waiver = {"check": "a-*", "target": "host", "owner": "us", "reason": "build host", "expires": None}
    assert waiver_words(waiver) == "build host; owner us"
    assert waiver_words({**waiver, "expires": "2027-01-31"}) == "build host; owner us; expires 2027-01-31"
    assert waiver_words({}) == "no reason given"


def test_dump_spells_out_what_json_would_hide() -> None:
    assert (
        dump({"a\n": ["plain", "\u202e\x7f", 1, None, True]})
        == r'{"a\\n":["plain","\\u202e\\x7f",1,null,true]}'
    )
    assert json.loads(dump("C:\\new")) == "C:\\new"
    assert json.loads(dump('"ü')) == '"ü'


def test_idents_are_of_what_they_name() -> None:
    assert ident("a", "b") == ident("a", "b")
    assert len({ident("a", "b"), ident("ab"), ident("a b"), ident("b", "a"), ident("\ud800")}) == 5
    assert ident("a")[14] == "5", "version 5"
