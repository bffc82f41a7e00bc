"""Facts of one scan, frozen: `isoaudit collect` writes them, `isoaudit judge` reads them anywhere, later.

The JSON follows the types of `isoaudit.facts`: a record is an object, a reading is `{"value", "source"}` or
`{"unknown", "source"}`. Decoding checks every type, as a snapshot comes from elsewhere.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Union

from isoaudit._version import __version__
from isoaudit.errors import UsageError
from isoaudit.facts import (
    cgroup,
    clock,
    devices,
    engines,
    files,
    idmap,
    kernel,
    kernel_build,
    mounts,
    network,
    probe,
    quotas,
    rlimits,
    scheduling,
    seccomp,
    software,
    status,
    userland,
)
from isoaudit.facts.container import Container, Identity
from isoaudit.facts.host import EngineSocket, Host
from isoaudit.facts.namespaces import Namespaces
from isoaudit.facts.peers import Peer
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.model import Known, Reading, Unknown

SCHEMA = "isoaudit/snapshot/1"


_NAMES: dict[str, Any] = {
    "Mapping": Mapping,
    "Reading": Reading,
    "Known": Known,
    "Unknown": Unknown,
    "Namespaces": Namespaces,
    "EngineSocket": EngineSocket,
    "Host": Host,
    "Container": Container,
    "Identity": Identity,
    "Peer": Peer,
    "ScanFacts": ScanFacts,
    **{
        name: value
        for module in (
            cgroup,
            clock,
            devices,
            engines,
            files,
            idmap,
            kernel,
            kernel_build,
            mounts,
            network,
            probe,
            quotas,
            rlimits,
            scheduling,
            seccomp,
            software,
            status,
            userland,
        )
        for name, value in vars(module).items()
        if isinstance(value, type)
    },
}
_HINTS: dict[type, dict[str, Any]] = {}


def _hints(record: type) -> dict[str, Any]:
    if record not in _HINTS:
        module = vars(__import__(record.__module__, fromlist=["_"]))
        _HINTS[record] = typing.get_type_hints(record, globalns={**module, **_NAMES})
    return _HINTS[record]


def encode(value: Any) -> Any:
    """A fact as JSON values."""
    if isinstance(value, Known):
        return {"value": encode(value.value), "source": value.source}
    if isinstance(value, Unknown):
        return {"unknown": value.reason, "source": value.source}
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        if fields is not None:
            return {field: encode(getattr(value, field)) for field in fields}
        return [encode(one) for one in value]
    if isinstance(value, frozenset):
        return [encode(one) for one in sorted(value)]
    if isinstance(value, Mapping):
        return {key: encode(one) for key, one in value.items()}
    return value


class _MismatchError(Exception):
    """A part of the JSON does not fit the type at its place."""


def decode(hint: Any, data: Any, where: str = "") -> Any:
    """The fact of a given type from JSON values.

    Raises:
        _MismatchError: the data does not fit; the message says where.
    """
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, data, where)
    if origin is Known:
        fields = _object(data, where)
        if not {"value", "source"} <= set(fields):
            raise _MismatchError(f"{where}: a reading has value and source, or unknown and source")
        return Known(decode(arguments[0], fields["value"], f"{where}.value"), _text(fields["source"], where))
    if origin is tuple:
        return _decode_tuple(arguments, data, where)
    if origin is frozenset:
        return frozenset(decode(arguments[0], one, where) for one in _array(data, where))
    if origin is Mapping:
        return {key: decode(arguments[1], one, f"{where}.{key}") for key, one in _object(data, where).items()}
    if isinstance(hint, type) and issubclass(hint, tuple):
        fields, hints = _object(data, where), _hints(hint)
        defaults = getattr(hint, "_field_defaults", {})
        missing = [name for name in hints if name not in fields and name not in defaults]
        if missing:
            raise _MismatchError(f"{where}: {missing[0]} is missing")
        # Fields of a newer isoaudit's snapshot are left out: what we do not know we cannot judge.
        return hint(**{n: decode(h, fields[n], f"{where}.{n}") for n, h in hints.items() if n in fields})
    return _decode_plain(hint, data, where)


def _decode_union(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    if Unknown in arguments:
        fields = _object(data, where)
        if "unknown" in fields:
            return Unknown(_text(fields.get("source"), where), _text(fields["unknown"], where))
        return decode(next(one for one in arguments if one is not Unknown), data, where)
    return decode(next(one for one in arguments if one is not type(None)), data, where)


def _decode_tuple(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    items = _array(data, where)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(decode(arguments[0], one, f"{where}[{index}]") for index, one in enumerate(items))
    if len(items) != len(arguments):
        raise _MismatchError(f"{where}: {len(arguments)} values are needed, not {len(items)}")
    return tuple(decode(one, item, where) for one, item in zip(arguments, items, strict=True))


def _decode_plain(hint: Any, data: Any, where: str) -> Any:
    if hint is str:
        return _text(data, where)
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError as error:
            raise _MismatchError(f"{where}: {error}") from error
    if not isinstance(data, hint) or (hint is int and isinstance(data, bool)):
        raise _MismatchError(f"{where}: {hint.__name__} is needed, not {type(data).__name__}")
    return data


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _MismatchError(f"{where}: an object is needed, not {type(data).__name__}")
    return data


def _array(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise _MismatchError(f"{where}: an array is needed, not {type(data).__name__}")
    return data


def _text(data: Any, where: str) -> str:
    if not isinstance(data, str):
        raise _MismatchError(f"{where}: a string is needed, not {type(data).__name__}")
    if not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise _MismatchError(f"{where}: a lone surrogate is no text") from error
    return data


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def dumps(snapshot: Snapshot) -> str:
    """The snapshot as a JSON document."""
    tool = {"name": "isoaudit", "version": __version__}
    return json.dumps({"schema": SCHEMA, "tool": tool, **encode(snapshot)}, separators=(",", ":")) + "\n"


def loads(text: str, name: str) -> Snapshot:
    """Read a snapshot.

    Args:
        text: the JSON document.
        name: what to call it in an error.

    Raises:
        UsageError: it is no snapshot that this version can judge.
    """
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{name}: not a snapshot (schema {schema!r}, not {SCHEMA!r}): make one with `isoaudit collect`"
        )
    try:
        snapshot: Snapshot = decode(Snapshot, document, "snapshot")
    except _MismatchError as error:
        raise UsageError(f"{name}: broken snapshot: {error}") from error
    return snapshot
