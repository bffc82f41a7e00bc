"""Test containers by system calls alone: no image, no runtime, no exec, no other program.

The child is this very interpreter (`clone3` as a fork), so that what runs inside is a Python function. It
dies with us, it is killed through a pidfd, and it is reaped whatever happens.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.kernel import clone, credentials, mounting, seccomp
from isoaudit.probes.cgroups import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isoaudit.facts.idmap import IdRange
    from isoaudit.probes.cgroups import Group
    from isoaudit.probes.twin import Confinement

_GO = b"g"
_ROOT_SIZE = "size=1m,nr_inodes=1k,mode=755"
# Whatever has a handler could raise in the wrong place.
_SIGNALS = signal.valid_signals()
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGCHLD)


class Channel(NamedTuple):
    """The test container's end of the two pipes to us."""

    answers: int
    replies: int

    def say(self, message: dict[str, Any]) -> None:
        """Send one message, a line of JSON, in one write, which a pipe keeps whole."""
        os.write(self.answers, json.dumps(message).encode() + b"\n")

    def ask(self, what: str) -> int:
        """Have the parent do something that only it may; 0, or the errno with which it failed."""
        self.say({"want": what})
        reply = os.read(self.replies, 1)
        if not reply:
            os._exit(1)  # nobody is left to answer
        return reply[0]


class TestContainer:
    """A running one, as its parent sees it."""

    __test__ = False  # it is no test, whatever pytest makes of the name

    def __init__(self, cloned: clone.Cloned, answers: int, replies: int, group: Group) -> None:
        self.pid = cloned.pid
        self.answers = answers  # readable when it has said something, or ended
        self.group = group
        self._pidfd = cloned.pidfd
        self._replies = replies
        self._buffer = b""

    def hear(self) -> tuple[list[dict[str, Any]], bool]:
        """The messages that have come, and whether more may come. Does not wait if `answers` is ready."""
        part = os.read(self.answers, 1 << 16)
        *lines, self._buffer = (self._buffer + part).split(b"\n")
        return [json.loads(line) for line in lines], bool(part)

    def reply(self, error: int) -> None:
        """Answer what it asked for."""
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `hear` tells
            os.write(self._replies, bytes((error,)))

    def end(self) -> None:
        """Kill it, reap it, and remove its cgroups. To end it again does nothing."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            if self._pidfd < 0:
                return
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass  # SIGCHLD is ignored in this process: the kernel reaped it
            for fd in (self._pidfd, self.answers, self._replies):
                os.close(fd)
            self._pidfd = -1
            self.group.remove()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pipes(NamedTuple):
    answers_in: int
    answers_out: int
    replies_in: int
    replies_out: int


def start(
    confinement: Confinement,
    group: Group,
    main: Callable[[Channel], None],
    *,
    register: Callable[[TestContainer], None],
    keep: Iterable[int] = (),
    furnish: Callable[[], None] | None = None,
) -> TestContainer:
    """Make a test container and run a function in it.

    Args:
        confinement: its walls; capability sets no larger than what can be given.
        group: its cgroups, in which it is before it does anything.
        main: what runs in it. It is over when that returns.
        register: told of it before any signal can end us, so that its owner can end it in every case.
        keep: descriptors that stay open in it.
        furnish: makes its root filesystem: called in the new mount namespace, in the new root's directory.

    Raises:
        OSError: it could not be made. Nothing of it is left.
    """
    pipes = _Pipes(*os.pipe(), *os.pipe())
    # A handler that raises must not come between the clone and the note of its pid.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    container = None
    try:
        try:
            cloned = clone.clone(confinement.namespaces - {"cgroup"})
        except OSError:
            for fd in pipes:
                os.close(fd)
            raise
        if cloned.pid == 0:
            _child(confinement, pipes, main, {*keep}, furnish)
        os.close(pipes.answers_out)
        os.close(pipes.replies_in)
        container = TestContainer(cloned, pipes.answers_in, pipes.replies_out, group)
        register(container)
        _admit(container, confinement)
    except BaseException:
        if container is not None:
            container.end()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return container


def _admit(container: TestContainer, confinement: Confinement) -> None:
    """The parent's part: cgroups, id maps, then let it go."""
    base = f"/proc/{container.pid}"
    container.group.add(container.pid)
    write(f"{base}/oom_score_adj", "1000")
    if confinement.uid_map:
        write(f"{base}/uid_map", _map(confinement.uid_map))
        write(f"{base}/gid_map", _map(confinement.gid_map))
    container.reply(_GO[0])


def _map(ranges: Iterable[IdRange]) -> str:
    return "".join(f"{one.inside} {one.outside} {one.length}\n" for one in ranges)


def _child(
    confinement: Confinement,
    pipes: _Pipes,
    main: Callable[[Channel], None],
    keep: set[int],
    furnish: Callable[[], None] | None,
) -> None:
    """The child's part; it never returns."""
    status = 1
    try:
        channel = Channel(pipes.answers_out, pipes.replies_in)
        # A collection would write to, and so copy, every page that it shares with us.
        gc.disable()
        credentials.die_with_parent()
        _detach({*keep, channel.answers, channel.replies})
        # An end of file: the parent died before PR_SET_PDEATHSIG was in force.
        if os.read(channel.replies, 1) == _GO:
            try:
                confine(confinement, furnish)
            except OSError as error:
                channel.say({"failed": f"{error.strerror}", "errno": error.errno})
            else:
                main(channel)
                status = 0
    except BaseException as error:  # noqa: BLE001  into the parent's frames it must never go
        os.write(pipes.answers_out, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
    finally:
        os._exit(status)


def _detach(keep: set[int]) -> None:
    """Leave the parent's terminal, signal handlers and descriptors."""
    os.setsid()
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        if fd not in keep:
            os.dup2(null, fd)
    first = 3
    for fd in sorted(keep):
        os.closerange(first, fd)
        first = max(fd + 1, first)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def confine(confinement: Confinement, furnish: Callable[[], None] | None = None) -> None:
    """Put all walls around this process; it is in its new namespaces already, but the cgroup one.

    Raises:
        OSError: what the kernel answered.
    """
    if confinement.uid_map:
        # The id it was cloned with is not mapped here, and no filesystem takes files of an id that is not.
        user, group = confinement.uid_map[0].inside, confinement.gid_map[0].inside
        credentials.take_ids((user, user, user), (group, group, group))
    if "cgroup" in confinement.namespaces:
        clone.unshare("cgroup")
    _new_root(confinement.namespaces, furnish)
    for number, soft, hard in confinement.rlimits:
        _limit(number, soft, hard)
    if confinement.seccomp:
        # Before the capability that installing takes without no_new_privs is gone.
        seccomp.install(confinement.seccomp)
    credentials.become(confinement.uids, confinement.gids, confinement.capabilities)
    credentials.die_with_parent()
    if confinement.no_new_privs:
        credentials.set_no_new_privs()


def _new_root(namespaces: Iterable[str], furnish: Callable[[], None] | None) -> None:
    """A tmpfs with /proc and /tmp and nothing else, unless `furnish` puts more there."""
    mounting.make_private()
    # A directory that is there for sure; what lies under it goes away with the old root.
    mounting.mount("tmpfs", "/proc", "tmpfs", mounting.MS_NOSUID, _ROOT_SIZE)
    os.chdir("/proc")
    os.mkdir("proc")
    os.mkdir("tmp")
    os.chmod("tmp", 0o1777)  # noqa: S103  as any /tmp
    # procfs shows a PID namespace, and only who owns that may mount it.
    if "pid" in namespaces or "user" not in namespaces:
        mounting.mount("proc", "proc", "proc", mounting.MS_NOSUID | mounting.MS_NODEV | mounting.MS_NOEXEC)
    if furnish is not None:
        furnish()
    mounting.pivot_here()


def _limit(number: int, soft: int | None, hard: int | None) -> None:
    """setrlimit(2), as far as it goes without CAP_SYS_RESOURCE."""
    _, most = resource.getrlimit(number)
    wanted = resource.RLIM_INFINITY if hard is None else hard
    if most != resource.RLIM_INFINITY and not 0 <= wanted <= most:
        wanted = most
    amount = resource.RLIM_INFINITY if soft is None else soft
    if wanted != resource.RLIM_INFINITY and not 0 <= amount <= wanted:
        amount = wanted
    resource.setrlimit(number, (amount, wanted))
