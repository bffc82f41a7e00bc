"""Credentials lie in it.

## What it detects
By the mount table, what was put into the container: service-account tokens of Kubernetes, the kubelet's and
the cluster's keys, secrets of engines and pods, agents of ssh and OpenPGP, folders of keys of the host's such
as ~/.ssh and ~/.aws, files such as ~/.docker/config.json. By name, what lies in the home directories of its
own file tree: private keys, tokens of clouds and registries. Only names are looked at, never contents.

## Why it matters
Whoever breaks into the workload has them. A token opens the cluster's API, a key other machines, an agent
signs whatever it is asked to: the container's walls do not hold what is allowed elsewhere in its name.

## Remediation
Give the container only the credential that it needs, short-lived and for nothing else, and keep keys out of
images.

- docker, compose: `--secret` and `secrets:` in place of `-v ~/.aws:…`; `RUN --mount=type=secret` in builds;
  no `-v $SSH_AUTH_SOCK:…`
- podman: `podman secret`, `--secret`
- Kubernetes: `automountServiceAccountToken: false`; bound tokens with an audience; workload identity
- systemd: `LoadCredential=`, `SetCredential=`

## When it is fine
Where the workload needs it and whoever issued it can take it back. Secrets that an engine or pod was told to
give it are reported as low.

## References
- CIS Docker Benchmark 1.6.0, 4.10; NIST SP 800-190, 4.1.4
- CIS Kubernetes Benchmark, 5.1.6; MITRE ATT&CK T1552.001, T1528
"""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import NamedTuple

from isoaudit import Container, Evidence, Host, Known, Outcome, Severity, check, fail, passed, require
from isoaudit.facts.hostpaths import View, view
from isoaudit.facts.mount_shapes import KERNEL
from isoaudit.facts.mounts import Mount, mount_of
from isoaudit.facts.processes import listed
from isoaudit.model import SEVERITIES

_SHOWN, _LINES = 4, 10
_HIGH, _MEDIUM, _LOW = Severity.HIGH, Severity.MEDIUM, Severity.LOW
# What a mount's place inside, or the host's path of what is mounted, says of it; the first that fits.
_PLACES: tuple[tuple[re.Pattern[str], str, Severity], ...] = tuple(
    (re.compile(pattern), what, severity)
    for pattern, what, severity in (
        (
            r"/secrets/kubernetes\.io/serviceaccount(/|$)|/kube-api-access-\w+$",
            "service-account token",
            _MEDIUM,
        ),
        (r"/secrets/(eks\.amazonaws|azure|tokens?)[^/]*/", "service-account token for a cloud", _MEDIUM),
        (
            r"^/etc/kubernetes(/|$)|^/var/lib/kubelet(/(pki|kubeconfig|config\.json)|$)",
            "the kubelet's keys",
            _HIGH,
        ),
        (r"^/var/lib/rancher/[^/]+/(server|agent)(/|$)|^/etc/rancher(/|$)", "the cluster's keys", _HIGH),
        (
            r"/(ssh-[^/]+/agent\.\d+|keyring/ssh|ssh-auth\.sock|ssh[_-]agent[^/]*|openssh_agent)$",
            "ssh agent",
            _MEDIUM,
        ),
        (r"/S\.gpg-agent(\.\w+)?$", "OpenPGP agent", _MEDIUM),
        (r"/\.ssh(/|$)|/ssh_host_\w+_key$", "ssh keys", _MEDIUM),
        (r"/\.(aws|azure)(/|$)|/(gcloud|doctl|hcloud)(/|$)", "keys of a cloud", _MEDIUM),
        (r"/\.kube(/|$)|/kubeconfig$", "keys of a cluster", _MEDIUM),
        (r"/\.docker(/(config\.json)?|$)|/containers/auth\.json$", "passwords of registries", _MEDIUM),
        (r"/\.(git-credentials|netrc|npmrc|pypirc|vault-token|pgpass)$", "password or token", _MEDIUM),
        (r"/(\.gnupg|\.password-store|keyrings)(/|$)", "OpenPGP keys or passwords", _MEDIUM),
        (r"/kubernetes\.io~(secret|csi)/", "secret of its pod", _LOW),
        (r"^/(var/)?run/secrets/[^/]+$", "secret of its engine", _LOW),
        (r"^/run/(credentials|host/credentials)(/|$)", "credential of its service", _LOW),
    )
)
# What files.Secret.kind means in words.
_KINDS: dict[str, tuple[str, Severity]] = {
    "cloud": ("keys of a cloud", _MEDIUM),
    "git": ("password of git", _MEDIUM),
    "kubernetes": ("keys of a cluster", _MEDIUM),
    "openpgp": ("OpenPGP keys", _MEDIUM),
    "password": ("password", _MEDIUM),
    "registry": ("passwords of registries", _MEDIUM),
    "secret": ("secret of its engine", _LOW),
    "ssh": ("ssh keys", _MEDIUM),
    "vault": ("token of Vault", _MEDIUM),
}


class _Credential(NamedTuple):
    path: str
    what: str
    severity: Severity
    mounted: bool
    evidence: Evidence


@check(severity="medium")
def credentials(host: Host, container: Container) -> Outcome:
    seen = view(host, container)
    found = _mounted(container, seen)
    if isinstance(container.secrets, Known):
        targets = {one.path for one in found}
        found += [one for one in _lying(container, seen) if not _below(one.path, targets)]
    if not found:
        require(container.secrets)
        return passed("no credential is mounted into it, nor lies in the usual places")
    found.sort(key=lambda one: SEVERITIES.index(one.severity))
    worst = found[0].severity
    offline = _offline(container)
    if offline and worst is Severity.MEDIUM and all("service-account" in one.what for one in found):
        worst = Severity.LOW
    given = _named([one for one in found if one.mounted])
    own = _named([one for one in found if not one.mounted])
    parts = [
        *([f"mounted into it: {given}"] if given else []),
        *([f"in its own file tree: {own}"] if own else []),
    ]
    return fail(
        f"credentials are {'; '.join(parts)}" + (" (it has no network to use them on)" if offline else ""),
        [one.evidence for one in found[:_LINES]],
        severity=worst,
        reproduce=_reproduce(container, found),
    )


def _mounted(container: Container, seen: View) -> list[_Credential]:
    found = []
    paths = {part.mount.id: part.path for part in seen.parts}
    for mount in seen.mounts:
        if mount.fstype in KERNEL:
            continue
        kind = _kind(mount.target)
        if kind is None and mount.id in paths:
            kind = _kind(paths[mount.id])
        if kind is None and mount.root != "/":
            kind = _kind(mount.root)
        if kind is not None:
            evidence = Evidence(container.mounts.source, mount.line, "no such mount")
            found.append(_Credential(mount.target, *kind, mounted=True, evidence=evidence))
    return found


@lru_cache(maxsize=4096)  # containers of one engine have nearly the same places
def _kind(place: str) -> tuple[str, Severity] | None:
    for pattern, what, severity in _PLACES:
        if pattern.search(place):
            return what, severity
    return None


def _lying(container: Container, seen: View) -> list[_Credential]:
    """What was found by name, with whether it lies on a mount other than the root filesystem."""
    found = []
    for secret in require(container.secrets):
        what, severity = _KINDS[secret.kind]
        mount: Mount | None = mount_of(seen.mounts, secret.path)
        mounted = mount is not None and mount.target != "/"
        evidence = Evidence(f"{container.secrets.source}{secret.path}", "it exists", "no such file")
        found.append(_Credential(secret.path, what, severity, mounted, evidence))
    return found


def _below(path: str, targets: set[str]) -> bool:
    return any(path == target or path.startswith(f"{target}/") for target in targets)


def _named(found: list[_Credential]) -> str:
    return listed([f"{one.path} ({one.what})" for one in found[:_SHOWN]], len(found))


def _reproduce(container: Container, found: list[_Credential]) -> str:
    """How to see that they are there; by default a report would print them."""
    first = found[0]
    if first.evidence.source == container.mounts.source:
        return ""
    return f"ls -ld {shlex.quote(first.evidence.source)}"


def _offline(container: Container) -> bool:
    """Whether it is known to have no network but the loopback."""
    return isinstance(container.network, Known) and not container.network.value.interfaces
