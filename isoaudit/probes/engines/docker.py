"""Docker: an image of nothing but the sleeper, imported under the run's name and removed with it."""

from __future__ import annotations

import io
import tarfile

from isoaudit.errors import UsageError
from isoaudit.probes import sleeper
from isoaudit.probes.cgroups import abandoned
from isoaudit.probes.engines.base import Asked, Run, Started, verified
from isoaudit.probes.engines.command import Done, EngineError, call, find

_ANSWER = 10.0  # seconds for a daemon to say that it is there
_UNKNOWN = ("unknown flag", "unknown shorthand flag", "invalid argument", "invalid value")
NO_LINK = (
    "its network namespace has no link, so that nothing is added to the host's bridges and firewall; "
    "the engine's own network: --with '--network bridge'"
)


class Client:
    """What Docker's and Podman's commands have in common.

    Args:
        name: of the command.
        run: whose name and folder to use.
    """

    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self._run = run
        self._path = find(name) or name
        self._started: list[str] = []

    def obstacle(self) -> str:
        """Why it cannot be used here; "" where it can."""
        if not find(self.name):
            return f"{self.name} is not installed"
        try:
            done = self._call("version", seconds=_ANSWER)
        except EngineError as error:
            return str(error)
        return f"{self.name} cannot be used: {done.said()}" if done.code else ""

    def _call(self, *arguments: str, seconds: float = 30, feed: bytes = b"") -> Done:
        return call([self._path, *self._options(), *arguments], seconds=seconds, feed=feed)

    def _options(self) -> tuple[str, ...]:
        return ()

    def _removal(self) -> tuple[str, ...]:
        return ("rm", "--force", "--volumes")

    def _run_detached(self, asked: Asked, image: tuple[str, ...]) -> Done:
        """`run`, by which the container is there, and known to `stop`, or is not."""
        flags = asked.configuration.flags()
        if not asked.configuration.network:
            flags = (*flags, "--network=none")
        if asked.name not in self._started:
            self._started.append(asked.name)
        return self._call(
            *("run", "--detach", "--rm", "--name", asked.name, *flags, *image, sleeper.PATH, self._run.name)
        )

    def _answered(self, done: Done, asked: Asked) -> Started:
        if done.code:
            said = done.said()
            if any(words in said for words in _UNKNOWN):
                raise UsageError(f"{self.name}: {said}")
            raise EngineError(f"{self.name} refuses the container: {said}")
        inspected = self._call("inspect", "--format", "{{.State.Pid}}", asked.name)
        if inspected.code or not inspected.out.isdigit() or inspected.out == "0":
            raise EngineError(f"{self.name}: the container ended at once")
        notices = () if asked.configuration.network else (NO_LINK,)
        return Started(verified(self.name, int(inspected.out), self._run.name), notices)

    def sweep(self) -> list[str]:
        """Remove the containers of runs whose process is gone; their names."""
        listed = self._call("ps", "--all", "--filter", "name=isoaudit-", "--format", "{{.Names}}")
        names = [name for name in listed.out.splitlines() if abandoned(name)]
        return [f"{self.name} container {name}" for name in names if not self._remove(name)]

    def stop(self) -> list[str]:
        """Take all containers away; what could not be removed."""
        left = []
        while self._started:
            name = self._started.pop()
            problem = self._remove(name)
            if problem:
                left.append(f"{self.name} container {name}: {problem}")
        return left

    def _remove(self, name: str) -> str:
        """Remove a container; why that failed, or ""."""
        try:
            done = self._call(*self._removal(), name)
            # `--rm` may have been faster.
            if done.code and self._call("inspect", "--type", "container", name).code == 0:
                return done.said()
        except EngineError as error:
            return str(error)
        return ""


class Docker(Client):
    """Docker's command, and the daemon that it talks to.

    Args:
        run: whose name to use.
    """

    def __init__(self, run: Run) -> None:
        super().__init__("docker", run)
        self._image = ""

    def start(self, asked: Asked) -> Started:
        """Start a container.

        Raises:
            EngineError: the daemon refuses.
            UsageError: it does not know a flag.
        """
        if asked.bundle is not None:
            raise UsageError("--oci-bundle: docker takes no bundle: use --engine runc, crun or native")
        if not self._image:
            # Noted before it is made: an interrupt may come between the two.
            self._image = f"{self._run.name}:probe"
            done = self._call("import", "-", self._image, feed=_archive())
            if done.code:
                raise EngineError(f"docker import: {done.said()}")
        return self._answered(self._run_detached(asked, (self._image,)), asked)

    def sweep(self) -> list[str]:
        """Remove containers and images of runs whose process is gone; their names."""
        removed = super().sweep()
        listed = self._call(
            "image", "ls", "--filter", "reference=isoaudit-*:probe", "--format", "{{.Repository}}"
        )
        for name in listed.out.splitlines():
            if abandoned(name) and self._call("image", "rm", "--force", f"{name}:probe").code == 0:
                removed.append(f"docker image {name}")
        return removed

    def stop(self) -> list[str]:
        """Take containers and image away; what could not be removed."""
        left = super().stop()
        if self._image:
            try:
                done = self._call("image", "rm", "--force", self._image)
                if done.code and "No such image" not in done.said():
                    left.append(f"docker image {self._image}: {done.said()}")
            except EngineError as error:
                left.append(f"docker image {self._image}: {error}")
            self._image = ""
        return left


def _archive() -> bytes:
    """The root filesystem as an archive.

    Raises:
        EngineError: there is no program for this machine.
    """
    try:
        content = sleeper.program()
    except ValueError as error:
        raise EngineError(str(error)) from error
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(sleeper.NAME)
        entry.mode, entry.size = 0o755, len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
