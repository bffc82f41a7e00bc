"""Its AppArmor profile only complains.

## What it detects
The AppArmor profile of the first process is in complain mode (`/proc/PID/attr/current` ends in `(complain)`).

## Why it matters
What the profile forbids is written to the log and done all the same.

## Remediation
Put the profile into enforce mode.

- `aa-enforce /etc/apparmor.d/PROFILE`, or remove `flags=(complain)` from it and load it with `apparmor_parser
  -r`
- engine defaults are always enforced: leave out `--security-opt apparmor=PROFILE`

## When it is fine
While a profile is being written, on a machine that has nothing to protect.

## References
- apparmor.d(5) "complain", aa-enforce(8)
- CIS Docker Benchmark 1.6.0, 5.2
"""

from isoaudit import (
    Container,
    Evidence,
    Host,
    Known,
    Outcome,
    check,
    fail,
    not_applicable,
    passed,
    require,
    unknown,
)
from isoaudit.facts.lsm import APPARMOR, MAJOR, parse_label


@check(severity="medium")
def complain(host: Host, container: Container) -> Outcome:
    if isinstance(host.lsms, Known) and not MAJOR.intersection(host.lsms.value):
        return not_applicable("no security module that confines processes is active on the host")
    raw = require(container.lsm_label)
    label = parse_label(raw)
    if label is None or label.module != APPARMOR or label.unconfined:
        return not_applicable("no AppArmor profile is on it")
    evidence = [Evidence(container.lsm_label.source, raw, f"{label.name} (enforce)")]
    if label.mode == "complain":
        return fail(f"its AppArmor profile {label.name} is in complain mode and forbids nothing", evidence)
    if label.mode == "mixed":
        return unknown(
            "profiles of different modes are stacked on it: aa-status shows each", container.lsm_label.source
        )
    return passed(f"its AppArmor profile {label.name} is in {label.mode} mode", evidence)
