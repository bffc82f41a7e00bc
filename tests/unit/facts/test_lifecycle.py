from __future__ import annotations

import json
import os
from datetime import date

import jsonschema
import pytest
from support.facts import known, make_host

from isoaudit.facts.lifecycle import data_date, release_life, series_life, stale, today
from isoaudit.resources import data

DAY = {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
SCHEMA = {
    "type": "object",
    "required": ["schema", "date", "sources", "kernel", "releases"],
    "properties": {
        "date": DAY,
        "kernel": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["series", "end"],
                "properties": {
                    "series": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+$"},
                    "end": {"anyOf": [DAY, {"type": "null"}]},
                    "longterm": {"const": True},
                },
            },
        },
        "releases": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "version", "end"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[a-z-]+$"},
                    "version": {"type": "string", "pattern": "^[0-9.]+$"},
                    "end": DAY,
                    "extended": DAY,
                },
            },
        },
    },
}


def test_document() -> None:
    with open(data("lifecycles.json"), encoding="utf-8") as file:
        document = json.load(file)
    jsonschema.validate(document, SCHEMA)
    assert os.path.getsize(data("lifecycles.json")) < 50_000
    for row in document["releases"]:
        assert date.fromisoformat(row["end"]) <= date.fromisoformat(row.get("extended", "9999-01-01")), row
    keys = [(row["id"], row["version"]) for row in document["releases"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("series", "end", "longterm"),
    [
        ((6, 18), "2028-12-31", True),
        ((6, 12), "2028-12-31", True),
        ((6, 6), "2027-12-31", True),
        ((5, 10), "2026-12-31", True),
        ((4, 19), "2024-12-05", True),
        ((7, 0), "2026-06-27", False),
        ((6, 11), "2024-12-05", False),
        ((7, 2), None, False),
        ((3, 10), "", False),  # not a series of the data's: ended long before
    ],
)
def test_series(series: tuple[int, int], end: str | None, longterm: bool) -> None:  # noqa: FBT001  a table
    assert series_life(series) == (end, longterm)


def test_a_series_newer_than_the_data() -> None:
    assert series_life((9, 0)) is None


@pytest.mark.parametrize(
    ("distribution", "version", "end", "extended"),
    [
        ("debian", "12", "2026-07-11", "2028-06-30"),
        ("debian", "13", "2028-08-09", "2030-06-30"),
        ("ubuntu", "24.04", "2029-05-31", "2036-05-31"),
        ("rhel", "9.4", "2032-05-31", "2036-05-31"),
        ("alpine", "3.19.1", "2025-11-01", ""),
        ("amzn", "2", "2026-06-30", ""),
        ("sles", "15.6", "2025-12-31", "2028-12-31"),
        ("fedora", "42", "2026-05-27", ""),
    ],
)
def test_releases(distribution: str, version: str, end: str, extended: str) -> None:
    found = release_life(distribution, version)
    assert found is not None
    assert (found.end, found.extended) == (end, extended)


def test_unlisted_releases() -> None:
    assert release_life("arch", "") is None
    assert release_life("debian", "99") is None


def test_the_day_is_never_before_the_data() -> None:
    assert today(make_host(date=known("2031-02-03"))) == "2031-02-03"
    assert today(make_host(date=known("1970-01-01"))) == data_date(), "a machine without a clock"
    assert today(make_host()) == data_date()


def test_stale() -> None:
    assert stale(make_host(date=known("2027-02-18")), "2026-08-22") == ""
    assert "181 days old" in stale(make_host(date=known("2027-02-19")), "2026-08-22")
    assert stale(make_host(), "2026-08-22") == "", "a copy that carries no day"
    assert stale(make_host(date=known("yesterday")), "2026-08-22") == ""
