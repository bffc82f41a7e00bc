"""Options that several commands have, and what they become."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from isoaudit.collect.paths import Paths
from isoaudit.errors import UsageError
from isoaudit.request import HAZARDS, Request

if TYPE_CHECKING:
    from isoaudit.policy import Policy
    from isoaudit.registry import Catalogue

# typer evaluates these at run time, on Python 3.10 too: hence Optional rather than `| None`.
Formats = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--format",
        "-f",
        help="text, json, html, sarif, junit, markdown, csv, prometheus, ocsf or oscal; several at once, "
        "repeated or with commas.",
    ),
]
OutputPath = Annotated[
    str, typer.Option("--output", "-o", help="File, or folder for several formats; - is standard output.")
]
FailOn = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--fail-on", metavar="SEVERITY", help="Exit with 10 if a gap is as bad as this, or worse."),
]
Baseline = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--baseline", metavar="REPORT", help="Gaps of this saved report do not count for the gate."),
]
MinCoverage = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--min-coverage", metavar="PERCENT", help="Exit with 4 if fewer verdicts are decided."),
]
PolicyPath = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--policy", metavar="FILE", help="Policy in TOML; the options here override it."),
]
Select = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--select", metavar="IDS", help="Only these checks or areas; repeated or with commas."),
]
Ignore = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--ignore", metavar="IDS", help="Not these checks or areas."),
]
Probes = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--probes", metavar="CLASS", help="none, safe (default as root), visible or disruptive."),
]
NoPtrace = Annotated[
    bool,
    typer.Option("--no-ptrace", help="Do not stop a thread for a moment to read its seccomp filters."),
]
Sandboxes = Annotated[
    bool, typer.Option("--include-sandboxes", help="Also services of the host that have private mounts.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Gaps and the gate only; no progress.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (as does NO_COLOR).")]
ProcPath = Annotated[str, typer.Option("--proc", metavar="PATH", help="A mounted or captured /proc.")]
SysPath = Annotated[str, typer.Option("--sys", metavar="PATH", help="A mounted or captured /sys.")]
ChecksFolder = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--checks-dir", metavar="FOLDER", help="More checks, from a folder of yours or root's."),
]


def words(values: list[str] | None) -> tuple[str, ...]:
    """The values of an option that may be repeated or hold commas."""
    return tuple(word for value in values or () for word in value.split(",") if word)


def policy_of(
    path: str | None,
    fail_on: str | None,
    select: list[str] | None,
    ignore: list[str] | None,
    *,
    baseline: str | None = None,
    min_coverage: float | None = None,
) -> Policy:
    """The policy of a command: the file's, overridden by options.

    Raises:
        UsageError: either says something that we do not know, or the baseline is no report.
    """
    from isoaudit.policy import Policy, load, percent, severity

    policy = load(path) if path else Policy()
    if fail_on:
        policy = policy._replace(fail_on=severity(fail_on, "--fail-on"))
    if select:
        policy = policy._replace(select=words(select))
    if ignore:
        policy = policy._replace(ignore=policy.ignore + words(ignore))
    if min_coverage is not None:
        policy = policy._replace(min_coverage=percent(min_coverage, "--min-coverage"))
    if baseline:
        from isoaudit.baseline import baseline_of
        from isoaudit.cli.reading import read_text
        from isoaudit.report import Report

        policy = policy._replace(
            baseline=baseline_of(Report.from_json(read_text(baseline), baseline), baseline)
        )
    return policy


def catalogue_of(folder: str | None = None) -> Catalogue:
    """The bundled checks, and a folder's.

    Raises:
        UsageError: the folder's cannot be trusted or loaded.
    """
    from isoaudit.registry import CheckError, load, require_trusted
    from isoaudit.resources import bundled

    catalogue = load(bundled("checks"))
    if folder:
        require_trusted(folder)
        try:
            catalogue = catalogue.merged(load(folder))
        except CheckError as error:
            raise UsageError(f"--checks-dir: {error}") from error
    return catalogue


def request_of(
    *,
    probes: str | None,
    target: str = "",
    sandboxes: bool = False,
    no_ptrace: bool = False,
    proc: str = "/proc",
    sys_path: str = "/sys",
) -> Request:
    """The scan that a command's options ask for.

    Raises:
        UsageError: no such hazard class.
    """
    paths = Paths(proc.rstrip("/") or "/", sys_path.rstrip("/") or "/")
    chosen = probes or ("safe" if os.geteuid() == 0 and paths.live else "none")
    if chosen not in HAZARDS:
        raise UsageError(f"--probes: there is no {chosen!r}: use one of {', '.join(HAZARDS)}")
    return Request(
        paths=paths,
        target=target,
        probes=chosen,
        include_sandboxes=sandboxes,
        ptrace=not no_ptrace,
        command=("isoaudit", *sys.argv[1:]),
    )
