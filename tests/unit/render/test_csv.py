"""CSV: a row a finding by RFC 4180, and no formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from support.reports import HOSTILE, WEB, container, document, evidence, finding, hostile, sample

from isoaudit.render.csv_ import render
from isoaudit.render.visible import visible
from isoaudit.report import Report

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", '="a"&CMD|x')


def rows(report: dict[str, Any]) -> list[dict[str, str]]:
    return list(
        csv.DictReader(io.StringIO("".join(render(Report.from_dict(report), None)), newline=""), strict=True)
    )


def test_a_row_a_finding() -> None:
    report = sample()
    found = rows(report)
    assert [one["check"] for one in found] == [one["check"] for one in report["findings"]]
    assert {one["host"] for one in found} == {"build-07.example.org"}
    row = next(one for one in found if one["check"] == "cgroup-cpu-unlimited")
    assert (row["subject"], row["container"], row["pid"], row["image"]) == (
        "container",
        WEB,
        "4242",
        "nginx:1.27",
    )
    assert (row["outcome"], row["kind"], row["observed"]) == ("fail", "gap", "max 100000")
    assert row["frameworks"] == "cis-docker-1.6.0 5.12"
    waived = next(one for one in found if one["kind"] == "waived")
    assert waived["waiver"].startswith("developers read it on build hosts; owner platform team")


def test_lines_end_as_the_standard_says() -> None:
    text = "".join(render(Report.from_dict(hostile()), None))
    assert text.replace("\r\n", "").isprintable()
    assert text.count("\r\n") == len(hostile()["findings"]) + 1


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    one = finding("a-b", text, message=text, evidence=[evidence(text, text)], remediation=text, reproduce=text)
    for row in rows(document([container(text, 1, image=text)], [one])):
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")), cell
        assert row["message"] in (f"'{text}", visible(text))


def test_hostile_text_stays_in_its_cell() -> None:
    found = rows(hostile('",=1\r\n=2'))
    assert all(None not in row for row in found), "no row has more cells than the header"
    said = {message for row in found for message in (row["message"], row["message"].removeprefix("'"))}
    assert {visible(text) for text in HOSTILE} <= said
