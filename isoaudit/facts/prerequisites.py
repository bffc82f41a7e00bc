"""What a vulnerability takes, and whether a container's walls leave it: the words of data/vulnerabilities.json.

| word | met where |
|---|---|
| `cap:NET_ADMIN@userns` | a process has the capability over any user namespace, or may make one |
| `cap:SYS_ADMIN@host` | it has the capability over the host's |
| `userns` | it may make a user namespace |
| `syscall:bpf` | its seccomp filter lets the call through |
| `family:38` | its seccomp filter lets sockets of the family be made |
| `module:tipc` | the kernel has the module's code, or would load it |
| `config:KEYS`, `config:!KEYS` | the kernel is built with it, without it |
| `sysctl:kernel.yama.ptrace_scope=0,1` | the setting has one of the values, or the kernel does not know it |
| `setid` | executing a set-user-ID program still gives its privileges |
| `fs:xfs` | it may write to a filesystem of the type |
| `device:/dev/kvm` | the device is there and its policy lets it be opened |
| `hardware:…` | never known: nothing looks for it |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from isoaudit.facts.calls import I386, Call, letting, ways
from isoaudit.facts.confinement import over_host
from isoaudit.facts.exposure import exposed_nodes
from isoaudit.facts.latest import latest
from isoaudit.facts.mounts import mount_of
from isoaudit.facts.seccomp import programs, stacks
from isoaudit.facts.vulnerabilities import module_option
from isoaudit.kernel.capability import bit
from isoaudit.model import FactMissing, Known, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from isoaudit.facts.calls import Way
    from isoaudit.facts.container import Container, Process
    from isoaudit.facts.host import Host

_NEWUSER = 0x10000000
_USERNS = ways(Call("unshare", ((0, _NEWUSER),)), Call("clone", ((0, _NEWUSER),)), "clone3")
_SYS_SOCKET = 1  # socketcall(2)'s number of socket(2), whose family no filter sees
_NO_LOADER = ("", "/bin/false", "/bin/true")  # of kernel.modprobe
_FAMILIES = {
    1: "AF_UNIX",
    2: "AF_INET",
    16: "AF_NETLINK",
    17: "AF_PACKET",
    30: "AF_TIPC",
    31: "AF_BLUETOOTH",
    33: "AF_RXRPC",
    38: "AF_ALG",
    40: "AF_VSOCK",
}


Needs = tuple[tuple[str, ...], ...]  # any one list, all of its words


class Answer(NamedTuple):
    """Whether a prerequisite is met; None where what was read does not tell. `says` is why, or by what."""

    met: bool | None
    says: str


class Actor(NamedTuple):
    """A process that might, and whose like were asked about already."""

    host: Host
    container: Container
    process: Process
    answers: dict[str, Answer]  # by word
    reached: dict[Needs, Answer]  # by what a vulnerability needs; of words that are about processes only


_OF_CONTAINER = frozenset({"fs", "device", "setid"})  # depend on more of a container than its processes' walls


def actors(host: Host, container: Container) -> tuple[Actor, ...]:
    """One process of each sort inside: those with the same capabilities and filters are one."""
    known = _answers(host)
    found: dict[tuple[object, ...], Actor] = {}
    for task in container.tasks:
        key = _key(container, task)
        if key not in found:
            answers, reached = ({}, {}) if key[0] is None else known.setdefault(key, ({}, {}))
            found[key] = Actor(host, container, task, answers, reached)
    return tuple(found.values())


@latest
def _answers(host: Host) -> dict[tuple[object, ...], tuple[dict[str, Answer], dict[Needs, Answer]]]:
    """What was answered on a host, by sort of process: its containers mostly have the same few."""
    del host
    return {}


def _key(container: Container, task: Process) -> tuple[object, ...]:
    """What decides about a process; beginning with None where it is about itself alone."""
    try:
        status = require(task.status)
        filters = (
            tuple((programs(stack), stack.architectures) for stack in stacks(container, task))
            if (require(status.seccomp))
            else ()
        )
        outside = over_host(container, task)
        new_privs = require(status.no_new_privs)
    except FactMissing:
        return (None, task.pid)
    held = status.cap_effective | status.cap_permitted
    return (filters, held, status.cap_bounding, new_privs, 0 in status.uids[:2], outside)


def any_reach(candidates: Iterable[Actor], needs: Needs) -> Answer:
    """Whether any process meets all words of any list, by what; else what stands in the way of the first."""
    best: Answer | None = None
    for actor in candidates:
        answer = _reach(actor, needs)
        if answer.met:
            return answer
        if best is None or (best.met is False and answer.met is None):
            best = answer
    return best or Answer(None, "it has no process that was seen")


def _reach(actor: Actor, needs: Needs) -> Answer:
    known = actor.reached.get(needs)
    if known is not None:
        return known
    best: Answer | None = None
    for words in needs:
        answer = _all(actor, words)
        if best is None or answer.met or (best.met is False and answer.met is None):
            best = answer
        if answer.met:
            break
    found = best or Answer(False, "nothing leads to it")
    kinds = {word.partition(":")[0] for words in needs for word in words}
    if found.met is not None and not kinds & _OF_CONTAINER:
        actor.reached[needs] = found
    return found


def _all(actor: Actor, words: Sequence[str]) -> Answer:
    """Whether a process meets all of some words: the first that it does not, or by what it does."""
    doubt: Answer | None = None
    by = []
    for word in words:
        answer = _ask(actor, word)
        if answer.met is False:
            return answer
        if answer.met is None:
            doubt = doubt or answer
        elif answer.says:
            by.append(answer.says)
    return doubt or Answer(True, ", ".join(by))


def _ask(actor: Actor, word: str) -> Answer:
    kind, _, rest = word.partition(":")
    if word in actor.answers:
        return actor.answers[word]
    answer = _asked(actor, kind, rest)
    if kind not in _OF_CONTAINER and answer.met is not None:
        actor.answers[word] = answer
    return answer


def _asked(actor: Actor, kind: str, rest: str) -> Answer:
    try:
        return KINDS[kind](actor, rest)
    except FactMissing as error:
        return Answer(None, f"{error.source}: {error.reason}")


def _capability(actor: Actor, rest: str) -> Answer:
    name, _, where = rest.partition("@")
    name, wanted = f"CAP_{name}", bit(f"CAP_{name}")
    status = require(actor.process.status)
    usable = where == "userns" or over_host(actor.container, actor.process)
    if usable and (status.cap_effective | status.cap_permitted) & wanted:
        return Answer(True, name)
    # Executing anything gives root what its bounding set has, unless no_new_privs is set.
    if usable and status.cap_bounding & wanted and 0 in status.uids[:2] and not require(status.no_new_privs):
        return Answer(True, f"{name} by executing any program")
    if where == "host":
        return Answer(False, f"no process has {name} over the host")
    inside = _user_namespace(actor, "")
    if inside.met:
        return Answer(True, f"{name} in a user namespace that it may make")
    return Answer(inside.met, f"no process has {name}, and {inside.says}")


def _user_namespace(actor: Actor, _rest: str) -> Answer:
    host = actor.host
    there = host.has("/proc/self/ns/user")
    if isinstance(there, Known) and not there.value:
        return Answer(False, "the kernel has no user namespaces")
    if _setting(host, "user.max_user_namespaces") == "0":
        return Answer(False, "user.max_user_namespaces is 0")
    admin = _over_host(actor, "CAP_SYS_ADMIN")
    if _setting(host, "kernel.unprivileged_userns_clone") == "0" and not admin:
        return Answer(False, "kernel.unprivileged_userns_clone is 0")
    let = _lets(
        actor, _USERNS, "a user namespace that it may make", "its seccomp filter refuses new user namespaces"
    )
    if let.met and not admin and _setting(host, "kernel.apparmor_restrict_unprivileged_userns") == "1":
        return Answer(None, "AppArmor restricts user namespaces by profile, and profiles are not read")
    return let


def _over_host(actor: Actor, name: str) -> bool:
    status = require(actor.process.status)
    return bool((status.cap_effective | status.cap_permitted) & bit(name)) and over_host(
        actor.container, actor.process
    )


def _setting(host: Host, name: str) -> str | None:
    """A setting; None where this kernel does not have it.

    Raises:
        FactMissing: it could not be read.
    """
    return None if host.sysctl_absent(name) else require(host.sysctl(name))


def _lets(actor: Actor, open_ways: Sequence[Way], by: str, refusal: str) -> Answer:
    answers = letting(actor.container, (actor.process,), open_ways).decided()
    return Answer(True, by) if answers.processes else Answer(False, refusal)


def _call(actor: Actor, name: str) -> Answer:
    return _lets(actor, ways(name), f"{name}(2)", f"its seccomp filter refuses {name}")


def _family(actor: Actor, rest: str) -> Answer:
    number = int(rest)
    name = _FAMILIES.get(number, f"family {number}")
    open_ways = (*ways(Call("socket", ((0, number),))), (Call("socketcall", ((0, _SYS_SOCKET),), I386),))
    return _lets(actor, open_ways, f"{name} sockets", f"its seccomp filter refuses {name} sockets")


def _module(actor: Actor, name: str) -> Answer:
    host, option = actor.host, module_option(name)
    build = host.kernel_build_options
    if isinstance(build, Known):
        says = build.value.option(option)
        if says == "y":
            return Answer(True, "")
        if not says:
            return Answer(False, f"the kernel is built without {name}")
    loaded = host.modules
    if isinstance(loaded, Known) and name in loaded.value:
        return Answer(True, "")
    if not isinstance(build, Known):
        return Answer(None, f"whether the kernel has {name} is not known: {build.source}: {build.reason}")
    if _setting(host, "kernel.modules_disabled") == "1" or _setting(host, "kernel.modprobe") in _NO_LOADER:
        return Answer(False, f"{name} is not loaded, and no module is loaded on demand")
    return Answer(True, f"{name}, which is loaded on demand" if isinstance(loaded, Known) else "")


def _option(actor: Actor, rest: str) -> Answer:
    build = actor.host.kernel_build_options
    name = rest.removeprefix("!")
    if not isinstance(build, Known):
        return Answer(None, f"CONFIG_{name} is not known: {build.source}: {build.reason}")
    is_set = bool(build.value.option(name))
    if is_set is (rest == name):
        return Answer(True, "")
    return Answer(False, f"the kernel is built {'with' if is_set else 'without'} CONFIG_{name}")


def _sysctl(actor: Actor, rest: str) -> Answer:
    name, _, values = rest.partition("=")
    value = _setting(actor.host, name)
    return Answer(value is None or value in values.split(","), "" if value is None else f"{name} is {value}")


def _set_id(actor: Actor, _rest: str) -> Answer:
    if require(require(actor.process.status).no_new_privs):
        return Answer(False, "no_new_privs is set")
    files = require(actor.container.privileged_files)
    if not files:
        return Answer(False, "there is no set-user-ID program inside")
    return Answer(True, f"a set-user-ID program ({files[0].path})")


def _filesystem(actor: Actor, fstype: str) -> Answer:
    host_mounts = require(actor.host.mounts)
    for mount in require(actor.container.mounts):
        if mount.read_only:
            continue
        if mount.fstype == fstype:
            return Answer(True, f"{fstype} at {mount.target}")
        upper = next(
            (o.removeprefix("upperdir=") for o in mount.super_options if o.startswith("upperdir=")), ""
        )
        below = mount_of(host_mounts, upper) if upper.startswith("/") else None
        if below is not None and below.fstype == fstype:
            return Answer(True, f"{fstype} below {mount.target}")
    return Answer(False, f"it can write to no {fstype}")


def _device(actor: Actor, path: str) -> Answer:
    for exposure in exposed_nodes(actor.container):
        if exposure.node.path == path:
            return Answer(True, path)
    return Answer(False, f"it has no {path}")


def _hardware(_actor: Actor, rest: str) -> Answer:
    return Answer(None, f"whether the machine has {rest} is not looked for")


KINDS: dict[str, Callable[[Actor, str], Answer]] = {
    "cap": _capability,
    "userns": _user_namespace,
    "syscall": _call,
    "family": _family,
    "module": _module,
    "config": _option,
    "sysctl": _sysctl,
    "setid": _set_id,
    "fs": _filesystem,
    "device": _device,
    "hardware": _hardware,
}
