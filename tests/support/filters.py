"""Seccomp filters for tests: those of real containers, and small ones built for one purpose."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from errno import EPERM
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from isoaudit.facts.seccomp import Filter, FilterStack
from isoaudit.kernel import calls, cbpf
from isoaudit.model import Known, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOURCE = "PTRACE_SECCOMP_GET_FILTER of thread 4242"
X86 = ("x86_64", "i386")
_LOAD, _EQUAL, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06


def assemble(*instructions: tuple[int, int, int, int]) -> str:
    """A program from (code, jump if true, jump if false, operand)."""
    return b"".join(struct.pack("<HBBI", *one) for one in instructions).hex()


@lru_cache(maxsize=8)
def captured(name: str) -> str:
    """The program of a real container: docker-20.10.24, docker-29.4.2, docker-29.4.3 or podman-4.3.1."""
    text = (Path(__file__).parent / "data/filters.json").read_text()
    return zlib.decompress(base64.b85decode(json.loads(text)["programs"][name])).hex()


def program(
    *,
    deny: Iterable[str] = (),
    allow: Iterable[str] | None = None,
    error: int = EPERM,
    pinned: bool = True,
    x32_guard: bool = True,
    architecture: str = "x86_64",
) -> str:
    """A filter that lets all calls through but some, or none but some.

    Args:
        deny: the calls that get `error`; all others pass. Left out where `allow` is given.
        allow: the calls that pass; all others get `error`.
        error: an errno, or with bits above 16 a whole return value (`cbpf.KILL_PROCESS`).
        pinned: it kills what comes by another architecture; else it takes the numbers as they come.
        x32_guard: it kills numbers with the x32 bit.
        architecture: whose numbers.
    """
    refusal = error if error > cbpf.DATA or error == cbpf.KILL_THREAD else cbpf.ERRNO | error
    listed, rest = (refusal, cbpf.ALLOW) if allow is None else (cbpf.ALLOW, refusal)
    table = calls.table(architecture)
    return assemble(
        *(
            ((_LOAD, 0, 0, 4), (_EQUAL, 1, 0, calls.AUDIT[architecture]), (_RETURN, 0, 0, cbpf.KILL_PROCESS))
            * pinned
        ),
        (_LOAD, 0, 0, 0),
        *(((_NOT_BELOW, 0, 1, calls.X32_BIT), (_RETURN, 0, 0, cbpf.KILL_PROCESS)) * x32_guard),
        *(
            one
            for name in (deny if allow is None else allow)
            for one in ((_EQUAL, 0, 1, table[name]), (_RETURN, 0, 0, listed))
        ),
        (_RETURN, 0, 0, rest),
    )


def stack(
    *programs: str,
    pids: Sequence[int] = (4242,),
    architectures: tuple[str, ...] = X86,
    inferred: bool = False,
) -> FilterStack:
    """The stack of some processes' first threads; the newest program first."""
    filters = Known(tuple(Filter(one, 0) for one in programs), SOURCE)
    return FilterStack(tuple((pid, pid) for pid in pids), filters, inferred, architectures)


def real(name: str, pids: Sequence[int] = (4242,)) -> Reading[tuple[FilterStack, ...]]:
    """A container whose processes all have a real container's filter."""
    return Known((stack(captured(name), pids=pids),), SOURCE)
