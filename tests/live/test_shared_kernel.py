"""What containers share or are given, on real ones: leaks, quotas, mounts by identity, programs, credentials."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.live import Docker, Start, isoaudit, missing

from isoaudit.facts.leaks import pages


def scan(name: str, *checks: str) -> dict[str, dict[str, object]]:
    run = isoaudit("scan", "--host", "--probes", "none", "-f", "json", "--select", ",".join(checks))
    assert run.code == 0, run.err
    return run.findings(name)


def test_a_second_procfs_undoes_the_masks(container: Start) -> None:
    name = container("second-proc", "-v", "/proc:/host/proc:ro")
    found = scan(name, "leak-mask-bypass", "kernel-proc-unmasked")
    assert "/host/proc/" in str(found["leak-mask-bypass"]["message"])
    assert found["leak-mask-bypass"]["inherent"] is False
    assert "/host/proc" in str(found["kernel-proc-unmasked"]["message"])


def test_pages_are_the_roots_to_read(docker: Docker, container: Start) -> None:
    if not os.path.exists("/proc/kpagecount"):
        missing("this kernel has no /proc/kpagecount")
    root, user = container("pages-root"), container("pages-user", "--user", "54321")
    for name, outcome in ((root, "fail"), (user, "pass")):
        assert scan(name, "leak-page-ownership")["leak-page-ownership"]["outcome"] == outcome
        path = next(leak.path for leak in pages() if os.path.exists(leak.path))
        read = ("cat", path) if outcome == "pass" else ("ls", path)
        command = ["docker", f"--host={docker.socket}", "exec", name, *read]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode == 0) is (outcome == "fail"), done


def test_quotas_are_shared_by_uid(container: Start) -> None:
    root, alone = container("quota-root"), container("quota-alone", "--user", "54322")
    one, other = container("quota-1", "--user", "54323"), container("quota-2", "--user", "54323")
    assert "the host's uid 0" in str(scan(root, "quota-uid-shared")["quota-uid-shared"]["message"])
    assert scan(alone, "quota-uid-shared")["quota-uid-shared"]["outcome"] == "pass"
    assert other in str(scan(one, "quota-uid-shared")["quota-uid-shared"]["message"])


def test_counts_cost_what_is_said(container: Start) -> None:
    cheap = scan(container("cheap", "--memory", "64m"), "quota-global-cheap")["quota-global-cheap"]
    assert cheap["outcome"] == "fail"
    assert "64 MiB" in str(cheap["message"])


def test_programs_and_keys_in_the_image(docker: Docker, container: Start, tmp_path: Path) -> None:
    archive = tmp_path / "more.tar"
    (tmp_path / "root/.ssh").mkdir(parents=True)
    (tmp_path / "root/.ssh/id_ed25519").write_text("not a key")
    (tmp_path / "root/.ssh").chmod(0o700)
    maker = container("maker")
    docker("cp", str(tmp_path / "root/.ssh"), f"{maker}:/root/")
    program = tmp_path / "su"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o4755)
    docker("cp", "-a", str(program), f"{maker}:/bin/su")
    docker("export", "-o", str(archive), maker)
    docker("import", str(archive), "bb-more")
    found = {}
    for name, flags in (("gains", ()), ("kept", ("--security-opt", "no-new-privileges"))):
        docker(
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            name,
            "--user",
            "54324",
            *flags,
            "bb-more",
            "/bin/sleep",
            "1000",
        )
    try:
        for name in ("gains", "kept"):
            found[name] = scan(name, "identity-setuid-reachable", "mount-credentials")
    finally:
        docker("rm", "-f", "gains", "kept")
    assert "/bin/su" in str(found["gains"]["identity-setuid-reachable"]["message"])
    assert found["kept"]["identity-setuid-reachable"]["outcome"] == "pass"
    assert "/root/.ssh/id_ed25519" in str(found["gains"]["mount-credentials"]["message"])
