"""Where reports go: files written whole or not at all, standard output, and progress on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from isoaudit.errors import UsageError
from isoaudit.render import ENDINGS, FORMATS, WITH_PAGES, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from isoaudit.registry import Catalogue
    from isoaudit.report import Report

STANDARD_OUTPUT = "-"
_NAME = "isoaudit-report"


class OutputFile:
    """A file that appears under its name only when it is whole.

    It is opened when it is made: what cannot be written is found out before the work, not after.

    Raises:
        UsageError: it cannot be written there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._temporary = ""
        try:
            if os.path.isdir(path):
                raise IsADirectoryError(21, os.strerror(21))
            if _is_special(path):
                # /dev/stdout, a pipe: to be written to, and never to be replaced by a file of that name.
                self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
                return
            import tempfile

            # A new file of an unguessable name: no link that somebody has put there is followed.
            folder = os.path.dirname(path) or "."
            self._fd, self._temporary = tempfile.mkstemp(prefix=f".{_NAME}-", dir=folder)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error

    def write(self, parts: Iterable[str]) -> None:
        """Write everything and give the file its name.

        Raises:
            UsageError: the disk is full, or the folder has changed.
        """
        try:
            descriptor, self._fd = self._fd, -1  # closed from here on, and its number anybody's
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(parts)
                file.flush()
                if self._temporary:
                    os.fsync(file.fileno())
            if self._temporary:
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(self._temporary, 0o666 & ~umask)
                os.replace(self._temporary, self.path)
                self._temporary = ""
        except OSError as error:
            self.discard()
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error

    def discard(self) -> None:
        """Forget a file that was not written."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)


def _is_special(path: str) -> bool:
    """Whether a path is a device, a pipe, or a descriptor of a process, whatever that leads to."""
    if path.startswith("/proc/") or (path.startswith("/dev/") and os.path.islink(path)):
        return os.path.exists(path)
    return os.path.exists(path) and not os.path.isfile(path)


class Target(NamedTuple):
    """One format and where it goes; no file is standard output."""

    kind: str
    file: OutputFile | None


def parse_formats(words: Sequence[str]) -> list[str]:
    """The formats of repeated or comma-separated options, "text" if there are none.

    Raises:
        UsageError: there is no such format.
    """
    kinds: list[str] = []
    for word in words:
        for kind in filter(None, word.split(",")):
            if kind not in FORMATS:
                raise UsageError(f"--format: there is no {kind!r}: use {', '.join(FORMATS)}")
            if kind not in kinds:
                kinds.append(kind)
    return kinds or ["text"]


class Output:
    """Everything that one command writes. A context manager: what was not written is taken away.

    Args:
        formats: as the user gave them.
        path: --output: a file for one format, a folder for several, "-" or "" for standard output.

    Raises:
        UsageError: formats and path do not go together, or cannot be written.
    """

    def __init__(self, formats: Sequence[str], path: str, *, color: bool, quiet: bool) -> None:
        kinds = parse_formats(formats)
        self._color = color and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._quiet = quiet
        self.targets: list[Target] = []
        if path in ("", STANDARD_OUTPUT):
            if len(kinds) > 1:
                raise UsageError("several formats need --output FOLDER")
            self.targets.append(Target(kinds[0], None))
        elif len(kinds) == 1 and not os.path.isdir(path):
            self.targets.append(Target(kinds[0], OutputFile(path)))
        else:
            if not os.path.isdir(path):
                raise UsageError(f"--output: {path} must be an existing folder for several formats")
            for kind in kinds:
                # The summary belongs on the terminal, whatever else is filed.
                to_screen = kind == "text" and len(kinds) > 1
                name = os.path.join(path, f"{_NAME}.{ENDINGS[kind]}")
                self.targets.append(Target(kind, None if to_screen else OutputFile(name)))

    def __enter__(self) -> Output:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for target in self.targets:
            if target.file is not None:
                target.file.discard()

    def needs_catalogue(self) -> bool:
        """Whether a renderer wants the pages of the checks."""
        return any(target.kind in WITH_PAGES for target in self.targets)

    def write(self, report: Report, catalogue: Catalogue | None) -> None:
        """Render and write everything.

        Raises:
            UsageError: a file cannot be written.
        """
        # Files first: what was found must not be lost to a closed terminal.
        for target in sorted(self.targets, key=lambda target: target.file is None):
            if target.kind == "text":
                parts: Iterable[str] = [self._text(report, to_file=target.file is not None)]
            else:
                parts = render(target.kind, report, catalogue)
            if target.file is not None:
                target.file.write(parts)
                say(f"wrote {target.file.path}")
            else:
                write_stdout(parts)

    def _text(self, report: Report, *, to_file: bool) -> str:
        from isoaudit.render.text import render as text

        width = 120 if to_file else _width()
        return text(report, width=width, color=self._color and not to_file, quiet=self._quiet)


def _width() -> int:
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, 60)
    except OSError:
        return 160  # a file or a pipe: no line is cut that a search should find


def write_stdout(parts: Iterable[str]) -> None:
    """Write to standard output; a character that its encoding lacks is escaped rather than fatal."""
    stream = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    stream.writelines(parts)
    stream.flush()


def say(message: str) -> None:
    """Tell the user something beside the report."""
    from isoaudit.render.visible import visible

    sys.stderr.write(f"isoaudit: {visible(message)}\n")


def progress(*, quiet: bool) -> Callable[[str, int, int], None]:
    """Draws progress on standard error, only where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        return lambda _what, _done, _total: None

    def draw(what: str, done: int, total: int) -> None:
        end = "\r\x1b[K" if done >= total else ""
        sys.stderr.write(f"\r\x1b[K{what} {done}/{total} containers{end}")
        sys.stderr.flush()

    return draw
