"""Test containers by system calls alone: no image, no runtime, no exec, no other program.

The child is this very interpreter (`clone3` as a fork), so that what runs inside is a Python function. It
dies with us, it is killed through a pidfd, and it is reaped whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.kernel import clone, credentials, mounting, seccomp
from isoaudit.probes.cgroups import write
from isoaudit.probes.engines import kernel_mounts
from isoaudit.probes.kernel_mounts import CGROUP, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
        self.lacking: dict[str, str] = {}  # what could not be given to it from outside, and why
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
    lacking: dict[str, str] = {}
    cgroups = _own_cgroups(confinement, group, lacking)
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
            _child(confinement, pipes, main, {*keep}, furnish, cgroups)
        os.close(pipes.answers_out)
        os.close(pipes.replies_in)
        container = TestContainer(cloned, pipes.answers_in, pipes.replies_out, group)
        container.lacking.update(lacking)
        register(container)
        _admit(container, confinement)
    except BaseException:
        if container is not None:
            container.end()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return container


def _own_cgroups(confinement: Confinement, group: Group, lacking: dict[str, str]) -> dict[str, str]:
    """The directories of the cgroups of its own that it is to see, by controller."""
    found = {}
    for mount in confinement.mounts or ():
        if mount.kind == CGROUP:
            try:
                found[mount.source] = group.join(mount.source)
            except OSError as error:
                lacking[f"/{mount.target}"] = f"{error.strerror}"
    return found


def _admit(container: TestContainer, confinement: Confinement) -> None:
    """The parent's part: cgroups, id maps, scheduling, then let it go."""
    base = f"/proc/{container.pid}"
    container.group.add(container.pid)
    write(f"{base}/oom_score_adj", "1000")
    if confinement.uid_map:
        write(f"{base}/uid_map", _map(confinement.uid_map))
        write(f"{base}/gid_map", _map(confinement.gid_map))
    policy, _, nice = confinement.scheduling
    try:
        if nice:
            os.setpriority(os.PRIO_PROCESS, container.pid, nice)
        if policy:
            os.sched_setscheduler(container.pid, policy, os.sched_param(0))
    except OSError as error:
        container.lacking["scheduling"] = f"{error.strerror}"
    container.reply(_GO[0])


def _map(ranges: Iterable[IdRange]) -> str:
    return "".join(f"{one.inside} {one.outside} {one.length}\n" for one in ranges)


def _child(
    confinement: Confinement,
    pipes: _Pipes,
    main: Callable[[Channel], None],
    keep: set[int],
    furnish: Callable[[], None] | None,
    cgroups: Mapping[str, str],
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
                lacking = confine(confinement, furnish, cgroups)
            except OSError as error:
                channel.say({"failed": f"{error.strerror}", "errno": error.errno})
            else:
                for wall, reason in lacking.items():
                    channel.say({"lacks": wall, "reason": reason})
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


def confine(
    confinement: Confinement,
    furnish: Callable[[], None] | None = None,
    cgroups: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Put all walls around this process; it is in its new namespaces already, but the cgroup one.

    Args:
        confinement: the walls.
        furnish: as for `start`.
        cgroups: directories of its own cgroups, by controller.

    Returns:
        The walls that could not be put up, or only in part, and why; mounts by their places.

    Raises:
        OSError: what the kernel answered.
    """
    lacking: dict[str, str] = {}
    if confinement.uid_map:
        # The id it was cloned with is not mapped here, and no filesystem takes files of an id that is not.
        user, group = confinement.uid_map[0].inside, confinement.gid_map[0].inside
        credentials.take_ids((user, user, user), (group, group, group))
    if "cgroup" in confinement.namespaces:
        clone.unshare("cgroup")
    attributes = _attributes() if confinement.profile else -1
    lacking.update(_new_root(confinement, furnish, cgroups or {}))
    for number, soft, hard in confinement.rlimits:
        if not _limit(number, soft, hard):
            lacking[f"resource limit {number}"] = "it is above isoaudit's own"
    if confinement.profile:
        try:
            # A profile may well forbid all of what was done up to here.
            os.write(attributes, f"changeprofile {confinement.profile}".encode())
        except OSError as error:
            lacking["LSM label"] = f"{error.strerror}"
        os.close(attributes)
    # As runc does: without no_new_privs only privilege installs a filter, with it everybody.
    if not confinement.no_new_privs:
        _install(confinement.seccomp, lacking)
    credentials.become(confinement.uids, confinement.gids, confinement.capabilities, confinement.groups)
    credentials.die_with_parent()
    if confinement.no_new_privs:
        credentials.set_no_new_privs()
        _install(confinement.seccomp, lacking)
    return lacking


def _attributes() -> int:
    """A descriptor of this process's AppArmor attribute, opened while the host's /proc is still there."""
    for path in ("/proc/thread-self/attr/apparmor/current", "/proc/thread-self/attr/current"):
        with contextlib.suppress(FileNotFoundError):  # before Linux 5.8 there is one attribute for all LSMs
            return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    raise FileNotFoundError(errno.ENOENT, "no LSM attributes in /proc")


def _install(programs: Iterable[str], lacking: dict[str, str]) -> None:
    for program in programs:
        try:
            seccomp.install(program)
        except OSError as error:
            lacking["seccomp filter"] = f"{error.strerror}"
            return


def _new_root(
    confinement: Confinement, furnish: Callable[[], None] | None, cgroups: Mapping[str, str]
) -> dict[str, str]:
    """A tmpfs with /tmp, the mounts of the kernel's filesystems, and what `furnish` puts there.

    Returns:
        The places where a mount was refused, and why.
    """
    own_user = "user" in confinement.namespaces
    mounting.make_private()
    mounting.cover_root(_ROOT_SIZE)
    for folder in ("proc", "sys", "tmp"):
        os.mkdir(folder)
    os.chmod("tmp", 0o1777)  # noqa: S103  as any /tmp
    mounts = confinement.mounts
    if mounts is None:
        # procfs shows a PID namespace, and only who owns that may mount it.
        mounts = (PLAIN,) if "pid" in confinement.namespaces or not own_user else ()
    refused = kernel_mounts.make(mounts, cgroups, keep=own_user)
    if furnish is not None:
        furnish()
    mounting.pivot_here()
    return refused


def _limit(number: int, soft: int | None, hard: int | None) -> bool:
    """setrlimit(2), as far as it goes without CAP_SYS_RESOURCE; whether that is all of it."""
    _, most = resource.getrlimit(number)
    wanted = resource.RLIM_INFINITY if hard is None else hard
    if most != resource.RLIM_INFINITY and not 0 <= wanted <= most:
        wanted = most
    amount = resource.RLIM_INFINITY if soft is None else soft
    if wanted != resource.RLIM_INFINITY and not 0 <= amount <= wanted:
        amount = wanted
    resource.setrlimit(number, (amount, wanted))
    return wanted == (resource.RLIM_INFINITY if hard is None else hard)
