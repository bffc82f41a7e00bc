"""What a user demands of a scan: which checks count, how bad each is, and when the gate fails."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.errors import UsageError
from isoaudit.model import SEVERITIES, Severity, Verdict, at_least

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoaudit.audit import Finding
    from isoaudit.baseline import Baseline
    from isoaudit.waivers import Waiver


class Policy(NamedTuple):
    """A policy; the default demands nothing."""

    select: tuple[str, ...] = ()  # checks or prefixes; none is all
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = {}
    fail_on: Severity | None = None  # the gate fails on gaps as bad as this
    inherent: bool = False  # whether gaps that no setting closes count for the gate
    require_complete: bool = False  # whether what could not be decided makes the scan fail
    require_containers: bool = False  # whether a scan that judged no container fails
    min_coverage: float = 0  # percent of the verdicts that must be decided
    waivers: tuple[Waiver, ...] = ()
    expired_fail: bool = False  # whether an expired waiver makes the gate fail
    baseline: Baseline | None = None  # whose gaps do not count for the gate
    digest: str = ""  # of the file; "" where there is none

    def blocks(self, finding: Finding) -> bool:
        """Whether a finding makes the gate fail. A check that broke is as bad as its gap might be."""
        if self.fail_on is None or not at_least(finding.severity, self.fail_on):
            return False
        if finding.outcome is Verdict.ERROR:
            return True
        if finding.outcome is not Verdict.FAIL or self.knows(finding):
            return False
        return self.inherent or not finding.inherent

    def knows(self, finding: Finding) -> bool:
        """Whether it is a gap of the baseline."""
        return (
            self.baseline is not None
            and finding.outcome is Verdict.FAIL
            and finding.fingerprint in self.baseline.known
        )

    def document(self) -> dict[str, Any]:
        """The `scan.policy` part of the report; its waivers, with what became of them, are the judgement's."""
        return {
            "fail_on": self.fail_on.value if self.fail_on else None,
            "inherent": self.inherent,
            "require_complete": self.require_complete,
            "require_containers": self.require_containers,
            "min_coverage": self.min_coverage,
            "expired_waivers": "fail" if self.expired_fail else "notice",
            "baseline": self.baseline.name if self.baseline else None,
            "select": list(self.select),
            "ignore": list(self.ignore),
            "digest": self.digest,
        }


def severity(word: str, where: str) -> Severity:
    """The severity that a user named.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Severity(word.lower())
    except ValueError:
        known = ", ".join(SEVERITIES)
        raise UsageError(f"{where}: {word!r} is no severity: use one of {known}") from None


def percent(value: object, where: str) -> float:
    """A share that a user demanded.

    Raises:
        UsageError: it is no number from 0 to 100.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise UsageError(f"{where} must be a number from 0 to 100")
    return value


def load(path: str) -> Policy:
    """Read a policy file: TOML, at its top level or under [tool.isoaudit] (in a pyproject.toml).

    Raises:
        UsageError: it cannot be read, is not TOML, or says something that we do not know.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            raw = file.read()
        text = raw.decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    tool = document.get("tool")
    if isinstance(tool, dict) and "isoaudit" in tool:
        document = tool["isoaudit"]
    elif path.endswith("pyproject.toml"):
        raise UsageError(f"{path}: has no [tool.isoaudit] table")
    if not isinstance(document, dict):
        raise UsageError(f"{path}: tool.isoaudit must be a table")
    policy = _parse(document, path)._replace(digest=hashlib.sha256(raw).hexdigest())
    if "waiver" in document:
        from isoaudit.waivers import parse

        policy = policy._replace(waivers=parse(document["waiver"], text, path))
    return policy


_TABLES = {
    "checks": ("ignore", "select"),
    "gate": (
        "expired-waivers",
        "fail-on",
        "inherent",
        "min-coverage",
        "require-complete",
        "require-containers",
    ),
}


def _parse(document: Mapping[str, Any], path: str) -> Policy:
    for table, content in document.items():
        if table == "waiver":
            continue
        if table not in (*_TABLES, "severity"):
            raise UsageError(
                f"{path}: unknown table [{table}]: a policy has [checks], [gate], [severity] and [[waiver]]"
            )
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {table} must be a table")
        for key in content if table in _TABLES else ():
            if key not in _TABLES[table]:
                raise UsageError(f"{path}: [{table}] knows no {key!r}, only {', '.join(_TABLES[table])}")
    checks, gate = document.get("checks", {}), document.get("gate", {})
    fail_on, expired = gate.get("fail-on"), gate.get("expired-waivers", "notice")
    if expired not in ("fail", "notice"):
        raise UsageError(f'{path}: gate.expired-waivers must be "fail" or "notice"')
    return Policy(
        select=_strings(checks.get("select", []), f"{path}: checks.select"),
        ignore=_strings(checks.get("ignore", []), f"{path}: checks.ignore"),
        severities={
            check: severity(str(word), f"{path}: severity.{check}")
            for check, word in document.get("severity", {}).items()
        },
        fail_on=None if fail_on is None else severity(str(fail_on), f"{path}: gate.fail-on"),
        inherent=_boolean(gate.get("inherent", False), f"{path}: gate.inherent"),
        require_complete=_boolean(gate.get("require-complete", False), f"{path}: gate.require-complete"),
        require_containers=_boolean(gate.get("require-containers", False), f"{path}: gate.require-containers"),
        min_coverage=percent(gate.get("min-coverage", 0), f"{path}: gate.min-coverage"),
        expired_fail=expired == "fail",
    )


def _strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UsageError(f"{where} must be a list of strings")
    return tuple(value)


def _boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{where} must be true or false")
    return value


def require_known(severities: Iterable[str], checks: Iterable[str]) -> None:
    """Make sure that a policy's severities are of checks that exist.

    Raises:
        UsageError: one is not; a typing error must not silently demand nothing.
    """
    existing = set(checks)
    for check in severities:
        if check not in existing:
            raise UsageError(f"the policy rates {check!r}, which is no check: `isoaudit checks` lists them")
