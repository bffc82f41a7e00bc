"""Its security module only complains.

## What it detects
- a process's AppArmor profile is in complain mode: its label (`/proc/PID/attr/current`) ends in `(complain)`;
  of profiles that are stacked on one process, all that confine it are, by the list of loaded profiles
- SELinux is permissive for the whole host (`/sys/fs/selinux/enforce` is 0)

Single SELinux types that are permissive do not show in files of the kernel's: `semanage permissive -l` lists
them.

## Why it matters
What the policy forbids is written to the log and done all the same.

## Remediation
Put the profile, or SELinux, into enforcing mode.

- AppArmor: `aa-enforce /etc/apparmor.d/PROFILE`, or remove `flags=(complain)` from it and load it with
  `apparmor_parser -r`; engine defaults are always enforced: leave out `--security-opt apparmor=PROFILE`
- SELinux: `setenforce 1`, and `SELINUX=enforcing` in /etc/selinux/config

## When it is fine
While a policy is being written, on a machine that has nothing to protect.

## References
- apparmor.d(5) "complain", aa-enforce(8), selinux(8), setenforce(8)
- CIS Docker Benchmark 1.6.0, 5.2 and 5.3
"""

from collections.abc import Mapping

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
from isoaudit.facts.confinement import having
from isoaudit.facts.lsm import APPARMOR, MAJOR, SELINUX, Label, parse_label
from isoaudit.facts.processes import listed, named


@check(severity="medium")
def complain(host: Host, container: Container) -> Outcome:
    if isinstance(host.lsms, Known) and not MAJOR.intersection(host.lsms.value):
        return not_applicable("no security module that confines processes is active on the host")
    raw = require(container.lsm_label)
    label = parse_label(raw)
    if label is None or label.unconfined:
        return not_applicable("no security module's policy is on it")
    evidence = Evidence(container.lsm_label.source, raw, f"{label.name} (enforce)")
    if label.module == SELINUX:
        return _selinux(host, label)
    if label.module != APPARMOR:
        return not_applicable(f"{label.module} has no mode that only complains")
    if label.mode == "complain":
        return fail(f"its AppArmor profile {label.name} is in complain mode and forbids nothing", [evidence])
    if label.mode == "mixed" and (outcome := _mixed(require(host.apparmor_profiles), label, evidence)):
        return outcome
    loose = having(container, lambda other: other.mode == "complain")
    if loose:
        source = loose[0].lsm_label
        return fail(
            f"AppArmor only complains of processes of it: {named(loose)}",
            [Evidence(source.source, require(source), f"{raw}, as the first process")],
        )
    return passed(f"its AppArmor profile {label.name} is in {label.mode} mode", [evidence])


def _selinux(host: Host, label: Label) -> Outcome:
    enforcing = require(host.selinux_enforcing)
    evidence = [Evidence(host.selinux_enforcing.source, str(int(enforcing)), "1")]
    if enforcing:
        return passed(f"SELinux enforces what it says of {label.name}", evidence)
    return fail("SELinux is permissive on the host and forbids nothing", evidence)


def _mixed(loaded: Mapping[str, str], label: Label, evidence: Evidence) -> Outcome | None:
    """Of profiles in different modes that are stacked on it: what one of them enforces is forbidden."""
    modes = [(name, loaded.get(name, "")) for name in label.profiles]
    strict = [name for name, mode in modes if mode in ("enforce", "kill")]
    if strict:
        return None
    unlisted = [name for name, mode in modes if not mode]
    if unlisted:
        reason = f"the list of loaded profiles does not show {listed(unlisted, len(unlisted))}: aa-status may"
        return unknown(reason, evidence.source)
    shown = listed([f"{name} ({mode})" for name, mode in modes], len(modes))
    return fail(f"no AppArmor profile of those that are stacked on it is enforced: {shown}", [evidence])
