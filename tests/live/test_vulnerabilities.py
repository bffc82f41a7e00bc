"""One old kernel under real containers: what the walls of each leave of its vulnerabilities.

The walls are read from this kernel; that it is an old one is written into the snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.live import Docker, Run, isoaudit

CHECKS = "kernel-known-vulnerability,kernel-vulnerability-reachable,runtime-known-vulnerability"


@pytest.fixture(scope="module")
def snapshot(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A default container, one without a filter and one without anything, as collected."""
    common = ("run", "-d", "--network", "none")
    names = ("cve-default", "cve-open", "cve-bare")
    docker(*common, "--name", names[0], "bb")
    docker(*common, "--name", names[1], "--security-opt", "seccomp=unconfined", "bb")
    docker(
        *common,
        "--name",
        names[2],
        "--cap-drop",
        "ALL",
        "--user",
        "1000",
        "--security-opt",
        "no-new-privileges",
        "bb",
    )
    path = tmp_path_factory.mktemp("snapshot") / "snap.json"
    assert isoaudit("collect", "-o", str(path)).code == 0
    yield json.loads(path.read_text())
    docker("rm", "-f", *names)


def judged(snapshot: dict[str, Any], tmp_path: Path, patch: int) -> Run:
    host = {
        **snapshot["host"],
        "kernel": {"value": {"major": 6, "minor": 12, "patch": patch, "vendor": ""}, "source": "osrelease"},
        # As distributions build it: everything that this data asks for as modules.
        "kernel_build_options": {
            "value": {"built_in": ["FUTEX_PI"], "modular": ["PACKET", "CRYPTO_USER_API_AEAD", "NET_SCH_HFSC"]},
            "source": "config",
        },
        "modules": {"value": ["af_packet", "algif_aead", "sch_hfsc"], "source": "/proc/modules"},
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**snapshot, "host": host}))
    return isoaudit("judge", str(path), "--select", CHECKS, "-f", "json")


def reached(run: Run, name: str) -> str:
    evidence = run.findings(name)["kernel-vulnerability-reachable"]["evidence"]
    return "\n".join(line["observed"] for line in evidence)


def test_what_each_container_reaches(snapshot: dict[str, Any], tmp_path: Path) -> None:
    run = judged(snapshot, tmp_path, 30)
    host = run.findings("host")["kernel-known-vulnerability"]
    assert (host["outcome"], host["basis"]) == ("fail", "inferred")
    # A default container's CAP_NET_RAW is enough for one, and its filter refuses user namespaces.
    assert "CVE-2025-38617" in reached(run, "cve-default")
    assert "CVE-2025-38001" not in reached(run, "cve-default")
    # Without a filter, a user namespace gives whatever the rest needs.
    assert "CVE-2025-38001" in reached(run, "cve-open")
    assert "CVE-2026-43503" in reached(run, "cve-open")
    # Nothing but the filter's own holes is left.
    bare = reached(run, "cve-bare")
    assert "CVE-2025-38617" not in bare
    assert "CVE-2025-38001" not in bare
    assert "CVE-2026-43499" in bare


def test_a_fixed_kernel(snapshot: dict[str, Any], tmp_path: Path) -> None:
    run = judged(snapshot, tmp_path, 120)
    for name in ("cve-default", "cve-open", "cve-bare"):
        assert run.findings(name)["kernel-vulnerability-reachable"]["outcome"] == "pass"


def test_this_machines_runtimes_are_found(snapshot: dict[str, Any]) -> None:
    found = {one["component"] for one in snapshot["host"]["runtimes"]["value"] if one["version"]}
    assert {"docker", "containerd", "runc"} <= found
