"""Reading a user's YAML or JSON: Compose files and manifests."""

from __future__ import annotations

import importlib
import json
from typing import Any

from isoaudit.errors import UsageError

_MISSING = (
    "{path}: it is no JSON, and to read YAML isoaudit needs PyYAML: pip install 'isoaudit[yaml]', "
    "or python3-yaml of the distribution"
)


def read(path: str) -> list[Any]:
    """The documents in a file; JSON is one.

    Raises:
        UsageError: it cannot be read, or is broken; the message says in which line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    if path.endswith(".json") or text.lstrip().startswith(("{", "[")):
        try:
            return [json.loads(text)]
        except json.JSONDecodeError as error:
            if path.endswith(".json"):
                raise UsageError(f"{path}: line {error.lineno}: {error.msg}") from error
        except RecursionError as error:
            raise UsageError(f"{path}: nested too deeply") from error
    return _yaml(path, text)


def _yaml(path: str, text: str) -> list[Any]:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        raise UsageError(_MISSING.format(path=path)) from error
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise UsageError(f"{path}: {line}{error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A value that must be a mapping; nothing at all is an empty one.

    Raises:
        UsageError: it is none.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{what}: must be a mapping, not {type(value).__name__}")
    return {str(key): one for key, one in value.items()}


def sequence(value: Any, what: str) -> list[Any]:
    """A value that must be a list; nothing at all is an empty one.

    Raises:
        UsageError: it is none.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(f"{what}: must be a list, not {type(value).__name__}")
    return value


def boolean(value: Any, what: str) -> bool:
    """A value that must be true or false; nothing at all is false.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return False
    if not isinstance(value, bool):
        raise UsageError(f"{what}: must be true or false, not {value!r}")
    return value
