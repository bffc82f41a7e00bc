"""Names, mounts, user namespaces, and pids inside and out."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from isoaudit.kernel import clone, mounting, syscalls
from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, VIEW, Probe, answer, raw

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

_PR_CAPBSET_DROP, _NO_CAPABILITY = 24, 9999
_INSIDE = f"prctl(PR_CAPBSET_DROP, {_NO_CAPABILITY})"


def _mount(channel: Channel, assignment: Assignment, probe: Probe) -> None:
    # Unknown flags are looked at after the right. Another filesystem's name would load a module.
    call = raw('fsopen("tmpfs", 0xff00)', "fsopen", b"tmpfs", 0xFF00)
    error = answer(call, assignment)
    if error == errno.ENOSYS:  # before Linux 5.2, or a filter's
        both = mounting.MS_SHARED | mounting.MS_PRIVATE
        call = raw(
            'mount("none", "/", NULL, MS_SHARED|MS_PRIVATE, NULL)', "mount", b"none", b"/", None, both, None
        )
        error = answer(call, assignment)
    message: dict[str, object] = {"name": probe.name, "call": call.shown, "errno": error}
    if error not in probe.permitted and probe.reach:
        message["reach"] = (probe.reach.shown, answer(probe.reach, assignment))
    channel.say(message)


def _user_namespace(channel: Channel, _: Assignment, probe: Probe) -> None:
    """By unshare(2), or by a child that is made in one: filters often know only some of the three calls."""
    tried = []
    for shown, make in (
        ("unshare(CLONE_NEWUSER)", _of_own),
        ("clone(CLONE_NEWUSER)", lambda: _of_child(clone.fork(("user",)))),
        ("clone3(CLONE_NEWUSER)", lambda: _of_child(clone.clone(("user",)).pid)),
    ):
        try:
            inside = make()
        except OSError as error:
            tried.append((shown, error.errno or errno.EIO))
            continue
        channel.say({"name": probe.name, "call": f"{shown}; {_INSIDE}", "errno": 0, "inside": inside})
        return
    (shown, refusal), *others = tried
    channel.say({"name": probe.name, "call": shown, "errno": refusal, "others": others})


def _of_own() -> int:
    clone.unshare("user")
    return _capable()


def _of_child(pid: int) -> int:
    """In a child: see what it may do and end; in its parent: what that was."""
    if pid == 0:
        os._exit(_capable())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _capable() -> int:
    """0 for who has capabilities over the user namespace that it is in, else what the kernel answered.

    AppArmor on Ubuntu lets it be made and takes all capabilities in it away.
    """
    try:
        syscalls.call("prctl", _PR_CAPBSET_DROP, _NO_CAPABILITY, 0, 0, 0)
    except OSError as error:
        # The number is looked at after the right.
        return 0 if error.errno == errno.EINVAL else error.errno or errno.EIO
    return 0


def _pid_map(channel: Channel, _: Assignment, probe: Probe) -> None:
    # The parent of this one is the twin's first process, whose pids the scanner reads when it hears of this.
    channel.say({"name": probe.name, "call": "getppid()", "inside": os.getppid()})


PROBES = (
    Probe(
        "hostname-set",
        PERMISSION,
        "set the host's name",
        "SYSCALL_DEFINE2(sethostname) in kernel/sys.c",
        "no name: its length is negative, which is looked at after the right",
        calls=(
            raw("sethostname(NULL, -1)", "sethostname", None, -1),
            raw("setdomainname(NULL, -1)", "setdomainname", None, -1),
        ),
        permitted=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_ADMIN"),
        own="uts",
    ),
    Probe(
        "mount",
        PERMISSION,
        "mount filesystems",
        "may_mount() in fs/namespace.c",
        "no mount: flags that do not exist are refused after the right",
        permitted=(errno.EINVAL,),
        reach=raw('mount("none", "/nonexistent")', "mount", b"none", b"/nonexistent", None, 0, None),
        reached=(errno.ENOENT,),
        capabilities=mask("CAP_SYS_ADMIN"),
        own="user",
        run=_mount,
    ),
    Probe(
        "user-namespace-create",
        PERMISSION,
        "make a user namespace and get all capabilities in it",
        "create_user_ns() in kernel/user_namespace.c",
        "a user namespace of a child or of its own",
        "they end with the process",
        # ENOSPC is user.max_user_namespaces; EINVAL a kernel without them.
        refused=(errno.ENOSPC, errno.EINVAL),
        run=_user_namespace,
        alone=True,
    ),
    Probe(
        "namespace-pid-map",
        VIEW,
        "know its processes by the host's numbers",
        "proc_pid_status() in fs/proc/array.c, the line NSpid",
        "nothing: its pid is asked for inside and out",
        run=_pid_map,
    ),
)
