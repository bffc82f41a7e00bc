from __future__ import annotations

import errno

import pytest

from isoaudit.kernel import syscalls
from isoaudit.probes import prober


def test_an_ordinary_user_cannot_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert prober.available() == "test containers need root"


def test_root_without_capabilities_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("isoaudit.kernel.credentials.permitted", lambda: 0)
    assert "CAP_SYS_ADMIN" in (prober.available() or "")


def test_a_machine_without_numbers_cannot_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(syscalls, "_TABLE", None)
    assert "system-call numbers" in (prober.available() or "")
    with pytest.raises(OSError, match="not known here") as caught:
        syscalls.number("mount")
    assert caught.value.errno == errno.ENOSYS


def test_a_call_that_this_machine_does_not_have_is_answered_as_a_kernel_without_it_would() -> None:
    with pytest.raises(OSError, match="not implemented") as caught:
        syscalls.call("no_such_call")
    assert caught.value.errno == errno.ENOSYS
