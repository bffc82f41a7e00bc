from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.text import line, text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        ("größe".encode(), "größe"),
        (b"a\xffb", r"a\xffb"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"\xc3", r"\xc3"),
    ],
)
def test_text(raw: bytes, shown: str) -> None:
    assert text(raw) == shown


@given(st.binary())
def test_every_output_can_encode_it(raw: bytes) -> None:
    text(raw).encode()
    json.dumps(text(raw), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"docker-default (enforce)\n", "docker-default (enforce)"),
        (b"unconfined_u:r:t:s0\0", "unconfined_u:r:t:s0"),
        (b"max\n\0", "max"),
        (b"", ""),
        (b"two\nlines\n", "two\nlines"),
        (b" kept \n", " kept "),
    ],
)
def test_line(raw: bytes, shown: str) -> None:
    assert line(raw) == shown
