"""The flags of `docker run` that say what a container may do, read into a configuration. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.probes.configuration import (
    Configuration,
    parse_bind,
    parse_capability,
    parse_device,
    parse_number,
    parse_size,
    parse_ulimit,
    secured,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WHAT = "--with"
_NOTHING = Configuration()
_SHORT = {"-u": "--user", "-v": "--volume", "-m": "--memory", "-c": "--cpu-shares"}
_ALSO = {"--net": "--network"}
_SWITCHES = {"--privileged": "privileged", "--read-only": "read_only", "--init": "init"}
_WORDS = {
    "--user": "user",
    "--pid": "pid",
    "--ipc": "ipc",
    "--network": "network",
    "--uts": "uts",
    "--userns": "userns",
    "--cgroupns": "cgroupns",
    "--cpuset-cpus": "cpuset_cpus",
    "--cpuset-mems": "cpuset_mems",
}
_SIZES = {"--memory": "memory", "--shm-size": "shm_size"}
_WHOLE = {"--cpu-shares": "cpu_shares", "--pids-limit": "pids", "--oom-score-adj": "oom_score_adj"}
# Docker's and Podman's own, which take a value and change what the container may do.
_OTHERS = frozenset(
    {
        "--blkio-weight",
        "--cpu-period",
        "--cpu-quota",
        "--cpu-rt-period",
        "--cpu-rt-runtime",
        "--device-read-bps",
        "--device-read-iops",
        "--device-write-bps",
        "--device-write-iops",
        "--gidmap",
        "--memory-reservation",
        "--memory-swappiness",
        "--runtime",
        "--subgidname",
        "--subuidname",
        "--uidmap",
    }
)
_OTHER_SWITCHES = frozenset({"--oom-kill-disable", "--read-only-tmpfs"})


def _lists() -> Mapping[str, Callable[[Configuration, str], Configuration]]:
    return {
        "--cap-add": lambda c, v: c._replace(cap_add=(*c.cap_add, *_capabilities(v))),
        "--cap-drop": lambda c, v: c._replace(cap_drop=(*c.cap_drop, *_capabilities(v))),
        "--security-opt": lambda c, v: secured(c, v, _WHAT),
        "--group-add": lambda c, v: c._replace(groups=(*c.groups, v)),
        "--device": lambda c, v: c._replace(devices=(*c.devices, parse_device(v, _WHAT))),
        "--device-cgroup-rule": lambda c, v: c._replace(device_rules=(*c.device_rules, v)),
        "--volume": _volume,
        "--tmpfs": lambda c, v: c._replace(tmpfs=(*c.tmpfs, v)),
        "--ulimit": lambda c, v: c._replace(ulimits=(*c.ulimits, parse_ulimit(v, _WHAT))),
        "--sysctl": _sysctl,
        "--cpus": lambda c, v: c._replace(cpus=parse_number(v, f"{_WHAT} --cpus")),
        "--memory-swap": lambda c, v: c._replace(
            memory_swap=-1 if v == "-1" else parse_size(v, f"{_WHAT} --memory-swap")
        ),
    }


def parse_flags(text: str, start: Configuration = _NOTHING) -> Configuration:
    """A configuration from flags as a shell would split them.

    Args:
        text: "--cap-add SYS_TIME --user 1000".
        start: what is asked for already.

    Raises:
        UsageError: a flag that is unknown, or lacks its value, or what is no flag.
    """
    try:
        waiting = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{_WHAT}: {text!r}: {error}") from error
    asked, lists = start, _lists()
    while waiting:
        word = waiting.pop(0)
        flag, separator, value = word.partition("=")
        if not separator and not flag.startswith("--") and flag[:2] in _SHORT and len(flag) > 2:
            flag, separator, value = flag[:2], "=", flag[2:]
        flag = _SHORT.get(flag, flag)
        flag = _ALSO.get(flag, flag)
        if flag in _SWITCHES:
            asked = _with(asked, _SWITCHES[flag], _boolean(flag, value, given=bool(separator)))
            continue
        if flag in _OTHER_SWITCHES:
            asked = asked._replace(others=(*asked.others, word))
            continue
        if flag not in {*_WORDS, *_SIZES, *_WHOLE, *lists, *_OTHERS}:
            what = "flag" if flag.startswith("-") else "a flag, and nothing else is taken:"
            raise UsageError(f"{_WHAT}: {'unknown' if what == 'flag' else 'not'} {what} {flag!r}")
        if not separator:
            if not waiting:
                raise UsageError(f"{_WHAT}: {flag} needs a value")
            value = waiting.pop(0)
        asked = _valued(asked, flag, value, lists)
    return asked


def _valued(
    asked: Configuration,
    flag: str,
    value: str,
    lists: Mapping[str, Callable[[Configuration, str], Configuration]],
) -> Configuration:
    if flag in lists:
        return lists[flag](asked, value)
    if flag in _WORDS:
        if value.startswith(("container:", "ns:")):
            raise UsageError(f"{_WHAT}: {flag} {value} would enter a running container, which is never done")
        return _with(asked, _WORDS[flag], value)
    if flag in _SIZES:
        return _with(asked, _SIZES[flag], parse_size(value, f"{_WHAT} {flag}"))
    if flag in _WHOLE:
        return _with(asked, _WHOLE[flag], int(parse_number(value, f"{_WHAT} {flag}")))
    return asked._replace(others=(*asked.others, f"{flag}={value}"))


def _with(asked: Configuration, field: str, value: Any) -> Configuration:
    change: dict[str, Any] = {field: value}
    return asked._replace(**change)


def _boolean(flag: str, value: str, *, given: bool) -> bool:
    if given and value not in ("true", "false"):
        raise UsageError(f"{_WHAT}: {flag}={value}: use true or false")
    return value != "false"


def _capabilities(value: str) -> list[str]:
    return [parse_capability(word, _WHAT) for word in value.split(",")]


def _volume(asked: Configuration, value: str) -> Configuration:
    bind = parse_bind(value)
    if bind is None:
        raise UsageError(f"{_WHAT}: --volume {value}: only paths of the host are mounted, no volume is made")
    return asked._replace(binds=(*asked.binds, bind))


def _sysctl(asked: Configuration, value: str) -> Configuration:
    name, separator, setting = value.partition("=")
    if not separator:
        raise UsageError(f"{_WHAT}: --sysctl {value}: write NAME=VALUE")
    return asked._replace(sysctls=(*asked.sysctls, (name, setting)))
