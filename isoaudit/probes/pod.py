"""Containers of a pod, read into configurations (the Kubernetes API, PodSpec and SecurityContext).

Defaults are the kubelet's, not an engine's: no seccomp profile unless one is asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from isoaudit.errors import UsageError
from isoaudit.probes.configuration import (
    NOBODY,
    UNCONFINED,
    Bind,
    Configuration,
    Wanted,
    parse_capability,
)
from isoaudit.probes.documents import boolean, mapping, read, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What says nothing about how a container is isolated, in a pod and in its containers.
_POD_ELSEWHERE = frozenset(
    {
        "activeDeadlineSeconds", "affinity", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases",
        "hostname", "imagePullSecrets", "nodeName", "nodeSelector", "os", "preemptionPolicy", "priority",
        "priorityClassName", "readinessGates", "restartPolicy", "schedulerName", "schedulingGates",
        "setHostnameAsFQDN", "subdomain", "terminationGracePeriodSeconds", "tolerations",
        "topologySpreadConstraints",
    }
)  # fmt: skip
_POD_READ = frozenset(
    {
        "containers", "initContainers", "ephemeralContainers", "securityContext", "volumes", "hostPID",
        "hostIPC", "hostNetwork",
    }
)  # fmt: skip
_ELSEWHERE = frozenset(
    {
        "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name",
        "ports", "readinessProbe", "resizePolicy", "restartPolicy", "startupProbe", "stdin", "stdinOnce",
        "terminationMessagePath", "terminationMessagePolicy", "tty", "workingDir",
    }
)  # fmt: skip
_READ = frozenset({"securityContext", "resources", "volumeMounts"})
_CONTEXT = frozenset(
    {
        "allowPrivilegeEscalation", "appArmorProfile", "capabilities", "privileged", "procMount",
        "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser", "seLinuxOptions", "seccompProfile",
        "supplementalGroups", "sysctls", "fsGroup",
    }
)  # fmt: skip
_LISTS = ("initContainers", "containers", "ephemeralContainers")
_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
_UNITS = {
    "m": 0.001, "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?(?:[eE]\d+)?)(m|[kMGTP]|[KMGTP]i|)")


def containers(path: str, name: str = "") -> list[Wanted]:
    """The test containers of a manifest: one of a container, or of each of its pods' containers.

    Raises:
        UsageError: the file is broken, has no pod, or no such container.
    """
    found: dict[str, Wanted] = {}
    for document in read(path):
        for label, spec in _pods(mapping(document, path)):
            for one in _containers(f"{path}: {label}", spec):
                key = one.name if one.name not in found else f"{label.replace('/', '-').lower()}-{one.name}"
                found[key] = one._replace(name=key)
    if not found:
        raise UsageError(f"{path}: no container of a pod in it (a Pod, Deployment, DaemonSet, Job, …)")
    if name and name not in found:
        raise UsageError(f"{path}: there is no container {name!r}, only {', '.join(found)}")
    return [found[name]] if name else list(found.values())


def _pods(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The pods' specs in a document, whatever makes the pods."""
    kind = str(document.get("kind") or "")
    if kind.endswith("List"):
        for item in sequence(document.get("items"), f"{kind}: items"):
            yield from _pods(mapping(item, kind))
        return
    label = f"{kind}/{mapping(document.get('metadata'), f'{kind}: metadata').get('name') or '?'}"
    spec = mapping(document.get("spec"), f"{label}: spec")
    if kind == "CronJob":
        spec = mapping(mapping(spec.get("jobTemplate"), label).get("spec"), label)
    if kind != "Pod":
        spec = mapping(mapping(spec.get("template"), label).get("spec"), label)
    if spec:
        yield label, spec


def _containers(what: str, spec: Mapping[str, Any]) -> Iterator[Wanted]:
    listed = [mapping(one, f"{what}: volumes") for one in sequence(spec.get("volumes"), f"{what}: volumes")]
    volumes = {str(one.get("name")): one for one in listed}
    unknown = sorted({*spec} - _POD_READ - _POD_ELSEWHERE)
    for key in _LISTS:
        for one in sequence(spec.get(key), f"{what}: {key}"):
            fields = mapping(one, f"{what}: {key}")
            place = f"{what}: container {fields.get('name')}"
            made = _Container(place, spec, volumes, fields).wanted()
            if unknown:
                made = made._replace(notices=(*made.notices, f"not followed: {', '.join(unknown)}"))
            yield made


class _Container:
    """One container while it is read."""

    def __init__(
        self, what: str, spec: Mapping[str, Any], volumes: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> None:
        self._what = what
        self._spec = spec
        self._volumes = volumes
        self._fields = fields
        self._notices: list[str] = []
        pod = mapping(spec.get("securityContext"), f"{what}: securityContext")
        own = mapping(fields.get("securityContext"), f"{what}: securityContext")
        # A container's word goes before its pod's.
        self._context = {**pod, **{key: value for key, value in own.items() if value is not None}}

    def wanted(self) -> Wanted:
        context, what = self._context, f"{self._what}: securityContext"
        capabilities = mapping(context.get("capabilities"), what)
        privileged = boolean(context.get("privileged"), f"{what}.privileged")
        escalation = context.get("allowPrivilegeEscalation")
        asked = Configuration(
            over_engine=True,
            cap_add=_capabilities(capabilities.get("add"), what),
            cap_drop=_capabilities(capabilities.get("drop"), what),
            privileged=privileged,
            no_new_privs=None if escalation is None else not boolean(escalation, what),
            seccomp="" if privileged else self._seccomp(),
            apparmor=self._apparmor(),
            labels=tuple(
                f"{key}:{value}" for key, value in mapping(context.get("seLinuxOptions"), what).items() if value
            ),
            unmasked=context.get("procMount") == "Unmasked",
            user=self._user(),
            groups=tuple(
                str(group)
                for group in (
                    *sequence(context.get("supplementalGroups"), what),
                    *([context["fsGroup"]] if context.get("fsGroup") is not None else ()),
                )
            ),
            read_only=boolean(context.get("readOnlyRootFilesystem"), what),
            pid=self._host("hostPID"),
            ipc=self._host("hostIPC"),
            network=self._host("hostNetwork"),
            # The kubelet gives a pod on the host's network its name too.
            uts=self._host("hostNetwork"),
            sysctls=tuple(
                (str(mapping(one, what).get("name")), str(mapping(one, what).get("value")))
                for one in sequence(context.get("sysctls"), what)
            ),
        )
        asked = self._mounted(self._limited(asked))
        unknown = [f"securityContext.{key}" for key in {*context} - _CONTEXT]
        unknown += {*self._fields} - _ELSEWHERE - _READ
        if unknown:
            self._notices.append(f"not followed: {', '.join(sorted(unknown))}")
        return Wanted(asked, str(self._fields.get("name")), tuple(self._notices))

    def _host(self, key: str) -> str:
        return "host" if boolean(self._spec.get(key), f"{self._what}: {key}") else ""

    def _seccomp(self) -> str:
        profile = mapping(self._context.get("seccompProfile"), f"{self._what}: seccompProfile")
        kind = profile.get("type")
        if kind == "RuntimeDefault":
            return ""
        if kind == "Localhost":
            return f"/var/lib/kubelet/seccomp/{profile.get('localhostProfile')}"
        if kind is None:
            self._notices.append("seccompProfile is not set: unconfined, as the kubelet leaves it by default")
        return UNCONFINED

    def _apparmor(self) -> str:
        profile = mapping(self._context.get("appArmorProfile"), f"{self._what}: appArmorProfile")
        if profile.get("type") == "Localhost":
            return str(profile.get("localhostProfile"))
        return UNCONFINED if profile.get("type") == "Unconfined" else ""

    def _user(self) -> str:
        user, group = self._context.get("runAsUser"), self._context.get("runAsGroup")
        if user is None and self._context.get("runAsNonRoot"):
            self._notices.append(f"runAsNonRoot: the image tells the user, {NOBODY} is taken")
            user = NOBODY
        elif user is None:
            self._notices.append("runAsUser is not set: root is taken, unless its image says another")
            return f"0:{group}" if group is not None else ""
        return f"{user}:{group}" if group is not None else str(user)

    def _limited(self, asked: Configuration) -> Configuration:
        what = f"{self._what}: resources"
        resources = mapping(self._fields.get("resources"), what)
        limits, requests = (mapping(resources.get(key), f"{what}.{key}") for key in ("limits", "requests"))
        if limits.get("memory") is not None:
            # The kubelet allows no swap.
            amount = int(_quantity(limits["memory"], f"{what}.limits.memory"))
            asked = asked._replace(memory=amount, memory_swap=amount)
        if limits.get("cpu") is not None:
            asked = asked._replace(cpus=_quantity(limits["cpu"], f"{what}.limits.cpu"))
        cpu = requests.get("cpu", limits.get("cpu"))
        if cpu is not None:
            asked = asked._replace(cpu_shares=max(2, int(_quantity(cpu, f"{what}.requests.cpu") * 1024)))
        others = sorted({*limits} - {"memory", "cpu"})
        if others:
            self._notices.append(f"not followed: resources.limits of {', '.join(others)}")
        return asked

    def _mounted(self, asked: Configuration) -> Configuration:
        binds, tmpfs, others = [], [], []
        what = f"{self._what}: volumeMounts"
        for mount in (mapping(one, what) for one in sequence(self._fields.get("volumeMounts"), what)):
            volume, target = self._volumes.get(str(mount.get("name"))) or {}, str(mount.get("mountPath"))
            options = ["ro"] if mount.get("readOnly") else []
            propagation = _PROPAGATION.get(str(mount.get("mountPropagation")))
            if volume.get("hostPath"):
                source = str(mapping(volume["hostPath"], what).get("path"))
                source += f"/{mount['subPath']}" if mount.get("subPath") else ""
                binds.append(Bind(source, target, (*options, *([propagation] if propagation else []))))
            elif "emptyDir" in volume:
                tmpfs.append(target)
            else:
                others.append(str(mount.get("name")))
        if others:
            self._notices.append(f"volumes {', '.join(others)}: only hostPath and emptyDir are mounted")
        return asked._replace(binds=tuple(binds), tmpfs=tuple(tmpfs))


def _capabilities(value: Any, what: str) -> tuple[str, ...]:
    return tuple(parse_capability(one, what) for one in sequence(value, what))


def _quantity(value: Any, what: str) -> float:
    """A quantity as Kubernetes writes it: "500m", "128Mi", 2.

    Raises:
        UsageError: it is none.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise UsageError(f"{what}: {value!r} is no quantity: write 500m or 128Mi")
    return float(match[1]) * _UNITS[match[2]]
