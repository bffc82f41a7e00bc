"""JUnit XML, for CI systems: a suite a subject, a case a check.

A gap is a failure, a check that broke an error. What could not be decided was skipped, with the reason; where
the policy demands completeness, it is an error. Waived and inherent gaps are skipped with their reason.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from isoaudit.render.shared import kind, stamp, started, subjects, waiver_words
from isoaudit.render.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoaudit.registry import Catalogue
    from isoaudit.report import Document, Report

_INDENT = "    "


def render(report: Report, _catalogue: Catalogue | None) -> Iterator[str]:
    """The suites, one after the other."""
    policy = report.scan.get("policy", {})
    scope = _Rules(bool(policy.get("inherent")), bool(policy.get("require_complete")))
    when = stamp(started(report))[:-5]  # by the schema of JUnit without a zone: it is UTC
    host = report.host["hostname"] or "localhost"
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="isoaudit" time={_number(report.scan["seconds"])}>\n'
    for container, findings in subjects(report):
        if findings or container is not None:
            yield from _suite(container, findings, scope, f"hostname={_quoted(host)} timestamp={_quoted(when)}")
    yield "</testsuites>\n"


class _Rules:
    """What counts as what.

    Args:
        inherent: whether gaps that no setting closes are failures.
        complete: whether what could not be decided is an error.
    """

    def __init__(self, inherent: bool, complete: bool) -> None:  # noqa: FBT001
        self._elements = {
            "gap": "failure",
            "inherent": "failure" if inherent else "skipped",
            "waived": "skipped",
            "unknown": "error" if complete else "skipped",
            "error": "error",
            "not-applicable": "skipped",
        }

    def element(self, finding: Document) -> str:
        """The element that says how a case came out; none for a pass."""
        return self._elements.get(kind(finding), "")


def _suite(container: Document | None, findings: list[Document], rules: _Rules, where: str) -> Iterator[str]:
    elements = [rules.element(finding) for finding in findings]
    name = container["key"] if container else "host"
    counts = " ".join(
        f'{attribute}="{elements.count(element)}"'
        for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    )
    yield f'<testsuite name={_quoted(name)} tests="{len(findings)}" {counts} time="0" {where}>\n'
    if container is not None:
        yield "  <properties>\n"
        for key in ("pid", "id", "name", "runtime", "image", "pod"):
            if container[key] is not None:
                yield f'    <property name="{key}" value={_quoted(str(container[key]))}/>\n'
        if container.get("vanished"):
            yield '    <property name="vanished" value="true"/>\n'
        yield "  </properties>\n"
    for finding, element in zip(findings, elements, strict=True):
        yield _case(name, finding, element)
    yield "</testsuite>\n"


def _case(name: str, finding: Document, element: str) -> str:
    head = f'  <testcase classname={_quoted(f"isoaudit.{name}")} name={_quoted(finding["check"])} time="0"'
    if not element:
        return f"{head}/>\n"
    what = kind(finding)
    message = finding["message"]
    if what == "waived":
        message = f"waived ({waiver_words(finding['waiver'])}): {message}"
    elif what != "gap":
        message = f"{what}: {message}"
    if element == "skipped":  # the schema allows it a message and nothing else
        return f"{head}><skipped message={_quoted(message)}/></testcase>\n"
    kind_of = finding["severity"] if element == "failure" else what
    body = escape(_details(finding))
    return (
        f"{head}><{element} type={_quoted(kind_of)} message={_quoted(message)}>{body}</{element}></testcase>\n"
    )


def _details(finding: Document) -> str:
    lines = [f"severity: {finding['severity']}, {finding['basis']}"]
    for one in finding["evidence"]:
        lines.append(f"{visible(one['source'])}:")
        lines += [f"{_INDENT}{visible(line)}" for line in one["observed"].split("\n")]
        if one["expected"]:
            lines.append(f"{_INDENT}expected: {visible(one['expected'])}")
    for label, key in (
        ("remediation", "remediation"),
        ("reproduce", "reproduce"),
        ("fingerprint", "fingerprint"),
    ):
        if finding[key]:
            lines.append(f"{label}: {visible(finding[key])}")
    return "\n" + "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """An attribute's value; what XML 1.0 has no way to write is spelled out."""
    return f'"{escape(visible(text))}"'


def _number(value: float) -> str:
    return f'"{float(value):.3f}"'
