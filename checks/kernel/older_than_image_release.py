"""Kernel is older than the one the image's release is made for.

## What it detects
The image's distribution release came with a newer kernel series than the one that runs. The system calls that
came in between are named, as upstream has them: a vendor may have back-ported some.

## Why it matters
Nobody tests a release on kernels older than its own. Programs that find a call missing fall back, if they were
written to, to slower, racier or less confined ways: no Landlock, no pidfd, no close_range. Worse, a seccomp
filter of that age may answer EPERM where they expect ENOSYS.

## Remediation
Run a kernel of the image's series or newer, or an image of a release that is made for this kernel.

## When it is fine
Where the image is tested on this kernel, or the kernel is a vendor's that carries the calls that matter.

## References
- syscalls(2), "Linux system calls", column Kernel
"""

from isoaudit import Basis, Container, Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.releases import features_between, find

_SHOWN = 6


@check(severity="medium")
def older_than_image_release(host: Host, container: Container) -> Outcome:
    userland = require(container.userland)
    if not userland.distribution:
        return not_applicable("its image names no distribution")
    name = userland.pretty_name or f"{userland.distribution} {userland.version}".rstrip()
    release = find(userland.distribution, userland.version)
    if release is None:
        return not_applicable(f"{name} is rolling, or its kernel series is not known")
    kernel = require(host.kernel)
    wanted = f"{release.kernel[0]}.{release.kernel[1]}"
    evidence = [
        Evidence(
            host.kernel.source, str(kernel), f"{wanted} or newer, as {name} has ({release.provenance} data)"
        )
    ]
    if kernel.series >= release.kernel:
        return passed(f"{name} is made for kernel {wanted}, and {kernel} runs", evidence, basis=Basis.INFERRED)
    missing = features_between(kernel.series, release.kernel)
    if not missing:
        return fail(
            f"{name} is made for kernel {wanted}, and {kernel} runs; no system call is known to be missing",
            evidence,
            severity="low",
            basis=Basis.INFERRED,
        )
    named = ", ".join(missing[:_SHOWN]) + (
        f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    )
    return fail(
        f"{name} is made for kernel {wanted}, and {kernel} runs, whose series lacks {named}",
        evidence,
        basis=Basis.INFERRED,
    )
