from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoaudit.facts.kernel_build import parse_config, parse_modules

WANTED = frozenset({"TIPC", "KEYS", "XFS_FS", "6PACK"})
CONFIG = b"""\
#
# Automatically generated file; DO NOT EDIT.
CONFIG_KEYS=y
CONFIG_TIPC=m
CONFIG_TIPC_MEDIA_UDP=y
# CONFIG_XFS_FS is not set
CONFIG_6PACK=m
CONFIG_HZ=250
"""


def test_config() -> None:
    build = parse_config(CONFIG, WANTED)
    assert [build.option(name) for name in ("KEYS", "TIPC", "6PACK", "XFS_FS", "TIPC_MEDIA_UDP")] == [
        "y",
        "m",
        "m",
        "",
        "",
    ]


@pytest.mark.parametrize("raw", [b"", b"CONFIG_HZ=250\n", b"\0" * 100])
def test_what_sets_nothing_is_no_configuration(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no option"):
        parse_config(raw, WANTED)


def test_modules() -> None:
    raw = b"nf_tables 356352 0 - Live 0x0000000000000000\ntipc 1 0 - Live 0x0 (O)\n"
    assert parse_modules(raw) == {"nf_tables", "tipc"}
    assert parse_modules(b"") == frozenset()


@given(st.binary(max_size=200))
def test_modules_of_anything(raw: bytes) -> None:
    assert all(name and " " not in name for name in parse_modules(raw))
