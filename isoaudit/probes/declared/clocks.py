"""Clocks: setting them, waking the machine by them, and whose they are."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from typing import TYPE_CHECKING

from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, VIEW, Probe, opening, raw

if TYPE_CHECKING:
    from isoaudit.probes.engines.native import Channel
    from isoaudit.probes.shared import Assignment

# include/uapi/linux/timex.h, time.h
_ADJ_TICK, _ADJ_SETOFFSET = 0x4000, 0x0100
_CLOCK_REALTIME_ALARM, _CLOCK_MONOTONIC = 8, 1
CLOCKS = ("CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME")


# struct timex: modes, the time's microseconds and the tick; all else is 0.
_TIMEX = struct.Struct("=I76xqq112x")
_NO_TIME = struct.pack("=qq", 0, 2_000_000)  # more microseconds than a second has


def _timex(modes: int, microseconds: int = 0) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_TIMEX.pack(modes, microseconds, 0), _TIMEX.size)


def now() -> list[int]:
    """What `CLOCKS` show, in nanoseconds."""
    return [time.clock_gettime_ns(getattr(time, name)) for name in CLOCKS]


def _clock_shared(channel: Channel, _: Assignment, probe: Probe) -> None:
    # The parent looks at the same clocks before it replies, and again when it hears of this.
    error = channel.ask(probe.name)
    if error:
        channel.say({"name": probe.name, "call": "", "failed": error})
        return
    channel.say({"name": probe.name, "call": f"clock_gettime({', '.join(CLOCKS)})", "clocks": now()})


PROBES = (
    Probe(
        "clock-set",
        PERMISSION,
        "set the host's clock",
        "security_settime64() in kernel/time/time.c",
        "no clock: neither a time nor a time zone is given",
        calls=(raw("settimeofday(NULL, NULL)", "settimeofday", None, None),),
        # A number of nanoseconds that is none is refused before the right is looked at.
        reach=raw("settimeofday({0, 2000000}, NULL)", "settimeofday", _NO_TIME, None),
        reached=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_TIME"),
    ),
    Probe(
        "clock-adjust",
        PERMISSION,
        "speed up, slow down or step the host's clock",
        "timekeeping_validate_timex() in kernel/time/timekeeping.c",
        "no clock: the values are out of range, which is looked at after the right",
        calls=(
            raw("adjtimex({ADJ_TICK, tick=0})", "adjtimex", _timex(_ADJ_TICK)),
            raw(
                "clock_adjtime(CLOCK_REALTIME, {ADJ_SETOFFSET, -5 us})",
                "clock_adjtime",
                0,
                _timex(_ADJ_SETOFFSET, -5),
            ),
        ),
        permitted=(errno.EINVAL,),
        reach=raw("adjtimex({0})", "adjtimex", _timex(0)),
        reached=(0,),
        capabilities=mask("CAP_SYS_TIME"),
    ),
    Probe(
        "wake-alarm",
        PERMISSION,
        "wake the host from sleep",
        "SYSCALL_DEFINE2(timerfd_create) in fs/timerfd.c",
        "no timer: it is made, not set, and closed",
        calls=(opening("timerfd_create(CLOCK_REALTIME_ALARM, 0)", "timerfd_create", _CLOCK_REALTIME_ALARM, 0),),
        reach=opening("timerfd_create(CLOCK_MONOTONIC, 0)", "timerfd_create", _CLOCK_MONOTONIC, 0),
        reached=(0,),
        capabilities=mask("CAP_WAKE_ALARM"),
    ),
    Probe(
        "clock-shared",
        VIEW,
        "read the host's wall clock, whatever its time namespace",
        "timekeeping in kernel/time/timekeeping.c; offsets in kernel/time/namespace.c",
        "nothing: clocks are read",
        run=_clock_shared,
    ),
)
