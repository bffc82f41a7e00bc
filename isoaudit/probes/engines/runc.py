"""runc and crun: a bundle with what `spec` writes, or somebody's, and no daemon."""

from __future__ import annotations

import json
import os

from isoaudit.probes.bundle import fitted
from isoaudit.probes.engines.base import Asked, Run, Started, verified
from isoaudit.probes.engines.command import Done, EngineError, call, find
from isoaudit.probes.settings import Document, with_configuration


def _root_of(document: Document) -> int:
    """The host's id of root inside: it makes the mount points, and must be let."""
    for one in document["linux"].get("uidMappings") or ():
        if one["containerID"] == 0:
            return int(one["hostID"])
    return 0


class OciRuntime:
    """An OCI runtime's command.

    Args:
        name: "runc" or "crun".
        run: whose folder and cgroups to use.
    """

    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self._run = run
        self._path = find(name) or name
        self._started: list[str] = []

    def obstacle(self) -> str:
        """Why it cannot be used here; "" where it can."""
        return "" if find(self.name) else f"{self.name} is not installed"

    def sweep(self) -> list[str]:
        """Its leftovers are processes in the run's cgroup, and the run's folder, which go with these."""
        return []

    def start(self, asked: Asked) -> Started:
        """Start a container.

        Raises:
            EngineError: the runtime refuses.
            UsageError: the configuration makes no sense to it.
        """
        folder = f"{self._run.folder()}/{asked.name}"
        os.mkdir(folder, 0o711)
        document, notices = with_configuration(
            self._defaults(folder) if asked.bundle is None else asked.bundle, asked.configuration
        )
        document, more = fitted(document, f"/{self._run.name}/{asked.name}", self._run.name)
        document["root"]["path"] = f"{folder}/rootfs"
        self._run.fill(f"{folder}/rootfs", _root_of(document))
        with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
            json.dump(document, file)
        self._started.append(asked.name)
        pid_file = f"{folder}/pid"
        done = self._call("run", "--detach", "--bundle", folder, "--pid-file", pid_file, asked.name)
        if done.code:
            raise EngineError(f"{self.name} refuses the container: {done.said()}")
        with open(pid_file, encoding="ascii") as file:
            pid = verified(self.name, int(file.read()), self._run.name)
        return Started(pid, (*notices, *more))

    def _defaults(self, folder: str) -> Document:
        done = call([self._path, "spec"], folder=folder)
        if done.code:
            raise EngineError(f"{self.name} spec: {done.said()}")
        with open(f"{folder}/config.json", encoding="utf-8") as file:
            document: Document = json.load(file)
        return document

    def _call(self, *arguments: str) -> Done:
        return call([self._path, "--root", f"{self._run.folder()}/{self.name}", *arguments])

    def stop(self) -> list[str]:
        """Take all containers away; what could not be removed."""
        left = []
        while self._started:
            name = self._started.pop()
            try:
                self._call("delete", "--force", name)
            except EngineError as error:
                left.append(f"{name}: {error}")
        return left
