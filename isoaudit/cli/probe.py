"""`isoaudit probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from isoaudit.cli import options
from isoaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoaudit.collect.containers import Named
    from isoaudit.policy import Policy
    from isoaudit.probes.configuration import Wanted
    from isoaudit.probes.engines.trial import Tried
    from isoaudit.probes.settings import Document
    from isoaudit.report import Report
    from isoaudit.request import Request
    from isoaudit.scan import Scope


def run(
    *,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="NAME", help="native, runc, crun, podman, docker; all compares those installed."
        ),
    ] = "",
    flags: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--with", metavar="FLAGS", help="As for `docker run`: '--cap-add SYS_TIME --user 1000'."),
    ] = None,
    oci_bundle: Annotated[
        str, typer.Option("--oci-bundle", metavar="FOLDER", help="By the config.json of a bundle.")
    ] = "",
    compose: Annotated[
        str, typer.Option("--compose", metavar="FILE", help="By the services of a Compose file.")
    ] = "",
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="Only this one of them.")] = "",
    pod: Annotated[
        str, typer.Option("--pod", metavar="FILE", help="By a manifest's pod: a Pod, a Deployment, ….")
    ] = "",
    container: Annotated[
        str, typer.Option("--container", metavar="NAME", help="Only this one of the pod's.")
    ] = "",
    formats: options.Formats = None,
    output: options.OutputPath = "",
    fail_on: options.FailOn = None,
    policy_path: options.PolicyPath = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    probes: options.Probes = None,
    no_ptrace: options.NoPtrace = False,
    checks_dir: options.ChecksFolder = None,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Start a container as an engine would, audit it, remove it."""
    from isoaudit.cli.output import Output, say
    from isoaudit.probes.engines.trial import Trial
    from isoaudit.probes.prober import available

    _require_engine(engine)
    wanted, bundle, notices = _wanted(
        flags or [], oci_bundle=oci_bundle, compose=compose, service=service, pod=pod, container=container
    )
    request = options.request_of(probes=probes, no_ptrace=no_ptrace)
    policy = options.policy_of(policy_path, fail_on, select, ignore)
    reason = available()
    if reason:
        raise UsageError(f"`isoaudit probe` needs to start containers, and cannot: {reason}")
    with Output(formats or [], output, color=not no_color, quiet=quiet) as out:
        trial = Trial(engine)
        try:
            with trial:
                tried = trial.start(wanted, bundle)
                report, code = _audit(request, policy, tried, checks_dir, quiet=quiet)
        finally:
            for left in trial.left:
                say(f"could not be removed, the next run tries again: {left}")
        report.scan["notices"] = list(dict.fromkeys([*notices, *trial.notices, *report.scan["notices"]]))
        out.write(report, options.catalogue_of(checks_dir) if out.needs_catalogue() else None)
        _compare(report, [target.kind for target in out.targets if target.file is None])
    raise typer.Exit(code)


def _require_engine(name: str) -> None:
    from isoaudit.probes.engines import NAMES
    from isoaudit.probes.engines.trial import ALL

    if name not in ("", ALL, *NAMES):
        raise UsageError(f"--engine: there is no {name!r}: use one of {', '.join((*NAMES, ALL))}")


def _wanted(
    flags: Sequence[str], *, oci_bundle: str, compose: str, service: str, pod: str, container: str
) -> tuple[Sequence[Wanted], Document | None, list[str]]:
    """What containers are to be started, over which bundle, and what of their sources is not followed.

    Raises:
        UsageError: options do not go together, or a file cannot be used.
    """
    from isoaudit.probes.configuration import Configuration, Wanted
    from isoaudit.probes.flags import parse_flags

    if sum(map(bool, (oci_bundle, compose, pod))) > 1:
        raise UsageError("one of --oci-bundle, --compose and --pod, not several")
    if service and not compose:
        raise UsageError("--service: of which --compose FILE?")
    if container and not pod:
        raise UsageError("--container: of which --pod FILE?")
    bundle: Document | None = None
    notices: list[str] = []
    sources: Sequence[Wanted] = [Wanted()]
    if oci_bundle:
        from isoaudit.probes.bundle import harmless, load

        bundle, notices = harmless(load(oci_bundle))
    elif compose:
        from isoaudit.probes.compose import services

        sources = services(compose, service)
    elif pod:
        from isoaudit.probes.pod import containers

        sources = containers(pod, container)
    several = len(sources) > 1
    made = []
    for one in sources:
        asked: Configuration = one.configuration
        for text in flags:
            asked = parse_flags(text, asked)
        made.append(one._replace(configuration=asked))
        notices += [f"{one.name}: {notice}" if several else notice for notice in one.notices]
    return made, bundle, notices


def _audit(
    request: Request, policy: Policy, tried: Sequence[Tried], checks_dir: str | None, *, quiet: bool
) -> tuple[Report, int]:
    from isoaudit import frameworks, scan
    from isoaudit.cli.output import progress
    from isoaudit.gate import exit_code

    request = request._replace(only=tuple(one.pid for one in tried))
    scope = _named(scan.look(request), tried)
    if len(scope.named) != len(tried):
        seen = {named.identity.key for named in scope.named}
        lost = ", ".join(one.key for one in tried if one.key not in seen)
        raise UsageError(f"{lost}: in no namespace and no root of its own, it is no container to audit")
    catalogue = options.catalogue_of(checks_dir)
    report = scan.audit(request, catalogue, policy, frameworks.load(), progress(quiet=quiet), scope)
    return report, exit_code(report)


def _named(scope: Scope, tried: Sequence[Tried]) -> Scope:
    """A scope in which test containers have the names of their engines, the same in each run."""
    by_pid = {one.pid: one for one in tried}

    def renamed(named: Named) -> Named:
        one = by_pid.get(named.identity.pid)
        if one is None:
            return named
        return named._replace(
            identity=named.identity._replace(key=one.key, name=one.key, image="", runtime=one.engine)
        )

    rename: Callable[[Sequence[Named]], tuple[Named, ...]] = lambda many: tuple(map(renamed, many))  # noqa: E731
    return scope._replace(named=rename(scope.named), everything=rename(scope.everything))


def _compare(report: Report, kinds: Sequence[str]) -> None:
    """The matrix of engines and gaps, below a report that is read on a terminal."""
    if "text" in kinds and len(report.containers) > 1:
        from isoaudit.cli.output import write_stdout
        from isoaudit.render.comparison import comparison

        write_stdout(["\n", comparison(report)])
