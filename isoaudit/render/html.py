"""The report for auditors: one HTML file that needs nothing else, not even script.

What a thousand containers have in common is written once: findings with the same verdict and message are one
group with a list of its containers, in which each container's own pid and id stand as placeholders.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from isoaudit.facts.units import binary, count
from isoaudit.model import SEVERITIES, Basis, Verdict
from isoaudit.render.picture import LEFT, RIGHT, WIDTH, picture, things
from isoaudit.render.tones import tone
from isoaudit.render.visible import HIDDEN
from isoaudit.render.visible import visible as visible_text
from isoaudit.resources import bundled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from isoaudit.registry import Catalogue, Page
    from isoaudit.report import Report

# Up to here every finding stands in its container's section with message and evidence; above, the sections
# refer to the groups, so that 60,000 findings stay below 6 MB.
_MOST_IN_FULL = 10_000
_MOST_NAMES_INLINE = 6
_MOST_NAMES = 40  # more are given as ranges of numbers
_MOST_ROWS = 20  # of different evidence; more are folded
_SHORTEST_ID = 12  # a shorter one could be part of any word

_ORDER = {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
_BASES = tuple(basis.value for basis in Basis)

_URL = re.compile(r"https?://[^\s<>\"'`()]+[^\s<>\"'`().,;:]")


def _marked(match: re.Match[str]) -> str:
    # Tabs and line ends are usual in what the kernel says; the rest is not.
    usual = match[0] in "\t\n"
    line_end = "\n" if match[0] == "\n" else ""
    return f'<span class="ctl{" usual" if usual else ""}">{visible_text(match[0])}</span>{line_end}'


def _finalize(value: object) -> object:
    r"""Every value on its way into the page, attributes too: nothing in it acts or hides (`\x1b`, `\u202e`)."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible_text(value)


def visible(value: object) -> Markup:
    """Text for an element: what would act or hide is spelled out and marked, and lines still end."""
    safe = escape(str(value))
    return Markup(HIDDEN.sub(_marked, safe)) if HIDDEN.search(safe) else safe  # noqa: S704  escaped above


def _inline(text: str) -> str:
    """A line of a page: `code`, and links where an address is written out."""
    parts = []
    for index, part in enumerate(text.split("`")):
        safe = str(escape(visible_text(part)))
        if index % 2:
            parts.append(f"<code>{safe}</code>")
        else:
            parts.append(_URL.sub(lambda match: f'<a href="{match[0]}" rel="noreferrer">{match[0]}</a>', safe))
    return "".join(parts)


def prose(text: str) -> Markup:
    """A section of a check's page: paragraphs, `- ` lists and `code`; everything else is text."""
    html = []
    for block in re.split(r"\n\s*\n", text.strip()):
        items: list[list[str]] = []
        lead: list[str] = []
        for line in block.splitlines():
            if line.lstrip().startswith("- "):
                items.append([line.lstrip()[2:]])
            else:
                (items[-1] if items else lead).append(line.strip())
        if lead:
            html.append(f"<p>{_inline(' '.join(lead))}</p>")
        if items:
            html.append("<ul>")
            html.extend(f"<li>{_inline(' '.join(item))}</li>" for item in items)
            html.append("</ul>")
    return Markup("".join(html))  # noqa: S704  every part went through escape


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A subject: the host has the number 0, containers count from 1 in the order of the report."""

    number: int
    key: str
    label: str
    anchor: str
    container: dict[str, Any] | None = None

    def generic(self, text: str) -> str:
        """Text with placeholders for what is this container's own, so that alike evidence is alike."""
        if self.container is None:
            return text
        pid = self.container["pid"]
        text = text.replace(f"/proc/{pid}/", "/proc/[pid]/")
        # As messages name a process, "4242 (nginx)"; a bare number may be anything.
        if f"{pid} (" in text:
            text = re.sub(rf"(?<![\w.]){pid} \(", "[pid] (", text)
        ident = self.container["id"]
        return text.replace(ident, "[id]") if ident and len(ident) >= _SHORTEST_ID else text


class Item(NamedTuple):
    """One piece of evidence."""

    source: str
    observed: str
    expected: str


@dataclass(slots=True)
class Sighting:
    """The same evidence, seen on one or more subjects."""

    items: tuple[Item, ...]  # verbatim, of the first
    generic: tuple[Item, ...]
    targets: list[Target] = field(default_factory=list)

    @property
    def shown(self) -> tuple[Item, ...]:
        """Verbatim while it is of one, with placeholders for many."""
        return self.items if len(self.targets) == 1 else self.generic


@dataclass(slots=True)
class Group:
    """Findings of one check that say the same."""

    anchor: str
    first: dict[str, Any]
    generic: str  # its message, with placeholders
    sightings: dict[tuple[Item, ...], Sighting] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    @property
    def message(self) -> str:
        """Verbatim while it is of one, with placeholders for many."""
        return str(self.first["message"]) if len(self.targets) == 1 else self.generic

    @property
    def has_expected(self) -> bool:
        """Whether any evidence says what would have been fine."""
        return any(item.expected for sighting in self.sightings.values() for item in sighting.items)

    @property
    def has_evidence(self) -> bool:
        """Whether there is any."""
        return any(self.sightings)

    def add(self, target: Target, finding: Mapping[str, Any]) -> None:
        """One more subject of which the same is true."""
        self.targets.append(target)
        items = tuple(Item(e["source"], e["observed"], e["expected"]) for e in finding["evidence"])
        generic = tuple(Item(*map(target.generic, item)) for item in items)
        sighting = self.sightings.get(generic)
        if sighting is None:
            sighting = self.sightings[generic] = Sighting(items, generic)
        sighting.targets.append(target)


@dataclass(slots=True)
class Topic:
    """A check with all groups of one kind: its gaps, what is inherent of it, or what of it is undecided."""

    check: str
    anchor: str
    title: str
    page: Page | None
    groups: list[Group]

    @property
    def area(self) -> str:
        """The folder the check lies in."""
        return self.check.partition("-")[0]

    @property
    def severity(self) -> str:
        """The worst of its groups."""
        return str(min((group.first["severity"] for group in self.groups), key=_rank))

    @property
    def remedies(self) -> list[str]:
        """What its findings themselves say of closing it, where the page does not say the same."""
        said = dict.fromkeys(group.first["remediation"] for group in self.groups)
        return [one for one in said if one and not (self.page and one == self.page.remediation)]

    @property
    def targets(self) -> list[Target]:
        """All its subjects, in order."""
        return sorted({t for group in self.groups for t in group.targets}, key=lambda target: target.number)

    @property
    def frameworks(self) -> dict[str, list[str]]:
        """The controls it is evidence for."""
        controls: dict[str, list[str]] = self.groups[0].first["frameworks"]
        return controls

    def section(self, heading: str) -> str:
        """A section of its page; empty where there is none."""
        return self.page.sections.get(heading, "") if self.page else ""


class Way(NamedTuple):
    """A way to the host, and all subjects that it leads out of."""

    title: str
    basis: str
    steps: list[tuple[str, str]]  # text, and the anchor of the group of findings behind it
    targets: list[Target]


class Row(NamedTuple):
    """A finding in its subject's section."""

    finding: dict[str, Any]
    anchor: str  # of its group; empty where it has none


@dataclass(slots=True)
class Subject:
    """One subject's section."""

    target: Target
    counts: Counter[str]  # of closable gaps by severity, and of other outcomes
    # By the same words: findings in full, or in a large report links to their groups.
    rows: dict[str, list[Row]] = field(default_factory=dict)
    links: dict[str, list[Markup]] = field(default_factory=dict)

    @property
    def container(self) -> dict[str, Any]:
        """Its entry in the report."""
        return self.target.container or {}

    def listed(self, place: str) -> Markup:
        """Its links of one place, as one text."""
        return Markup(" ").join(self.links[place])

    @property
    def worst(self) -> str:
        """The worst closable gap; empty where there is none."""
        return next((severity for severity in _ORDER if self.counts[severity]), "")


def _count(number: int, noun: str) -> str:
    """A number and its noun, with the thousands apart."""
    return count(number, noun).replace(str(number), f"{number:,}", 1)


def _rank(severity: str) -> int:
    return _ORDER.get(severity, len(_ORDER))


def _kind(finding: Mapping[str, Any]) -> str:
    """The part of the report in which a finding stands."""
    if finding["waiver"] is not None:
        return "waived"
    if finding["outcome"] == Verdict.FAIL:
        return "inherent" if finding["inherent"] else "gap"
    return str(finding["outcome"])


_OUTCOMES = ("pass", "not-applicable", "unknown", "error")
_ALIKE = ("check", "severity", "basis", "remediation")  # what findings of one group have in common
_GROUPED = ("gap", "inherent", "unknown", "error", "waived")


class _Index:
    """All findings, grouped.

    Args:
        report: what to draw.
        catalogue: for titles and pages.
    """

    def __init__(self, report: Report, catalogue: Catalogue | None) -> None:
        host = Target(0, "host", "the host", "host-findings")
        self.targets = [host, *(_target(n, c) for n, c in enumerate(report.containers, 1))]
        self.subjects = {(t.container is not None, t.key): Subject(t, Counter()) for t in self.targets}
        self.bases: Counter[tuple[str, str]] = Counter()
        self.totals: Counter[str] = Counter()
        self.checks: set[str] = set()
        self.by_fingerprint: dict[tuple[str, str], str] = {}
        judged = sum(number for name, number in report.summary.items() if name in _OUTCOMES)
        self.full = judged + sum(report.summary["fail"].values()) <= _MOST_IN_FULL
        self._links: dict[tuple[str, str], Markup] = {}
        self._groups: dict[str, dict[tuple[Any, ...], Group]] = {kind: {} for kind in _GROUPED}
        self._pages = {check.id: check.page for check in catalogue.checks} if catalogue else {}
        for finding in report.findings():
            self._add(finding)

    def _add(self, finding: dict[str, Any]) -> None:
        kind, check, severity = _kind(finding), finding["check"], finding["severity"]
        subject = self.subjects[finding["subject"]["kind"] != "host", finding["subject"]["key"]]
        self.totals[kind] += 1
        self.checks.add(check)
        anchor = ""
        if kind in self._groups:
            group = self._group(kind, finding, subject.target)
            group.add(subject.target, finding)
            anchor = group.anchor
            self.by_fingerprint[subject.target.key, finding["fingerprint"]] = anchor
        if kind == "gap":
            self.bases[severity, finding["basis"]] += 1
        place = severity if kind == "gap" else kind
        subject.counts[place] += 1
        if self.full:
            subject.rows.setdefault(place, []).append(Row(finding, anchor))
        else:
            subject.links.setdefault(place, []).append(self._link(check, anchor))

    def _link(self, check: str, anchor: str) -> Markup:
        link = self._links.get((check, anchor))
        if link is None:
            form = Markup('<a href="#{0}">{1}</a>') if anchor else Markup("{1}")
            link = self._links[check, anchor] = form.format(anchor, visible(check))
        return link

    def _group(self, kind: str, finding: dict[str, Any], target: Target) -> Group:
        groups = self._groups[kind]
        waiver, message = finding["waiver"] and str(finding["waiver"]), target.generic(finding["message"])
        key = (*(finding[name] for name in _ALIKE), waiver, message)
        if key not in groups:
            groups[key] = Group(f"{kind[0]}{len(groups) + 1}", finding, message)
        return groups[key]

    def topics(self, kind: str) -> list[Topic]:
        """The checks with findings of a kind, worst and most common first."""
        by_check: dict[str, list[Group]] = {}
        for group in self._groups[kind].values():
            by_check.setdefault(group.first["check"], []).append(group)
        topics = []
        for check, groups in by_check.items():
            groups.sort(key=lambda group: (_rank(group.first["severity"]), -len(group.targets)))
            page = self._pages.get(check)
            title = page.title if page else check
            topics.append(Topic(check, f"{kind}-{_slug(check)}", title, page, groups))
        return sorted(topics, key=lambda topic: (_rank(topic.severity), -len(topic.targets), topic.check))

    def known(self, keys: Iterable[str]) -> list[Target]:
        """The containers with these keys that are in this report: of one container, its neighbours are not."""
        return [self.subjects[True, key].target for key in keys if (True, key) in self.subjects]

    def ways(self, paths: Iterable[Mapping[str, Any]]) -> list[Way]:
        """The escape paths, each way once with all that it leads out of."""
        found: dict[tuple[str, ...], Way] = {}
        for path in paths:
            subject = path["subject"]
            target = self.subjects[subject["kind"] != "host", subject["key"]].target
            steps = [
                (step["text"], self.by_fingerprint.get((subject["key"], step["finding"]), ""))
                for step in path["steps"]
            ]
            key = path.get("title") or "", path["basis"], *(text for text, _ in steps)
            found.setdefault(key, Way(key[0], path["basis"], steps, [])).targets.append(target)
        return list(found.values())

    def places(self, targets: Sequence[Target]) -> Markup:
        """Subjects as links: all by name if few, as ranges of numbers if many."""
        containers = len(self.targets) - 1
        inside = [target for target in targets if target.number]
        if len(inside) == containers > _MOST_NAMES_INLINE and len(targets) == containers:
            return Markup('<a href="#walls">all {} containers</a>').format(f"{containers:,}")
        if len(targets) <= _MOST_NAMES_INLINE:
            return _links(targets)
        if len(targets) <= _MOST_NAMES:
            listed = _links(targets)
        else:
            listed = Markup('numbers <a href="#walls">{}</a>').format(_ranges(targets))
        return Markup("<details><summary>{}</summary>{}</details>").format(
            _count(len(targets), "container" if len(inside) == len(targets) else "subject"), listed
        )


def _links(targets: Iterable[Target]) -> Markup:
    return Markup(", ").join(
        Markup('<a href="#{}">{}</a>').format(target.anchor, visible(target.label)) for target in targets
    )


def _ranges(targets: Iterable[Target]) -> str:
    """Numbers as "1-40, 43": short however many there are."""
    spans: list[list[int]] = []
    for number in sorted(target.number for target in targets):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _target(number: int, container: dict[str, Any]) -> Target:
    key = container["key"]
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
    return Target(number, key, container["name"] or key, f"c-{digest}", container)


def _slug(check: str) -> str:
    """A check's id as part of an anchor; a saved report may hold any text as an id."""
    slug = re.sub(r"[^a-z0-9-]", "-", check)
    if slug == check:
        return slug
    return f"{slug}-{hashlib.blake2b(check.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


class Column(NamedTuple):
    """A wall as a column of the matrix."""

    wall: str
    group: str
    label: str


_WALL_GROUPS = {"namespace": "Namespaces", "limit": "Limits"}


def _columns(containers: Iterable[Mapping[str, Any]]) -> list[Column]:
    names = dict.fromkeys(wall for container in containers for wall in container["walls"])
    columns = []
    for name in names:
        prefix, _, rest = name.partition("-")
        group = _WALL_GROUPS.get(prefix, "")
        columns.append(Column(name, group or "Privileges", rest if group else name.replace("-", " ")))
    # A heading spans columns that stand side by side.
    order = list(dict.fromkeys(column.group for column in columns))
    return sorted(columns, key=lambda column: order.index(column.group))


def _spans(columns: Iterable[Column]) -> dict[str, int]:
    return dict(Counter(column.group for column in columns))


_LEADS = {
    "critical": "Isolation is broken: a critical gap leads to the host or to another container's data.",
    "high": "A wall is missing: others can be seen, signalled or altered, or the host is one step away.",
    "medium": "No critical or high gap was found; others can be starved, or much attack surface is open.",
    "low": "No gap above low severity was found; what is left are leaks of information and missing hardening.",
    "info": "No gap above info was found; what is left is worth knowing.",
}


def _verdict(index: _Index) -> tuple[str, str]:
    """The worst severity (or "none", "undecided") and the sentence that opens the report."""
    worst = min((severity for severity, _ in index.bases), key=_rank, default="")
    if worst:
        return worst, _LEADS[worst]
    if not index.totals:
        return "undecided", "Nothing was judged."
    if index.totals["unknown"] or index.totals["error"]:
        return "undecided", "No gap was found in what could be decided; some of it could not."
    return "none", "No gap was found that a setting could close."


def _tally(index: _Index) -> str:
    """How many gaps of which severity, in how many subjects, in words."""
    gaps = index.totals["gap"]
    if not gaps:
        return ""
    by_severity: Counter[str] = Counter()
    for (severity, _), number in index.bases.items():
        by_severity[severity] += number
    parts = ", ".join(f"{by_severity[severity]:,} {severity}" for severity in _ORDER if by_severity[severity])
    hit = sum(1 for subject in index.subjects.values() if subject.worst and subject.target.number)
    judged = sum(1 for target in index.targets if target.container and not target.container.get("vanished"))
    where = f"in {hit:,} of {_count(judged, 'container')}" if hit else ""
    if index.subjects[False, "host"].worst:
        where = f"{where} and on the host" if where else "on the host"
    return f"{_count(gaps, 'gap')} {where}: {parts}."


_HOST_LABELS = {
    "hostname": "Host name",
    "kernel": "Kernel",
    "kernel_build": "Kernel build",
    "machine": "Machine",
    "distribution": "Distribution",
    "boot_id": "Boot id",
    "cgroup": "Cgroups",
    "cpus": "CPUs online",
    "memory_bytes": "Memory",
    "lsms": "Security modules",
    "x86_level": "x86-64 level",
}


def _plain(name: str, value: object) -> str:
    """A fact of the host as text."""
    if value is None:
        return "could not be read"
    if name == "memory_bytes" and isinstance(value, int):
        return binary(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _host_facts(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    # What is shared has a picture of its own.
    others = [name for name in host if name not in _HOST_LABELS and name != "sharing"]
    names = [*(name for name in _HOST_LABELS if name in host), *others]
    return [(_HOST_LABELS.get(name, name), _plain(name, host[name])) for name in names]


def _asset(name: str) -> tuple[Markup, str]:
    """A file to stand inside the page, and its hash for the content security policy."""
    with open(os.path.join(bundled("templates"), name), encoding="utf-8", newline="\n") as file:
        content = file.read()
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    return Markup(content), f"'sha256-{digest}'"  # noqa: S704  it ships with us


def environment() -> Environment:
    """The template engine: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(bundled("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        visible=visible, prose=prose, ranges=_ranges, count=_count, shell=shlex.join, grouped="{:,}".format
    )
    made.globals["tone"] = tone
    return made


def render(report: Report, catalogue: Catalogue | None) -> Iterator[str]:
    """Draw a report.

    Args:
        report: what to draw.
        catalogue: for titles and pages of the checks; None leaves them out.
    """
    index = _Index(report, catalogue)
    style, style_hash = _asset("report.css")
    script, script_hash = _asset("report.js")
    columns = _columns(report.containers)
    sharing = report.host.get("sharing") or []
    level, sentence = _verdict(index)
    stream = (
        environment()
        .get_template("report.html.j2")
        .stream(
            tool=report.tool,
            scan=report.scan,
            policy=report.scan.get("policy") or {},
            host=report.host,
            host_facts=_host_facts(report.host),
            summary=report.summary,
            ways=index.ways(report.escape_paths),
            catalogue=catalogue,
            index=index,
            kinds={kind: index.topics(kind) for kind in _GROUPED},
            subjects=list(index.subjects.values()),
            vanished=[target for target in index.targets if (target.container or {}).get("vanished")],
            areas=sorted({check.partition("-")[0] for check in index.checks}),
            full=index.full,
            columns=columns,
            picture=picture(sharing),
            shared=[(text, stands, index.known(keys)) for text, stands, keys in things(sharing)],
            sides=(WIDTH, LEFT, RIGHT),
            spans=_spans(columns),
            level=level,
            sentence=sentence,
            tally=_tally(index),
            severities=tuple(_ORDER),
            bases=_BASES,
            most_rows=_MOST_ROWS,
            style=style,
            style_hash=style_hash,
            script=script,
            script_hash=script_hash,
        )
    )
    stream.enable_buffering(500)
    yield from stream
