"""Cgroups for tests of pure functions: what each level says, from the leaf up."""

from __future__ import annotations

from isoaudit.facts.cgroup import Cgroup, Membership
from isoaudit.model import Known, Reading, Unknown


def chain(*values: str | Unknown) -> tuple[Reading[str], ...]:
    return tuple(
        value if isinstance(value, Unknown) else Known(value, f"level {depth}")
        for depth, value in enumerate(values)
    )


def cgroup(*memberships: Membership, host: dict[str, str] | None = None, **files: object) -> Cgroup:
    settings = {
        name.replace("__", "."): chain(*(value if isinstance(value, tuple) else (value,)))
        for name, value in files.items()
    }
    return Cgroup(memberships, settings, host or {})


def v1(controller: str, path: str) -> Membership:
    return Membership(4, (controller,), path)


def v2(path: str) -> Membership:
    return Membership(0, (), path)
