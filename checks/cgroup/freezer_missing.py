"""Cannot be suspended apart.

## What it detects
No freezer holds the container apart: neither a v1 freezer cgroup of its own nor `cgroup.freeze` on a v2
cgroup of its own (Linux 5.2). The probe `freezer` freezes and thaws a test container.

## Why it matters
An intruder cannot be stopped for a look, `docker pause` and checkpoints do not work, and killing a
container that forks all the time becomes a race.

## Remediation
Mount the freezer controller or cgroup v2, and start the container in a cgroup of its own.

- docker, podman, Kubernetes: their containers have one wherever the hierarchy is mounted
- host: cgroup v2, or `mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer`

## When it is fine
Where containers are never paused, and stopped by their PID namespace's first process.

## References
- cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, `cgroup.freeze`
"""

from isoaudit import Basis, Container, Evidence, Known, Outcome, check, fail, passed, require

_FILES = {1: "freezer.state", 2: "cgroup.freeze"}


@check(severity="info")
def freezer_missing(container: Container) -> Outcome:
    probe = container.probe("freezer")
    if isinstance(probe, Known):
        answer = probe.value
        evidence = [Evidence(probe.source, f"{answer.call} = {answer.answer}", "frozen")]
        if answer.succeeded:
            return fail("a test container with its cgroups could not be frozen", evidence, basis=Basis.PROVEN)
        return passed("a test container with its cgroups was frozen and thawed", evidence, basis=Basis.PROVEN)
    cgroup = require(container.cgroup)
    places = [place for place in (require(cgroup.place("freezer")), cgroup.unified) if place is not None]
    for place in places:
        if place.own and cgroup.readings(_FILES[place.version]):
            reading = cgroup.leaf(_FILES[place.version])
            return passed("it can be frozen", [Evidence(reading.source, require(reading))])
    if not places:
        return fail(
            "no freezer holds it", [Evidence(container.cgroup.source, "neither freezer nor v2", "either")]
        )
    evidence = [Evidence(container.cgroup.source, places[0].path, "a cgroup of its own with a freezer")]
    return fail("it cannot be frozen apart from others", evidence)
