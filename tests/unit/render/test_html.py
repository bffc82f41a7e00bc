"""The HTML report: sound markup, nothing that acts, nothing left out, and within its budget."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
from support.reports import (
    AGENT,
    DB,
    HOSTILE,
    WEB,
    WEB_ID,
    container,
    document,
    evidence,
    finding,
    hostile,
    large,
    sample,
)

from isoaudit.model import Outcome, Severity
from isoaudit.registry import Catalogue, Check, Page
from isoaudit.render import html, tones
from isoaudit.render.visible import visible as plainly_visible
from isoaudit.report import Report
from isoaudit.resources import data

PAGE = """No effective memory limit.

## What it detects
No `memory.max` below the host's.

## Why it matters
One container can take all memory.
The kernel then kills <anything>.

## Remediation
Set a memory limit that fits the workload.

- docker, podman: `--memory 512m`
  and `--memory-swap 512m`
- Kubernetes: `resources.limits.memory: 512Mi`

## When it is fine
A machine of its own.

## References
- https://docs.kernel.org/admin-guide/cgroup-v2.html, "Memory".
"""
VOID = {"meta", "br", "input"}
# What a browser ends a paragraph at.
BLOCKS = {"p", "div", "details", "table", "ul", "ol", "dl", "section", "pre", "form", "h1", "h2", "h3", "h4"}


def _never(*_: object) -> Outcome:
    raise AssertionError("a renderer judges nothing")


CATALOGUE = Catalogue(
    (
        Check(
            "cgroup-memory-unlimited",
            "container",
            Severity.HIGH,
            _never,
            ("container",),
            Page(PAGE),
            "memory_unlimited.py",
        ),
    ),
    "5d1c" * 16,
)


_drawn: dict[tuple[str, int], str] = {}


def draw(report: dict[str, Any], catalogue: Catalogue | None = CATALOGUE) -> str:
    """The page of a report; with the usual catalogue, or none, each report is drawn once."""
    if catalogue not in (CATALOGUE, None):
        return "".join(html.render(Report.from_dict(report), catalogue))
    key = json.dumps(report), id(catalogue)
    if key not in _drawn:
        _drawn[key] = "".join(html.render(Report.from_dict(report), catalogue))
    return _drawn[key]


class Tree(HTMLParser):
    """Elements in order with their attributes; whatever is not well-formed fails the test."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.contents: dict[str, str] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert not (tag in BLOCKS and "p" in self._open), f"<{tag}> in a paragraph, at {self.getpos()}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>, at {self.getpos()}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            self.contents[self._open[-1]] = data
        elif data.strip():
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What is read on the page, white space apart."""
        return " ".join(" ".join(self.words).split())


def section(text: str, ident: str) -> str:
    """The part of the page from an id to the next section of the report."""
    start = text.index(f'id="{ident}"')
    end = text.find("\n<section id=", start)
    return text[start : end if end > 0 else len(text)]


PAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "sample": sample,
    "hostile": lambda: hostile("</script><iframe src=//attacker.invalid>"),
    "empty": lambda: document([], []),
    "large": lambda: large(300, 20),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return draw(PAGES[request.param]())


def test_sample_keeps_the_contract() -> None:
    with open(data("report.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    for report in (sample(), large(3, 12)):
        jsonschema.validate(report, schema)


def test_markup_is_sound(page: str) -> None:
    tree = Tree(page)
    idents = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
    assert len(idents) == len(set(idents))
    targets = {attributes["href"] for attributes in tree.named("a")}
    assert {target[1:] for target in targets if target.startswith("#")} <= set(idents)
    assert len(tree.named("h1")) == 1
    levels = [int(tag[1]) for tag, _ in tree.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))


def test_tables_and_controls_have_names(page: str) -> None:
    tree = Tree(page)
    assert all(cell.get("scope") for cell in tree.named("th"))
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in tree.elements}
    idents = {attributes.get("id") for _, attributes in tree.elements}
    assert {attributes.get("aria-labelledby", "main") for _, attributes in tree.elements} <= idents
    for scroller in (one for _, one in tree.elements if one.get("role") == "region"):
        assert scroller["tabindex"] == "0", "what scrolls must be reachable by keyboard"
        assert scroller.get("aria-label") or scroller.get("aria-labelledby")
    controls = [tag for tag, _ in tree.elements if tag in ("input", "select")]
    assert len(re.findall(r"<label>[^<]*<(?:input|select)", page)) == len(controls)


def test_loads_nothing_and_acts_by_nothing_but_its_own_script(page: str) -> None:
    tree = Tree(page)
    assert not {tag for tag, _ in tree.elements} & {"img", "svg", "iframe", "link", "base", "object", "embed"}
    for tag, attributes in tree.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")], tag
    assert len(tree.named("script")) == len(tree.named("style")) == 1
    (policy,) = [one["content"] for one in tree.named("meta") if "http-equiv" in one]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(tree.contents[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "url(" not in tree.contents["style"]
    assert "@import" not in tree.contents["style"]


def test_hostile_text_is_shown_and_inert() -> None:
    page = draw(hostile())
    page.encode()  # lone surrogates would raise
    dangerous = {c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")}
    assert dangerous == {"\n"}
    read = Tree(page).text.replace(" ", "")
    for text in HOSTILE:
        spelled = text.encode("unicode_escape").decode("ascii").replace("\\\\", "\\").replace(" ", "")
        assert spelled in read, "nothing is dropped"
    assert "49" not in re.findall(r"--(\d+)", page), "template syntax in a name is text"
    assert "Gate: passed" not in Tree(page).words


def test_hostile_page_of_a_check_is_text() -> None:
    hostile_page = Page('<b>"Title"\u202e.\n\n## Why it matters\n<script>x</script> `<i>` \x1b[2J\n')
    check = CATALOGUE.checks[0]._replace(page=hostile_page)
    page = draw(sample(), Catalogue((check,), "digest"))
    assert len(Tree(page).named("script")) == 1
    assert not Tree(page).named("b")
    assert "&lt;script&gt;x&lt;/script&gt; <code>&lt;i&gt;</code> \\x1b[2J" in page


def test_everything_that_acts_or_hides_is_spelled_out() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        hides = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
        if hides or plainly_visible(character) != character:
            assert html._finalize(character) != character, hex(code)
    assert html._finalize("plain text, ünïcödé, 日本語, עברית") == "plain text, ünïcödé, 日本語, עברית"
    assert html.visible("a\nb<\u202e") == (
        'a<span class="ctl usual">\\n</span>\nb&lt;<span class="ctl">\\u202e</span>'
    )


@pytest.mark.parametrize("place", ["message", "evidence", "reproduce", "remediation"])
def test_gaps_are_told_whole(place: str) -> None:
    report = sample()
    page = draw(report, None)
    text = _text_of(section(page, "gaps") + section(page, "inherent"))
    for one in report["findings"]:
        if one["outcome"] != "fail" or one["waiver"] or one["check"] == "namespace-user-shared":
            continue
        if place == "evidence":
            for item in one["evidence"]:
                assert all(_squeezed(item[part]) in text for part in ("source", "observed", "expected"))
        elif (
            place != "reproduce" or one["check"] != "time-clock-not-namespaced" or one["subject"]["key"] == WEB
        ):
            assert _squeezed(one[place]) in text


def _text_of(part: str) -> str:
    """The text of a part of the page, lower case, without white space and marks of line ends."""
    stripped = re.sub(r"<[^>]*>", "", part).replace("\\n", "")
    for name, character in (("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", '"'), ("&amp;", "&")):
        stripped = stripped.replace(name, character)
    return _squeezed(stripped)


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text).lower()


def test_each_subject_has_all_its_findings() -> None:
    report = sample()
    page = draw(report)
    for key, name in (("host", "the host"), (WEB, "web-1"), (DB, "db"), (AGENT, "monitoring/agent")):
        start = page.index(f'<span class="name">{name}</span>')
        part = _text_of(page[start : page.index("</details>", start)])
        for one in report["findings"]:
            if one["subject"]["key"] == key:
                assert _squeezed(one["check"] + one["message"]) in part
                assert all(_squeezed(item["observed"]) in part for item in one["evidence"])


def test_inherent_unknown_broken_and_waived_stand_apart() -> None:
    page = draw(sample())
    gaps = section(page, "gaps")
    for check, place in (
        ("time-clock-not-namespaced", "inherent"),
        ("seccomp-permissive", "undecided"),
        ("time-host-unsynchronised", "undecided"),
        ("kernel-dmesg-unrestricted", "waived"),
    ):
        assert check not in gaps
        assert check in section(page, place)
    undecided = section(page, "undecided")
    assert "reading the filter needs CAP_SYS_ADMIN" in undecided
    assert "ZeroDivisionError" in undecided
    assert "developers read it on build hosts" in section(page, "waived")
    assert "batch-job" in section(page, "scope"), "who vanished is named"


def test_verdict_numbers_and_gate() -> None:
    text = Tree(draw(sample())).text
    assert "11 gaps in 3 of 3 containers and on the host: 1 critical, 4 high, 4 medium, 1 low, 1 info." in text
    assert "failed : no gap may be high or worse." in text
    assert "Incomplete : 5 of 31 verdicts could not be reached" in text


@pytest.mark.parametrize(
    ("findings", "says"),
    [
        ([finding("a-b", severity="critical")], "Isolation is broken"),
        ([finding("a-b", severity="high"), finding("a-c", severity="low")], "A wall is missing"),
        ([finding("a-b", severity="medium")], "No critical or high gap was found"),
        ([finding("a-b", severity="low")], "No gap above low severity"),
        ([finding("a-b", severity="info")], "No gap above info"),
        ([finding("a-b", severity="critical", inherent=True)], "No gap was found that a setting could close"),
        (
            [finding("a-b", severity="critical", waiver={"reason": "x"})],
            "No gap was found that a setting could",
        ),
        ([finding("a-b", outcome="pass")], "No gap was found that a setting could close"),
        ([finding("a-b", outcome="unknown")], "some of it could not"),
        ([finding("a-b", outcome="error", severity="critical")], "some of it could not"),
        ([], "Nothing was judged"),
    ],
)
def test_verdict_sentence(findings: list[dict[str, Any]], says: str) -> None:
    page = draw(document([], findings))
    assert says in page[page.index('class="sentence"') : page.index("</section>")]


def test_what_containers_have_in_common_is_written_once() -> None:
    gaps = section(draw(sample()), "gaps")
    assert gaps.count("/proc/[pid]/ns/user") == 1
    assert "/proc/4242/ns/user" in gaps, "one command can be run as it stands"
    assert WEB_ID in gaps, "evidence of one container is verbatim"


def test_messages_that_differ_by_the_process_are_one() -> None:
    made = [container(f"c-{number}", 100 + number) for number in range(3)]
    findings = [finding("a-b", one["key"], message=f"100 run as root: {one['pid']} (sh)") for one in made]
    gaps = section(draw(document(made, findings)), "gaps")
    assert gaps.count("100 run as root: [pid] (sh)") == 1, "a number that is no process stays"
    assert "100 run as root: 101 (sh)" in draw(document(made[1:2], findings[1:2])), "of one it is verbatim"


def test_different_evidence_of_one_gap_names_its_containers() -> None:
    made = [container(f"c-{number}", 100 + number) for number in range(3)]
    findings = [
        finding("a-b", one["key"], evidence=[evidence(f"/sys/{one['id']}/x", "max" if n else "0")])
        for n, one in enumerate(made)
    ]
    gaps = section(draw(document(made, findings)), "gaps")
    assert 'class="who"><a href="#c-' in gaps
    assert f"/sys/{made[0]['id']}/x" in gaps
    assert gaps.count("/sys/[id]/x") == 1


def test_many_containers_are_ranges_or_all() -> None:
    made = [container(f"c-{number}", 100 + number) for number in range(1, 101)]
    some = [finding("a-b", one["key"]) for one in made if one["pid"] != 150]
    everyone = [finding("a-c", one["key"]) for one in made]
    page = draw(document(made, some + everyone))
    assert '<summary>99 containers</summary>numbers <a href="#walls">1-49, 51-100</a>' in page
    assert '<a href="#walls">all 100 containers</a>' in page


def test_many_different_findings_of_a_check_are_rows() -> None:
    made = [container(f"c-{number}", 100 + number) for number in range(30)]
    findings = [
        finding(
            "cgroup-memory-unlimited",
            one["key"],
            message=f"its limit is {one['pid']}",
            evidence=[evidence("/x", f"{one['pid']} B", f"below {one['pid']} B")],
            reproduce=f"cat /x/{one['pid']}",
            remediation="Set a memory limit that fits the workload." if one["pid"] > 100 else "Stop it.",
        )
        for one in made
    ]
    gaps = section(draw(document(made, findings)), "gaps")
    assert "<summary>30 different findings</summary>" in gaps
    for one in findings:
        assert one["message"] in gaps
        assert one["reproduce"] in gaps
        assert all(one["evidence"][0][part] in gaps for part in ("observed", "expected"))
    assert gaps.count("<h4>How to close it here</h4><p>Stop it.</p>") == 1
    assert gaps.count("Set a memory limit that fits the workload.") == 1


def test_page_of_the_check_is_drawn() -> None:
    page = draw(sample())
    assert "<li>docker, podman: <code>--memory 512m</code> and <code>--memory-swap 512m</code></li>" in page
    assert '<a href="https://docs.kernel.org/admin-guide/cgroup-v2.html" rel="noreferrer">' in page
    assert "kills &lt;anything&gt;." in page
    assert "<h4>What it detects</h4><p>No <code>memory.max</code> below the host&#39;s.</p>" in page


def test_without_catalogue_the_finding_says_how_to_close_it() -> None:
    page = draw(sample(), None)
    assert '<h3 id="gap-cgroup-memory-unlimited-t">cgroup-memory-unlimited</h3>' in page
    assert "<h4>How to close it</h4><p>Set a memory limit that fits the workload.</p>" in page


def test_another_catalogue_is_named() -> None:
    assert "of another catalogue" not in draw(sample())
    assert "of another catalogue: <code>other</code>" in draw(sample(), CATALOGUE._replace(digest="other"))


def test_escape_path_leads_to_its_gaps() -> None:
    page = draw(sample())
    paths = section(page, "paths")
    (anchor,) = re.findall(r'<a href="#(g\d+)">it opens the host&#39;s disk', paths)
    assert "block device of the host was opened" in page[page.index(f'id="{anchor}"') :][:900]


def test_a_way_out_of_many_containers_is_drawn_once() -> None:
    report = sample()
    (path,) = report["escape_paths"]
    report["escape_paths"] = [
        {**path, "subject": {"kind": "container", "key": each["key"]}} for each in report["containers"]
    ]
    paths = section(draw(report), "paths")
    assert paths.count("<article") == 1
    for each in report["containers"]:
        assert f">{each['key']}</a>" in paths


def test_what_is_shared_is_drawn_and_told() -> None:
    report = sample()
    keys = [each["key"] for each in report["containers"]][:2]
    report["host"]["sharing"] = [{"what": "namespace-net", "with_host": True, "containers": keys}]
    shared = section(draw(report), "sharing")
    assert shared.count("<path") == 1, "alike containers stand together"
    assert "the host&#39;s net namespace" in shared
    for key in keys:
        assert f">{key}</a>" in shared
    assert 'id="sharing"' not in draw(sample())


def test_walls_are_words_and_never_colour_alone() -> None:
    walls = section(draw(sample()), "walls")
    assert '<td class="open">unlimited</td>' in walls
    assert '<td class="weak">shared</td>' in walls
    assert '<td class="unseen">unknown</td>' in walls
    assert '<th scope="colgroup" colspan="8">Namespaces</th>' in walls


@pytest.mark.parametrize(
    ("wall", "word", "tone"),
    [
        ("namespace-pid", "shared", "open"),
        ("namespace-time", "shared", "weak"),
        ("capabilities", "none", "ok"),
        ("lsm", "none", "open"),
        ("seccomp", "a word of a later version", "unseen"),
    ],
)
def test_tone(wall: str, word: str, tone: str) -> None:
    assert tones.tone(wall, word) == tone


def test_scope_says_what_weakens_the_report() -> None:
    report = document([], [], euid=1000, probes="none", notices=["a pack did not load"])
    report["scan"]["policy"].update(select=["cgroup"], ignore=["leak"])
    scope = section(draw(report), "scope")
    for words in (
        "ran as user 1000",
        "probes were off",
        "a pack did not load",
        "Left out by policy: leak",
        "Only the checks cgroup",
    ):
        assert words in scope


def test_report_of_an_older_version_can_be_drawn() -> None:
    report = sample()
    del report["scan"]["policy"], report["scan"]["processes"]
    report["host"] = {"hostname": None, "kernel": None, "cgroup": None}
    assert "this host" in draw(report)


def test_large_report_is_compact_and_leaves_nothing_out() -> None:
    report = large(600, 20)
    page = draw(report)
    start = page.index('<span class="name">service-0007</span>')
    part = page[start : page.index("</details>", start)]
    for one in report["findings"]:
        if one["subject"]["key"] == "service-0007":
            assert one["check"] in part
    assert "passes are in full in the JSON report" in page


def test_drawing_changes_nothing() -> None:
    report = Report.from_dict(sample())
    before = copy.deepcopy(report.host), copy.deepcopy(report.scan), copy.deepcopy(report.containers)
    first = "".join(html.render(report, CATALOGUE))
    assert (report.host, report.scan, report.containers) == before
    assert "".join(html.render(report, CATALOGUE)) == first


def test_budget() -> None:
    report = Report.from_dict(large(1000, 60))
    start = time.process_time()
    size = sum(len(part.encode()) for part in html.render(report, CATALOGUE))
    assert time.process_time() - start <= 5
    assert size <= 6_000_000
