"""The terminal report: what matters first, and nothing that acts."""

from __future__ import annotations

import pytest
from support.reports import sample

from isoaudit.render.text import render
from isoaudit.render.visible import visible
from isoaudit.report import Report


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümlaut, 漢字", "plain, ümlaut, 漢字"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\x9b31m", "\\x9b31m"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def draw(document: dict[str, object], **options: object) -> str:
    arguments: dict[str, object] = {"width": 140, "color": False, **options}
    return render(Report.from_dict(document), **arguments)  # type: ignore[arg-type]


def test_the_worst_comes_first() -> None:
    lines = draw(sample()).splitlines()
    ranks = ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
    seen = [ranks.index(line.split()[0]) for line in lines if line.split() and line.split()[0] in ranks]
    # Once for the containers, once for the host.
    falls = [i for i in range(1, len(seen)) if seen[i] < seen[i - 1]]
    assert len(falls) <= 1


def test_no_colour_means_no_escape() -> None:
    assert "\x1b" not in draw(sample())
    assert "\x1b" in draw(sample(), color=True)


def test_hostile_names_are_inert() -> None:
    document = sample()
    for container in document["containers"]:
        for finding in document["findings"]:
            if finding["subject"]["key"] == container["key"]:
                finding["subject"]["key"] = "x[/bold]\x1b[2J\u202e\n" + container["key"]
                finding["message"] += "[red]\x07"
        container["key"] = "x[/bold]\x1b[2J\u202e\n" + container["key"]
    text = draw(document)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "x[/bold]\\x1b[2J\\u202e\\n" in text


def test_without_containers_the_demo_is_offered() -> None:
    document = sample()
    document["containers"] = []
    document["findings"] = [f for f in document["findings"] if f["subject"]["kind"] == "host"]
    assert "isoaudit demo" in draw(document)


def test_quiet_leaves_the_gaps_and_the_gate() -> None:
    document = sample()
    document["summary"]["gate"] = "failed"
    text = draw(document, quiet=True)
    assert "Gate: failed" in text
    assert "isoaudit explain" not in text


def test_alike_gaps_are_one_line() -> None:
    document = sample()
    (template, *_) = [
        f
        for f in document["findings"]
        if f["outcome"] == "fail"
        and f["subject"]["kind"] == "container"
        and not f["inherent"]
        and f["severity"] != "info"
    ]
    document["findings"] = [{**template, "subject": {"kind": "container", "key": f"c-{n}"}} for n in range(50)]
    document["containers"] = [{**document["containers"][0], "key": f"c-{n}"} for n in range(50)]
    text = draw(document)
    assert text.count(template["check"]) <= 2  # the line itself and the hint
    assert "+47" in text
