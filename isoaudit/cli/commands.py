"""The commands, in the order of the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.cli import catalogue, collect, container, demo, diff, judge, listing, probe, render, scan

if TYPE_CHECKING:
    from collections.abc import Callable


class Command(NamedTuple):
    """One command and the function that typer reads its options from."""

    name: str
    run: Callable[..., Any]
    help: str
    needs_arguments: bool = False


ALL: tuple[Command, ...] = (
    Command("scan", scan.run, "Audit the host and every container on it."),
    Command("container", container.run, "Audit one container.", needs_arguments=True),
    Command("list", listing.run, "List the containers on this host."),
    Command("checks", catalogue.checks, "List the catalogue."),
    Command("explain", catalogue.explain, "Show the page of a check.", needs_arguments=True),
    Command("collect", collect.run, "Read the facts of this host into a snapshot, without judging."),
    Command("judge", judge.run, "Judge a snapshot, anywhere.", needs_arguments=True),
    Command("render", render.run, "Draw a saved report in another format.", needs_arguments=True),
    Command("diff", diff.run, "Compare two saved reports: new, fixed, unchanged.", needs_arguments=True),
    Command("probe", probe.run, "Audit a test container of an engine, a bundle, Compose or a pod."),
    Command("demo", demo.run, "Start three test containers, audit them, remove them."),
)
