"""Report documents by the JSON contract, for the tests of whatever draws or compares reports."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

Document = dict[str, Any]

SEVERITIES = ("critical", "high", "medium", "low", "info")
WEB, DB, AGENT = "web-1", "db", "monitoring/agent"
WEB_ID = "4f1c" * 16
# What an attacker may call a container or a file.
HOSTILE = (
    "<script>document.documentElement.dataset.owned='script'</script>",
    '"><img src=x onerror="document.documentElement.dataset.owned=\'img\'">',
    "'><svg onload=alert(1)>",
    "</style></title><h1>Isolation is sound</h1>",
    "\x1b[2J\x1b]0;owned\x07name",
    "invoice\u202egpj.exe",
    "web-1\nGate: passed",
    '=HYPERLINK("https://attacker.invalid")',
    "|[x](javascript:alert(1))`--{{ 7*7 }}{% raw %}",
    "zero\u200bwidth\u2066isolate\u2069\ufeff",
    "lone \ud800 surrogate",
)


def evidence(source: str, observed: str, expected: str = "") -> Document:
    return {"source": source, "observed": observed, "expected": expected}


def finding(check: str, key: str = "host", outcome: str = "fail", **changes: Any) -> Document:
    """A finding, by default an observed gap of medium severity on the host."""
    sources = "".join(one["source"] for one in changes.get("evidence", ()))
    made: Document = {
        "check": check,
        "subject": {"kind": "host" if key == "host" else "container", "key": key},
        "outcome": outcome,
        "severity": "medium",
        "basis": "observed",
        "inherent": False,
        "message": "it is as it should be",
        "evidence": [],
        "remediation": "",
        "reproduce": "",
        "frameworks": {},
        "fingerprint": hashlib.blake2b(
            f"{key}\0{check}\0{sources}".encode("utf-8", "replace"), digest_size=12
        ).hexdigest(),
        "waiver": None,
    }
    return {**made, **changes}


WALLS = {
    "namespace-cgroup": "shared",
    "namespace-ipc": "isolated",
    "namespace-mnt": "isolated",
    "namespace-net": "isolated",
    "namespace-pid": "isolated",
    "namespace-time": "shared",
    "namespace-user": "shared",
    "namespace-uts": "isolated",
    "limit-memory": "limited",
    "limit-cpu": "unlimited",
    "limit-pids": "limited",
    "devices": "limited",
    "capabilities": "default",
    "seccomp": "filtered",
    "no-new-privileges": "unset",
    "lsm": "confined",
}


def container(key: str, pid: int, walls: dict[str, str] | None = None, **changes: Any) -> Document:
    """A default Docker container, with changes."""
    made: Document = {
        "key": key,
        "pid": pid,
        "id": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest(),
        "name": key,
        "runtime": "docker",
        "image": "nginx:1.27",
        "pod": None,
        "sandbox": False,
        "processes": 3,
        "walls": {**WALLS, **(walls or {})},
    }
    return {**made, **changes}


def _summary(findings: list[Document], gate: str) -> Document:
    outcomes = Counter(one["outcome"] for one in findings)
    fails = Counter(one["severity"] for one in findings if one["outcome"] == "fail")
    return {
        "fail": {severity: fails[severity] for severity in SEVERITIES},
        **{outcome: outcomes[outcome] for outcome in ("unknown", "error", "pass", "not-applicable")},
        "inherent": sum(1 for one in findings if one["outcome"] == "fail" and one["inherent"]),
        "waived": sum(1 for one in findings if one["waiver"] is not None),
        "gate": gate,
    }


def document(containers: list[Document], findings: list[Document], gate: str = "none", **scan: Any) -> Document:
    """A report of given containers and findings; the summary is counted from them."""
    return {
        "schema": "isoaudit/report/1",
        "tool": {"name": "isoaudit", "version": "1.0.0", "catalogue": "5d1c" * 16},
        "scan": {
            "id": "0f6e1c3a9b2d4c58",
            "started": "2026-03-14T09:26:53Z",
            "seconds": 1.84,
            "mode": "host",
            "command": ["isoaudit", "scan", "--host", "--fail-on", "high"],
            "euid": 0,
            "probes": "safe",
            "complete": not any(one["outcome"] in ("unknown", "error") for one in findings),
            "notices": [],
            "processes": 214,
            "policy": {
                "fail_on": None if gate == "none" else "high",
                "inherent": False,
                "require_complete": False,
                "select": [],
                "ignore": [],
                "digest": "",
            },
            **scan,
        },
        "host": {
            "hostname": "build-07.example.org",
            "kernel": "6.12.30-amd64",
            "kernel_build": "Linux version 6.12.30-amd64 (gcc 14.2.0) #1 SMP PREEMPT_DYNAMIC",
            "machine": "x86_64",
            "distribution": "Debian GNU/Linux 13 (trixie)",
            "boot_id": "b8e0f9a2-0000-4000-8000-000000000000",
            "cgroup": "v2",
            "cpus": 8,
            "memory_bytes": 24 << 30,
            "lsms": ["lockdown", "capability", "landlock", "yama", "apparmor"],
            "x86_level": None,
        },
        "containers": containers,
        "findings": findings,
        "escape_paths": [],
        "summary": _summary(findings, gate),
    }


def _of_every_container(key: str, pid: int, cgroup: str) -> list[Document]:
    return [
        finding(
            "namespace-user-shared",
            key,
            message="its user namespace is the host's: uid 0 inside is uid 0 outside",
            evidence=[
                evidence(f"/proc/{pid}/ns/user", "user:[4026531837]", "not the host's user:[4026531837]")
            ],
            remediation="Give the container a user namespace of its own.",
            reproduce=f"readlink /proc/{pid}/ns/user",
            frameworks={"cis-docker-1.6.0": ["2.9", "5.31"]},
        ),
        finding(
            "time-clock-not-namespaced",
            key,
            severity="info",
            inherent=True,
            message="it shares the host's wall clock, as every container does: CLOCK_REALTIME has no namespace",
            reproduce=f"nsenter --target {pid} --mount date; date",
        ),
        finding(
            "cgroup-io-unlimited",
            key,
            "unknown",
            severity="low",
            message="ENOENT: the io controller is not enabled in the cgroup's parent",
            evidence=[evidence(f"{cgroup}/io.max", "not readable: ENOENT")],
        ),
        finding(
            "cgroup-pids-unlimited",
            key,
            "pass",
            severity="high",
            message="its processes are limited to 100",
            evidence=[evidence(f"{cgroup}/pids.max", "100", "a limit")],
        ),
        finding(
            "namespace-mnt-shared",
            key,
            "pass",
            severity="high",
            message="its mount namespace is its own",
            evidence=[evidence(f"/proc/{pid}/ns/mnt", f"mnt:[40265{pid}]", "not the host's mnt:[4026531841]")],
        ),
        finding("lsm-complain", key, "not-applicable", message="no profile of it is in complain mode"),
    ]


def sample() -> Document:
    """A host with three containers and one that vanished: some of every outcome, severity and basis."""
    web_cgroup = f"/sys/fs/cgroup/system.slice/docker-{WEB_ID}.scope"
    db_cgroup = "/sys/fs/cgroup/machine.slice/libpod-77aa.scope/container"
    agent_cgroup = "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/cri-containerd-90ef.scope"
    containers = [
        container(WEB, 4242, id=WEB_ID, name="web-1"),
        container(
            DB,
            5151,
            {
                "limit-memory": "unlimited",
                "lsm": "unconfined",
                "no-new-privileges": "set",
                "seccomp": "unknown",
            },
            runtime="podman",
            image="docker.io/library/postgres:17",
            id="77aa" * 16,
            processes=9,
        ),
        container(
            AGENT,
            6006,
            {
                "namespace-pid": "shared",
                "namespace-net": "shared",
                "devices": "unlimited",
                "capabilities": "beyond-default",
                "seccomp": "unlimited",
                "lsm": "unconfined",
                "limit-pids": "unlimited",
            },
            runtime="containerd",
            image="registry.example.org/agent@sha256:12ab",
            id="90ef" * 16,
            pod="monitoring/agent-x7k2p",
            name=None,
            processes=1,
        ),
        container("batch-job", 7007, id=None, image=None, processes=0, walls={}, vanished=True) | {"walls": {}},
    ]
    device = finding(
        "cgroup-devices-unrestricted",
        AGENT,
        severity="critical",
        basis="proven",
        message="its device policy allows every device: a block device of the host was opened in its twin",
        evidence=[
            evidence(
                "probe device-open in a twin of monitoring/agent", "openat(/dev/vda, O_RDONLY) = 3", "EPERM"
            ),
            evidence("bpf(BPF_PROG_QUERY, BPF_CGROUP_DEVICE)", "no program attached", "a program"),
        ],
        remediation="Run it without --privileged and name the devices that it needs.",
        reproduce="isoaudit probe device-open --twin 6006",
        frameworks={"cis-docker-1.6.0": ["5.5", "5.18"], "mitre-attack": ["T1611"]},
    )
    pid_shared = finding(
        "namespace-pid-shared",
        AGENT,
        severity="high",
        message="it is in the host's PID namespace and sees every process",
        evidence=[evidence("/proc/6006/ns/pid", "pid:[4026531836]", "not the host's pid:[4026531836]")],
        remediation="Start the container without the host's PID namespace.",
        reproduce="readlink /proc/6006/ns/pid",
        frameworks={"cis-docker-1.6.0": ["5.16"]},
    )
    findings = [
        finding(
            "kernel-known-vulnerability",
            severity="high",
            basis="inferred",
            message="6.12.30 is in the affected range of CVE-2025-38001, and nf_tables is reachable",
            evidence=[evidence("/proc/sys/kernel/osrelease", "6.12.30-amd64", "6.12.32 or later")],
            remediation="Install the distribution's current kernel and reboot.",
            reproduce="cat /proc/sys/kernel/osrelease",
        ),
        finding(
            "kernel-dmesg-unrestricted",
            severity="low",
            message="every user reads the kernel log",
            evidence=[evidence("/proc/sys/kernel/dmesg_restrict", "0", "1")],
            remediation="Set kernel.dmesg_restrict to 1.",
            reproduce="cat /proc/sys/kernel/dmesg_restrict",
            waiver={
                "check": "kernel-dmesg-unrestricted",
                "target": "host",
                "owner": "platform team",
                "reason": "developers read it on build hosts",
                "expires": "2026-12-31",
            },
        ),
        finding(
            "kernel-lockdown-off",
            outcome="pass",
            message="lockdown is integrity",
            evidence=[
                evidence("/sys/kernel/security/lockdown", "none [integrity] confidentiality", "integrity")
            ],
        ),
        finding(
            "time-host-unsynchronised",
            outcome="error",
            severity="low",
            message="the check itself failed: ZeroDivisionError: division by zero",
        ),
        *_of_every_container(WEB, 4242, web_cgroup),
        finding(
            "cgroup-cpu-unlimited",
            WEB,
            message="nothing limits its CPU time",
            evidence=[evidence(f"{web_cgroup}/cpu.max", "max 100000", "a quota")],
            remediation="Set a CPU quota.",
            reproduce=f"cat {web_cgroup}/cpu.max",
            frameworks={"cis-docker-1.6.0": ["5.12"]},
        ),
        finding(
            "cgroup-memory-unlimited",
            WEB,
            "pass",
            severity="high",
            message="its memory is limited to 512 MiB",
            evidence=[evidence(f"{web_cgroup}/memory.max", "536870912", "a limit below 24 GiB")],
        ),
        *_of_every_container(DB, 5151, db_cgroup),
        finding(
            "cgroup-memory-unlimited",
            DB,
            severity="high",
            message="nothing limits its memory: it can take all of the host's",
            evidence=[evidence(f"{db_cgroup}/memory.max", "max", "a limit below 24 GiB")],
            remediation="Set a memory limit that fits the workload.",
            reproduce=f"cat {db_cgroup}/memory.max",
            frameworks={"cis-docker-1.6.0": ["5.11"]},
        ),
        finding(
            "seccomp-permissive",
            DB,
            "unknown",
            message="EACCES: reading the filter needs CAP_SYS_ADMIN in the initial user namespace",
            evidence=[evidence("ptrace(PTRACE_SECCOMP_GET_FILTER, 5151)", "not readable: EACCES")],
        ),
        *_of_every_container(AGENT, 6006, agent_cgroup),
        device,
        pid_shared,
        finding(
            "cgroup-memory-unlimited",
            AGENT,
            severity="high",
            message="its memory limit of 32 GiB is not below the host's 24 GiB",
            evidence=[evidence(f"{agent_cgroup}/memory.max", str(32 << 30), "a limit below 24 GiB")],
            remediation="Set a memory limit that fits the workload.",
            reproduce=f"cat {agent_cgroup}/memory.max",
        ),
        finding(
            "kernel-log-readable",
            AGENT,
            severity="low",
            basis="proven",
            message="it reads the kernel log",
            evidence=[evidence("probe syslog in a twin of monitoring/agent", "syslog(3) = 8192", "EPERM")],
            remediation="Drop CAP_SYSLOG and keep the default seccomp filter.",
            reproduce="isoaudit probe syslog --twin 6006",
        ),
        finding(
            "device-other-exposed",
            AGENT,
            severity="info",
            message="it has a device node that no default has",
            evidence=[evidence("/proc/6006/root/dev", "c 10:144 /dev/nvram\nc 10:183 /dev/hwrng", "")],
            remediation="Leave the device out.",
            reproduce="ls -l /proc/6006/root/dev",
        ),
    ]
    report = document(
        containers,
        findings,
        "failed",
        notices=["1 container ended while being read, and could not be judged"],
    )
    report["escape_paths"] = [
        {
            "subject": {"kind": "container", "key": AGENT},
            "steps": [
                {"finding": device["fingerprint"], "text": "it opens the host's disk: /dev/vda"},
                {
                    "finding": pid_shared["fingerprint"],
                    "text": "it reaches the host's first process by its pid",
                },
            ],
            "basis": "proven",
        }
    ]
    return report


def hostile(extra: str = "") -> Document:
    """A report in which every text that a container, a pack or a saved file controls attacks its reader.

    Args:
        extra: one more text to put everywhere.
    """
    texts = [*HOSTILE, extra]
    containers = []
    findings = []
    for number, text in enumerate(texts):
        key = f"{number}{text}"
        containers.append(
            container(
                key,
                100 + number,
                {"seccomp": text},
                image=text,
                runtime=text,
                pod=text,
                id=text or None,
                name=text,
            )
        )
        findings += [
            finding(
                f"mount-{text}" if outcome == "error" else "mount-host-root",
                key,
                outcome,
                message=text,
                evidence=[evidence(text, text, text)],
                remediation=text,
                reproduce=text,
                frameworks={text: [text]},
                waiver={text: text} if outcome == "fail" and number % 3 == 0 else None,
                inherent=outcome == "fail" and number % 3 == 1,
            )
            for outcome in ("fail", "unknown", "error", "pass", "not-applicable")
        ]
    everywhere = " ".join(texts)
    report = document(containers, findings, "passed", notices=[everywhere], command=["isoaudit", everywhere])
    report["host"]["hostname"] = everywhere
    report["host"][everywhere] = everywhere
    report["escape_paths"] = [
        {
            "subject": one["subject"],
            "steps": [{"finding": one["fingerprint"], "text": everywhere}],
            "basis": "observed",
        }
        for one in findings[:2]
    ]
    return report


def large(containers: int, checks: int) -> Document:
    """A report of many containers: of each one's findings, two in five are gaps, one in ten is undecided."""
    made = [
        container(f"service-{number:04}", 1000 + number, image=f"app:{number % 40}")
        for number in range(containers)
    ]
    findings = []
    for one in made:
        cgroup = f"/sys/fs/cgroup/system.slice/docker-{one['id']}.scope"
        for check in range(checks):
            name = f"{('cgroup', 'namespace', 'kernel', 'mount')[check % 4]}-example-gap-{check:02}"
            outcome = ("fail", "pass", "pass", "fail", "pass", "fail", "pass", "unknown", "pass", "fail")[
                check % 10
            ]
            # One in twelve says something of its own for each container.
            own = one["pid"] if check % 12 == 0 else 42
            findings.append(
                finding(
                    name,
                    one["key"],
                    outcome,
                    severity=SEVERITIES[check % 5],
                    message=f"what this check says of it is a clause of usual length, with the value {own}",
                    evidence=[evidence(f"{cgroup}/example.{check}", f"max {own}", "a limit below 24 GiB")],
                    remediation="Set a limit that fits the workload." if outcome == "fail" else "",
                    reproduce=f"cat {cgroup}/example.{check}" if outcome == "fail" else "",
                    frameworks={"cis-docker-1.6.0": ["5.11"]},
                )
            )
    return document(made, findings)
