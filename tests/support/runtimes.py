"""Runtimes other than Docker, each with its state in a folder of its own, and all that it starts taken away again.

`start(name, *flags)` of each gives the pid of a process inside. Where this machine cannot run one, making it
raises `CannotRunError`, which says why.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from support.live import Process

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
ENVIRONMENT = {**os.environ, "PATH": PATH}
SLEEP = ("/bin/sleep", "100000")
NOBODY = 65534
IMAGE = "localhost/bb:latest"


class CannotRunError(Exception):
    """This machine cannot run a runtime."""


def call(*command: str, **options: Any) -> str:
    """Run a command that must succeed.

    Its output goes to files: what it leaves running in the background would hold a pipe open for ever.
    """
    options = {"env": ENVIRONMENT, **options}
    with io.FileIO(os.memfd_create("out"), "r+") as out, io.FileIO(os.memfd_create("err"), "r+") as err:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60, check=False, **options
        )
        out.seek(0)
        err.seek(0)
        if done.returncode:
            raise CannotRunError(f"{' '.join(command)}: {err.read().decode()[-400:]}")
        return out.read().decode().strip()


def demand(*commands: str) -> None:
    """Raise unless programs are installed."""
    for command in commands:
        if shutil.which(command, path=PATH) is None:
            raise CannotRunError(f"{command} is not installed (tests/live/setup.sh installs it)")


def image_archive(root: Path, target: Path, *tags: str) -> Path:
    """An image of a root filesystem as `docker save` writes it, which every engine loads."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": list(SLEEP), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": tags, "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(target, "w") as tar:
        for path, content in (
            (name, config),
            (f"{digest}/layer.tar", layer.getvalue()),
            ("manifest.json", manifest),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target


def wrapped(folder: Path, runtime: str) -> str:
    """The path of a runtime that works for this root too: see `support.oci_runtime`."""
    script = folder / f"{runtime}-here"
    wrapper = Path(__file__).with_name("oci_runtime.py")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I {wrapper} {runtime} "$@"\n')
    script.chmod(0o755)
    return str(script)


def remove_cgroups(name: str) -> None:
    """Remove a cgroup and what is below it, in every hierarchy."""
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for folder, _, _ in os.walk(top / name, topdown=False):
            for _ in range(50):  # the kernel takes a moment to notice that the last process has gone
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    time.sleep(0.02)


def unmount_below(folder: Path) -> None:
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        target = line.split()[4]
        if target.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)


class Podman:
    """Podman without a daemon.

    Args:
        folder: for its storage; a rootless one's user can reach it.
        image: from `image_archive`.
        rootless: run it as the user nobody, whose user namespace maps a single id.
    """

    def __init__(self, folder: Path, image: Path, *, rootless: bool = False) -> None:
        demand("podman", "conmon", "runc")
        self._folder = folder
        self._as: tuple[str, ...] = ()
        for part in ("home", "run"):
            (folder / part).mkdir(exist_ok=True)
        # A root without CAP_SYS_RESOURCE cannot raise limits to Podman's own defaults.
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
        )
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
            '[storage.options.vfs]\nignore_chown_errors = "true"\n'
        )
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._environment = {
            "PATH": PATH,
            "HOME": f"{folder}/home",
            "XDG_RUNTIME_DIR": f"{folder}/run",
            "CONTAINERS_CONF": f"{folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
            "TMPDIR": str(folder),
        }
        if rootless:
            demand("setpriv")
            image = Path(shutil.copy(image, folder))
            self._as = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        try:
            self("load", "--quiet", "--signature-policy", f"{folder}/policy.json", "--input", str(image))
        except CannotRunError:
            self.stop()  # the process that keeps a user's namespaces is there already
            raise

    def __call__(self, *arguments: str) -> str:
        options = () if self._as else ("--tmpdir", f"{self._folder}/tmp")
        command = (*self._as, "podman", *options, *arguments)
        return call(*command, env=self._environment, cwd=self._folder)

    def start(self, name: str, *flags: str, command: tuple[str, ...] = ()) -> int:
        self("run", "--detach", "--name", name, *flags, IMAGE, *command)
        return int(self("inspect", "--format", "{{.State.Pid}}", name))

    def start_pod(self, name: str, *containers: str) -> str:
        """Start a pod, and give its id. Its sandbox's image is ours: Podman's own needs a program to be built."""
        infra = ("--infra-image", IMAGE, "--infra-command", " ".join(SLEEP), "--infra-name", f"{name}-infra")
        pod = self("pod", "create", *infra, "--share", "net,ipc,uts", "--network", "none", "--name", name)
        for container in containers:
            self.start(container, "--pod", name)
        return pod

    def stop(self) -> None:
        self("pod", "rm", "--all", "--force", "--time", "0")
        self("rm", "--all", "--force", "--time", "0")
        if self._as:
            self("system", "migrate")  # ends the process that keeps its user namespace
        unmount_below(self._folder)


class Containerd:
    """A containerd of our own.

    Args:
        folder: for its state; its path is short enough for a socket's.
        image: from `image_archive`.
        pods: serve CRI, in a network namespace of its own whose bridge pods are put on.
    """

    def __init__(self, folder: Path, image: Path, *, pods: bool = False) -> None:
        demand("containerd", "ctr", "runc")
        self._folder = folder
        self._namespace = "k8s.io" if pods else "isoaudit"
        self._started: list[str] = []
        cri = f"""
            [plugins."io.containerd.grpc.v1.cri"]
              sandbox_image = "localhost/pause:latest"
              restrict_oom_score_adj = true
              disable_tcp_service = true
              stream_server_port = "0"
              disable_apparmor = true
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
              runtime_type = "io.containerd.runc.v2"
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
              BinaryName = "{wrapped(folder, "runc")}"
            [plugins."io.containerd.grpc.v1.cri".cni]
              bin_dir = "/usr/lib/cni"
              conf_dir = "{folder}/cni"
        """
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            + ("" if pods else 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
            + f'[grpc]\n  address = "{folder}/socket"\n'
            + (cri if pods else "")
        )
        if pods:
            if not Path("/usr/lib/cni/bridge").exists():
                raise CannotRunError("there are no CNI plugins (tests/live/setup.sh installs them)")
            self._write_network()
        command = ["containerd", "--config", f"{folder}/config.toml"]
        if pods:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        with (folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT
            )
        try:
            self._wait()
            self.ctr("images", "import", str(image))
        except BaseException:
            self.stop()
            raise

    def _write_network(self) -> None:
        (self._folder / "cni").mkdir()
        plugin = {
            "type": "bridge",
            "bridge": "isoaudit0",
            "isGateway": True,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": f"{self._folder}/ipam",
                "ranges": [[{"subnet": "10.88.77.0/24"}]],
            },
        }
        network = {"cniVersion": "0.4.0", "name": "isoaudit", "plugins": [plugin]}
        (self._folder / "cni/10.conflist").write_text(json.dumps(network))

    def _wait(self) -> None:
        for _ in range(200):
            if self._daemon.poll() is not None:
                break
            try:
                call("ctr", "--address", f"{self._folder}/socket", "version")
            except CannotRunError:
                time.sleep(0.05)
            else:
                return
        raise CannotRunError(f"containerd does not start: {(self._folder / 'log').read_text()[-300:]}")

    def ctr(self, *arguments: str) -> str:
        return call("ctr", "--address", f"{self._folder}/socket", "--namespace", self._namespace, *arguments)

    def start(self, name: str, *flags: str, command: tuple[str, ...] = SLEEP) -> int:
        pid_file = self._folder / f"{name}.pid"
        self.ctr("run", "--detach", "--null-io", "--pid-file", str(pid_file), *flags, IMAGE, name, *command)
        self._started.append(name)
        return int(pid_file.read_text())

    def pods(self, *arguments: str) -> str:
        """Run `support.pods`."""
        script = str(Path(__file__).with_name("pods.py"))
        return call(sys.executable, script, f"{self._folder}/socket", *arguments)

    def run_pods(self) -> dict[str, dict[str, str]]:
        """Start the pods of `support.pods.PODS`; the ids of their containers."""
        pods: dict[str, dict[str, str]] = json.loads(self.pods("run", IMAGE))
        self._started += [containers["pause"] for containers in pods.values()]
        return pods

    def stop(self) -> None:
        if self._namespace == "k8s.io":
            if self._started:
                self.pods("remove", *self._started)
        else:
            for name in self._started:
                self.ctr("tasks", "rm", "--force", name)
                self.ctr("containers", "rm", name)
        self._daemon.terminate()
        self._daemon.wait(30)
        unmount_below(self._folder)
        remove_cgroups("kubepods" if self._namespace == "k8s.io" else self._namespace)


class Bundles:
    """Bundles that runc runs by itself.

    Args:
        folder: for the bundles.
        root: the root filesystem of all of them.
    """

    def __init__(self, folder: Path, root: Path, runtime: str = "runc") -> None:
        demand(runtime)
        self._folder = folder
        self._root = root
        self._runtime = wrapped(folder, runtime)
        self._started: list[str] = []

    def start(self, name: str, *edits: str, command: tuple[str, ...] = SLEEP) -> int:
        """Run what `spec` writes, with edits: `linux.maskedPaths=[]` is a path and its new value in JSON."""
        bundle = self._folder / name
        bundle.mkdir()
        call(self._runtime, "spec", cwd=bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=list(command), rlimits=[])
        config["root"]["path"] = str(self._root)
        config["linux"]["cgroupsPath"] = f"/isoaudit-runc/{name}"
        for edit in edits:
            path, _, value = edit.partition("=")
            *parents, last = path.split(".")
            place = config
            for parent in parents:
                place = place[parent]
            place[last] = json.loads(value)
        (bundle / "config.json").write_text(json.dumps(config))
        call(self._runtime, "run", "--detach", "--pid-file", "pid", name, cwd=bundle)
        self._started.append(name)
        return int((bundle / "pid").read_text())

    def stop(self) -> None:
        for name in self._started:
            call(self._runtime, "delete", "--force", name)
        remove_cgroups("isoaudit-runc")


class Lxc:
    """LXC without its network bridge and templates.

    Args:
        folder: for its state; others than root can reach it.
        root: the root filesystem; a container with an id map gets a copy of it that belongs to its root.
    """

    FIRST, COUNT = 100000, 65536

    def __init__(self, folder: Path, root: Path) -> None:
        demand("lxc-start", "lxc-stop", "lxc-info", "newuidmap")
        if not os.path.exists("/etc/subuid") or not os.path.exists("/etc/subgid"):
            raise CannotRunError("there is no /etc/subuid or no /etc/subgid")
        self._folder = folder
        self._root = root
        self._started: list[str] = []
        (folder / "subid").write_text(f"root:{self.FIRST}:{self.COUNT}\n")

    def start(self, name: str, *lines: str, command: tuple[str, ...] = SLEEP) -> int:
        """Start one with additional lines of configuration."""
        root = self._root
        if any(line.startswith("lxc.idmap") for line in lines):
            root = self._folder / f"{name}-root"
            shutil.copytree(self._root, root, symlinks=True)
            for path in (root, *root.rglob("*")):
                os.chown(path, self.FIRST, self.FIRST, follow_symlinks=False)
        config = self._folder / f"{name}.conf"
        config.write_text(
            "\n".join(
                (
                    "lxc.include = /usr/share/lxc/config/common.conf",
                    "lxc.net.0.type = empty",
                    "lxc.apparmor.profile = unconfined",
                    f"lxc.rootfs.path = dir:{root}",
                    f"lxc.uts.name = {name}",
                    *lines,
                    "",
                )
            )
        )
        # /etc/subuid of this machine stays as it is: the monitor sees another one.
        subids = " && ".join(f"mount --bind {self._folder}/subid /etc/{kind}" for kind in ("subuid", "subgid"))
        log = self._folder / f"{name}.log"
        try:
            call(
                "unshare", "--mount", "--propagation=private", "sh", "-c", f'{subids} && exec "$@"', "sh",
                "lxc-start", "-P", str(self._folder), "-n", name, "-f", str(config), "-l", "ERROR", "-o", str(log),
                "--", *command,
            )  # fmt: skip
        except CannotRunError as error:
            self._remove_cgroups(name)
            raise CannotRunError(f"{error} {log.read_text()[-600:] if log.exists() else ''}") from error
        self._started.append(name)
        return int(call("lxc-info", "-P", str(self._folder), "-n", name, "-p", "-H"))

    def stop(self) -> None:
        for name in self._started:
            call("lxc-stop", "-P", str(self._folder), "-n", name, "--kill")
            self._remove_cgroups(name)

    @staticmethod
    def _remove_cgroups(name: str) -> None:
        for group in (f"lxc.payload.{name}", f"lxc.monitor.{name}", "lxc.pivot"):
            remove_cgroups(group)


class Nspawn:
    """systemd-nspawn without systemd on the host, each container in a tree of its own."""

    def __init__(self, folder: Path, root: Path) -> None:
        demand("systemd-nspawn")
        self._folder = folder
        self._root = root
        self._started: list[Process] = []

    def start(self, name: str, *flags: str, command: tuple[str, ...] = SLEEP) -> int:
        tree = self._folder / name
        shutil.copytree(self._root, tree, symlinks=True)
        (tree / "usr").mkdir(exist_ok=True)
        (tree / "etc/os-release").touch()
        process = Process(
            "systemd-nspawn", "--quiet", f"--directory={tree}", f"--machine={name}", "--register=no",
            "--keep-unit", "--as-pid2", *flags, *command,
        )  # fmt: skip
        self._started.append(process)
        return process.child(Path(command[0]).name)

    def stop(self) -> None:
        for process in self._started:
            process.stop()
        remove_cgroups("payload")


class Commands:
    """Tools without a state of their own, that run one command confined: bwrap, unshare, firejail.

    Args:
        tool: the program with the arguments that all get.
    """

    def __init__(self, *tool: str) -> None:
        demand(tool[0])
        self._tool = tool
        self._started: list[Process] = []

    def start(self, name: str, *flags: str, command: tuple[str, ...] = SLEEP) -> int:
        process = Process(*self._tool, *flags, *command)
        self._started.append(process)
        return process.child(Path(command[0]).name)

    def stop(self) -> None:
        for process in self._started:
            process.stop()
