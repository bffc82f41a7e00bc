"""The data of vulnerabilities: its form, entry by entry, and what it says of releases."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
from packaging.version import Version
from support.facts import denied, known, make_host

from isoaudit.facts.kernel import parse_release
from isoaudit.facts.kernel_build import KernelBuild
from isoaudit.facts.prerequisites import KINDS
from isoaudit.facts.upstream import upstream
from isoaudit.facts.vulnerabilities import Match, assess, in_range, kernel_flaws, matching, options, severity_of
from isoaudit.kernel.calls import table
from isoaudit.kernel.capability import NUMBERS
from isoaudit.resources import data

with open(data("vulnerabilities.json"), encoding="utf-8") as file:
    DOCUMENT: dict[str, Any] = json.load(file)

ID = "^(CVE-[0-9]{4}-[0-9]{4,7}|GHSA(-[0-9a-z]{4}){3})$"
SERIES, RELEASE = "^(2\\.6\\.[0-9]+|[0-9]+\\.[0-9]+)$", "^[0-9]+\\.[0-9]+\\.[0-9]+$"
COMMON: dict[str, Any] = {
    "id": {"type": "string", "pattern": ID},
    "name": {"type": "string", "minLength": 3},
    "component": {"type": "string", "minLength": 2},
    "severity": {"enum": ["critical", "high", "medium", "low"]},
    "sources": {"type": "array", "minItems": 1, "items": {"enum": [*DOCUMENT["sources"]]}},
    "confidence": {"enum": [*DOCUMENT["confidence"]]},
}
WORD = (
    "^(cap:[A-Z_]+@(userns|host)|userns|setid|syscall:[a-z0-9_]+|family:[0-9]+|module:[a-z0-9_]+|fs:[a-z0-9]+"
    "|config:!?[A-Z0-9_]+|sysctl:[a-z0-9_.]+=-?[0-9](,[0-9])*|device:/dev/[a-z]+|hardware:.+)$"
)
KERNEL = {
    "type": "object",
    "additionalProperties": False,
    "required": [*COMMON, "needs", "introduced", "fixed", "branches"],
    "properties": {
        **COMMON,
        "aliases": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": ID}},
        "effect": {"const": "page-cache"},
        "needs": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "items": {"type": "string", "pattern": WORD}},
        },
        "introduced": {"type": ["string", "null"], "pattern": SERIES},
        "introduced_is": {"const": "recalled"},
        "fixed": {"type": ["string", "null"], "pattern": SERIES},
        "branches": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["branch"],
                "minProperties": 2,
                "properties": {
                    "branch": {"type": "string", "pattern": SERIES},
                    "introduced": {"type": "string", "pattern": RELEASE},
                    "fixed": {"type": "string", "pattern": RELEASE},
                },
            },
        },
        "others": {"const": "unknown"},
        "vendor": {"enum": ["ubuntu"]},
    },
}
VERSION = "^[0-9]+(\\.[0-9]+)*(-(rc|alpha|beta)[.-]?[0-9]+)?$"
RUNTIME = {
    "type": "object",
    "additionalProperties": False,
    "required": [*COMMON, "ranges"],
    "properties": {
        **COMMON,
        "ranges": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "introduced": {"type": "string", "pattern": VERSION},
                    "fixed": {"type": "string", "pattern": VERSION},
                    "before": {"type": "string", "pattern": VERSION},
                },
                "oneOf": [{"required": ["fixed"]}, {"required": ["before"]}],
            },
        },
    },
}


def ids(row: Any) -> str:
    return f"{row['component']}:{row['id']}".replace(" ", "-")


@pytest.mark.parametrize("row", DOCUMENT["kernel"], ids=ids)
def test_kernel_entry(row: dict[str, Any]) -> None:
    jsonschema.validate(row, KERNEL)
    assert (row["fixed"] is None) == ("vendor" in row), "a vendor's own flaw was fixed in no mainline release"
    for one in row["branches"]:
        for edge in ("introduced", "fixed"):
            assert one.get(edge, one["branch"] + ".").startswith(one["branch"] + "."), one
        assert parse_release(one["branch"]).series < parse_release(row["fixed"]).series, one
        if "introduced" in one and "fixed" in one:
            assert parse_release(one["introduced"]) < parse_release(one["fixed"])
    if row["introduced"]:
        assert parse_release(row["introduced"]).series < parse_release(row["fixed"]).series
    for word in (word for words in row["needs"] for word in words):
        kind, _, rest = word.partition(":")
        assert kind in KINDS, word
        if kind == "cap":
            assert f"CAP_{rest.partition('@')[0]}" in NUMBERS, word
        elif kind == "syscall":
            assert rest in table("x86_64"), word
        elif kind == "module":
            assert rest in DOCUMENT["modules"], word


@pytest.mark.parametrize("row", DOCUMENT["runtime"], ids=ids)
def test_runtime_entry(row: dict[str, Any]) -> None:
    jsonschema.validate(row, RUNTIME)
    edges = [(one.get("introduced", "0"), one.get("fixed") or one["before"]) for one in row["ranges"]]
    for begin, end in edges:
        assert Version(begin) < Version(end), row["ranges"]
    for (_, end), (begin, _) in pairwise(edges):
        assert Version(end) <= Version(begin), "ranges are in order and apart"
    assert row["id"] not in DOCUMENT["left_out"]


def test_document() -> None:
    assert DOCUMENT["schema"] == "isoaudit/vulnerabilities/1"
    assert os.path.getsize(data("vulnerabilities.json")) < 250_000
    for part in ("kernel", "runtime"):
        keys = [(row["id"], row["component"]) for row in DOCUMENT[part]]
        assert len(keys) == len(set(keys)), "an id is there once a component"
    named = {word for row in DOCUMENT["kernel"] for words in row["needs"] for word in words}
    assert {f"module:{name}" for name in DOCUMENT["modules"]} <= named, "a module that nothing needs"
    assert {"VSOCKETS", "FUTEX_PI", "POSIX_CPU_TIMERS_TASK_WORK"} <= options()


FLAWS = {flaw.id: flaw for flaw in kernel_flaws()}

# A release, an id, and the release with the fix; "" where the branch has none, None where it is not affected.
SPOTS: tuple[tuple[str, str, str | None], ...] = (
    ("4.4.0", "CVE-2016-0728", "4.4.1"),
    ("4.5.0", "CVE-2016-0728", None),
    ("4.8.2", "CVE-2016-5195", "4.8.3"),
    ("4.8.3", "CVE-2016-5195", None),
    ("4.9.1", "CVE-2016-5195", None),
    ("4.9.60", "CVE-2017-1000405", "4.9.67"),  # ported back to a branch older than the one that brought it
    ("4.8.10", "CVE-2017-1000405", None),
    ("4.14.3", "CVE-2017-1000405", "4.14.4"),
    ("5.8.7", "CVE-2020-14386", "5.8.8"),
    ("5.4.64", "CVE-2020-14386", None),
    ("5.7.9", "CVE-2020-14386", ""),
    ("5.10.101", "CVE-2022-0847", "5.10.102"),
    ("5.10.102", "CVE-2022-0847", None),
    ("5.7.19", "CVE-2022-0847", None),
    ("5.11.1", "CVE-2022-0847", ""),
    ("5.17.0", "CVE-2022-0847", None),
    ("5.15.19", "CVE-2022-0492", "5.15.20"),
    ("5.4.172", "CVE-2022-0185", "5.4.173"),
    ("5.0.5", "CVE-2022-0185", None),
    ("6.1.75", "CVE-2024-1086", "6.1.76"),
    ("6.1.76", "CVE-2024-1086", None),
    ("6.7.2", "CVE-2024-1086", "6.7.3"),
    ("6.8.0", "CVE-2024-1086", None),
    ("6.1.36", "CVE-2023-3269", "6.1.37"),
    ("6.0.19", "CVE-2023-3269", None),
    ("6.6.4", "CVE-2024-0582", "6.6.5"),
    ("5.10.9", "CVE-2021-4154", "5.10.52"),
    ("6.12.15", "CVE-2025-21756", "6.12.16"),
    ("6.18.21", "CVE-2026-31431", "6.18.22"),
    ("6.18.22", "CVE-2026-31431", None),
    ("4.9.337", "CVE-2026-31431", None),
    ("5.15.205", "CVE-2026-43284", "5.15.206"),  # two partial fixes: the later counts
    ("6.1.171", "CVE-2026-43284", "6.1.172"),
    ("4.19.243", "CVE-2026-46331", None),
    ("4.19.244", "CVE-2026-46331", ""),
    ("5.10.116", "CVE-2026-46331", None),
    ("6.12.93", "CVE-2026-46331", "6.12.94"),
    ("4.4.39", "CVE-2026-46333", None),
    ("4.4.40", "CVE-2026-46333", ""),
    ("5.10.255", "CVE-2026-46333", "5.10.256"),
    ("7.1.2", "CVE-2026-53362", "7.1.3"),
    ("7.2.0", "CVE-2026-53362", None),
    ("6.6.144", "CVE-2026-64600", "6.6.145"),
    ("7.1.2", "CVE-2026-53359", "7.1.3"),
)


@pytest.mark.parametrize(("release", "flaw", "fix"), SPOTS)
def test_spots(release: str, flaw: str, fix: str | None) -> None:
    expected = False if fix is None else Match(FLAWS[flaw], fix)
    assert in_range(FLAWS[flaw], parse_release(release)) == expected


@pytest.mark.parametrize(
    ("release", "flaw"),
    [
        ("6.12.1", "CVE-2026-43500"),  # the record names two branches only
        ("6.12.1", "CVE-2026-53359"),
        ("3.10.0", "CVE-2016-5195"),  # fixes of branches so old are not in the data
    ],
)
def test_what_the_data_does_not_say(release: str, flaw: str) -> None:
    assert in_range(FLAWS[flaw], parse_release(release)) is None


def test_a_candidate_of_the_release_with_the_fix_is_in_doubt() -> None:
    flaw, release = FLAWS["CVE-2022-0847"], parse_release("5.17.0-rc2")
    assert in_range(flaw, release, candidate=True) is None
    assert in_range(flaw, parse_release("5.18.0-rc1"), candidate=True) is False
    assert in_range(flaw, parse_release("5.16.0-rc1"), candidate=True) == Match(flaw, "")


def test_what_is_not_built_does_not_count() -> None:
    kernel = upstream(make_host(kernel=known(parse_release("6.1.100"))))
    everything = assess(kernel, denied("/proc/config.gz"))
    assert not everything.absent
    bare = assess(kernel, known(KernelBuild(frozenset({"PACKET"}), frozenset())))
    assert {flaw.id for flaw in bare.absent} >= {"CVE-2026-31431", "CVE-2025-21756"}
    assert {match.flaw.id for match in bare.matches} >= {"CVE-2025-38617", "CVE-2026-53362"}
    assert len(bare.absent) + len(bare.matches) == len(everything.matches)


def test_severity() -> None:
    def weight(release: str, flaw: str) -> str:
        kernel = upstream(make_host(kernel=known(parse_release(release))))
        match = in_range(FLAWS[flaw], kernel.release)
        assert isinstance(match, Match)
        return severity_of(match, kernel)

    assert weight("5.10.90", "CVE-2022-0847") == "critical"
    assert weight("5.14.0-427.el9", "CVE-2022-0847") == "medium", "a vendor's number says little"
    assert weight("5.11.1", "CVE-2022-0847") == "critical", "a branch that ended without the fix"
    assert weight("5.10.262", "CVE-2022-23222") == "medium", "the data may have missed a longterm branch's"


@pytest.mark.parametrize(
    ("component", "version", "has", "has_not"),
    [
        ("runc", "1.0.0rc92", "CVE-2021-30465", "CVE-2024-21626"),
        ("runc", "1.1.11", "CVE-2024-21626", "CVE-2023-28642"),
        ("runc", "1.1.12", "CVE-2024-45310", "CVE-2024-21626"),
        ("runc", "1.2.0rc1", "CVE-2024-45310", "CVE-2024-21626"),
        ("runc", "1.3.2", "CVE-2025-31133", "CVE-2024-45310"),
        ("runc", "1.4.2", "CVE-2026-41579", "CVE-2025-31133"),
        ("crun", "1.19.1", "CVE-2025-24965", "CVE-2022-27650"),
        ("containerd", "1.6.17", "CVE-2023-25173", "CVE-2022-23471"),
        ("containerd", "1.7.33", "CVE-2026-50195", "CVE-2026-53488"),
        ("containerd", "2.2.4", "CVE-2026-53488", "CVE-2024-25621"),
        ("docker", "20.10.24", "CVE-2024-41110", "CVE-2023-28840"),
        ("docker", "27.1.1", "CVE-2026-41567", "CVE-2024-41110"),
        ("docker", "25.0.17", "CVE-2026-34040", "CVE-2026-41567"),
        ("cri-o", "1.22.2", "CVE-2022-0811", "CVE-2024-5154"),
        ("kubelet", "1.30.2", "CVE-2024-10220", "CVE-2023-2431"),
        ("podman", "5.6.0", "CVE-2025-9566", "CVE-2024-9407"),
        ("systemd-nspawn", "258.5", "CVE-2026-40226", "CVE-2019-5736"),
        ("nvidia-container-toolkit", "1.17.7", "CVE-2025-23266", "CVE-2024-0132"),
    ],
)
def test_runtime_spots(component: str, version: str, has: str, has_not: str) -> None:
    found = {flaw.id for flaw, _ in matching(component, version)}
    assert has in found
    assert has_not not in found


def test_runtimes_of_other_names_have_none() -> None:
    assert matching("systemd-nspawn", "257.12") == ()
    assert matching("gvisor", "1.0") == ()
