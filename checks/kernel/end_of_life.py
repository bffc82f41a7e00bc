"""The kernel gets no more fixes.

## What it detects
The kernel's series is no longer maintained, by data that comes with isoaudit and says which day it is of: for
a kernel of upstream's numbering the end that kernel.org announced; for one that a distribution built, and
that its release came with, the end of that release's support. Where only support is left that is limited or
paid for (Debian LTS, Ubuntu Pro, extended support of Red Hat and SUSE), the gap is low. A vendor's kernel of
another series than the release came with is unknown once upstream's has ended, as the data does not have how
long the vendor carries it.

It is judged on the day of the scan, or on that of the data where the scan does not tell its day.

## Why it matters
All containers run on the host's one kernel. Vulnerabilities that become known from then on stay open in it,
and are read about by everybody.

## Remediation
Move to a kernel series, and a release of the distribution, that are maintained.

- Debian, Ubuntu: upgrade to the next release, or take its backported or hardware-enablement kernel
- Red Hat and relatives, SUSE: upgrade to a supported release or service pack
- own kernels: follow a longterm series of kernel.org

## When it is fine
Somebody else maintains the kernel: a cloud's or an appliance's vendor, or a paid extension of support.

## References
- www.kernel.org/category/releases.html
- wiki.debian.org/DebianReleases, ubuntu.com/about/release-cycle,
  access.redhat.com/support/policy/updates/errata
- NIST SP 800-190, 3.5.3
"""

from isoaudit import Basis, Evidence, Host, Known, Outcome, check, fail, passed, unknown
from isoaudit.facts import releases
from isoaudit.facts.lifecycle import (
    ReleaseLife,
    SeriesLife,
    data_date,
    release_life,
    series_life,
    stale,
    today,
)
from isoaudit.facts.upstream import CANDIDATE, UPSTREAM, Upstream, upstream

_VENDORS_OWN = "it was built by a vendor who may carry it longer, which the data does not have"


@check(severity="high")
def end_of_life(host: Host) -> Outcome:
    kernel = upstream(host)
    day = today(host)
    release = _of_release(host, kernel)
    if release is not None:
        return _by_release(host, kernel, release, day)
    life = series_life(kernel.release.series)
    series = ".".join(map(str, kernel.release.series))
    if life is None:
        return unknown(
            f"{series} is newer than the data of {data_date()}: kernel.org tells how long it is maintained",
            kernel.evidence.source,
        )
    evidence = [Evidence(kernel.evidence.source, kernel.evidence.observed, "a series that is maintained")]
    age = stale(host, data_date())
    if life.end is None or life.end > day:
        return passed(
            f"{series} is {_kept(life)}, by the data of {data_date()}{age}", evidence, basis=Basis.INFERRED
        )
    ended = (
        f"upstream maintained {series} until {life.end}"
        if life.end
        else f"upstream no longer maintains {series}"
    )
    if kernel.grade not in (UPSTREAM, CANDIDATE):
        return unknown(f"{ended}; {_VENDORS_OWN}", kernel.evidence.source)
    return fail(f"{ended}, by the data of {data_date()}{age}", evidence, basis=Basis.INFERRED)


def _kept(life: SeriesLife) -> str:
    kind = "a longterm series, maintained" if life.longterm else "maintained"
    return f"{kind} until {life.end}" if life.end else f"{kind}, and no end of it is announced"


def _of_release(host: Host, kernel: Upstream) -> ReleaseLife | None:
    """The distribution's release that carries this kernel; None where the kernel is another's."""
    fields = host.os_release
    if kernel.grade in (UPSTREAM, CANDIDATE) or not isinstance(fields, Known):
        return None
    name, version = fields.value.get("ID", ""), fields.value.get("VERSION_ID", "")
    made_for = releases.find(name, version)
    if made_for is None or made_for.kernel != kernel.release.series or not _built_by(name, kernel):
        return None
    return release_life(name, version)


# How the kernels of a distribution are called, where that tells them from others' of the same series.
_MARKS = {
    "debian": ("-amd64", "-arm64", "-cloud", "-rt-", "+deb"),
    "ubuntu": ("-generic", "-lowlatency", "-aws", "-azure", "-gcp", "-gke", "-oracle", "-kvm"),
    "rhel": (".el",),
    "centos": (".el",),
    "rocky": (".el",),
    "almalinux": (".el",),
    "ol": (".el",),
    "amzn": (".amzn",),
    "fedora": (".fc",),
    "sles": ("-default",),
    "opensuse-leap": ("-default",),
    "alpine": ("-lts", "-virt"),
}


def _built_by(distribution: str, kernel: Upstream) -> bool:
    return any(mark in kernel.running for mark in _MARKS.get(distribution, ()))


def _by_release(host: Host, kernel: Upstream, release: ReleaseLife, day: str) -> Outcome:
    fields = host.os_release
    evidence = [
        Evidence(kernel.evidence.source, kernel.evidence.observed),
        Evidence(fields.source, release.name, "a release that is supported"),
    ]
    age = stale(host, data_date())
    by = f"by the data of {data_date()}{age}"
    if release.end > day:
        return passed(
            f"{kernel.name} is carried by {release.name}, which is supported until {release.end}, {by}",
            evidence,
            basis=Basis.INFERRED,
        )
    text = f"{release.name}, which carries {kernel.name}, was supported until {release.end}"
    if release.extended > day:
        return fail(
            f"{text}, and has limited or paid support until {release.extended}, {by}",
            evidence,
            severity="low",
            basis=Basis.INFERRED,
        )
    return fail(f"{text}, {by}", evidence, basis=Basis.INFERRED)
