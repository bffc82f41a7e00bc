"""The typer application: its commands, and how each way of failing becomes a line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Optional

import typer

from isoaudit.cli import commands
from isoaudit.errors import EXIT_FAILED, EXIT_INTERRUPTED, IsoauditError

app = typer.Typer(
    name="isoaudit",
    help="Find the gaps in container isolation on this host, and prove them.",
    no_args_is_help=True,
    # A traceback of typer's shows locals: container text, unescaped, on a terminal.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001  typer's callback
    if value:
        from isoaudit._version import __version__

        typer.echo(f"isoaudit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        Optional[bool],  # noqa: UP045  typer evaluates it on Python 3.10
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit."),
    ] = None,
) -> None:
    pass


for _command in commands.ALL:
    app.command(_command.name, help=_command.help, no_args_is_help=_command.needs_arguments)(_command.run)


def _terminate(number: int, _frame: object) -> None:
    """End as by Ctrl-C: whatever was started is taken away on the way out."""
    raise SystemExit(128 + number)


def run() -> int:
    """Run the command of `sys.argv`; the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    except IsoauditError as error:
        from isoaudit.render.visible import visible

        sys.stderr.write(f"isoaudit: {visible(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("isoaudit: interrupted; nothing was left behind\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return 0
