"""Reading what a user hands to us."""

from __future__ import annotations

import sys

from isoaudit.errors import UsageError


def read_text(path: str) -> str:
    """The text of a file, or of standard input for "-".

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
