"""A container can set the clock.

## What it detects
A process can get CAP_SYS_TIME in the initial user namespace, and its seccomp filter lets one of the calls that
set the clock through, by the 64-bit or the 32-bit entry; a filter that could not be read counts as one that
does, as the engines' default profiles do. The probes `clock-set` and `clock-adjust` decide where they ran:
settimeofday(2) with two null pointers and adjtimex(2) with a tick of 0 change nothing, but are refused without
the permission. A process that has the capability only in
its bounding set gets it by executing a program as root, or a set-user-ID one, as long as no_new_privs is unset:
that is a lesser gap.

## Why it matters
There is one wall clock, and no namespace for it: set inside, it is set for the host and every container. That
revives expired certificates and tickets, invalidates valid ones, upsets databases and consensus protocols,
and falsifies logs.

## Remediation
Drop CAP_SYS_TIME.

- docker, podman: leave out `--cap-add SYS_TIME` and `--privileged`
- compose: remove `SYS_TIME` from `cap_add`
- Kubernetes: `securityContext.capabilities.drop: [ALL]`
- systemd: `ProtectClock=yes`

## When it is fine
One container whose work is to keep the host's time (chronyd, ntpd). Give it no other capability.

## References
- capabilities(7) "CAP_SYS_TIME", settimeofday(2), clock_settime(2), adjtimex(2)
- time_namespaces(7): a time namespace does not cover CLOCK_REALTIME
"""

from isoaudit import Container, Outcome, check, fail
from isoaudit.facts.calls import Call, ways
from isoaudit.facts.grants import granted
from isoaudit.facts.processes import lowered
from isoaudit.facts.tried import Attempt, settled
from isoaudit.kernel.capability import bit

SYS_TIME = bit("CAP_SYS_TIME")
_REALTIME = ((0, 0),)
_WAYS = ways(
    "settimeofday",
    Call("clock_settime", _REALTIME),
    "adjtimex",
    Call("clock_adjtime", _REALTIME),
    "stime",
    Call("clock_settime64", _REALTIME),
    Call("clock_adjtime64", _REALTIME),
)
_TRIED = Attempt(
    ("clock-set", "clock-adjust"),
    (Call("settimeofday"), Call("adjtimex"), Call("clock_adjtime", _REALTIME)),
    SYS_TIME,
)


@check(severity="critical")
def clock_settable(container: Container) -> Outcome:
    return settled(
        container,
        _TRIED,
        _by_capability,
        gap="it can set the clock of the host and of every container",
        wall="it cannot set the clock",
    )


def _by_capability(container: Container) -> Outcome:
    grant = granted(container, SYS_TIME, _WAYS, presume=True)
    if isinstance(grant, Outcome):
        return grant
    return fail(
        f"{grant.capability} lets it set the clock for the host and all: {grant.who}",
        grant.evidence,
        severity=lowered("critical", grant.holders.reach),
        basis=grant.basis,
    )
