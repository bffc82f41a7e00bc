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


class Policy(NamedTuple):
    """A policy; the default demands nothing."""

    select: tuple[str, ...] = ()  # checks or prefixes; none is all
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = {}
    fail_on: Severity | None = None  # the gate fails on gaps as bad as this
    inherent: bool = False  # whether gaps that no setting closes count for the gate
    require_complete: bool = False  # whether what could not be decided makes the scan fail
    digest: str = ""  # of the file; "" where there is none

    def blocks(self, finding: Finding) -> bool:
        """Whether a finding makes the gate fail. A check that broke is as bad as its gap might be."""
        if self.fail_on is None or not at_least(finding.severity, self.fail_on):
            return False
        if finding.outcome is Verdict.ERROR:
            return True
        return finding.outcome is Verdict.FAIL and (self.inherent or not finding.inherent)


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
        document = tomllib.loads(raw.decode())
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    tool = document.get("tool")
    if isinstance(tool, dict) and "isoaudit" in tool:
        document = tool["isoaudit"]
    elif path.endswith("pyproject.toml"):
        raise UsageError(f"{path}: has no [tool.isoaudit] table")
    return _parse(document, path)._replace(digest=hashlib.sha256(raw).hexdigest())


def _parse(document: Mapping[str, Any], path: str) -> Policy:
    known = {"checks": {"select", "ignore"}, "gate": {"fail-on", "inherent", "require-complete"}}
    for table, content in document.items():
        if table not in (*known, "severity"):
            raise UsageError(f"{path}: unknown table [{table}]: a policy has [checks], [gate] and [severity]")
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {table} must be a table")
        for key in content if table in known else ():
            if key not in known[table]:
                raise UsageError(f"{path}: [{table}] knows no {key!r}, only {', '.join(sorted(known[table]))}")
    checks, gate = document.get("checks", {}), document.get("gate", {})
    fail_on = gate.get("fail-on")
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
