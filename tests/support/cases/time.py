"""Cases of checks/time."""

from __future__ import annotations

from isoaudit.model import Severity, Verdict
from support.cases import Case

CASES = (Case("time-clock-not-namespaced", Verdict.FAIL, "always", severity=Severity.INFO, inherent=True),)

NEVER = {
    ("time-clock-not-namespaced", Verdict.PASS): "the clock has no namespace on any kernel",
    ("time-clock-not-namespaced", Verdict.UNKNOWN): "nothing needs to be read to know it",
}
