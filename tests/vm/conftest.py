"""Other kernels for the vm ring: each fixture boots one guest, which serves all tests that ask for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.guests import Answer, boot

JOBS = Path(__file__).parent / "jobs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if JOBS.parent in item.path.parents:
            item.add_marker(pytest.mark.vm)


class Seen(NamedTuple):
    """What isoaudit said in a guest, of containers by the name that the job gave them."""

    answer: Answer
    report: dict[str, Any]

    def pid(self, name: str) -> int:
        return int((self.answer.folder / f"{name}.pid").read_text())

    def container(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(c for c in self.report["containers"] if c["pid"] == self.pid(name))
        return found

    def findings(self, name: str = "") -> dict[str, dict[str, Any]]:
        """By check; of the host, where no container is named."""
        key = self.container(name)["key"] if name else "host"
        return {f["check"]: f for f in self.report["findings"] if f["subject"]["key"] == key}

    def failing(self, name: str) -> set[str]:
        return {check for check, finding in self.findings(name).items() if finding["outcome"] == "fail"}

    def undecided(self, name: str, area: str) -> set[str]:
        return {
            check
            for check, finding in self.findings(name).items()
            if check.startswith(area) and finding["outcome"] in ("unknown", "error")
        }


def seen(folder: Path, job: str, **options: Any) -> Seen:
    """Boot a guest for one of the jobs and read its report of the whole guest."""
    answer = boot((JOBS / f"{job}.sh").read_text(), folder, **options)
    assert answer.code == 0, answer.err[-3000:]
    return Seen(answer, json.loads((folder / "host.json").read_text()))


@pytest.fixture(scope="session")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Cgroups made by hand on pure v2."""
    return seen(tmp_path_factory.mktemp("cgroups"), "cgroups")


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """docker, podman, runc and crun with cgroupfs on pure v2, and AppArmor."""
    return seen(tmp_path_factory.mktemp("engines"), "engines")


@pytest.fixture(scope="session")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """docker, rootless podman and a delegated unit below systemd."""
    return seen(tmp_path_factory.mktemp("systemd"), "systemd", systemd=True)


@pytest.fixture(scope="session")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return seen(tmp_path_factory.mktemp("v1"), "layouts", arguments="guest.cgroups=v1")


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return seen(
        tmp_path_factory.mktemp("hybrid"),
        "layouts",
        arguments="guest.cgroups=hybrid cgroup.memory=nosocket,nokmem",
    )
