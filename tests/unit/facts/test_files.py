from __future__ import annotations

import pytest

from isoaudit.facts.files import parse_file_capabilities

NET_RAW = 1 << 13


def xattr(revision: int, permitted: int, *rest: int) -> bytes:
    words = (revision, permitted & 0xFFFFFFFF, 0, permitted >> 32, 0, *rest)
    return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (xattr(0x02000001, NET_RAW), ("CAP_NET_RAW", 0)),
        (xattr(0x02000000, 1 << 38), ("CAP_PERFMON", 0)),
        (xattr(0x03000001, NET_RAW, 100000), ("CAP_NET_RAW", 100000)),
    ],
)
def test_file_capabilities(raw: bytes, expected: tuple[str, int]) -> None:
    assert parse_file_capabilities(raw) == expected


@pytest.mark.parametrize("raw", [b"", xattr(0x02000001, 1, 0), xattr(0x03000001, 1), xattr(0x05000000, 1)])
def test_what_the_kernel_does_not_honour(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no file capabilities"):
        parse_file_capabilities(raw)
