"""The vocabulary: readings, evidence, outcomes and findings.

A reading is what one kernel interface said, or why it could not be read. Checks turn readings into
outcomes; the engine turns outcomes into findings. Everything here is immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar, Union

if TYPE_CHECKING:
    from collections.abc import Sequence

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A value and the place that said so (a path, a system call, a probe)."""

    value: T_co
    source: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be read: where it would have stood, why not, and so how to see it."""

    source: str
    reason: str


Reading: TypeAlias = Union[Known[T], Unknown]  # noqa: UP007  `|` of a generic class needs Python 3.14


class FactMissing(Exception):  # noqa: N818  it is a signal of the engine's, not an error of anybody's
    """A check needs a fact that could not be read; the engine answers `unknown` for it."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


def require(reading: Reading[T]) -> T:
    """The value of a reading; where there is none, end the check as `unknown` with the reading's reason."""
    if isinstance(reading, Known):
        return reading.value
    raise FactMissing(reading.source, reading.reason)


class Verdict(str, Enum):
    """How a check came out, in XCCDF's words."""

    PASS = "pass"  # noqa: S105  not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"


class Basis(str, Enum):
    """How a verdict is known, strongest first."""

    PROVEN = "proven"
    OBSERVED = "observed"
    INFERRED = "inferred"


class Severity(str, Enum):
    """What a gap gives to the container that has it; worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


SEVERITIES: tuple[Severity, ...] = tuple(Severity)
_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def at_least(severity: Severity | str, threshold: Severity | str) -> bool:
    """Whether a severity is as bad as a threshold, or worse."""
    return _RANK[Severity(severity)] <= _RANK[Severity(threshold)]


class Evidence(NamedTuple):
    """What was seen, verbatim, where, and what would have been fine."""

    source: str
    observed: str
    expected: str = ""


class Outcome(NamedTuple):
    """What a check says of one subject. Made by `passed`, `fail`, `not_applicable` and `unknown`."""

    verdict: Verdict
    message: str
    evidence: tuple[Evidence, ...] = ()
    severity: Severity | None = None  # None: the check's default
    basis: Basis = Basis.OBSERVED
    inherent: bool = False
    remediation: str = ""  # "": the first paragraph of the check's page
    reproduce: str = ""  # "": made from the evidence's sources


def passed(message: str, evidence: Sequence[Evidence] = (), *, basis: Basis = Basis.OBSERVED) -> Outcome:
    """The wall stands; the message says what was seen of it."""
    return Outcome(Verdict.PASS, message, tuple(evidence), None, basis)


def fail(
    message: str,
    evidence: Sequence[Evidence] = (),
    *,
    severity: Severity | str | None = None,
    basis: Basis = Basis.OBSERVED,
    inherent: bool = False,
    remediation: str = "",
    reproduce: str = "",
) -> Outcome:
    """There is a gap.

    Args:
        message: one sentence of what the gap is for this subject, without a full stop.
        evidence: what was seen, where.
        severity: where this subject's other walls make it differ from the check's default.
        basis: how it is known.
        inherent: no setting can close it: the kernel has no namespace for it.
        remediation: where the page's own first paragraph does not fit.
        reproduce: a command that shows it, where reading the evidence's sources does not.
    """
    return Outcome(
        Verdict.FAIL,
        message,
        tuple(evidence),
        None if severity is None else Severity(severity),
        basis,
        inherent,
        remediation,
        reproduce,
    )


def not_applicable(message: str) -> Outcome:
    """The question does not arise for this subject."""
    return Outcome(Verdict.NOT_APPLICABLE, message)


def unknown(reason: str, source: str = "") -> Outcome:
    """It could not be decided; the reason says how it could be."""
    return Outcome(Verdict.UNKNOWN, reason, (Evidence(source, "not readable"),) if source else ())


class Subject(NamedTuple):
    """What a finding is about: the host, or the container with that key."""

    kind: str
    key: str


HOST = Subject("host", "host")
