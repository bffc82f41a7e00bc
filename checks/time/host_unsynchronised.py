"""The host's clock is not synchronised.

## What it detects
adjtimex(2) says that nothing disciplines the kernel's clock: it returns TIME_ERROR or STA_UNSYNC is set.

## Why it matters
All containers share this clock and inherit its error: certificates, tokens, logs and replication of every one
of them go by it, and none can set it right for itself.

## Remediation
Run one time synchronisation service on the host.

- systemd: `timedatectl set-ntp true`
- chrony: `systemctl enable --now chronyd`; ntpsec: `systemctl enable --now ntpsec`
- virtual machines: the hypervisor's PTP clock as a source of chrony's (`refclock PHC /dev/ptp0`)

## When it is fine
Machines whose hypervisor keeps the clock without telling the kernel, and those without any network.

## References
- adjtimex(2); include/uapi/linux/timex.h, "STA_UNSYNC"
- NIST SP 800-53, AU-8
"""

from isoaudit import Evidence, Host, Outcome, check, fail, passed, require


@check(severity="low")
def host_unsynchronised(host: Host) -> Outcome:
    clock = require(host.clock)
    observed = f"state {clock.state}, status {clock.status:#06x}, maximum error {clock.max_error} us"
    evidence = [
        Evidence(host.clock.source, observed, "a state other than 5 (TIME_ERROR), no STA_UNSYNC (0x0040)")
    ]
    if clock.synchronised:
        return passed(f"its clock is synchronised to within {clock.max_error} us", evidence)
    return fail(
        "nothing synchronises its clock, which every container shares",
        evidence,
        reproduce="timedatectl show --property=NTPSynchronized",
    )
