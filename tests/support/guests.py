"""Virtual machines for tests: User-Mode Linux, a whole kernel as one ordinary process, without KVM or network.

Its kernel has what the one that runs the tests may lack: pure cgroup v2 with cpu, io, memory and pids, AppArmor
and Yama. The image is made once (30 to 60 s as root) and kept; a guest starts on a copy-on-write view of it.
Source tree, Python packages and the job's folder are the host's own, brought in by hostfs.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from support.live import missing

SUITE = "bookworm"
PACKAGES = (
    "apparmor,busybox-static,crun,dbus,dbus-user-session,docker.io,iproute2,kmod,podman,procps,python3-minimal,"
    "libpython3-stdlib,systemd-sysv,udev,uidmap"
)
_MODULES = Path("/usr/lib/uml/modules")
_SOURCE = Path(__file__).parents[2]
_GUEST = _SOURCE / "tests/vm/guest"
_NEEDED = ("linux.uml", "mmdebstrap", "mke2fs", "depmod")
# Units that a test starts by hand or not at all; the timers would only steal its time.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "containerd.service",
    "docker.service",
    "docker.socket",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "podman-auto-update.timer",
    "podman-restart.service",
    "podman.service",
    "podman.socket",
    "systemd-timesyncd.service",
)
_JOB_SERVICE = """\
[Unit]
DefaultDependencies=no
After=basic.target systemd-user-sessions.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/sbin/attach job
"""
_JOB_TARGET = """\
[Unit]
Requires=basic.target job.service
Wants=systemd-logind.service systemd-user-sessions.service
After=basic.target
AllowIsolate=yes
"""


class Answer(NamedTuple):
    """What a guest's job left behind."""

    code: int
    out: str
    err: str
    folder: Path

    def json(self, name: str) -> Any:
        """A document that the job wrote into its folder."""
        return json.loads((self.folder / name).read_text())


def _cache() -> Path:
    return Path(os.environ.get("ISOAUDIT_VM", "/var/tmp/isoaudit-vm"))


def _mirror() -> str:
    """The Debian archive that this machine's own apt is set up with."""
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if path.is_file():
            found = re.search(
                r"^(?:deb|URIs:)\s.*?(https?://\S+/debian/?)(?:\s|$)", path.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    missing("no Debian archive among apt's sources")
    raise AssertionError("`missing` does not return")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def _populate(root: Path) -> None:
    """Make a fresh Debian tree one that boots straight into a job."""
    shutil.copytree(_MODULES, root / "lib/modules", dirs_exist_ok=True)
    for version in _MODULES.iterdir():
        subprocess.run(["depmod", "-b", root, version.name], check=True)
    for name in ("source", "packages", "bytecode", "job"):
        (root / "mnt" / name).mkdir()
    _write(root / "usr/local/sbin/attach", (_GUEST / "attach.sh").read_text(), 0o755)
    _write(root / "usr/local/sbin/tiny", "#!/bin/sh\nexec /usr/local/sbin/attach init\n", 0o755)
    units = root / "etc/systemd/system"
    _write(units / "job.service", _JOB_SERVICE)
    _write(units / "job.target", _JOB_TARGET)
    for unit, target in (("default.target", "job.target"), *((unit, "/dev/null") for unit in _MASKED)):
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to(target)
    _write(root / "etc/fstab", "/dev/root / ext4 rw 0 0\n")
    _write(root / "etc/hostname", "guest\n")
    _write(root / "etc/machine-id", "")
    # An ordinary user with ids to give away, for rootless containers.
    subprocess.run(["chroot", root, "useradd", "-m", "-u", "1000", "user"], check=True)


def _build(image: Path) -> None:
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        root, unfinished = Path(folder) / "root", Path(folder) / "image"
        made = subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={PACKAGES}"),
                '--aptopt=Acquire::Check-Valid-Until "false"',
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
                *(
                    "--customize-hook=rm -rf $1/var/cache/apt/*.bin $1/var/lib/apt/lists/*",
                    SUITE,
                    root,
                    _mirror(),
                ),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            missing(f"mmdebstrap could not make a {SUITE} tree: {made.stderr[-500:]}")
        _populate(root)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", root, unfinished, "2G"],
            check=True,
        )
        unfinished.rename(image)


def image() -> Path:
    """The root filesystem, made unless it stands there already for this recipe."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    lacking = [command for command in _NEEDED if shutil.which(command, path=path) is None]
    if lacking:
        missing(f"{', '.join(lacking)} not installed (tests/vm/setup.sh installs them)")
    making = (inspect.getsource(_populate), inspect.getsource(_build), (_GUEST / "attach.sh").read_text())
    recipe = (SUITE, PACKAGES, _JOB_SERVICE, _JOB_TARGET, *_MASKED, *sorted(os.listdir(_MODULES)), *making)
    text = "\n".join(recipe)
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"{SUITE}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.img"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            if os.geteuid() != 0:
                missing("the image of the vm tests is not made yet, which needs root")
            for old in cache.glob("*.img"):
                old.unlink()
            _build(made)
    return made


def boot(
    script: str,
    folder: Path,
    *,
    systemd: bool = False,
    arguments: str = "",
    memory: int = 1024,
    timeout: float = 180,
) -> Answer:
    """Start a guest, run a bash script in it and wait for its end.

    Args:
        script: it runs as root in `folder`, where what it writes stays.
        folder: an empty folder of the host's, without spaces in its path.
        systemd: boot systemd rather than a tiny first process.
        arguments: more of the kernel's command line.
        memory: in MiB.
        timeout: in seconds; a guest that takes longer is killed.
    """
    root, bytecode = image(), _cache() / "bytecode"
    bytecode.mkdir(exist_ok=True)
    (folder / "run").write_text(script)
    shared = {
        "source": _SOURCE,
        "packages": sysconfig.get_path("purelib"),
        "bytecode": bytecode,
        "job": folder,
    }
    with tempfile.TemporaryDirectory(prefix="guest-", dir="/dev/shm") as state:
        command = [
            *(
                "linux.uml",
                f"mem={memory}M",
                f"ubd0={state}/cow,{root}",
                "root=/dev/ubda",
                "rw",
                "rootfstype=ext4",
            ),
            "init=/sbin/init" if systemd else "init=/usr/local/sbin/tiny",
            *("con0=null,fd:2", "con=null", "umid=guest", f"uml_dir={state}/", "panic=-1", "quiet"),
            *(arguments.split() if arguments else ()),
            *(() if "lsm=" in arguments else ("lsm=yama,apparmor",)),
            *(f"guest.{name}={path}" for name, path in shared.items()),
        ]
        with (folder / "console").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "TMPDIR": "/dev/shm", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
            )
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if not (folder / "code").exists():
        said = "\n".join(_tail(folder / name) for name in ("console", "stdout", "stderr"))
        raise AssertionError(f"the guest gave no answer in {timeout} s (exit {process.returncode}):\n{said}")
    return Answer(
        int((folder / "code").read_text()),
        (folder / "stdout").read_text(errors="replace"),
        (folder / "stderr").read_text(errors="replace"),
        folder,
    )


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-1500:] if path.exists() else ""
