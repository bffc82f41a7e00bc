"""Prints a report of many containers with many findings each, all ids and pages from the catalogue.

Usage: synthetic.py CONTAINERS FINDINGS
"""

from __future__ import annotations

import sys

from isoaudit import frameworks
from isoaudit.audit import Finding, fingerprint, reproduce
from isoaudit.facts.container import Identity
from isoaudit.model import Basis, Evidence, Subject, Verdict
from isoaudit.policy import Policy
from isoaudit.registry import load
from isoaudit.report import FindingEncoder, Report, container_document, tool_document
from isoaudit.resources import bundled

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
# Two of three findings fail, as in a container that nobody has hardened.
_VERDICTS = (Verdict.FAIL, Verdict.FAIL, Verdict.PASS)


def main(containers: int, findings: int) -> None:
    """Print the report."""
    catalogue = load(bundled("checks"))
    checks = [check for check in catalogue.checks if check.subject == "container"]
    encoder, policy = FindingEncoder(frameworks.load()), Policy()
    sections = []
    for number in range(containers):
        identity = Identity(
            f"web-{number}",
            4000 + number,
            number,
            "docker",
            f"{number:064x}",
            f"web-{number}",
            "nginx:1.27",
            "",
        )
        found = []
        for position in range(findings):
            check = checks[position % len(checks)]
            verdict = _VERDICTS[position % 3]
            evidence = (Evidence(f"/proc/{identity.pid}/status", f"value {position}: 00000000a80425fb", "0"),)
            found.append(
                Finding(
                    check.id,
                    Subject("container", identity.key),
                    verdict,
                    check.severity,
                    Basis.OBSERVED,
                    False,
                    f"{check.page.title}, as was seen in {position % 7} places",
                    evidence,
                    check.page.remediation if verdict is Verdict.FAIL else "",
                    reproduce(evidence) if verdict is Verdict.FAIL else "",
                    fingerprint(check.id, identity, evidence),
                    check.severity,
                )
            )
        walls = {f"namespace-{kind}": "isolated" for kind in _NAMESPACES}
        sections.append(encoder.section(container_document(identity, None, walls), found, policy))
    scan = {
        "id": "0" * 16,
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "mode": "host",
        "command": ["isoaudit", "scan", "--host"],
        "euid": 0,
        "probes": "none",
        "complete": True,
        "notices": [],
        "processes": containers,
        "policy": {
            "fail_on": None,
            "inherent": policy.inherent,
            "require_complete": False,
            "select": [],
            "ignore": [],
            "digest": policy.digest,
        },
    }
    host = dict.fromkeys(
        (
            "hostname",
            "kernel",
            "kernel_build",
            "machine",
            "distribution",
            "boot_id",
            "cgroup",
            "cpus",
            "memory_bytes",
            "lsms",
            "x86_level",
        )
    )
    report = Report(tool=tool_document(catalogue.digest), scan=scan, host=host, sections=sections, gate="none")
    sys.stdout.writelines(report.to_json())


main(int(sys.argv[1]), int(sys.argv[2]))
