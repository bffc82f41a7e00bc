"""JUnit XML: well-formed whatever is in it, and nothing undecided counts as a pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from support.reports import HOSTILE, WEB, container, document, finding, hostile, sample

from isoaudit.render.junit import render
from isoaudit.render.visible import visible
from isoaudit.report import Report


def draw(report: dict[str, Any]) -> ET.Element:
    return ET.fromstring("".join(render(Report.from_dict(report), None)))  # noqa: S314  it is ours


def cases(root: ET.Element) -> dict[tuple[str, str], ET.Element]:
    return {(case.attrib["classname"], case.attrib["name"]): case for case in root.iter("testcase")}


@pytest.mark.parametrize("text", ["\x1b", "\x00", "\x0b", "\ufffe", "<", "&", "\ud800"])
def test_xml_refuses_these(text: str) -> None:
    with pytest.raises((ET.ParseError, UnicodeEncodeError)):
        ET.fromstring(f"<a>{text}</a>".encode())  # noqa: S314  a positive control


def test_hostile_text_is_text() -> None:
    root = draw(hostile("]]></testcase>\x0b\ufffe"))
    assert {element.tag for element in root.iter()} == {
        *("testsuites", "testsuite", "testcase", "properties", "property"),
        *("failure", "error", "skipped"),
    }
    suites = {suite.attrib["name"] for suite in root.iter("testsuite")}
    assert {visible(f"{number}{text}") for number, text in enumerate(HOSTILE)} <= suites
    bodies = [element.text or "" for element in root.iter("failure")]
    assert any(visible(HOSTILE[5]) in body for body in bodies)


def test_counts_are_those_of_the_cases() -> None:
    for suite in draw(sample()).iter("testsuite"):
        made = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(made)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == sum(case.find(tag) is not None for case in made)


def test_each_outcome_has_its_element() -> None:
    found = cases(draw(sample()))
    for (suite, check), tag, says in (
        (("host", "kernel-known-vulnerability"), "failure", "affected range"),
        (("host", "kernel-dmesg-unrestricted"), "skipped", "waived (developers read it on build hosts; owner"),
        (("host", "time-host-unsynchronised"), "error", "ZeroDivisionError"),
        ((WEB, "time-clock-not-namespaced"), "skipped", "inherent: "),
        ((WEB, "cgroup-io-unlimited"), "skipped", "unknown: ENOENT"),
        ((WEB, "lsm-complain"), "skipped", "not-applicable: "),
    ):
        (element,) = found[f"isoaudit.{suite}", check]
        assert element.tag == tag
        assert says in element.attrib["message"]
    assert not list(found["isoaudit.host", "kernel-lockdown-off"]), "a pass"


def test_a_policy_makes_the_undecided_and_the_inherent_count() -> None:
    report = sample()
    report["scan"]["policy"].update(require_complete=True, inherent=True)
    found = cases(draw(report))
    assert found[f"isoaudit.{WEB}", "cgroup-io-unlimited"].find("error") is not None
    assert found[f"isoaudit.{WEB}", "time-clock-not-namespaced"].find("failure") is not None


def test_who_vanished_is_a_suite_without_cases() -> None:
    suites = {suite.attrib["name"]: suite for suite in draw(sample()).iter("testsuite")}
    names = {one.attrib["name"]: one.attrib["value"] for one in suites["batch-job"].iter("property")}
    assert names["vanished"] == "true"
    assert suites["batch-job"].attrib["tests"] == "0"


def test_a_failure_tells_what_was_seen_and_what_to_do() -> None:
    (failure,) = cases(draw(sample()))["isoaudit.monitoring/agent", "device-other-exposed"]
    assert failure.text is not None
    assert "    c 10:144 /dev/nvram\n    c 10:183 /dev/hwrng\n" in failure.text
    assert "remediation: Leave the device out.\nreproduce: ls -l /proc/6006/root/dev\n" in failure.text


def test_one_container_has_no_suite_of_the_host() -> None:
    root = draw(document([container("c", 1)], [finding("a-b", "c")], mode="container"))
    assert [suite.attrib["name"] for suite in root.iter("testsuite")] == ["c"]
