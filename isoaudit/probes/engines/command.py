"""Calling an engine's command: with a deadline, and ended with us."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.errors import NothingToAuditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEADLINE = 30.0  # seconds; an engine takes one, a hanging daemon for ever
_GRACE = 3.0  # seconds for what an interrupt came into to be finished, so that it can be undone
_MOST = 1 << 16  # bytes of what a command says
_LOGGED = re.compile(r'level=\w+ msg="((?:[^"\\]|\\.)*)"')  # a line of runc's
_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


class EngineError(NothingToAuditError):
    """An engine that cannot be used, or refuses a container: there is nothing to audit."""


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    def said(self) -> str:
        """What it gave as its reason, on one line."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(("Run '", "See '", "Usage:"))]
        first = (told or lines or [f"it ended with exit code {self.code}"])[0]
        logged = _LOGGED.search(first)
        return (logged[1].replace('\\"', '"') if logged else first)[:400]


def find(name: str) -> str | None:
    """The path of a command; that of root may lack /usr/sbin."""
    return shutil.which(name, path=_PATH)


def call(
    command: Sequence[str],
    *,
    seconds: float = DEADLINE,
    feed: bytes = b"",
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a command to its end.

    Its output goes to memory files: whatever it leaves running would hold a pipe open for ever.

    Args:
        command: an argument list.
        seconds: until it is killed.
        feed: its standard input.
        folder: where it runs.
        environment: variables beside ours.

    Raises:
        EngineError: it was not through in time, or could not be started.
    """
    with (
        io.FileIO(os.memfd_create("in"), "r+") as given,
        io.FileIO(os.memfd_create("out"), "r+") as out,
        io.FileIO(os.memfd_create("err"), "r+") as err,
    ):
        given.write(feed)
        given.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=given,
                stdout=out,
                stderr=err,
                cwd=folder,
                env={**os.environ, "PATH": _PATH, **(environment or {})},
                start_new_session=True,  # a Ctrl-C is ours to pass on, or not
            )
        except OSError as error:
            raise EngineError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            what = " ".join(os.path.basename(word) for word in command[:2])
            raise EngineError(f"{what} did not answer within {seconds:.0f} s, and was killed") from None
        except BaseException:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            _kill(process)
            raise
        out.seek(0)
        err.seek(0)
        return Done(
            process.returncode,
            out.read(_MOST).decode("utf-8", "replace").strip(),
            err.read(_MOST).decode("utf-8", "replace").strip(),
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
