"""Kernel key rings can be used.

## What it detects
The seccomp filter of a process lets keyctl(2), add_key(2) or request_key(2) through. In a user namespace of its
own it is a lesser gap: key rings of users are divided by user namespace.

If probes ran, a test container with the same walls tried it (`keyring`, questions about rings that do not
exist).

## Why it matters
Keys have no namespace but the user namespace. Processes of one uid in one user namespace share the user's key
rings and their quota, whichever container they are in: root in a container finds what root on the host and in
other containers keeps there (Kerberos tickets, disk and file encryption keys), or fills their quota. The code
has had flaws that gave root.

## Remediation
Keep the engine's default seccomp profile, which forbids the three calls.

- docker, podman: leave out `--security-opt seccomp=unconfined`
- compose: remove `security_opt: [seccomp:unconfined]`
- Kubernetes: `securityContext.seccompProfile.type: RuntimeDefault`
- systemd: `SystemCallFilter=~@keyring`, `KeyringMode=private`
- or a user namespace of its own: `--userns auto` (podman), `userns-remap` (docker), `hostUsers: false`

## When it is fine
Programs that keep Kerberos tickets or encryption keys there, under a uid that no other container has.

## References
- keyrings(7), keyctl(2), user-keyring(7), "Namespaces" in user_namespaces(7)
- CVE-2014-9529, CVE-2016-0728, CVE-2017-15951
"""

from isoaudit import Container, Host, Known, Outcome, check, fail, not_applicable, passed
from isoaudit.facts.calls import Call, letting, ways
from isoaudit.facts.confinement import own_user_namespace, presumed
from isoaudit.facts.processes import named
from isoaudit.facts.tried import Attempt, settled

_READ = 11  # KEYCTL_READ
_WAYS = ways(Call("keyctl", ((0, _READ),)), "add_key", "request_key")
_TRIED = Attempt(("keyring",), (Call("keyctl", ((0, 0),)), Call("add_key"), Call("request_key")))


@check(severity="medium")
def keyring_allowed(host: Host, container: Container) -> Outcome:
    there = host.has("/proc/key-users")
    if isinstance(there, Known) and not there.value:
        return not_applicable("this kernel has no key rings")
    return settled(
        container, _TRIED, _by_filter, gap="it can use key rings", wall="it cannot use the kernel's key rings"
    )


def _by_filter(container: Container) -> Outcome:
    answers = letting(container, container.tasks, _WAYS).decided()
    if not answers.processes:
        return passed(
            "its seccomp filter refuses keyctl, add_key and request_key", answers.evidence, basis=answers.basis
        )
    own = not presumed(lambda one: not own_user_namespace(one), container)
    whose = "its own user namespace" if own else "the host's user of the same uid"
    return fail(
        f"{', '.join(answers.calls)} let it use key rings of {whose}: {named(answers.processes)}",
        answers.evidence,
        severity="low" if own else None,
        basis=answers.basis,
    )
