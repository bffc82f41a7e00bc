from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from isoaudit.collect.tree import (
    parsed,
    read,
    read_fd,
    read_file,
    read_line,
    read_record,
    read_regular,
    refused,
)
from isoaudit.model import Known, Unknown


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = os.urandom(300_000)
    path.write_bytes(content)
    assert read_file(str(path)) == content
    assert read_record(str(path)) == content
    assert read_regular(str(path), 300_000) == content


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert read_file(str(path)) == b""
    assert read_record(str(path)) == b""
    assert read_line(str(path)) == Known("", str(path))


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_limit_holds_whatever_the_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    with pytest.raises(OSError, match="larger than") as caught:
        read_regular(str(path), size - 1)
    assert caught.value.errno == errno.EFBIG


def test_a_file_without_end_is_given_up(tmp_path: Path) -> None:
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="larger than"):
            read_fd(fd, 1 << 20)
    finally:
        os.close(fd)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("fifo", "link", "."):
        with pytest.raises(OSError) as caught:  # noqa: PT011  the errno is asserted
            read_regular(str(tmp_path / name), 100)
        assert caught.value.errno in (errno.EINVAL, errno.EISDIR)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular("/dev/zero", 100)


def test_a_reading_says_where_and_why(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    assert read(path, int) == Unknown(path, "ENOENT: No such file or directory")
    (tmp_path / "none").write_text("many")
    reading = read(path, int)
    assert isinstance(reading, Unknown)
    assert reading.reason.startswith("not understood: ")
    assert parsed(b"", "x", lambda raw: raw.split()[0]) == Unknown(
        "x", "not understood: list index out of range"
    )


@pytest.mark.parametrize(("uid", "hint"), [(1000, "run isoaudit as root"), (0, "even to this root")])
def test_a_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch, uid: int, hint: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for number in (errno.EACCES, errno.EPERM):
        assert hint in refused(OSError(number, os.strerror(number)), "x").reason
    assert hint not in refused(OSError(errno.EIO, "Input/output error"), "x").reason
    assert refused(OSError("odd"), "x") == Unknown("x", "error: odd")
