from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.facts import answered, cgroup_v2, denied, make_container, make_host, make_identity

from isoaudit.audit import peers_of
from isoaudit.collect.containers import ContainerReader, identify
from isoaudit.collect.discovery import discover
from isoaudit.collect.host import read_host
from isoaudit.collect.naming import Names
from isoaudit.collect.paths import Paths
from isoaudit.collect.tree import VanishedError
from isoaudit.errors import UsageError
from isoaudit.facts.container import Container
from isoaudit.facts.scan import ScanFacts, Snapshot
from isoaudit.snapshot import SCHEMA, dumps, loads

SCAN = ScanFacts(
    "0f" * 8, "2026-11-24T04:00:00+00:00", 0.25, "host", ("isoaudit", "collect"), 0, "safe", 80, 2, 1
)
SNAPSHOT = Snapshot(
    SCAN,
    make_host(hostname=denied("/proc/sys/kernel/hostname")),
    (
        make_container(),
        make_container(cgroup=cgroup_v2(), devices=denied(), status=denied()),
        make_container(
            identity=make_identity(name="gr\u00fcn \x1b[31m", image="a\nb"),
            probes=answered("clock-set", succeeded=True, answer="0", measured=1.5),
        ),
    ),
    (make_identity(key="gone"),),
    peers_of([make_container(identity=make_identity(key="left-out"), uid_map=denied())]).all,
)
TEXT = dumps(SNAPSHOT)


def test_what_is_written_is_read() -> None:
    assert loads(TEXT, "snap.json") == SNAPSHOT
    assert dumps(loads(TEXT, "snap.json")) == TEXT


def test_this_machine() -> None:
    paths = Paths()
    reading = read_host(paths)
    found = discover(paths, reading.host.namespaces, reading.host.mounts)
    reader = ContainerReader(paths, reading.cgroups, reading.host.machine)
    containers: list[Container] = []
    for named in identify(found.candidates, Names(paths)):
        try:
            containers.append(reader.read(named))
        except VanishedError:
            continue
    snapshot = Snapshot(SCAN, reading.host, tuple(containers), ())
    assert loads(dumps(snapshot), "here") == snapshot


def parts(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The place of every object, array and value in a document."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, one in inner for place in parts(one, (*path, key)))]


DOCUMENT = json.loads(TEXT)
PARTS = [path for path in parts(DOCUMENT) if path]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**400, 1.5, "", "text", "\ud800", [], [[]], {}, {"value": 1}, {"unknown": 1},
     {"unknown": "x", "source": None}, {"value": None, "source": ""}, {"unknown": "x", "source": "y", "value": 2}]
)  # fmt: skip


def at(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def load_or_refuse(document: Any) -> None:
    try:
        snapshot = loads(json.dumps(document), "snap.json")
    except UsageError as error:
        assert str(error).startswith("snap.json: ")  # noqa: PT017  anything else must come through
    else:
        assert loads(dumps(snapshot), "again") == snapshot
        dumps(snapshot).encode()


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(PARTS), odd=ODD)
def test_an_odd_value_anywhere_is_refused_or_kept(path: tuple[str | int, ...], odd: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    at(document, path[:-1])[path[-1]] = odd
    load_or_refuse(document)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(PARTS))
def test_a_missing_value_anywhere_is_refused_or_has_a_default(path: tuple[str | int, ...]) -> None:
    document = copy.deepcopy(DOCUMENT)
    del at(document, path[:-1])[path[-1]]
    load_or_refuse(document)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(TEXT)), length=st.integers(0, 30), put=st.text(alphabet='{}[]",:0\\u', max_size=6))
def test_damaged_text_is_refused_or_kept(at: int, length: int, put: str) -> None:
    try:
        loads(TEXT[:at] + put + TEXT[at + length :], "snap.json")
    except UsageError:
        return


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[]", "schema None"),
        ("null", "schema None"),
        ('{"schema": "isoaudit/report/1"}', "isoaudit collect"),
        ('{"schema": ["isoaudit/snapshot/1"]}', "not a snapshot"),
        (f'{{"schema": "{SCHEMA}"}}', "snapshot: scan is missing"),
        (TEXT.replace('"seconds":0.25', '"seconds":NaN'), "NaN"),
        (TEXT.replace('"seconds":0.25', f'"seconds":{10**400}'), "too large"),
        (TEXT.replace('"euid":0', '"euid":true'), "snapshot.scan.euid: int is needed, not bool"),
        (TEXT.replace('"euid":0', '"euid":0.5'), "int is needed, not float"),
        (TEXT.replace('"mode":"host"', '"mode":"\\ud800"'), "lone surrogate"),
    ],
)
def test_what_is_no_snapshot(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=r"^snap\.json: ") as caught:
        loads(text, "snap.json")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_seconds_are_seconds() -> None:
    snapshot = loads(TEXT.replace('"seconds":0.25', '"seconds":2'), "snap.json")
    assert isinstance(snapshot.scan.seconds, float)


def extended(value: Any) -> Any:
    """A document as a newer version might write it: with more fields in every record and reading."""
    if isinstance(value, list):
        return [extended(one) for one in value]
    if isinstance(value, dict):
        inner = {key: extended(one) for key, one in value.items()}
        fixed_keys = {"value", "source", "unknown", "pid", "path", "soft", "device", "scan", "hostname", "name"}
        return {**inner, "of_the_future": {"x": [1]}} if fixed_keys & set(value) else inner
    return value


def test_a_newer_snapshot_loads() -> None:
    document = extended(DOCUMENT)
    assert "of_the_future" in document
    assert "of_the_future" in document["host"]["kernel"]
    assert "of_the_future" in document["containers"][0]["identity"]
    assert loads(json.dumps(document), "newer.json") == SNAPSHOT
