"""The summary for a CI job: what matters, small enough, and no markup but ours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.reports import HOSTILE, container, document, finding, hostile, large, sample

from isoaudit.render import markdown
from isoaudit.render.markdown import LIMIT, code, inert
from isoaudit.report import Report

# Code spans by CommonMark: what stands between equally long runs of backticks.
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)")
# Everything by which Markdown on a code host makes something of a text.
ACTIVE = re.compile(r"[<>&\[\]!*~$@#\\`]|https?:|www\.|\w_\w|:\w+:|\b[0-9a-f]{7,40}\b|\w+\.\w+")


def draw(report: dict[str, Any]) -> str:
    return "".join(markdown.render(Report.from_dict(report), None))


def outside(line: str) -> str:
    """What of a line is not in a code span."""
    return SPAN.sub("", line)


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "[x](https://attacker.invalid)",
        "![x](//attacker.invalid/p.png)",
        "https://attacker.invalid",
        "www.attacker.invalid",
        "mail a@attacker.invalid",
        "@team see #1 and org/repo#2",
        "deadbeefcafe",
        "``` `` `",
        "`",
        "a `b` c",
        ":tada: ~~x~~ **y** __z__ $x$",
        "| a | b |",
        "\\",
        "a\\",
        "&lt;b&gt;",
        "1. x",
        "- x",
        "# x",
        "> x",
        "--- ===",
        "<!-- x -->",
    ],
)
def test_nothing_of_a_text_acts(text: str) -> None:
    for drawn in (inert(text), code(text), inert(f"{text} {text}"), inert(f"its {text} is")):
        assert not ACTIVE.search(outside(drawn)), drawn
        assert "|" not in drawn
        assert "\n" not in drawn
        assert not re.match(r"\s*(?:[-+>#=]|\d+[.)])", outside(f"{drawn}x"))
    # A positive control: as it is, it would act (the others are plain or only hide).
    assert ACTIVE.search(text) or re.search(r"[|\n\u202e\u200b\ud800'=>-]|^\d+\.", text)


@pytest.mark.parametrize(
    "text", ["nothing limits its memory", "uid 0 inside is uid 0 outside", "the host's: a (very) long, way"]
)
def test_plain_words_stay_plain(text: str) -> None:
    assert inert(text) == text


def test_what_is_not_plain_is_code() -> None:
    assert inert("it opens /dev/vda and a_b c.d, now x/y.") == "it opens `/dev/vda` and `a_b c.d`, now `x/y`."
    assert inert("...") == "`...`"
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a") == "`` `a ``"
    assert code("  ") == ""


def test_hostile_report_has_our_markup_and_no_other() -> None:
    text = draw(hostile("x\n\n# Gate: passed\n"))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# isoaudit: the gate passed",
        "## Gaps",
        "## Ways to the host",
        "## Not decided",
        "## Waived",
        "## Notes",
    ]
    widths = set()
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(line) > 4
            widths.add(line.count("|"))
            assert line.count("|") == line.count(" | ") + 2
        else:
            assert not re.search(r"[<>\[\]@]|https?:", outside(line)), line
    assert widths == {11, 7, 5, 6}


def test_summary_of_the_sample() -> None:
    lines = draw(sample()).splitlines()
    assert lines[0] == "# isoaudit: the gate failed"
    assert "| 1 | 4 | 4 | 1 | 1 | 4 | 1 | 8 | 3 | 1 |" in lines
    gaps = [
        line.split(" | ")[0] for line in lines if re.match(r"\| (critical|high|medium|low|info) \| `", line)
    ]
    ranks = ["| critical", "| high", "| medium", "| low", "| info"]
    assert [ranks.index(gap) for gap in gaps[:-1]] == sorted(ranks.index(gap) for gap in gaps[:-1])
    text = "\n".join(lines)
    assert "**Incomplete**" in text
    assert "  1. it opens the host's disk: `/dev/vda`" in lines
    assert "developers read it on build hosts; owner platform team" in text
    assert "time-clock-not-namespaced" not in text, "inherent gaps are counted, not listed"


def test_alike_gaps_are_one_line() -> None:
    text = draw(large(100, 10))
    assert "`service-0000`, `service-0001`, `service-0002` and 97 more" in text
    assert len(text) < 10_000


def test_a_summary_fits_its_step() -> None:
    checks = [
        finding(f"a-gap-{number}", "c", message=f"x/{number}/" + "\u202e" * 500) for number in range(1500)
    ]
    text = draw(document([container("c", 1)], checks))
    assert LIMIT - 10_000 < len(text.encode()) <= LIMIT
    assert text.endswith("the HTML and JSON reports are whole.*\n")


def test_memory_is_bounded_by_rows_not_by_reasons() -> None:
    unknown = [finding("a-b", "c", "unknown", message=f"reason {number}") for number in range(700)]
    text = draw(document([container("c", 1)], unknown))
    assert "\nand 200 more\n" in text
    assert "| 700 |" in text
