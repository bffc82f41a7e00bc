"""The catalogue: check functions, the decorator that declares them, and the loader of check folders.

A check lives in `checks/<area>/<gap>.py`; its id is `<area>-<gap>` in kebab-case. The file's docstring is
its page. A check takes what it judges by parameter name: `host`, `container`, `peers`; `routes` are the ways
out that the findings of all other checks make together.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from isoaudit.errors import UsageError
from isoaudit.model import Outcome, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Judge = Callable[..., Outcome]
F = TypeVar("F", bound=Judge)

_PARAMETERS = frozenset({"host", "container", "peers", "routes"})
_STEM = re.compile(r"[a-z][a-z0-9_]*")
_DECLARED = "__isoaudit_declared__"


class Page:
    """A check's docstring, by its headings. Taken apart when it is asked for: a scan needs few of them.

    Args:
        docstring: as it stands in the file.
        title: of one member of a family; "" is the page's own.
    """

    def __init__(self, docstring: str, title: str = "") -> None:
        self._docstring = docstring
        self._title = title

    @cached_property
    def text(self) -> str:
        """The whole, as written."""
        return inspect.cleandoc(self._docstring)

    @property
    def title(self) -> str:
        """Its first line."""
        return self._title or self.text.partition("\n")[0].strip().rstrip(".")

    @cached_property
    def sections(self) -> Mapping[str, str]:
        """What stands under each heading: "What it detects", "Why it matters", "Remediation" and more."""
        sections: dict[str, str] = {}
        for part in re.split(r"^## ", self.text.partition("\n")[2], flags=re.MULTILINE)[1:]:
            heading, _, body = part.partition("\n")
            sections[heading.strip()] = body.strip()
        return sections

    @cached_property
    def remediation(self) -> str:
        """The first paragraph of Remediation as one line: what to do, in a sentence."""
        first = self.sections.get("Remediation", "").split("\n\n", 1)[0]
        return " ".join(first.split())


class Check(NamedTuple):
    """One entry of the catalogue."""

    id: str
    subject: str  # "host" or "container"
    severity: Severity  # the usual case
    judge: Judge
    parameters: tuple[str, ...]
    page: Page
    path: str

    @property
    def area(self) -> str:
        """The folder it lies in, as its id has it."""
        return os.path.basename(os.path.dirname(self.path)).replace("_", "-")


class _Declaration(NamedTuple):
    name: str  # the gap, with underscores
    severity: Severity
    judge: Judge
    title: str  # "": the page's own


def check(*, severity: Severity | str) -> Callable[[F], F]:
    """Declare a check: the function's name is the gap, and its file's.

    Args:
        severity: of the usual case; an outcome may say otherwise for one subject.
    """
    rank = Severity(severity)

    def declare(function: F) -> F:
        _declared(function).append(_Declaration(function.__name__, rank, function, ""))
        return function

    return declare


class Variant(NamedTuple):
    """One member of a family: its gap (underscores), severity and title, and what the judge is told."""

    gap: str
    severity: Severity | str
    title: str
    value: Any = None


def family(variants: Iterable[Variant]) -> Callable[[F], F]:
    """Declare alike checks that share one page: the judge gets its variant as the keyword `variant`."""
    members = tuple(variants)

    def declare(function: F) -> F:
        for variant in members:
            _declared(function).append(
                _Declaration(
                    variant.gap,
                    Severity(variant.severity),
                    partial(function, variant=variant),
                    variant.title,
                )
            )
        return function

    return declare


def _declared(function: Judge) -> list[_Declaration]:
    declarations: list[_Declaration] = function.__globals__.setdefault(_DECLARED, [])
    return declarations


class CheckError(Exception):
    """A file of checks cannot be used; the message says which and why."""


def _checks_of(module: ModuleType, area: str, stem: str, path: str) -> Iterator[Check]:
    declarations: list[_Declaration] = getattr(module, _DECLARED, [])
    if not declarations:
        raise CheckError(f"{path}: declares no check")
    if not module.__doc__:
        raise CheckError(f"{path}: has no docstring to be its page")
    page = Page(module.__doc__)
    for declaration in declarations:
        if len(declarations) == 1 and declaration.name != stem:
            raise CheckError(f"{path}: declares {declaration.name!r}; a lone check is named as its file")
        function = declaration.judge.func if isinstance(declaration.judge, partial) else declaration.judge
        # The code object knows its parameters without inspect's 20 µs a function at start-up.
        code = function.__code__
        parameters = tuple(code.co_varnames[: code.co_argcount])
        if not parameters or not _PARAMETERS.issuperset(parameters):
            raise CheckError(
                f"{path}: {declaration.name} may take host, container, peers and routes, not {parameters}"
            )
        yield Check(
            id=f"{area}-{declaration.name}".replace("_", "-"),
            subject="container" if {"container", "routes"} & set(parameters) else "host",
            severity=declaration.severity,
            judge=declaration.judge,
            parameters=parameters,
            page=Page(module.__doc__, declaration.title) if declaration.title else page,
            path=path,
        )


def _import(path: str, name: str) -> ModuleType:
    # Without a spec, which would cost a third of the loading.
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # before execution: classes and pickles look their module up there
    try:
        SourceFileLoader(name, path).exec_module(module)
    except Exception as error:  # a pack's code may raise anything: one of our two broad excepts
        del sys.modules[name]
        raise CheckError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _files(folder: str) -> Iterator[tuple[str, str, str]]:
    """Area, stem and path of every check file in a folder, sorted."""
    for area in sorted(os.listdir(folder)):
        inside = f"{folder}/{area}"
        if area.startswith((".", "_")) or not os.path.isdir(inside):
            continue
        for name in sorted(os.listdir(inside)):
            stem, dot, ending = name.rpartition(".")
            if dot and ending == "py" and not stem.startswith("_"):
                if not _STEM.fullmatch(stem) or not _STEM.fullmatch(area):
                    raise CheckError(f"{inside}/{name}: folder and file must be in snake_case")
                yield area, stem, f"{inside}/{name}"


def load(folder: str) -> Catalogue:
    """Load every check of a folder.

    Raises:
        CheckError: a file cannot be loaded, or two checks have one id.
    """
    checks: dict[str, Check] = {}
    digest = hashlib.sha256()
    package = f"isoaudit_checks_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"
    for area, stem, path in _files(folder):
        with open(path, "rb") as file:
            digest.update(f"{area}/{stem}\0".encode() + file.read() + b"\0")
        module = _import(path, f"{package}.{area}.{stem}")
        for found in _checks_of(module, area, stem, path):
            if found.id in checks:
                raise CheckError(f"{path}: {found.id} is already declared in {checks[found.id].path}")
            checks[found.id] = found
    return Catalogue(tuple(checks[key] for key in sorted(checks)), digest.hexdigest())


def require_trusted(folder: str) -> None:
    """Refuse a folder of checks that somebody else could have written: its code runs as us.

    Raises:
        UsageError: the folder, a file in it or a folder above is owned by another user, or others can write it.
    """
    paths = [folder]
    try:
        for above in _ancestors(folder):
            info = os.lstat(above)
            if info.st_uid not in (0, os.geteuid()):
                raise UsageError(f"--checks-dir: {above} belongs to another user, who could swap what is below")
            # In a sticky folder such as /tmp only owners can rename.
            writable = not stat.S_ISLNK(info.st_mode) and info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if writable and not info.st_mode & stat.S_ISVTX:
                raise UsageError(f"--checks-dir: {above} can be written by others: chmod go-w it first")
        for parent, folders, files in os.walk(folder, onerror=_raise):
            paths.extend(os.path.join(parent, name) for name in (*folders, *files))
        for path in paths:
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode) or info.st_uid not in (0, os.geteuid()):
                raise UsageError(f"--checks-dir: {path} must be a file of root's or yours, not a link")
            if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise UsageError(f"--checks-dir: {path} can be written by others: chmod go-w it first")
    except OSError as error:
        raise UsageError(f"--checks-dir: {error.filename}: {error.strerror}") from error


def _ancestors(folder: str) -> Iterator[str]:
    """The folders above one, as it is spelled and as links resolve it."""
    for path in dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))):
        above = path
        while above != "/":
            above = os.path.dirname(above)
            yield above


def _raise(error: OSError) -> None:
    raise error


class Catalogue(NamedTuple):
    """Checks by id, and the digest of the files they came from."""

    checks: tuple[Check, ...]
    digest: str

    def get(self, ident: str) -> Check | None:
        """The check with that id."""
        return next((check for check in self.checks if check.id == ident), None)

    def merged(self, other: Catalogue) -> Catalogue:
        """This catalogue and another; an id may be only in one.

        Raises:
            CheckError: both have one id.
        """
        ours = {check.id for check in self.checks}
        twice = [check for check in other.checks if check.id in ours]
        if twice:
            raise CheckError(f"{twice[0].path}: {twice[0].id} is already in the catalogue")
        digest = hashlib.sha256((self.digest + other.digest).encode()).hexdigest()
        return Catalogue(tuple(sorted((*self.checks, *other.checks))), digest)

    def selected(self, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Catalogue:
        """The checks that ids or prefixes ("cgroup", "cgroup-memory-unlimited") choose.

        Raises:
            UsageError: one of them names no check.
        """
        select, ignore = tuple(select), tuple(ignore)
        for ident in (*select, *ignore):
            if not any(_named(check.id, ident) for check in self.checks):
                raise UsageError(f"no check is called {ident!r}: `isoaudit checks` lists them")
        return Catalogue(
            tuple(
                check
                for check in self.checks
                if (not select or any(_named(check.id, ident) for ident in select))
                and not any(_named(check.id, ident) for ident in ignore)
            ),
            self.digest,
        )


def _named(ident: str, wanted: str) -> bool:
    return ident == wanted or ident.startswith(f"{wanted}-")
