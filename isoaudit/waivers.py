"""Gaps that somebody answers for: a policy's waivers, and which of them stand at the time of a scan."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

HOST_TARGET = "host"
_TEXTS = ("check", "target", "owner", "reason")
_KEYS = (*_TEXTS, "expires")
_HEADER = re.compile(
    r"^[ \t]*\[\[[ \t]*(?:tool[ \t]*\.[ \t]*isoaudit[ \t]*\.[ \t]*)?waiver[ \t]*\]\]", re.MULTILINE
)


class Waiver(NamedTuple):
    """One entry of [[waiver]]."""

    check: str  # an id, or the beginning of several with a star
    target: str  # "host", or a pattern for the keys and names of containers
    owner: str
    reason: str
    expires: date | None  # the last day on which it stands, in UTC
    place: str = "policy"  # where it is written, for messages

    def concerns(self, check: str) -> bool:
        """Whether it is about a check."""
        return check.startswith(self.check[:-1]) if self.check.endswith("*") else check == self.check

    def covers(self, container: Mapping[str, Any] | None) -> bool:
        """Whether it is about a subject: an entry of the report's `containers`, None for the host.

        A container that calls itself "host" is not the host.
        """
        if container is None or self.target == HOST_TARGET:
            return container is None and self.target == HOST_TARGET
        names = (container["key"], container["name"])
        return any(fnmatchcase(name, self.target) for name in names if name)

    def document(self) -> dict[str, str | None]:
        """What stands in a finding that it accepts."""
        return {
            "check": self.check,
            "target": self.target,
            "owner": self.owner,
            "reason": self.reason,
            "expires": self.expires.isoformat() if self.expires else None,
        }

    def __str__(self) -> str:
        return f"the waiver of {self.check} for {self.target} ({self.place}; owner: {self.owner})"


class Standing(NamedTuple):
    """A waiver that has not expired."""

    number: int  # in the policy
    waiver: Waiver
    encoded: str  # as JSON


class Register:
    """The waivers of a policy at the time of a scan.

    Args:
        waivers: all of the policy's.
        started: when the scan began (RFC 3339): nothing that judges has a clock of its own.

    Raises:
        UsageError: a waiver expires, and the scan's beginning is no time.
    """

    def __init__(self, waivers: Sequence[Waiver], started: str) -> None:
        today = _day(started) if any(waiver.expires for waiver in waivers) else date.min
        self._all = waivers
        self.expired = [waiver for waiver in waivers if waiver.expires and waiver.expires < today]
        self._standing = [
            Standing(number, waiver, json.dumps(waiver.document()))
            for number, waiver in enumerate(waivers)
            if waiver not in self.expired
        ]

    def covering(self, container: Mapping[str, Any] | None) -> list[Standing]:
        """Those that stand and are about a subject."""
        return [one for one in self._standing if one.waiver.covers(container)]

    def unused(
        self,
        used: Collection[int],
        asked: Iterable[str],
        subjects: Sequence[Mapping[str, Any] | None] | None,
    ) -> list[Waiver]:
        """Those that stand and accepted nothing, though they could have.

        Args:
            used: the numbers of those that accepted something.
            asked: the checks that were asked.
            subjects: what was judged; None where all was, so that a target that is not there is worth a word.
        """
        asked = tuple(asked)
        return [
            waiver
            for number, waiver, _ in self._standing
            if number not in used
            and any(map(waiver.concerns, asked))
            and (subjects is None or any(map(waiver.covers, subjects)))
        ]

    def documents(self, used: Collection[int]) -> list[dict[str, str | None]]:
        """All of them, each with its state: used, unused or expired."""
        return [
            {
                **waiver.document(),
                "state": "expired" if waiver in self.expired else "used" if number in used else "unused",
            }
            for number, waiver in enumerate(self._all)
        ]


def _day(started: str) -> date:
    try:
        return date.fromisoformat(started[:10])
    except ValueError as error:
        raise UsageError(f"waivers expire, but when the scan began is no time: {started!r}") from error


def parse(rows: object, text: str, path: str) -> tuple[Waiver, ...]:
    """The waivers of a policy.

    Args:
        rows: what TOML made of [[waiver]].
        text: the file's text, in which their lines are looked up.
        path: the file's name, for messages.

    Raises:
        UsageError: one of them is not whole.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: write each waiver below a line [[waiver]]")
    lines = [text.count("\n", 0, header.start()) + 1 for header in _HEADER.finditer(text)]
    # TOML keeps no lines: where a text looks like a header, or waivers stand inline, there are only numbers.
    if len(lines) == len(rows):
        places = [f"{path}:{line}" for line in lines]
    else:
        places = [f"{path}: waiver {number}" for number in range(1, len(rows) + 1)]
    return tuple(_waiver(row, place) for row, place in zip(rows, places, strict=True))


def _waiver(row: Mapping[str, object], place: str) -> Waiver:
    for key in row:
        if key not in _KEYS:
            raise UsageError(f"{place}: a waiver knows no {key!r}, only {', '.join(_KEYS)}")
    texts = {}
    for key in _TEXTS:
        value = row.get(key)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f'{place}: a waiver needs {key} = "…", a text that is not empty')
        texts[key] = value
    check = texts["check"]
    if "*" in check[:-1] or check == "*":
        raise UsageError(
            f"{place}: {check!r} is neither a check nor the beginning of some: write an id or capability-*"
        )
    expires = row.get("expires")
    # A datetime is a date to Python, but not to whoever wonders at what hour a waiver ends.
    if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
        raise UsageError(f"{place}: expires must be a date, without quotes or a time: expires = 2027-01-31")
    return Waiver(**texts, expires=expires, place=place)


def require_known(waivers: Iterable[Waiver], checks: Iterable[str]) -> None:
    """Make sure that waivers are of checks that exist.

    Raises:
        UsageError: one is not; it would accept nothing, or tomorrow something else.
    """
    existing = tuple(checks)
    for waiver in waivers:
        if not any(map(waiver.concerns, existing)):
            import difflib

            near = difflib.get_close_matches(waiver.check, existing, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "`isoaudit checks` lists them"
            raise UsageError(f"{waiver.place}: the waiver is of {waiver.check!r}, which is no check: {hint}")
