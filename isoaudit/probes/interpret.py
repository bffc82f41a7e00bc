"""From what a test container reported to an answer, or to why there is none. Pure."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from isoaudit.facts.probe import ProbeAnswer
from isoaudit.facts.units import binary
from isoaudit.kernel.capability import names
from isoaudit.model import Known, Reading, Unknown
from isoaudit.probes import declaration
from isoaudit.probes.catalogue import BY_NAME, LIMIT, PERMISSION, Probe
from isoaudit.probes.views import VIEWS, answer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoaudit.probes.twin import Recipe

_RLIMIT_RTPRIO = 14
_OWN = {
    "uts": "its own UTS namespace",
    "pid": "its own PID namespace",
    "net": "its own network namespace",
    "user": "what its own user namespace owns",
}
# How far above a CPU quota a measured share may lie: one period more than there are in the time.
_SHARE_SLACK = 1.4


class Powers(NamedTuple):
    """What we can give to a test container that keeps our user namespace."""

    capabilities: int
    rtprio: int | None = None  # our hard limit of it; None is no limit


def interpret(name: str, error: int) -> bool | None:
    """Whether the kernel's answer to a permission probe means "permitted"; None where it decides nothing.

    Args:
        name: of the probe.
        error: the errno, 0 for success.
    """
    return declaration.interpret(BY_NAME[name], error)


def verdict(
    name: str,
    key: str,
    recipe: Recipe,
    heard: Mapping[str, Any],
    powers: Powers,
    failures: Mapping[str, str],
) -> Reading[ProbeAnswer]:
    """What a twin's report says about its container.

    A permission that the twin has although it lacks one of the container's walls proves nothing; a refusal
    stands, because walls only take away, unless we could not give the twin what would have granted it.

    Args:
        name: of the probe.
        key: of the container.
        recipe: what the twin was made of.
        heard: what it reported.
        powers: what we could give it.
        failures: cgroup files that could not be set for it, and why.
    """
    probe = BY_NAME[name]
    source = f"probe {name} in a twin of {key}"
    if heard.get("died") == -signal.SIGSYS and probe.kind == PERMISSION and recipe.confinement.seccomp:
        return Known(ProbeAnswer(False, probe.proves, "SIGSYS: its seccomp filter kills who tries"), source)
    if "died" in heard and name != "memory-limit":
        what = "in time" if heard["died"] == -signal.SIGALRM else f"and {_death(heard['died'])}"
        return Unknown(source, f"it did not answer {what}")
    if "failed" in heard:
        doing = heard.get("call") or f"preparing {name}"
        return Unknown(source, f"{doing} failed: {answer_of(heard['failed'])}")
    if probe.kind != PERMISSION:
        answer = (_LIMITS if probe.kind == LIMIT else VIEWS)[name](recipe, heard)
        return Unknown(source, answer) if isinstance(answer, str) else Known(answer, source)
    return _permission(probe, source, recipe, heard, powers, failures)


def _permission(
    probe: Probe,
    source: str,
    recipe: Recipe,
    heard: Mapping[str, Any],
    powers: Powers,
    failures: Mapping[str, str],
) -> Reading[ProbeAnswer]:
    unlike = recipe.unlike_at(heard["path"], failures) if "path" in heard else ""
    if not unlike and probe.name == "cgroup-write":
        unlike = failures.get("owner of its cgroup", "")
    if unlike:
        return Unknown(source, unlike)
    answer = answer_of(heard["errno"])
    permitted = interpret(probe.name, heard["errno"])
    if "cover" in heard:
        permitted = False
        answer = f"0, but it is a mask: {heard['cover']}"
    if permitted is None:
        return Unknown(source, f"{heard['call']} answered {answer}, which decides nothing")
    if probe.name == "user-namespace-create" and permitted and heard["inside"]:
        permitted = False
        answer = f"0, but without capabilities inside: {answer_of(heard['inside'])}"
    if not permitted:
        reason = _not_given(probe, recipe, powers, failures)
        if reason:
            return Unknown(source, f"the twin was refused ({answer}), but {reason}")
        return Known(ProbeAnswer(False, heard["call"], f"{answer}{_who(probe, recipe, heard)}"), source)
    own = _own(probe, recipe)
    if own:
        return Known(ProbeAnswer(False, heard["call"], f"{answer}: permitted, but only over {own}"), source)
    wall = recipe.doubt(probe.name)
    if not wall and probe.name.startswith("device-") and "devices" in failures:
        wall = "device policy"
    for name in ("seccomp filter", "LSM label"):
        if not wall and name in failures:
            wall = f"{name} ({failures[name]})"
    if wall:
        return Unknown(
            source, f"the twin could {probe.proves}, but it lacks the container's {wall}, which may refuse it"
        )
    return Known(ProbeAnswer(True, heard["call"], answer), source)


def _death(code: int) -> str:
    """How a process ended, from what `os.waitstatus_to_exitcode` makes of it."""
    return f"died of signal {-code}" if code < 0 else f"ended with status {code}"


def _who(probe: Probe, recipe: Recipe, heard: Mapping[str, Any]) -> str:
    """What else was refused, and who refused: told by a call to the same function that takes no right."""
    others = "".join(f"; {call} = {answer_of(error)}" for call, error in heard.get("others", ()))
    if not recipe.confinement.seccomp or "reach" not in heard:
        return others
    call, error = heard["reach"]
    if error in probe.reached:
        return f"{others}, by the kernel ({call} = {answer_of(error)})"
    if error == heard["errno"] and probe.telling and not recipe.confinement.profile:
        return f"{others}, by its seccomp filter ({call} = {answer_of(error)} as well)"
    return others


def _own(probe: Probe, recipe: Recipe) -> str:
    """What of its own a permission is about, so that it is none over the host; "" where it is."""
    return _OWN[probe.own] if probe.own in recipe.confinement.namespaces else ""


def _not_given(probe: Probe, recipe: Recipe, powers: Powers, failures: Mapping[str, str]) -> str:
    """What the container has and we could not give to its twin, if that could have granted it."""
    confinement = recipe.confinement
    if "user" not in confinement.namespaces:
        held = confinement.capabilities.permitted | confinement.capabilities.effective
        lacking = held & probe.capabilities & ~powers.capabilities
        if lacking:
            return f"it lacks the container's {', '.join(names(lacking))}, which isoaudit itself does not have"
    if probe.name == "realtime-schedule":
        if "cpu.rt_runtime_us" in failures:
            return (
                f"the container's cpu.rt_runtime_us could not be given to it: {failures['cpu.rt_runtime_us']}"
            )
        for number, soft, _ in confinement.rlimits:
            if (
                number == _RLIMIT_RTPRIO
                and powers.rtprio is not None
                and (soft is None or soft > powers.rtprio)
            ):
                return "it lacks the container's RLIMIT_RTPRIO, which is above isoaudit's own"
    return ""


def _freezer(_: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    if "frozen" not in heard:
        return "it ended before it could be frozen"
    if not heard["frozen"]:
        return "the kernel did not report it as frozen in time"
    moved = heard["moved"]
    return ProbeAnswer(
        moved > 0,
        f"freeze it by {heard['file']}",
        f"its counter moved on by {moved}" if moved else "its counter stood still",
        float(moved),
    )


def _memory(recipe: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    limit = recipe.limits.memory
    touched = heard.get("touched", 0)
    call = f"touch pages beyond {binary(limit or 0)}"
    if heard.get("stopped"):
        return ProbeAnswer(False, call, f"stopped by the limit after {binary(touched)}", float(touched))
    if "died" in heard:
        if heard["died"] == -signal.SIGKILL and heard.get("oom_kill"):
            return ProbeAnswer(False, call, f"killed by the limit after {binary(touched)}", float(touched))
        return f"it {_death(heard['died'])}, which was not its limit's doing"
    if limit is None or touched <= limit:
        return f"it touched only {binary(touched)} before its time was over"
    peak = heard.get("peak")
    if peak is not None and peak <= limit:
        return ProbeAnswer(
            False,
            call,
            f"touched {binary(touched)}, of which the limit let {binary(peak)} stay in memory",
            float(peak),
        )
    return ProbeAnswer(True, call, f"touched {binary(touched)} unhindered", float(touched))


def _cpu(recipe: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    limit = recipe.limits.cpu
    if limit is None or "throttled" not in heard:
        return "the kernel's count of throttled periods could not be read"
    quota, period = limit
    share = heard["cpu"] / heard["wall"]
    shown = f"{share:.2f} CPUs, throttled in {heard['throttled']} periods"
    if heard["throttled"] > 0:
        return ProbeAnswer(False, heard["call"], shown, share)
    if share > _SHARE_SLACK * quota / period:
        return ProbeAnswer(True, heard["call"], shown, share)
    return f"the host was too busy: it got {shown}, so that its quota of {quota / period:.2f} was never reached"


def _pids(recipe: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    limit = recipe.limits.pids
    forks, tasks = heard["forks"], heard["tasks"]
    if heard["errno"]:
        answer = f"{answer_of(heard['errno'])} after {forks} forks"
        if heard["errno"] != errno.EAGAIN:
            return f"fork() answered {answer}, which is no limit of tasks"
        if limit is not None and tasks < limit:
            return f"fork() answered {answer}, short of its limit of {limit}: its RLIMIT_NPROC came first"
        return ProbeAnswer(False, "fork()", answer, float(tasks))
    if limit is None or tasks <= limit:
        return f"only {forks} forks were tried"
    return ProbeAnswer(True, "fork()", f"{forks} forks and no refusal", float(tasks))


def _account(_: Recipe, heard: Mapping[str, Any]) -> ProbeAnswer | str:
    if "counted" not in heard:
        return "the kernel's count of its CPU time could not be read"
    used, counted = heard["used"], heard["counted"]
    shown = f"its cgroup counted {counted // 1000} us"
    return ProbeAnswer(counted < used // 2, heard["call"], shown, counted / 1e9)


_LIMITS = {
    "freezer": _freezer,
    "memory-limit": _memory,
    "cpu-quota": _cpu,
    "pids-limit": _pids,
    "cpu-account": _account,
}
