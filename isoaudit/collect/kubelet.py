"""Names of pods and of the containers in them, from the folders that a kubelet keeps on its node.

An engine's own files are asked first (`isoaudit.collect.naming`); these serve where there are none, or where
they lie elsewhere. Nothing that they say decides a verdict.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from isoaudit.collect.tree import read_file
from isoaudit.facts.mounts import parse_mountinfo

if TYPE_CHECKING:
    from isoaudit.collect.paths import Paths
    from isoaudit.facts.runtimes import Made

# kubelet, pkg/kubelet/kuberuntime: logs of a pod lie in NAMESPACE_NAME_UID (BuildPodLogsDirectory), and links
# to them are called NAME_NAMESPACE_CONTAINER-ID.log (logSymlink). No name has an underscore (RFC 1123).
_POD_LOGS = "/var/log/pods"
_CONTAINER_LOGS = "/var/log/containers"
_NAME = r"[a-z0-9][a-z0-9.-]*"
_POD_FOLDER = re.compile(rf"({_NAME})_({_NAME})_([0-9a-f-]{{32,36}})")
_LINK = re.compile(rf"({_NAME})_({_NAME})_({_NAME})-([0-9a-f]{{64}})\.log")
# What it mounts at /dev/termination-log of every container lies in PODS/UID/containers/NAME.
_TERMINATION_LOG = re.compile(rf".*/pods/[0-9a-f-]{{32,36}}/containers/({_NAME})/[^/]+")
# Containers that it asked of Docker: cri-dockerd and the dockershim before it, by their names.
_DOCKER = re.compile(rf"k8s_({_NAME}|POD)_({_NAME})_({_NAME})_[0-9a-f-]{{32,36}}_\d+")
# What a pod's sandbox is called in all of them: the process that holds its namespaces open.
PAUSE = "pause"


class Kubelet:
    """The pods of one node; its folders are listed once, and only if there is a pod to name."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._pods: dict[str, str] | None = None
        self._containers: dict[str, tuple[str, str]] | None = None

    def complete(self, made: Made, pid: int) -> Made:
        """A container of a pod with the names that are not told yet.

        Args:
            made: one with a pod.
            pid: of its first process.
        """
        docker = _DOCKER.fullmatch(made.name)
        if docker:
            name = PAUSE if docker[1] == "POD" else docker[1]
            return made._replace(name=name, pod=f"{docker[3]}/{docker[2]}")
        if "/" not in made.pod:
            if self._pods is None:
                self._pods = {
                    match[3]: f"{match[1]}/{match[2]}" for match in self._listed(_POD_LOGS, _POD_FOLDER)
                }
            made = made._replace(pod=self._pods.get(made.pod, made.pod))
        if not made.name:
            if self._containers is None:
                self._containers = {
                    match[4]: (f"{match[2]}/{match[1]}", match[3])
                    for match in self._listed(_CONTAINER_LOGS, _LINK)
                }
            pod, name = self._containers.get(made.id, (made.pod, ""))
            made = made._replace(pod=pod, name=name or self._mounted(pid) or self._pause(pid))
        return made

    def _listed(self, folder: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        try:
            entries = os.listdir(self._paths.host(folder))
        except OSError:
            return []
        return [match for entry in entries if (match := pattern.fullmatch(entry))]

    def _mounted(self, pid: int) -> str:
        """The name of a container by the path of its termination log."""
        try:
            mounts = parse_mountinfo(read_file(f"{self._paths.proc}/{pid}/mountinfo"))
        except (OSError, ValueError):
            return ""
        roots = (mount.root for mount in mounts if mount.target == "/dev/termination-log")
        matches = (_TERMINATION_LOG.fullmatch(root) for root in roots)
        return next((match[1] for match in matches if match), "")

    def _pause(self, pid: int) -> str:
        """`PAUSE` if the first process is called so: of a sandbox the kubelet keeps no logs."""
        try:
            comm = read_file(f"{self._paths.proc}/{pid}/comm")
        except OSError:
            return ""
        return PAUSE if comm == b"pause\n" else ""
