"""What a device program of cgroup v2 allows, as rules (cgroup-v2.rst, "Device controller").

A program of type BPF_PROG_TYPE_CGROUP_DEVICE is run at each mknod(2) and each open(2) of a device with `struct
bpf_cgroup_dev_ctx` (include/uapi/linux/bpf.h): access << 16 | kind, major, minor. It answers 1 or 0. There are
two kinds and four requests, and for each of these eight the program is taken apart over all numbers that a
dev_t can hold, so that what is said here of it is exact (`isoaudit.kernel.ebpf`).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isoaudit.facts.devices import BLOCK, CHARACTER, REQUESTS
from isoaudit.kernel.ebpf import NotUnderstoodError, decode, partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isoaudit.kernel.ebpf import Box, Span

T = TypeVar("T")

_KINDS = {BLOCK: 1, CHARACTER: 2}  # BPF_DEVCG_DEV_BLOCK, _CHAR
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, _READ, _WRITE
# include/linux/kdev_t.h: a dev_t has 12 bits of major and 20 of minor number.
_MAJORS, _MINORS = (0, (1 << 12) - 1), (0, (1 << 20) - 1)
# Containers of one engine have one program: it is taken apart once for all of them.
_PROGRAMS = 256


class Region(NamedTuple):
    """Device numbers for which a program allows the same."""

    kind: str
    majors: Span
    minors: Span
    access: str  # a subset of "rwm"

    @property
    def text(self) -> str:
        """As devices.list would spell it, with ranges where that has none: "c 136-143:* rw"."""
        return f"{self.kind} {_text(self.majors, _MAJORS)}:{_text(self.minors, _MINORS)} {self.access}"


def _text(span: Span, whole: Span) -> str:
    if span == whole:
        return "*"
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"


class ProgramRules:
    """All that one program allows. Equal programs have one of these, so that it stands for them in caches."""

    def __init__(self, answers: Mapping[tuple[str, str], Sequence[Box]]) -> None:
        self._allowed = {key: [box for box in boxes if box.result] for key, boxes in answers.items()}
        self.unrestricted = all(
            box.result for (_, request), boxes in answers.items() if request != "m" for box in boxes
        )
        self.regions = tuple(region for kind in _KINDS for region in self._regions(kind))

    def allows(self, kind: str, major: int, minor: int, request: str) -> bool:
        """Whether the program lets one request for a device through: "r", "w", "rw" or "m"."""
        return any(
            first[0] <= major <= first[1] and second[0] <= minor <= second[1]
            for first, second, _ in self._allowed[kind, request]
        )

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that the program amounts to; what none of them allows is denied."""
        return tuple(region.text for region in self.regions)

    @property
    def named(self) -> tuple[tuple[str, int, int], ...]:
        """A number out of each region that the program tells apart by its major."""
        return tuple(
            (region.kind, region.majors[0], region.minors[0])
            for region in self.regions
            if region.majors != _MAJORS
        )

    def _regions(self, kind: str) -> Iterable[Region]:
        """The regions of a kind: what holds for all numbers, then what more a major has, then a minor."""
        columns = self._columns(kind)
        always = _common(access for _, column in columns for _, access in column)
        if always:
            yield Region(kind, _MAJORS, _MINORS, always)
        for majors, column in columns:
            usual = _common(access for _, access in column)
            if usual != always:
                yield Region(kind, majors, _MINORS, usual)
            for minors, access in column:
                if access != usual:
                    yield Region(kind, majors, minors, access)

    def _columns(self, kind: str) -> list[tuple[Span, list[tuple[Span, str]]]]:
        """By spans of majors with one answer: spans of minors and what is allowed for them."""
        columns = []
        boxes = [(box, request) for request in REQUESTS for box in self._allowed[kind, request]]
        for majors in _cuts((box.first for box, _ in boxes), _MAJORS):
            here = [(box.second, r) for box, r in boxes if box.first[0] <= majors[0] <= box.first[1]]
            column = [
                (minors, _access(r for second, r in here if second[0] <= minors[0] <= second[1]))
                for minors in _cuts((second for second, _ in here), _MINORS)
            ]
            columns.append((majors, _joined(column)))
        return _joined(columns)


def _access(requests: Iterable[str]) -> str:
    letters = set("".join(requests))
    return "".join(letter for letter in "rwm" if letter in letters)


def _common(accesses: Iterable[str]) -> str:
    found = tuple(map(set, accesses))
    return "".join(letter for letter in "rwm" if all(letter in one for one in found))


def _cuts(spans: Iterable[Span], whole: Span) -> list[Span]:
    """The smallest spans that lie in each of some spans whole or not at all."""
    starts = {whole[0], whole[1] + 1}
    for first, last in spans:
        starts |= {first, last + 1}
    return [(start, following - 1) for start, following in pairwise(sorted(starts))]


def _joined(spans: Iterable[tuple[Span, T]]) -> list[tuple[Span, T]]:
    """Neighbours that have the same made one."""
    found: list[tuple[Span, T]] = []
    for (first, last), what in spans:
        start = found.pop()[0][0] if found and found[-1][1] == what else first
        found.append(((start, last), what))
    return found


@lru_cache(maxsize=_PROGRAMS)
def program_rules(instructions: str) -> ProgramRules | NotUnderstoodError:
    """What a program allows, or what of it is not followed.

    Args:
        instructions: hexadecimal, as in `DeviceProgram`.
    """
    try:
        program = decode(bytes.fromhex(instructions))
        return ProgramRules(
            {
                (kind, request): partition(
                    program, sum(map(_ACCESS.__getitem__, request)) << 16 | number, _MAJORS, _MINORS
                )
                for kind, number in _KINDS.items()
                for request in REQUESTS
            }
        )
    except NotUnderstoodError as error:
        return error
    except ValueError:  # a snapshot can hold anything
        return NotUnderstoodError("its instructions are no hexadecimal number")
