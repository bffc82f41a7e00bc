"""Kernel bytes to text. Whatever a container can name passes through here once."""

from __future__ import annotations


def text(raw: bytes) -> str:
    r"""Decode; a byte that is not UTF-8 shows as `\xNN` and is neither lost nor a lone surrogate in JSON."""
    return raw.decode("utf-8", "backslashreplace")


def line(raw: bytes) -> str:
    """The one line of a one-line file, without its end and without NULs (attr/current ends in one)."""
    return text(raw.rstrip(b"\0\n"))
